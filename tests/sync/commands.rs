//! `heph sync status` and `heph sync now`: what they print and how they exit.

use serde_json::{Value, json};

use super::well;
use crate::support::home::Home;
use crate::support::http::{Reply, Server};
use crate::support::node::Node;
/// Returns the names in an object of JSON text, in their order.
fn names(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.split_once("\":"));
    lines
        .map(|(name, _)| name.trim().trim_matches('"').to_owned())
        .collect()
}

#[test]
fn a_hephd_without_a_hub_has_a_status_and_nothing_to_do() {
    let spoke = Node::with("");
    let status = spoke.heph("sync status").succeeds();
    status.says("hephd has no hub; set one with `heph daemon restart --hub-url URL`");
    assert_eq!(
        spoke.sync_status(),
        json!({
            "schema": 1, "hub": null, "last_success": null, "pending": 0, "refused": 0, "last_error": null,
            "next_attempt": null, "issuer": null, "client_id": null, "scopes": null, "warning": null, "clock_difference": null, "spokes": null,
            "last_received": 0, "last_deleted": 0, "held_deletes": 0,
        })
    );
    let now = spoke.heph("sync now").exits(2);
    let now = now.complains("error: hephd has no hub to sync with");
    now.complains("hint: set one with `heph daemon restart --hub-url URL`");
}

#[test]
fn without_hephd_there_is_no_status() {
    let home = Home::new();
    for command in ["status", "now"] {
        let ended = home.heph(&["sync", command]).exits(1);
        ended.complains("hephd is not running");
    }
}

#[test]
fn a_sync_that_is_well_says_so_in_words_and_in_json() {
    let hub = Server::start(|_| well());
    let spoke = Node::spoke(&hub.url());
    let now = spoke.heph("sync now").succeeds();
    assert_eq!(
        now.out,
        "in sync: sent 0 operations, received 0 operations\n"
    );
    let status = spoke.heph("sync status").succeeds();
    let status = status.says(&format!("hub           {}\n", hub.url()));
    let status = status.says("last success  ").says(" s ago, ");
    status.says("to send       0 operations\n");

    let text = spoke.heph("sync now --json").succeeds();
    assert_eq!(
        names(&text.out),
        [
            "schema",
            "sent",
            "received",
            "accepted_deletes",
            "hub",
            "last_success",
            "pending",
            "refused",
            "last_error",
            "next_attempt",
            "issuer",
            "client_id",
            "scopes",
            "warning",
            "clock_difference",
            "spokes",
            "last_received",
            "last_deleted",
            "held_deletes"
        ]
    );
    let now = text.json();
    assert_eq!(now["hub"], hub.url().as_str());
    assert!(now["last_success"].is_string(), "{now}");
    assert_eq!(now["last_error"], Value::Null);
}

#[test]
fn a_sync_that_fails_prints_no_object() {
    let hub = Server::start(|_| Reply::with(500, &[], ""));
    let spoke = Node::spoke(&hub.url());
    let ended = spoke.heph("sync now --json").exits(75);
    assert_eq!(ended.out, "");
    ended.complains("failed (status 500)");
}
