//! A million tasks: the first sync of a spoke, and `heph list` of them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::daemon::{Daemon, Wire};
use super::installation;
use super::measure::{Contender, Program, Samples, side_by_side};
use super::page::{Page, mebibytes, ratio, row, spread, time, verdict};
use super::sync::{bare, filled_hub, new_spoke};

const TASKS: usize = 1_000_000;
const SQLITE: &str = "/usr/bin/sqlite3";
/// The rows that `heph list` prints, in its order.
const ROWS: &str =
    "SELECT id, title FROM tasks WHERE user = '' AND created_at IS NOT NULL AND deleted = 0
    AND done_at IS NULL ORDER BY created_at, id";

/// What is allowed.
const FIRST_SYNC: Duration = Duration::from_secs(15);
const LIST: Duration = Duration::from_secs(2);
const OF_SQLITE: f64 = 2.0;
const FIRST_LINE: Duration = Duration::from_millis(50);
const WAIT: Duration = Duration::from_millis(20);
const MEMORY: u64 = 64 << 20;

const HOW: &str = "\
A hub with 1,000,000 operations of one user, each adding a task with a title of some 40 bytes, and a new spoke. *First sync* is
the time from the start of the spoke's hephd until its first round has ended; beside it, as many rows are inserted into a bare
SQLite database, a thousand in a transaction. Then the hub ends, and `heph list` prints the spoke's tasks to `/dev/null`, in turn
with the `sqlite3` program, which selects and prints the same rows of the same file. *Another client* adds a task and reads
the next one without a pause, while lists are printed and for as long without; its longest wait counts. A tenth of the usual
number of runs.";

/// Measures, and writes the section.
pub fn measure(page: &mut Page, scratch: &Path, runs: usize) {
    let folder = scratch.join("many");
    let bin = installation::plain(&folder);
    let (hub, address) = filled_hub(&bin, &folder.join("hub"), TASKS);
    let home = folder.join("spoke");
    let (spoke, synced) = new_spoke(&bin, &home, &address, TASKS);
    let synced_peak = spoke.peak();
    drop((spoke, hub));
    let inserted = bare(&folder.join("bare.db"), TASKS);

    let daemon = Daemon::start(&bin, &home, &[]);
    let runs = (runs / 10).max(3);
    let list = Program::new(bin.join("heph"), &["list"])
        .env("HOME", &home)
        .env("HEPH_SOCKET", home.join("hephd.sock"));
    let sqlite = Program::new(SQLITE, &["-readonly", "-separator", "  "])
        .arg(home.join("heph.db"))
        .arg(ROWS);
    assert!(list.output() == sqlite.output(), "both print the same");
    let first_line = Samples::take(runs, || first_line(&list));
    let contender = |program| Contender {
        program,
        before: &|| {},
    };
    let [listed, selected] =
        side_by_side([contender(list.clone()), contender(sqlite)], runs, scratch);
    let waits = waits_during(&daemon, || {
        for _ in 0..runs {
            let status = list.command().stdout(Stdio::null()).status();
            assert!(status.unwrap().success());
        }
    });
    let idle = waits_during(&daemon, || {
        thread::sleep(listed.wall.median() * u32::try_from(runs).unwrap())
    });

    page.section("Many tasks", HOW);
    let mut rows = vec![row(["1,000,000 tasks", "", "goal", ""])];
    let mut add = |name: &str, figure: String, goal: String, met: bool| {
        let met = if met { "met" } else { "**missed**" };
        rows.push([name.to_owned(), figure, goal, met.to_owned()]);
    };
    let limit = |limit: Duration| format!("≤ {}", time(limit));
    add(
        "first sync",
        time(synced),
        limit(FIRST_SYNC),
        synced <= FIRST_SYNC,
    );
    add(
        "peak memory of the spoke meanwhile",
        mebibytes(synced_peak),
        format!("≤ {}", mebibytes(MEMORY)),
        synced_peak <= MEMORY,
    );
    let of_sqlite = ratio(listed.wall.median(), selected.wall.median());
    let is_quick = listed.wall.median() <= LIST || of_sqlite <= OF_SQLITE;
    let goal = format!("{}, or twice `sqlite3`", limit(LIST));
    add("`heph list`", spread(&listed.wall), goal, is_quick);
    add(
        "its first line",
        spread(&first_line),
        limit(FIRST_LINE),
        first_line.median() <= FIRST_LINE,
    );
    for (name, peak) in [
        ("its peak memory", listed.peak),
        ("peak memory of hephd", daemon.peak()),
    ] {
        add(
            name,
            mebibytes(peak),
            format!("≤ {}", mebibytes(MEMORY)),
            peak <= MEMORY,
        );
    }
    let longest = waits.at(1.0);
    add(
        "longest wait of another client",
        time(longest),
        limit(WAIT),
        longest <= WAIT,
    );
    page.table(rows);
    let [figure, ..] = verdict(of_sqlite, OF_SQLITE);
    page.table([
        row(["For comparison", ""]),
        row(["bare SQLite inserts of as many rows", &time(inserted)]),
        row(["`sqlite3` printing the same rows", &spread(&selected.wall)]),
        row(["`heph list` / `sqlite3`", &figure]),
        row([
            "longest wait of that client without a list",
            &time(idle.at(1.0)),
        ]),
        row([
            "its median wait with lists, and without",
            &format!("{}, {}", time(waits.median()), time(idle.median())),
        ]),
        row([
            "size of the store",
            &mebibytes(fs::metadata(home.join("heph.db")).unwrap().len()),
        ]),
    ]);
}

/// Runs it until its first line.
fn first_line(list: &Program) {
    let mut child = list.command().stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert!(line.contains("of a common length"), "{line}");
    drop(out);
    assert!(child.wait().unwrap().success());
}

/// Returns how long another client waits for each of its answers while `work` runs.
fn waits_during(daemon: &Daemon, work: impl FnOnce()) -> Samples {
    let ended = AtomicBool::new(false);
    let wire = daemon.connect();
    thread::scope(|scope| {
        let client = scope.spawn(|| waits_until(wire, &ended));
        work();
        ended.store(true, Ordering::Relaxed);
        Samples::of(client.join().unwrap())
    })
}

fn waits_until(mut wire: Wire, ended: &AtomicBool) -> Vec<Duration> {
    let mut waits = Vec::new();
    while !ended.load(Ordering::Relaxed) {
        for (method, params) in [
            ("task.add", json!({ "title": "meanwhile" })),
            ("task.next", json!({})),
        ] {
            let start = Instant::now();
            wire.call(method, &params);
            waits.push(start.elapsed());
        }
        thread::sleep(Duration::from_millis(1));
    }
    waits
}
