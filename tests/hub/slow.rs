//! Clients that take their time. The hub's limits are 30 s each; these tests run side by side.

use serde_json::Value;

use super::{Hub, add, post, request};

#[test]
fn a_head_that_does_not_come_ends_the_connection() {
    let hub = Hub::start("");
    let mut http = hub.connect();
    http.send("POST /v1/sync HTTP/1.1\r\nHost: hub\r\n");
    assert!(http.at_end());
    assert_eq!(hub.get("/readyz").status, 200);
}

#[test]
fn a_body_that_does_not_come_is_answered_with_408() {
    let hub = Hub::start("");
    let mut http = hub.connect();
    let whole = post(None, &[], request("01A", &[add(1, "late")]).to_string());
    http.send(&whole[..whole.len() - 1]);
    let answer = http.answer();
    assert_eq!(
        (answer.status, answer.header("connection")),
        (408, Some("close"))
    );
    assert!(answer.error().contains("did not arrive"));
    assert!(http.at_end());
    let all = hub.sync(None, &request("01B", &[]));
    assert!(super::titles(&all).is_empty(), "nothing of it was taken");
}

#[test]
fn who_does_not_read_answers_is_given_up() {
    let hub = Hub::start("");
    let many: Vec<Value> = (0..1000).map(|n| add(n, &"x".repeat(1000))).collect();
    hub.sync(None, &request("01A", &many));
    let mut http = hub.connect();
    let pull = post(None, &[], request("01B", &[]).to_string());
    // Answers of a megabyte each: the buffers in between are full soon, and then the hub waits.
    http.send(pull.repeat(64));
    http.wait_until_gone();
    hub.sync(None, &request("01B", &[]));
}
