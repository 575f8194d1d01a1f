//! `hephd store check` and `hephd store restore`, as a roll-back runs them.

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::old::daemon::{Home, Wire, text};

/// Runs `hephd store …` and returns the code and the object it printed.
fn store(home: &Home, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = home.hephd().arg("store").args(arguments).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let value = serde_json::from_str(&said).unwrap_or(Value::Null);
    if value.is_object() {
        assert!(said.starts_with("{\n  \"schema\": 1"), "{said}");
    }
    (output.status.code(), value)
}

type Files = Vec<(&'static str, Vec<u8>)>;

/// Returns the store as a newer release leaves it that migrates it, acknowledges a write and is killed: nothing of that
/// has moved from the write-ahead log to the file.
fn newer_and_killed(home: &Home) -> Files {
    let newer = Connection::open(home.store()).unwrap();
    newer
        .execute_batch(
            "PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0;
             ALTER TABLE tasks RENAME TO items;
             UPDATE meta SET schema = 3, oldest_reader = 3;
             INSERT INTO ops (id, kind, task, body, created_at) VALUES
               ('01KAWZP3G0AAAAAAAAAAAAAAAA', 'task.add', '01KAWZP3G0BBBBBBBBBBBBBBBB', '{\"title\":\"by the newer one\"}', 1790000000000)",
        )
        .unwrap();
    let read = |name| (name, fs::read(home.data().join(name)).unwrap());
    vec![read("heph.db"), read("heph.db-wal")]
}

/// Replaces the data folder by one with `files`.
fn put(home: &Home, files: &Files) {
    fs::remove_dir_all(home.data()).unwrap();
    fs::create_dir(home.data()).unwrap();
    for (name, bytes) in files {
        fs::write(home.data().join(name), bytes).unwrap();
    }
}

#[test]
fn a_roll_back_brings_the_older_hephd_back_with_every_task() {
    let home = Home::new();
    let daemon = home.start();
    let mut wire = Wire::open(&home.socket());
    wire.call("task.add", json!({ "title": "before the update" }));
    let backup = home.path.join("before.db");
    wire.call("backup", json!({ "path": backup }));
    wire.call("task.add", json!({ "title": "while it built" }));
    daemon.stop();
    let (code, said) = store(&home, &["check", "--json"]);
    assert_eq!((code, &said["readable"]), (Some(0), &json!(true)));

    put(&home, &newer_and_killed(&home));

    let (code, said) = store(&home, &["check", "--json"]);
    assert_eq!(code, Some(1));
    assert_eq!(said["readable"], false);
    assert_eq!(said["store_schema"], 3);
    assert_eq!(said["reads"], 2);
    let output = home.hephd().args(["store", "check"]).output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(
        words.contains("schema 3") && words.contains("hint:"),
        "{words}"
    );

    let (code, said) = store(&home, &["restore", "--backup", "before.db", "--json"]);
    assert_eq!(code, Some(0));
    assert_eq!(said["restored_from"], backup.to_str().unwrap());
    assert_eq!(said["operations_carried"], 2);
    assert_eq!(said["operations_unread"], Value::Null);
    let kept = said["kept_as"].as_str().unwrap();
    assert!(kept.contains("heph.db.newer-schema3-"), "{kept}");
    assert!(fs::metadata(kept).is_ok());

    let (code, _) = store(&home, &["check", "--json"]);
    assert_eq!(code, Some(0));
    let _daemon = home.start();
    let mut wire = Wire::open(&home.socket());
    let tasks = wire.call("task.list", json!({}))["tasks"].clone();
    let titles: Vec<_> = tasks
        .as_array()
        .unwrap()
        .iter()
        .map(|task| task["title"].as_str().unwrap())
        .collect();
    assert_eq!(titles.len(), 3, "{titles:?}");
    for title in ["before the update", "while it built", "by the newer one"] {
        assert!(titles.contains(&title), "{titles:?}");
    }
}

#[test]
fn a_restore_beside_a_running_hephd_is_refused() {
    let home = Home::new();
    let _daemon = home.start();
    let output = home
        .hephd()
        .args(["store", "restore", "--backup", "x"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("another hephd has it open"), "{words}");
    // Checking is fine meanwhile.
    assert_eq!(store(&home, &["check", "--json"]).0, Some(0));
}

#[test]
fn checking_a_home_without_a_store_says_so_and_makes_none() {
    let home = Home::new();
    let said = text(home.hephd().args(["store", "check"]).output().unwrap());
    assert!(said.contains("there is no store"), "{said}");
    assert!(!home.path.join(".local").exists());
}

#[test]
fn a_restore_killed_at_any_step_leaves_one_of_the_two_stores_and_can_be_run_again() {
    let home = Home::new();
    let daemon = home.start();
    let mut wire = Wire::open(&home.socket());
    wire.call("task.add", json!({ "title": "one" }));
    let backup = home.path.join("before.db");
    wire.call("backup", json!({ "path": backup }));
    wire.call("task.add", json!({ "title": "two" }));
    daemon.stop();
    let newer = newer_and_killed(&home);

    // strace counts each call by itself.
    let calls = [
        "rename",
        "renameat",
        "renameat2",
        "link",
        "linkat",
        "unlink",
        "unlinkat",
        "openat",
        "fsync",
        "fdatasync",
        "ftruncate",
        "pwrite64",
        "write",
        "copy_file_range",
        "fchmod",
    ];
    let mut killed = BTreeMap::new();
    for call in calls {
        for when in 1.. {
            put(&home, &newer);
            if restore_killed_at(&home, call, when) {
                break;
            }
            *killed.entry(call).or_insert(0) += 1;
            judge_and_go_on(&home, &format!("killed at {call} number {when}"));
        }
    }
    for call in ["link", "rename", "unlink", "fsync", "pwrite"] {
        let some = killed.keys().any(|killed: &&str| killed.starts_with(call));
        assert!(some, "never killed at {call}: {killed:?}");
    }
}

/// Runs the restore and kills it at the `when`-th `call`; returns whether it came through.
fn restore_killed_at(home: &Home, call: &str, when: u32) -> bool {
    home.command("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e"])
        .arg(format!("trace=?{call}"))
        .arg("-e")
        .arg(format!("inject=?{call}:signal=SIGKILL:when={when}"))
        .arg(env!("CARGO_BIN_EXE_hephd"))
        .args(["store", "restore", "--backup", "before.db"])
        .stdout(Stdio::null())
        .status()
        .expect("this test needs the program strace")
        .success()
}

/// What a kill leaves: either store under the name, and all else for the next run to finish.
fn judge_and_go_on(home: &Home, when: &str) {
    let (code, said) = store(home, &["check", "--json"]);
    match (code, said["store_schema"].as_u64()) {
        (Some(1), Some(3)) => {
            let (code, said) = store(home, &["restore", "--backup", "before.db", "--json"]);
            assert_eq!(code, Some(0), "{when}");
            assert_eq!(said["operations_carried"], 2, "{when}");
        }
        (Some(0), Some(2)) => {}
        other => panic!("{when}: {other:?}"),
    }
    let daemon = home.start();
    let status = Wire::open(&home.socket()).call("status", json!({}));
    assert_eq!(status["open_tasks"], 3, "{when}");
    daemon.stop();
    let mut names: Vec<_> = fs::read_dir(home.data())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names.len(), 3, "{when}: {names:?}");
    assert_eq!(names[0], "heph.db");
    assert_eq!(names[1], "heph.db.lock");
    assert!(names[2].starts_with("heph.db.newer-schema3-"), "{names:?}");
}
