//! `hephd store check` and `hephd store restore`, as a roll-back runs them.

use std::collections::BTreeMap;
use std::fs;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::daemon::Wire;
use crate::support::files::entries;
use crate::support::home::{Home, titles};
use crate::support::programs;

/// Runs `hephd store …` and returns the code and the object it printed.
fn store(home: &Home, words: &str) -> (i32, Value) {
    let ended = home.hephd(&format!("store {words}")).ends();
    let value = serde_json::from_str(&ended.out).unwrap_or(Value::Null);
    if value.is_object() {
        assert!(ended.out.starts_with("{\n  \"schema\": 1"), "{ended}");
    }
    (ended.code, value)
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
    let daemon = home.start("");
    let mut wire = Wire::open(&home.socket());
    wire.call("task.add", json!({ "title": "before the update" }));
    let backup = home.path.join("before.db");
    wire.call("backup", json!({ "path": backup }));
    wire.call("task.add", json!({ "title": "while it built" }));
    daemon.stop();
    let (code, said) = store(&home, "check --json");
    assert_eq!((code, &said["readable"]), (0, &json!(true)));

    put(&home, &newer_and_killed(&home));

    let (code, said) = store(&home, "check --json");
    assert_eq!(code, 1);
    assert_eq!(said["readable"], false);
    assert_eq!(said["store_schema"], 3);
    assert_eq!(said["reads"], 2);
    let check = home.hephd("store check").ends();
    check.complains("schema 3").complains("hint:");

    let (code, said) = store(&home, "restore --backup before.db --json");
    assert_eq!(code, 0);
    assert_eq!(said["restored_from"], backup.to_str().unwrap());
    assert_eq!(said["operations_carried"], 2);
    assert_eq!(said["operations_unread"], Value::Null);
    let kept = said["kept_as"].as_str().unwrap();
    assert!(kept.contains("heph.db.newer-schema3-"), "{kept}");
    assert!(fs::metadata(kept).is_ok());

    let (code, _) = store(&home, "check --json");
    assert_eq!(code, 0);
    let _daemon = home.start("");
    let mut wire = Wire::open(&home.socket());
    let tasks = wire.call("task.list", json!({}))["tasks"].clone();
    assert_eq!(
        titles(&tasks),
        ["before the update", "by the newer one", "while it built"]
    );
}

#[test]
fn a_restore_beside_a_running_hephd_is_refused() {
    let home = Home::new();
    let _daemon = home.start("");
    let restore = home.hephd("store restore --backup x").exits(1);
    restore.complains("another hephd has it open");
    // Checking is fine meanwhile.
    assert_eq!(store(&home, "check --json").0, 0);
}

#[test]
fn checking_a_home_without_a_store_says_so_and_makes_none() {
    let home = Home::new();
    let check = home.hephd("store check").exits(0).quietly();
    check.says("there is no store");
    assert!(!home.path.join(".local").exists());
}

#[test]
fn a_restore_killed_at_any_step_leaves_one_of_the_two_stores_and_can_be_run_again() {
    let home = Home::new();
    let daemon = home.start("");
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
    let strace = home.command("strace").args("-f -qq -o /dev/null");
    let strace = strace.args(&[
        format!("--trace=?{call}"),
        format!("--inject=?{call}:signal=SIGKILL:when={when}"),
    ]);
    let hephd = strace.args(&[programs::hephd()]);
    let ended = hephd.args("store restore --backup before.db").ends();
    ended.code == 0
}

/// What a kill leaves: either store under the name, and all else for the next run to finish.
fn judge_and_go_on(home: &Home, when: &str) {
    let (code, said) = store(home, "check --json");
    match (code, said["store_schema"].as_u64()) {
        (1, Some(3)) => {
            let (code, said) = store(home, "restore --backup before.db --json");
            assert_eq!(code, 0, "{when}");
            assert_eq!(said["operations_carried"], 2, "{when}");
        }
        (0, Some(2)) => {}
        other => panic!("{when}: {other:?}"),
    }
    let daemon = home.start("");
    let status = Wire::open(&home.socket()).call("status", json!({}));
    assert_eq!(status["open_tasks"], 3, "{when}");
    daemon.stop();
    let names = entries(&home.data());
    assert_eq!(names.len(), 3, "{when}: {names:?}");
    assert_eq!(names[0], "heph.db");
    assert_eq!(names[1], "heph.db.lock");
    assert!(names[2].starts_with("heph.db.newer-schema3-"), "{names:?}");
}
