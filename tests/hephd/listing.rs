//! Long lists: in pages, in bounded memory, and without delaying other clients.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdout, Stdio};
use std::time::Instant;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::daemon::{Daemon, Wire, request};
use crate::support::home::{Home, titles};
use crate::support::memory::peak_memory;
use crate::support::running::wait;
use crate::support::wait::PATIENCE;

/// Enough that nothing on the way has room for all of them.
const MANY: usize = 200_000;
/// How much memory a list may take, in bytes.
const MOST: u64 = 64 << 20;

/// Starts a hephd whose store has so many open tasks.
fn with_tasks(home: &Home, tasks: usize) -> Daemon {
    home.start("").stop();
    Connection::open(home.store())
        .unwrap()
        .execute_batch(&format!(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {tasks})
             INSERT INTO tasks (user, id, title, created_at, deleted)
             SELECT '', printf('01K%023d', n), 'a task of a common length, number ' || n, 1790000000000 + n, 0 FROM numbers"
        ))
        .unwrap();
    home.start("")
}

/// `heph list`, which waits while its output is not read.
struct Listing {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Listing {
    fn start(home: &Home, words: &str) -> Listing {
        let mut command = home.heph(words).into_command();
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Listing { child, out }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line
    }

    /// Reads all that is left; returns it, and the most memory that heph has had.
    fn rest(&mut self) -> (String, u64) {
        let (mut all, mut peak) = (Vec::new(), 0);
        while (&mut self.out).take(1 << 20).read_to_end(&mut all).unwrap() > 0 {
            peak = peak.max(peak_memory(self.child.id()));
        }
        (String::from_utf8(all).unwrap(), peak)
    }

    /// Hangs up, and asserts that it ends with success and without a word.
    fn ends_well(mut self) {
        drop(self.out);
        let status = wait(&mut self.child, Instant::now() + PATIENCE);
        assert_eq!(status.expect("it ends").code(), Some(0));
        let mut complaint = String::new();
        let mut err = self.child.stderr.take().unwrap();
        err.read_to_string(&mut complaint).unwrap();
        assert_eq!(complaint, "");
    }
}

/// Asserts that these are all tasks that [`with_tasks`] has made, once and in order, by lines.
fn assert_all(first: &str, rest: &str) {
    let lines: Vec<&str> = first.lines().chain(rest.lines()).collect();
    let made = |line: &&&str| line.contains("of a common length");
    assert_eq!(lines.iter().filter(made).count(), MANY);
    assert!(lines.is_sorted_by(|one, next| one < next));
}

#[test]
fn pages_are_the_whole_list() {
    let home = Home::new();
    let _daemon = home.start("");
    let mut wire = Wire::open(&home.socket());
    for number in 0..7 {
        let task = wire.call("task.add", json!({ "title": format!("{number}") }))["task"].clone();
        if number % 3 == 0 {
            wire.call("task.done", json!({ "id": task["id"] }));
        }
    }
    for state in ["open", "done", "all"] {
        let whole = wire.call("task.list", json!({ "state": state }));
        assert_eq!(whole.as_object().unwrap().len(), 1, "as in release 0.1.0");
        for limit in [1, 2, 3, 7, 1000] {
            let (mut tasks, mut after) = (Vec::new(), Value::Null);
            loop {
                let params = json!({ "state": state, "limit": limit, "after": after });
                let page = wire.call("task.list", params);
                let listed = page["tasks"].as_array().unwrap();
                assert!(listed.len() <= limit);
                tasks.extend(listed.clone());
                after = page["next"].clone();
                if after.is_null() {
                    break;
                }
            }
            assert_eq!(Value::from(tasks), whole["tasks"], "{state} {limit}");
        }
    }
}

#[test]
fn pages_that_cannot_be_are_errors_that_say_why() {
    let home = Home::new();
    let _daemon = home.start("");
    let mut wire = Wire::open(&home.socket());
    for (params, why) in [
        (json!({ "limit": 0 }), "from 1 to 1000"),
        (json!({ "limit": 1001 }), "from 1 to 1000"),
        (json!({ "limit": "all" }), "from 1 to 1000"),
        (
            json!({ "limit": 1, "after": "the last one" }),
            "earlier page",
        ),
        (json!({ "after": "1:01K" }), "requires limit"),
    ] {
        let answer = wire.ask("task.list", params.clone()).unwrap();
        assert_eq!(answer["error"]["code"], -32602, "{params}: {answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains(why), "{params}: {message}");
    }
    let empty = wire.call("task.list", json!({ "limit": 1, "after": "1:01K" }));
    assert_eq!(empty, json!({ "tasks": [], "next": null }));
}

#[test]
fn a_list_takes_little_memory_on_either_side_and_keeps_nobody_waiting() {
    let home = Home::new();
    let daemon = with_tasks(&home, MANY);
    let mut other = Wire::open(&home.socket());

    let mut listing = Listing::start(&home, "list");
    let first = listing.line();
    // It is in the middle of the list now, since nothing on the way has room for the rest.
    let added = other.call("task.add", json!({ "title": "between two pages" }));
    other.call("task.done", json!({ "id": added["task"]["id"] }));
    let (rest, peak) = listing.rest();
    assert_all(&first, &rest);
    assert!(peak < MOST, "heph: {} MiB", peak >> 20);
    listing.ends_well();

    let mut listing = Listing::start(&home, "list --all --json");
    let (all, peak) = listing.rest();
    assert!(all.starts_with("{\n  \"schema\": 1,\n  \"tasks\": [\n    {\n      \"id\": \"01K"));
    let all: Value = serde_json::from_str(&all).unwrap();
    assert_eq!(all["tasks"].as_array().unwrap().len(), MANY + 1);
    assert!(peak < MOST, "heph --json: {} MiB", peak >> 20);
    listing.ends_well();

    // A client of release 0.1.0 gets all at once, of which hephd has never more than a page.
    let mut old = UnixStream::connect(home.socket()).unwrap();
    std::io::Write::write_all(&mut old, request(1, "task.list", json!({})).as_bytes()).unwrap();
    let mut old = BufReader::new(old);
    old.fill_buf().unwrap();
    other.call("task.add", json!({ "title": "in the middle of an answer" }));
    let mut answer = String::new();
    old.read_line(&mut answer).unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let listed: BTreeSet<String> = titles(&answer["result"]["tasks"]).into_iter().collect();
    assert_eq!(listed.len(), MANY + 1);

    let peak = peak_memory(daemon.pid());
    assert!(peak < MOST, "hephd: {} MiB", peak >> 20);
}

#[test]
fn a_reader_that_has_enough_ends_the_list_quietly() {
    let home = Home::new();
    let _daemon = with_tasks(&home, MANY);
    for words in ["list", "list --all", "list --json"] {
        let mut listing = Listing::start(&home, words);
        assert!(!listing.line().is_empty());
        listing.ends_well();
    }
}

#[test]
fn a_list_goes_on_where_it_was_after_a_restart_of_hephd() {
    let home = Home::new();
    let daemon = with_tasks(&home, MANY);
    let mut listing = Listing::start(&home, "list");
    let first = listing.line();
    daemon.stop();
    let _daemon = home.start("");
    let (rest, _) = listing.rest();
    assert_all(&first, &rest);
    listing.ends_well();
}
