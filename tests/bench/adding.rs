//! How long a new task takes until it is acknowledged, against what any durable insert costs.

use std::path::Path;
use std::time::Instant;

use rusqlite::Connection;
use serde_json::json;

use super::daemon::{Daemon, request};
use super::installation;
use super::measure::Samples;
use super::page::{Page, ratio, row, spread, time, verdict};

const HOW: &str = "\
`task.add` on an open connection, from the request to the answer, against one row inserted into a bare SQLite database with
the same settings (write-ahead log, `synchronous = full`) by the library, in the same process. Both are durable when they are
counted. In turn, twenty times as many as elsewhere.";
const GOAL: f64 = 1.5;

/// Measures, and writes the section.
pub fn measure(page: &mut Page, scratch: &Path, runs: usize) {
    let folder = scratch.join("adding");
    let bin = installation::plain(&folder);
    let daemon = Daemon::start(&bin, &folder.join("hephd"), &[]);
    let mut wire = daemon.connect();
    let bare = bare(&folder.join("bare.db"));
    let (mut added, mut inserted) = (Vec::new(), Vec::new());
    const WARM_UP: usize = 50;
    for run in 0..runs * 20 + WARM_UP {
        let title = format!("a task of a common length, number {run}");
        let params = json!({ "title": title, "op_id": ulid::Ulid::generate().to_string() });
        let line = request("task.add", &params);
        let start = Instant::now();
        let answer = wire.exchange(&line);
        let by_hephd = start.elapsed();
        assert!(answer.contains("\"task\""), "{answer}");
        let start = Instant::now();
        insert(&bare, &title);
        let by_sqlite = start.elapsed();
        if run >= WARM_UP {
            added.push(by_hephd);
            inserted.push(by_sqlite);
        }
    }
    let (added, inserted) = (Samples::of(added), Samples::of(inserted));
    let mut rows = vec![row([
        "A new task",
        "hephd",
        "bare SQLite",
        "ratio",
        "goal",
        "",
    ])];
    let [figure, goal, met] = verdict(ratio(added.median(), inserted.median()), GOAL);
    rows.push([
        "p50".to_owned(),
        spread(&added),
        spread(&inserted),
        figure,
        goal,
        met,
    ]);
    let [figure, goal, met] = verdict(ratio(added.at(0.99), inserted.at(0.99)), GOAL);
    rows.push([
        "p99".to_owned(),
        time(added.at(0.99)),
        time(inserted.at(0.99)),
        figure,
        goal,
        met,
    ]);
    page.section("Adding a task", HOW);
    page.table(rows);
}

fn bare(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    let settings = "PRAGMA journal_mode = wal; PRAGMA synchronous = full;
        CREATE TABLE tasks (id TEXT PRIMARY KEY, title TEXT NOT NULL, created_at INTEGER NOT NULL);";
    connection.execute_batch(settings).unwrap();
    connection
}

fn insert(connection: &Connection, title: &str) {
    let id = ulid::Ulid::generate().to_string();
    connection
        .prepare_cached("INSERT INTO tasks VALUES (?1, ?2, ?3)")
        .unwrap()
        .execute((id, title, 0))
        .unwrap();
}
