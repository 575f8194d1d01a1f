//! A hub that is hostile, or mistaken, against its spoke.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::answer;
use crate::support::http::{Reply, Request, Server};
use crate::support::node::Node;

/// A hub that takes everything and sends the operations that a test prepares.
struct Hub {
    server: Server,
    pages: &'static Pages,
}

#[derive(Default)]
struct Pages {
    waiting: Mutex<Vec<Vec<Value>>>,
    position: AtomicU64,
}

impl Hub {
    fn start() -> Hub {
        let pages: &'static Pages = Box::leak(Box::default());
        let server = Server::start(move |request| pages.next(request));
        Hub { server, pages }
    }

    /// Sends these pages in the next round.
    fn sends(&self, mut pages: Vec<Vec<Value>>) {
        pages.reverse();
        *self.pages.waiting.lock().unwrap() = pages;
    }

    /// Returns the operations that the spoke sent, of this kind.
    fn received(&self, kind: &str) -> Vec<Value> {
        let requests = self.server.seen().into_iter();
        let operations = requests.flat_map(|request| {
            let request = request.json();
            request["operations"].as_array().unwrap().clone()
        });
        operations.filter(|one| one["kind"] == kind).collect()
    }
}

impl Pages {
    fn next(&self, _: &Request) -> Reply {
        let mut waiting = self.waiting.lock().unwrap();
        let mut answer = answer();
        if let Some(page) = waiting.pop() {
            let seq = self.position.fetch_add(1000, Ordering::Relaxed) + 1000;
            answer["cursor"] = json!({"seq": seq, "id": id(seq)});
            answer["operations"] = Value::Array(page);
            answer["more"] = json!(!waiting.is_empty());
        }
        Reply::json(200, &answer)
    }
}

/// Returns a ULID that no other call with another number returns.
fn id(number: u64) -> String {
    format!("01HF7Z00000000000{number:09}")
}

/// Returns the operation number `number` of the hub, which claims to be long past.
fn operation(number: u64, kind: &str, task: &str, mut body: Value) -> Value {
    body["clock"] = json!([5, 0]);
    json!({"id": id(number), "kind": kind, "task": task, "body": body, "created_at": 5})
}

fn deletions<'a>(from: u64, tasks: impl IntoIterator<Item = &'a String>) -> Vec<Value> {
    let numbered = (from..).zip(tasks);
    numbered
        .map(|(number, task)| operation(number, "task.delete", task, json!({})))
        .collect()
}

#[test]
fn a_hub_that_sends_without_end_stores_little_and_holds_up_nobody() {
    let number = AtomicU64::new(1);
    let server = Server::start(move |_| {
        let first = number.fetch_add(1000, Ordering::Relaxed);
        let body = json!({ "padding": "x".repeat(1000) });
        let paints = |number| operation(number, "task.paint", &id(number), body.clone());
        let mut answer = answer();
        answer["operations"] = (first..first + 1000).map(paints).collect();
        answer["cursor"] = json!({"seq": first, "id": id(first)});
        answer["more"] = json!(true);
        Reply::json(200, &answer)
    });
    let spoke = Node::spoke(&server.url());
    let count = AtomicUsize::new(0);
    let status = spoke.wait_until(|status| {
        spoke.add("mine");
        count.fetch_add(1, Ordering::Relaxed);
        status["last_error"].is_string()
    });
    let error = status["last_error"].as_str().unwrap();
    assert!(
        error.contains("more than this machine stores for it"),
        "{error}"
    );
    assert!(
        error.contains("MiB that this release does not understand"),
        "{error}"
    );
    assert!(status["last_received"].as_u64().unwrap() > 1000, "{status}");
    spoke
        .heph("sync status")
        .succeeds()
        .says("last error    the hub sends more");
    spoke
        .heph("sync now")
        .exits(1)
        .complains("hint: install a newer heph");
    assert_eq!(spoke.titles().len(), count.into_inner());
    let store = spoke.store();
    let size = |file: &str| {
        let path = store.with_file_name(format!("heph.db{file}"));
        std::fs::metadata(path).map_or(0, |metadata| metadata.len())
    };
    let bytes = size("") + size("-wal");
    assert!(bytes < 64 << 20, "{bytes} bytes");
}

