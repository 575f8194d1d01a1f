//! What a client has given up does not happen later.

use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use crate::support::daemon::Wire;
use crate::support::home::Home;

/// Returns the machine's monotonic clock, `ahead` milliseconds from now.
fn clock(ahead: i64) -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1000 + now.tv_nsec / 1_000_000 + ahead
}

fn add(title: &str, deadline: impl Into<Value>) -> String {
    let request = json!({
        "jsonrpc": "2.0", "id": 1, "deadline_ms": deadline.into(),
        "method": "task.add", "params": {"title": title},
    });
    format!("{request}\n")
}

#[test]
fn a_change_is_made_before_its_deadline_and_not_after_it() {
    let home = Home::new();
    let _daemon = home.start("");
    let mut wire = Wire::open(&home.socket());
    for (title, deadline, code) in [
        ("in time", json!(clock(60_000)), None),
        ("too late", json!(clock(-1)), Some(-32007)),
        ("long ago", json!(0), Some(-32007)),
        // Not a time: as without one.
        ("no deadline", json!(null), None),
        ("no number", json!("soon"), None),
    ] {
        wire.send(add(title, deadline));
        let answer = wire.receive().unwrap();
        assert_eq!(answer["error"]["code"].as_i64(), code, "{answer}");
    }
    assert_eq!(home.titles(), ["in time", "no deadline", "no number"]);
    // Every method that changes something, and none that does not.
    let id = home.add("x");
    for (method, params) in [
        ("task.edit", json!({"id": id, "title": "y"})),
        ("task.done", json!({ "id": id })),
        ("task.delete", json!({ "id": id })),
    ] {
        let late = json!({
            "jsonrpc": "2.0", "id": 1, "deadline_ms": 1, "method": method, "params": params,
        });
        wire.send(format!("{late}\n"));
        assert_eq!(wire.receive().unwrap()["error"]["code"], -32007, "{method}");
    }
    wire.send("{\"jsonrpc\":\"2.0\",\"id\":1,\"deadline_ms\":1,\"method\":\"task.next\"}\n");
    assert!(wire.receive().unwrap().get("result").is_some());
    assert!(home.titles().contains(&"x".to_owned()));
}

#[test]
fn a_hephd_that_wakes_up_later_does_not_do_what_it_missed() {
    let home = Home::new();
    let daemon = home.start("");
    let mut wire = Wire::open(&home.socket());
    wire.call("task.next", json!({}));
    daemon.signal(Signal::STOP);
    wire.send(add("missed", clock(200)));
    thread::sleep(Duration::from_millis(400));
    daemon.signal(Signal::CONT);
    assert_eq!(wire.receive().unwrap()["error"]["code"], -32007);
    assert_eq!(home.titles(), [] as [&str; 0]);
}

#[test]
fn a_command_that_failed_is_not_done_when_hephd_comes_back() {
    let home = Home::new();
    let daemon = home.start("");
    daemon.signal(Signal::STOP);
    let add = home.heph("add 'told as failed'").exits(1);
    add.complains("timed out");
    daemon.signal(Signal::CONT);
    // Served after what was sent before.
    assert_eq!(home.heph("list").exits(0).out, "");
    let again = home.heph("add 'again'").exits(0);
    again.says("added");
    assert_eq!(home.titles(), ["again"]);
}
