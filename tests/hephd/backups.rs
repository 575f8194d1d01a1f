//! Backups of a store in use.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use rusqlite::Connection;
use serde_json::json;

use crate::support::daemon::Wire;
use crate::support::files::{entries, mode};
use crate::support::home::Home;

#[test]
fn a_backup_under_constant_writes_is_whole_and_has_all_that_was_acknowledged_before() {
    let home = Home::new();
    let _daemon = home.start("");
    let stop = Arc::new(AtomicBool::new(false));
    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    let writers: Vec<_> = (0..3)
        .map(|_| {
            let (socket, stop) = (home.socket(), Arc::clone(&stop));
            let acknowledged = Arc::clone(&acknowledged);
            thread::spawn(move || {
                let mut wire = Wire::open(&socket);
                while !stop.load(Ordering::Relaxed) {
                    let task = wire.call("task.add", json!({ "title": "busy" }));
                    let id = task["task"]["id"].as_str().unwrap().to_owned();
                    acknowledged.lock().unwrap().insert(id);
                }
            })
        })
        .collect();
    let mut wire = Wire::open(&home.socket());
    for number in 0..8 {
        let target = home.path.join(format!("backup {number}.db"));
        let before = acknowledged.lock().unwrap().clone();
        let written = wire.call("backup", json!({ "path": target.to_str().unwrap() }));
        assert_eq!(written["path"], target.to_str().unwrap());
        assert_eq!(mode(&target), 0o600);

        let copy = Connection::open(&target).unwrap();
        let one = |sql: &str| {
            copy.query_row(sql, [], |row| row.get::<_, String>(0))
                .unwrap()
        };
        assert_eq!(one("PRAGMA integrity_check"), "ok");
        assert_eq!(
            one("SELECT count(*) || '' FROM ops"),
            one("SELECT count(*) || '' FROM tasks"),
            "log and state are of one instant"
        );
        let mut statement = copy.prepare("SELECT id FROM tasks").unwrap();
        let ids: BTreeSet<String> = statement
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert!(before.is_subset(&ids));
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.join().unwrap();
    }
    let mut left = entries(&home.path);
    left.retain(|name| name.contains("partial") || name.contains("-journal"));
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_backup_replaces_nothing() {
    let home = Home::new();
    let _daemon = home.start("");
    let mut wire = Wire::open(&home.socket());
    let target = home.path.join("precious");
    fs::write(&target, "precious").unwrap();
    let link = home.path.join("link");
    std::os::unix::fs::symlink("nowhere", &link).unwrap();
    for path in [&target, &link, &home.store(), &home.path] {
        let answer = wire.ask("backup", json!({ "path": path })).unwrap();
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains("exists"), "{message}");
    }
    assert_eq!(fs::read(&target).unwrap(), b"precious");
}

#[test]
fn a_backup_is_a_store() {
    let home = Home::new();
    let daemon = home.start("");
    let mut wire = Wire::open(&home.socket());
    let task = wire.call("task.add", json!({ "title": "kept" }))["task"].clone();
    let target = home.path.join("copy.db");
    wire.call("backup", json!({ "path": target }));
    daemon.stop();

    fs::remove_file(home.store()).unwrap();
    fs::rename(&target, home.store()).unwrap();
    let _daemon = home.start("");
    let mut wire = Wire::open(&home.socket());
    assert_eq!(wire.call("task.next", json!({}))["task"], task);
    wire.call("task.done", json!({ "id": task["id"] }));
}
