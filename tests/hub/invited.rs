//! A hub without any provider: machines that were invited, each with a secret of its own.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::issuer::Issuer;
use super::signer::Signer;
use super::{Hub, add, request};
use crate::support::files::mode;
use crate::support::machine::Machine;
use crate::support::node::{Node, free_port};

/// Invites `name` and returns the line, which is alone on standard output.
#[track_caller]
fn invite(hub: &Node, name: &str) -> String {
    let ended = hub.heph(&format!("hub invite {name}")).exits(0);
    let line = ended.out.trim_end().to_owned();
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.contains("#hephs_"), "{line}");
    line
}

fn secret(line: &str) -> &str {
    line.split_once('#').unwrap().1
}

/// Returns a machine that joins with `line`; no service manager starts its hephd, so the test does.
#[track_caller]
fn join(line: &str, flags: &str) -> Node {
    let hub = line.split('#').next().unwrap();
    let node = Node::down(&format!("--hub-url={hub} {flags}"));
    let start = format!("hephd --hub-url={hub}");
    let ended = node.heph("sync join").input(format!("{line}\n")).exits(1);
    ended.complains(&start);
    assert_eq!(mode(&node.home.data().join("hub-secret.json")), 0o600);
    node.up()
}

/// Starts a spoke without any secret.
fn stranger(hub: &Node) -> Node {
    Node::spoke(&hub.url())
}

#[track_caller]
fn machines(hub: &Node) -> Value {
    hub.heph("hub machines --json").json()["machines"].clone()
}

#[test]
fn invited_machines_and_the_owner_of_the_hub_see_the_same_tasks() {
    let hub = Node::hub();
    hub.add("on the hub itself");
    let laptop = join(&invite(&hub, "laptop"), "");
    let desk = join(&invite(&hub, ""), "");
    laptop.add("from the laptop");
    for spoke in [&laptop, &desk, &laptop] {
        spoke.sync();
    }
    let all = ["from the laptop", "on the hub itself"];
    for node in [&hub, &laptop, &desk] {
        assert_eq!(node.titles(), all);
    }
    let listed = machines(&hub);
    assert_eq!(listed[0]["name"], "laptop");
    assert_eq!(listed[1]["name"], "machine-1");
    assert_eq!(listed[1]["version"], env!("CARGO_PKG_VERSION"));
    assert!(listed[0]["last_seen"].is_string(), "{listed}");
    hub.heph("hub machines").exits(0).says("laptop");

    // The list of spokes has the name of the machine.
    hub.heph("sync status")
        .exits(0)
        .says("laptop")
        .says("(owner)")
        .says(env!("CARGO_PKG_VERSION"));
    let spokes = hub.sync_status()["spokes"].clone();
    assert_eq!(spokes.as_array().unwrap().len(), 2, "{spokes}");
    assert_eq!(spokes[0]["machine"], "laptop", "the latest is first");
    assert!(spokes[0]["lag_seconds"].is_u64(), "{spokes}");
    assert!(spokes[0]["user"].is_null());
}

#[test]
fn after_the_first_invitation_a_hub_serves_nobody_else() {
    let hub = Node::hub();
    let before = stranger(&hub);
    before.sync();
    let line = invite(&hub, "laptop");
    let refused = before.heph("sync now").exits(1);
    refused
        .complains("requires a login")
        .complains("heph sync join");
    // Neither does it after the last machine was revoked, nor after a restart.
    hub.heph("hub revoke laptop").exits(0).says("revoked");
    before.heph("sync now").exits(1);
    let mut hub = hub;
    hub.stop();
    hub.start();
    before.heph("sync now").exits(1);
    assert_eq!(machines(&hub), json!([]));
    let laptop = join(&line, "");
    laptop
        .heph("sync now")
        .exits(1)
        .complains("rejects the secret of this machine")
        .complains("heph hub invite");
}