#[test]
fn what_a_hub_deletes_comes_back_and_the_hub_gets_it_again() {
    let hub = Hub::start();
    let spoke = Node::spoke(&hub.server.url());
    for number in 0..5 {
        spoke.add(&format!("task {number}"));
    }
    spoke.sync();
    let tasks: Vec<String> = spoke.tasks().into_keys().collect();
    spoke.heph(&["done", &tasks[4]]).succeeds();
    let before = spoke.list();
    hub.sends(vec![deletions(1, &tasks)]);
    spoke.sync().says(", deleted 5 tasks\n");
    assert_eq!(spoke.heph("list --all").prints(), "");
    let status = spoke.sync_status();
    assert_eq!(
        (&status["last_received"], &status["last_deleted"]),
        (&json!(5), &json!(5))
    );
    let shown = spoke.heph("sync status").succeeds();
    shown.says("last round    received 5 operations, deleted 5 tasks\n");
    let refused = spoke.heph(&["edit", &tasks[0], "again"]).exits(1);
    refused.complains(&format!(
        "hint: `heph undelete {}` brings it back",
        tasks[0]
    ));

    let one = spoke.heph(&["undelete", &tasks[0]]).succeeds();
    one.says("undeleted ").says("  task 0\n");
    let others = spoke.heph("undelete --since 1h").succeeds();
    others.says("  task 4\n").says("4 tasks are back\n");
    let none = spoke.heph("undelete --since 1h --json").json();
    assert_eq!(none, json!({"schema": 1, "tasks": []}));
    let shown = |list: &Value| -> Vec<(Value, Value)> {
        let tasks = list.as_array().unwrap().iter();
        tasks
            .map(|task| (task["title"].clone(), task["state"].clone()))
            .collect()
    };
    assert_eq!(shown(&spoke.list()), shown(&before));
    spoke.sync();
    assert_eq!(hub.received("task.add").len(), 10);
    assert_eq!(hub.received("task.done").len(), 2);
}

/// Adds so many tasks at once; returns their ids.
fn add_tasks(spoke: &Node, count: u64) -> Vec<String> {
    let mut wire = spoke.wire();
    let added = (0..count).map(|number| {
        let task = wire.call("task.add", json!({"title": format!("task {number}")}));
        task["task"]["id"].as_str().unwrap().to_owned()
    });
    added.collect()
}

#[test]
fn a_round_that_deletes_most_tasks_asks_first_however_it_is_spread() {
    let hub = Hub::start();
    let mut spoke = Node::spoke(&hub.server.url());
    let tasks = add_tasks(&spoke, 30);
    spoke.sync();
    // Two pages of one round, among other operations.
    let arrival = operation(900, "task.add", &id(900), json!({"title": "new"}));
    let mut first = deletions(1, &tasks[..10]);
    first.push(arrival);
    hub.sends(vec![first, deletions(100, &tasks[10..16])]);
    let asked = spoke.heph("sync now").exits(0);
    asked
        .complains("the hub deletes 16 tasks")
        .complains("`heph sync now --accept-deletes`");
    assert_eq!(spoke.tasks().len(), 31, "everything but the deletions");
    let status = spoke.sync_status();
    assert_eq!(
        (&status["held_deletes"], &status["last_deleted"]),
        (&json!(16), &json!(0))
    );
    spoke
        .heph("sync status")
        .succeeds()
        .says("held back     the hub deletes 16 tasks");

    // Later ones wait as well, a restart changes nothing, and this machine goes on.
    hub.sends(vec![deletions(200, &tasks[16..18])]);
    spoke
        .heph("sync now")
        .exits(0)
        .complains("the hub deletes 18 tasks");
    spoke.stop();
    spoke.start();
    spoke.add("mine");
    spoke.heph(&["done", &tasks[0]]).succeeds();
    spoke.heph("sync now").exits(0);
    assert_eq!(spoke.sync_status()["held_deletes"], 18);
    assert_eq!(spoke.tasks().len(), 32);
    assert_eq!(hub.received("task.done").len(), 1);

    let accepted = spoke.heph("sync now --accept-deletes --json").json();
    assert_eq!(accepted["accepted_deletes"], 18, "{accepted}");
    assert_eq!(accepted["held_deletes"], 0, "{accepted}");
    assert_eq!(spoke.tasks().len(), 14);
    spoke
        .heph("undelete --since 1h")
        .succeeds()
        .says("18 tasks are back\n");
}

#[test]
fn many_small_rounds_in_one_day_ask_as_one_would() {
    let hub = Hub::start();
    let spoke = Node::spoke(&hub.server.url());
    let tasks = add_tasks(&spoke, 30);
    spoke.sync();
    for (number, task) in (0..).zip(&tasks) {
        hub.sends(vec![deletions(number, [task])]);
        spoke.heph("sync now").exits(0);
    }
    assert_eq!(spoke.tasks().len(), 15);
    assert_eq!(spoke.sync_status()["held_deletes"], 15);
}

#[test]
fn a_first_sync_with_a_long_history_asks_nothing() {
    let hub = Hub::start();
    let history: Vec<String> = (0..50).map(|number| id(1000 + number)).collect();
    let adds = (1..)
        .zip(&history)
        .map(|(number, task)| operation(number, "task.add", task, json!({"title": "old"})));
    hub.sends(vec![adds.collect(), deletions(100, &history[..40])]);
    let spoke = Node::spoke(&hub.server.url());
    spoke.sync();
    assert_eq!(spoke.tasks().len(), 10);
    assert_eq!(spoke.sync_status()["held_deletes"], 0);
}
