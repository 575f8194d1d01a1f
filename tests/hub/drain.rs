//! How a hub ends: what had reached it is answered, and nobody is kept waiting.

use rustix::process::Signal;

use super::{Hub, add, post, request, titles};

#[test]
fn what_is_on_its_way_is_answered_and_connections_end() {
    let mut hub = Hub::start("");
    // A client between two requests, one in the middle of a body, and one in the middle of a head.
    let mut idle = hub.connect();
    idle.send(post(None, &[], request("01A", &[]).to_string()));
    assert_eq!(idle.answer().header("connection"), None);
    let whole = post(
        None,
        &[],
        request("01B", &[add(1, "in flight")]).to_string(),
    );
    let (begun, rest) = whole.split_at(whole.len() - 10);
    let mut in_body = hub.connect();
    in_body.send(begun);
    let mut in_head = hub.connect();
    in_head.send("GET /readyz HTTP/1.1\r\nHo");
    // All three have been read: the hub answers whoever comes after them.
    assert_eq!(hub.get("/readyz").status, 200);

    hub.signal(Signal::TERM);
    assert!(idle.at_end(), "who says nothing is let go");
    in_body.send(rest);
    let answer = in_body.answer();
    assert_eq!(
        (answer.status, answer.header("connection")),
        (200, Some("close"))
    );
    assert!(in_body.at_end());
    in_head.send("st: hub\r\n\r\n");
    let answer = in_head.answer();
    assert_eq!(
        (answer.status, answer.header("connection")),
        (503, Some("close"))
    );
    assert_eq!(answer.error(), "hephd is shutting down");
    assert!(answer.header("retry-after").is_some());
    assert_eq!(hub.wait().code(), Some(0), "{}", hub.log());

    // What was answered is there.
    hub.start();
    assert_eq!(titles(&hub.sync(None, &request("01C", &[]))), ["in flight"]);
}

#[test]
fn who_never_finishes_does_not_keep_it() {
    let mut hub = Hub::start("");
    let mut stuck = hub.connect();
    stuck.send("POST /v1/sync HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{");
    let mut silent = hub.connect();
    assert_eq!(hub.get("/healthz").status, 200);
    hub.signal(Signal::TERM);
    assert_eq!(hub.wait().code(), Some(0));
    assert!(stuck.at_end() && silent.at_end());
    assert!(
        hub.log().contains("gave up on 1 connections"),
        "{}",
        hub.log()
    );
}
