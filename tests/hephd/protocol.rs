//! The socket, from outside: what is answered, what is refused, and what is bounded.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::daemon::{Wire, request};
use crate::support::home::Home;

#[test]
fn tasks_are_added_listed_and_done() {
    let home = Home::new();
    let daemon = home.start("");
    let mut wire = Wire::open(&home.socket());
    let milk = wire.call("task.add", json!({ "title": " Buy milk ž " }))["task"].clone();
    assert_eq!(milk["title"], "Buy milk ž");
    assert_eq!(milk["state"], "open");
    assert_eq!(milk["done_at"], Value::Null);
    assert!(
        milk["created_at"].as_str().unwrap().ends_with('Z'),
        "{milk}"
    );
    let bread = wire.call("task.add", json!({ "title": "Bread" }))["task"].clone();
    assert_eq!(wire.call("task.next", json!({}))["task"], milk);
    let done = wire.call("task.done", json!({ "id": milk["id"] }))["task"].clone();
    assert_eq!(done["state"], "done");
    assert_eq!(wire.call("task.list", json!({}))["tasks"], json!([bread]));
    let listed = |wire: &mut Wire, state| wire.call("task.list", json!({ "state": state }));
    assert_eq!(listed(&mut wire, "done")["tasks"], json!([done]));
    assert_eq!(listed(&mut wire, "all")["tasks"], json!([done, bread]));

    let status = wire.call("status", json!({}));
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["pid"], daemon.pid());
    assert_eq!(status["mode"], "local");
    assert_eq!(status["open_tasks"], 1);
    assert_eq!(status["schema"], 2);
    assert_eq!(status["store"], home.store().to_str().unwrap());
}

#[test]
fn a_bad_line_is_answered_with_its_code_and_the_next_one_is_served() {
    let home = Home::new();
    let _daemon = home.start("");
    let mut wire = Wire::open(&home.socket());
    let add = |params: Value| request(7, "task.add", params).trim().to_owned();
    let long = "x".repeat(4097);
    let deep = "[".repeat(10_000);
    let seven = json!(7);
    let null = Value::Null;
    let cases: Vec<(Vec<u8>, i64, &Value)> = vec![
        (b"".into(), -32700, &null),
        (b"{".into(), -32700, &null),
        (b"\xff\xfe\x00".into(), -32700, &null),
        (
            b"{\"jsonrpc\":\"2.0\",\"method\":\"\xff\"}".into(),
            -32700,
            &null,
        ),
        (deep.into(), -32700, &null),
        (b"GET / HTTP/1.1\r".into(), -32700, &null),
        (b"[]".into(), -32600, &null),
        (b"[1,2]".into(), -32600, &null),
        (b"{}".into(), -32600, &null),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":5}".into(),
            -32600,
            &seven,
        ),
        (
            request(7, "task.remove", json!({})).trim().into(),
            -32601,
            &seven,
        ),
        (
            request(7, "../../etc/passwd", json!({})).trim().into(),
            -32601,
            &seven,
        ),
        (add(json!({})).into(), -32602, &seven),
        (add(json!(["x"])).into(), -32602, &seven),
        (add(json!({ "title": "" })).into(), -32602, &seven),
        (add(json!({ "title": long })).into(), -32602, &seven),
        (
            add(json!({ "title": "a\u{1b}[2Jb" })).into(),
            -32602,
            &seven,
        ),
        (add(json!({ "title": "a\nb" })).into(), -32602, &seven),
        (
            request(7, "task.done", json!({ "id": "" })).trim().into(),
            -32602,
            &seven,
        ),
        (
            request(7, "task.done", json!({ "id": "7ZZZ" }))
                .trim()
                .into(),
            -32001,
            &seven,
        ),
        (
            request(7, "backup", json!({ "path": "relative" }))
                .trim()
                .into(),
            -32005,
            &seven,
        ),
        (
            request(7, "backup", json!({ "path": "/" })).trim().into(),
            -32005,
            &seven,
        ),
        (
            request(7, "backup", json!({ "path": "/no/such/folder/x" }))
                .trim()
                .into(),
            -32005,
            &seven,
        ),
        (
            request(7, "backup", json!({ "path": "/tmp/a\u{0}b" }))
                .trim()
                .into(),
            -32005,
            &seven,
        ),
    ];
    for (mut line, code, id) in cases {
        let shown = String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned();
        line.push(b'\n');
        wire.send(line);
        let answer = wire.receive().unwrap();
        assert_eq!(answer["jsonrpc"], "2.0", "{shown}");
        assert_eq!(answer["error"]["code"], code, "{shown}: {answer}");
        assert_eq!(&answer["id"], id, "{shown}");
        assert!(answer["error"]["message"].as_str().unwrap().len() < 300);
        assert!(answer.get("result").is_none());
    }
    assert_eq!(wire.call("status", json!({}))["open_tasks"], 0);
}