#[test]
fn a_machine_that_is_revoked_is_rejected_at_once_and_the_others_go_on() {
    let hub = Node::hub();
    let (lost, kept) = (
        join(&invite(&hub, "lost"), ""),
        join(&invite(&hub, "kept"), ""),
    );
    for spoke in [&lost, &kept] {
        spoke.sync();
    }
    hub.heph("hub revoke lost").exits(0);
    lost.add("too late");
    lost.heph("sync now")
        .exits(1)
        .complains("rejects the secret");
    kept.sync();
    assert!(kept.titles().is_empty());
    hub.heph("hub revoke lost")
        .exits(1)
        .complains("no machine 'lost' is invited");
}

#[test]
fn a_second_invitation_replaces_the_secret() {
    let hub = Hub::start("");
    let (first, second) = (invite(&hub, "laptop"), invite(&hub, "laptop"));
    let body = request("01A", &[add(1, "by the new secret")]);
    assert_eq!(hub.post(Some(secret(&first)), &body).status, 401);
    hub.sync(Some(secret(&second)), &body);
    assert_eq!(machines(&hub).as_array().unwrap().len(), 1);
    let again = hub.heph("hub invite laptop --json").json();
    assert_eq!(again["replaced"], true);
    assert_eq!(again["name"], "laptop");
    let stored = fs::read_to_string(hub.data().join("machines.json")).unwrap();
    assert!(!stored.contains("hephs_"), "only hashes are kept: {stored}");
    assert_eq!(mode(&hub.data().join("machines.json")), 0o600);
    assert!(!hub.log().contains("hephs_"), "{}", hub.log());
}

#[test]
fn with_a_provider_as_well_machines_are_the_owners_and_users_are_others() {
    let signer = Signer::ec();
    let issuer = Issuer::start(&[signer.jwk("k")]);
    let hub = Hub::start(&issuer.flags());
    hub.add("the owner's");
    let laptop = join(&invite(&hub, "laptop"), "");
    laptop.sync();
    assert_eq!(laptop.titles(), ["the owner's"]);
    let alice = signer.token("k", &issuer.claims("alice", json!({})));
    let answer = hub.sync(Some(&alice), &request("01A", &[add(1, "alice's")]));
    assert_eq!(answer["operations"], json!([]), "nothing of the owner's");
    laptop.sync();
    assert_eq!(laptop.titles(), ["the owner's"], "nothing of alice's");
    let spokes = hub.sync_status()["spokes"].clone();
    let users: Vec<_> = spokes.as_array().unwrap().iter().collect();
    assert_eq!(users.len(), 2);
    assert!(spokes.to_string().contains("alice"));
    hub.heph("sync status")
        .exits(0)
        .says("alice")
        .says("laptop");
}

#[test]
fn what_is_no_secret_of_the_hub_is_rejected() {
    let hub = Hub::start("");
    let line = invite(&hub, "laptop");
    let body = request("01A", &[]);
    let forged = secret(&line).replace("hephs_", "hephs_A");
    for token in [None, Some(forged.as_str()), Some("hephs_"), Some("a.b.c")] {
        let answer = hub.post(token, &body);
        assert_eq!(answer.status, 401, "{answer:?}");
        assert!(answer.text().contains("\"reason\""), "{answer:?}");
    }
    let elsewhere = Hub::start("");
    invite(&elsewhere, "laptop");
    assert_eq!(elsewhere.post(Some(secret(&line)), &body).status, 401);
}

#[test]
fn a_secret_goes_to_its_own_hub_only() {
    let hub = Node::hub();
    let line = invite(&hub, "laptop");
    let thief =
        crate::support::http::Server::start(|_| crate::support::http::Reply::with(401, &[], ""));
    let node = Node::down(&format!("--hub-url={}", thief.url()));
    node.heph(&["sync", "join", &line]).exits(1);
    let node = node.up();
    node.heph("sync now").exits(1);
    let seen = thief.seen();
    assert!(!seen.is_empty());
    assert!(
        seen.iter()
            .all(|request| request.header("authorization").is_none())
    );
}

#[test]
fn a_line_that_is_none_changes_nothing_and_is_not_repeated() {
    let node = Node::down("");
    for line in [
        "",
        "hush",
        "https://hub.example.org#hush",
        "https://hub.example.org",
    ] {
        let ended = node.heph("sync join").input(line).exits(2);
        assert!(!ended.err.contains("hush"), "{ended}");
    }
    assert!(!node.home.data().join("hub-secret.json").exists());
}

