//! A hub that has no more room for what a spoke sends.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::{SYNC, answer, well};
use crate::support::http::{Reply, Request, Server};
use crate::support::node::Node;

const ERROR: &str = "the quota of this user is used up: 1024.0 MiB";

/// Answers as a hub does whose user has used up the quota: what is there can be fetched.
fn full(request: &Request, refused: &AtomicBool) -> Reply {
    let request = request.json();
    if !request["operations"].as_array().unwrap().is_empty() {
        let error = json!({"error": ERROR, "hint": "ask for more", "kind": "full"});
        refused.store(true, Ordering::Relaxed);
        return Reply::json(507, &error);
    }
    let mut answer = answer();
    if refused.load(Ordering::Relaxed) {
        let id = "01HF7Z00000000000000000001";
        answer["operations"] = json!([{
            "id": id, "kind": "task.add", "task": "01HF8Z00000000000000000001",
            "body": {"title": "of another machine", "clock": [5, 0]}, "created_at": 5,
        }]);
        answer["cursor"] = json!({"seq": 1, "id": id});
    }
    Reply::json(200, &answer)
}

#[test]
fn a_spoke_beyond_its_quota_says_so_and_still_fetches() {
    let refused = AtomicBool::new(false);
    let hub = Server::start(move |request| full(request, &refused));
    let spoke = Node::spoke(&hub.url());
    spoke.add("one too many");
    let status = spoke.wait_until(|status| status["last_error"].is_string());
    let error = status["last_error"].as_str().unwrap();
    assert!(
        error.contains("takes no more changes") && error.contains(ERROR),
        "{error}"
    );
    assert!(error.contains("hint: ask for more"), "{error}");
    assert_eq!(status["pending"], 1, "{status}");
    let shown = spoke.heph("sync status").succeeds();
    shown.says(ERROR);
    spoke.heph("sync now").exits(75).complains(ERROR);
    assert_eq!(spoke.titles(), ["of another machine", "one too many"]);
    // No smaller pages: the next request without the operation follows at once.
    let sent = |request: &Request| request.json()["operations"].as_array().map_or(0, Vec::len);
    let counts: Vec<usize> = hub.seen().iter().map(sent).collect();
    assert!(!counts.windows(2).any(|pair| pair == [1, 1]), "{counts:?}");
}

#[test]
fn once_there_is_room_again_everything_is_sent() {
    let hub = Server::start(|_| well());
    hub.scripts(SYNC, vec![no_room(), no_room(), Reply::Normal]);
    let spoke = Node::spoke(&hub.url());
    spoke.add("waits for room");
    spoke.wait_until(|status| status["pending"] == 0 && status["last_error"] == Value::Null);
}

fn no_room() -> Reply {
    Reply::json(507, &json!({"error": ERROR, "hint": null, "kind": "full"}))
}