#[test]
fn a_request_has_at_most_one_mebibyte() {
    let home = Home::new();
    let _daemon = home.start("");
    let mut wire = Wire::open(&home.socket());
    let bare = request(1, "status", json!({}));
    let mut full = bare.trim().to_owned();
    full.push_str(&" ".repeat((1 << 20) - full.len()));
    wire.send(format!("{full}\n"));
    assert!(wire.receive().unwrap().get("result").is_some());
    wire.send(format!("{full} \n"));
    assert_eq!(wire.receive().unwrap()["error"]["code"], -32600);
    assert!(wire.at_end(), "the connection is closed");

    // A client that has sent all of a much longer one still hears why.
    let mut wire = Wire::open(&home.socket());
    wire.send("x".repeat(8 << 20));
    let answer = wire.receive().unwrap();
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("1048576"), "{message}");
}

#[test]
fn notifications_are_done_and_not_answered_and_answers_keep_the_order() {
    let home = Home::new();
    let _daemon = home.start("");
    let mut wire = Wire::open(&home.socket());
    let mut lines = String::new();
    for number in 0..50 {
        lines.push_str(
            "{\"jsonrpc\":\"2.0\",\"method\":\"task.add\",\"params\":{\"title\":\"n\"}}\n",
        );
        lines.push_str("{\"jsonrpc\":\"2.0\",\"method\":\"no.such.method\"}\n");
        lines.push_str(&request(number, "status", json!({})));
    }
    wire.send(lines);
    for number in 0..50 {
        let answer = wire.receive().unwrap();
        assert_eq!(answer["id"], number);
        assert_eq!(answer["result"]["open_tasks"], number + 1);
    }
}

#[test]
fn a_request_may_come_byte_by_byte_and_must_end_with_a_newline() {
    let home = Home::new();
    let _daemon = home.start("");
    let mut wire = Wire::open(&home.socket());
    for byte in request(3, "task.next", json!({})).bytes() {
        wire.send([byte]);
    }
    assert_eq!(wire.receive().unwrap()["result"], json!({ "task": null }));
    wire.send(request(3, "task.add", json!({ "title": "cut short" })).trim());
    wire.finish();
    assert_eq!(wire.receive().unwrap()["error"]["code"], -32700);
    assert!(wire.at_end());
    let mut wire = Wire::open(&home.socket());
    assert_eq!(wire.call("status", json!({}))["open_tasks"], 0);
}

#[test]
fn while_every_connection_has_a_request_under_way_more_of_them_wait_their_turn() {
    let home = Home::new();
    let _daemon = home.start("");
    let (begin, end) = ("{\"jsonrpc\":\"2.0\",", "\"id\":1,\"method\":\"status\"}\n");
    // Each is served once before it begins: at the limit, one that has said nothing yet would make room.
    let mut first: Vec<Wire> = (0..256)
        .map(|_| {
            let mut wire = Wire::open(&home.socket());
            wire.call("status", json!({}));
            wire.send(begin);
            wire
        })
        .collect();
    thread::sleep(Duration::from_millis(200));
    let _another = Wire::open(&home.socket());
    let mut late = Wire::open(&home.socket());
    late.send(request(1, "status", json!({})));
    first[217].send(end);
    assert!(first[217].receive().unwrap().get("result").is_some());
    drop(first);
    assert!(late.receive().unwrap().get("result").is_some());
}

#[test]
fn a_client_that_never_reads_stops_nobody_else() {
    let home = Home::new();
    let _daemon = home.start("");
    let mut wire = Wire::open(&home.socket());
    for _ in 0..50 {
        wire.call("task.add", json!({ "title": "x".repeat(4000) }));
    }
    let mut deaf = Wire::open(&home.socket());
    for number in 0..20 {
        deaf.send(request(number, "task.list", json!({})));
    }
    for _ in 0..20 {
        wire.call("task.next", json!({}));
    }
}

#[test]
fn a_retried_request_with_an_operation_id_adds_one_task() {
    let home = Home::new();
    let daemon = home.start("");
    let params = json!({ "title": "once", "op_id": "01K9ZZZZZZABCDEFGHJKMNPQRS" });
    let task = Wire::open(&home.socket()).call("task.add", params.clone());
    daemon.kill();
    let _daemon = home.start("");
    let mut wire = Wire::open(&home.socket());
    assert_eq!(wire.call("task.add", params), task);
    assert_eq!(wire.call("status", json!({}))["open_tasks"], 1);
    let other = json!({ "title": "twice", "op_id": "01K9ZZZZZZABCDEFGHJKMNPQRS" });
    let answer = wire.ask("task.add", other).unwrap();
    assert_eq!(answer["error"]["code"], -32003);
}

#[test]
fn a_newcomer_is_served_however_many_idle_connections_there_are() {
    let home = Home::new();
    let daemon = home.start("");
    let mut busy = Wire::open(&home.socket());
    busy.send("{\"jsonrpc\":\"2.0\",");
    let mut idle: Vec<Wire> = (1..256)
        .map(|_| {
            let mut wire = Wire::open(&home.socket());
            wire.call("status", json!({}));
            wire
        })
        .collect();
    for round in 0..10 {
        let mut newcomer = Wire::open(&home.socket());
        newcomer.call("status", json!({}));
        // In the order in which they went idle.
        assert!(idle[round].at_end(), "number {round} made room");
        idle.push(newcomer);
    }
    busy.send("\"id\":1,\"method\":\"status\"}\n");
    assert_eq!(busy.receive().expect("its request was under way")["id"], 1);
    for wire in &mut idle[10..] {
        wire.call("status", json!({}));
    }
    daemon.stop();
}
