//! A hub that is hostile, or mistaken, against its spoke.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

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
    spoke.sync();
    assert_eq!(spoke.heph("list --all").prints(), "");
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