#[test]
fn on_every_address_a_hub_serves_only_invited_machines_over_the_http_that_was_allowed() {
    let port = free_port();
    let mut hub = Node::down(&format!(
        "--mode=server --http-addr=0.0.0.0:{port} --invited-only"
    ));
    hub.address = format!("127.0.0.1:{port}");
    let hub = hub.up();
    stranger(&hub).heph("sync now").exits(1);
    hub.heph("hub invite laptop")
        .exits(1)
        .complains("at which URL")
        .complains("--url URL");
    // An address that is not loopback and leads here all the same.
    let url = format!("http://0.0.0.0:{port}");
    let ended = hub.heph(&format!("hub invite laptop --url {url}")).exits(0);
    let line = ended.out.trim_end().to_owned();
    assert!(ended.err.contains("plain http"), "{ended}");
    assert!(
        invite(&hub, "desk").starts_with(&format!("{url}#")),
        "the URL is remembered"
    );

    let node = Node::down(&format!("--hub-url={url}"));
    node.heph("sync join")
        .input(&line)
        .exits(2)
        .complains("plain http")
        .complains("--hub-plain-http");
    node.heph("sync join --hub-plain-http")
        .input(&line)
        .exits(1);
    // hephd itself does not send it without the flag.
    node.hephd(&format!("--hub-url={url}"))
        .exits(2)
        .complains("a token would travel over plain http");
    let mut node = node;
    node.add_flags("--hub-plain-http");
    let node = node.up();
    node.sync();
    node.heph("sync status")
        .exits(0)
        .says("warning")
        .says("the token travel unencrypted");
    assert!(node.log().contains("unencrypted"), "{}", node.log());
}

#[test]
fn joining_bakes_the_hub_into_the_service_and_syncs() {
    let hub = Node::hub();
    hub.add("from the hub");
    let machine = Machine::new();
    machine
        .heph("daemon start --oidc-issuer https://id.example --oidc-client-id heph")
        .exits(0);
    let line = invite(&hub, "laptop");
    machine
        .heph("sync join -")
        .input(&line)
        .exits(0)
        .says("in sync with");
    assert_eq!(machine.titles(), ["from the hub"]);
    let status = machine.status();
    assert_eq!(status["flags"], json!({ "hub-url": hub.url() }));
    let holds_secret = |file: &Path| fs::read_to_string(file).unwrap().contains("hephs_");
    assert!(!holds_secret(&machine.unit("heph.service")));
    assert!(holds_secret(&machine.data().join("hub-secret.json")));
    // A restart keeps it; a new secret takes its place.
    machine.heph("daemon restart").exits(0);
    machine.sync();
    let line = invite(&hub, "laptop");
    machine.heph("sync now").exits(1);
    machine.heph(&["sync", "join", &line]).exits(0);
    machine.sync();
}

#[test]
fn only_a_hub_invites_and_not_one_that_serves_everybody() {
    let alone = Node::with("");
    for command in ["hub invite", "hub machines", "hub revoke laptop"] {
        alone.heph(command).exits(2).complains("is no hub");
    }
    let open = Hub::start("--insecure-no-auth");
    open.heph("hub invite")
        .exits(2)
        .complains("serves everybody");
    let hub = Hub::start("");
    hub.heph(&["hub", "invite", "--", "a b"])
        .exits(1)
        .complains("is not a name");
    hub.heph("hub invite --url ftp://x").exits(1);
    assert!(!hub.data().join("machines.json").exists());
}

#[test]
fn a_list_of_machines_that_is_damaged_keeps_the_hub_from_starting() {
    let mut hub = Node::hub();
    invite(&hub, "laptop");
    hub.stop();
    fs::write(hub.home.data().join("machines.json"), "{").unwrap();
    let address = &hub.address;
    hub.hephd(&format!("--mode=server --http-addr={address}"))
        .exits(1)
        .complains("cannot read the machines of this hub");
}
