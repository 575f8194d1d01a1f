//! A store whose files are unusable to the hephd that has them open: it says so, ends to be started again, and loses nothing
//! that it acknowledged.

use std::fs;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::daemon::{Daemon, Wire};
use crate::support::home::Home;
use crate::support::machine::Machine;
use crate::support::running::Running;
use crate::support::wait::{PATIENCE, eventually, until};

/// Has the calls `calls` on `heph.db` with this suffix fail with EIO in the process `pid`, from now on.
fn break_disk(home: &Home, pid: u32, suffix: &str, calls: &str) -> Running {
    let file = home.data().join(format!("heph.db{suffix}"));
    let strace = home.command("strace").args("-f --quiet=all -o /dev/null");
    let strace = strace.args(&["-P".as_ref(), file.as_os_str()]).args(&[
        format!("--trace={calls}"),
        format!("--inject={calls}:error=EIO"),
        format!("--attach={pid}"),
    ]);
    let running = strace.start();
    eventually("strace has hephd's threads", || {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
        threads.into_iter().all(|thread| {
            let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
            !status.contains("TracerPid:\t0\n")
        })
    });
    running
}

fn refused(answer: Option<Value>) -> Value {
    let answer = answer.expect("the request that meets the failure is answered");
    let error = &answer["error"];
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("files of the store are unusable"),
        "{answer}"
    );
    let hint = error["data"]["hint"].as_str().unwrap();
    assert!(
        hint.contains("heph list") && hint.contains("hephd store check"),
        "{hint}"
    );
    error.clone()
}

/// Waits until hephd has ended, and checks how, and that the next one has the tasks `kept`.
#[track_caller]
fn ends_and_loses_nothing(
    home: &Home,
    mut daemon: Daemon,
    why: &str,
    kept: &[&str],
) -> Vec<String> {
    assert_eq!(daemon.wait().code(), Some(1), "{}", daemon.log());
    let log = daemon.log();
    let lines: Vec<_> = log
        .lines()
        .filter(|line| line.contains("hephd ends"))
        .collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains(why), "{log}");
    assert!(lines[0].contains("hint:"), "{log}");
    drop(daemon);
    let _daemon = home.start("");
    let titles = home.titles();
    for title in kept {
        assert!(titles.iter().any(|there| there == title), "{titles:?}");
    }
    titles
}

#[test]
fn a_disk_that_fails_ends_hephd_and_no_acknowledged_task_is_lost() {
    for (suffix, calls) in [("-wal", "fdatasync,fsync"), ("-wal", "pwrite64")] {
        let home = Home::new();
        let daemon = home.start("");
        home.add("one");
        home.add("two");
        let _strace = break_disk(&home, daemon.pid(), suffix, calls);
        let mut wire = Wire::open(&home.socket());
        refused(wire.ask("task.add", json!({ "title": "three" })));
        ends_and_loses_nothing(&home, daemon, "disk I/O error", &["one", "two"]);
    }
}

#[test]
fn a_disk_that_cannot_be_read_ends_hephd() {
    let home = Home::new();
    let daemon = home.start("");
    // More than SQLite has in memory, in a file that hephd has not read yet.
    let mut wire = Wire::open(&home.socket());
    for _ in 0..1200 {
        let title = "x".repeat(4000);
        wire.call("task.add", json!({ "title": title }));
    }
    home.add("last");
    daemon.stop();
    let daemon = home.start("");
    let _strace = break_disk(&home, daemon.pid(), "", "pread64");
    let mut wire = Wire::open(&home.socket());
    refused(wire.ask("task.list", json!({ "state": "all" })));
    ends_and_loses_nothing(&home, daemon, "cannot read", &["last"]);
}

#[test]
fn locks_that_another_program_does_not_release_end_hephd() {
    let home = Home::new();
    let daemon = home.start("");
    home.add("one");
    // The locks of readers (sqlite.org/walformat.html), in struct flock of fcntl(2).
    let program = r#"
        use Fcntl; $| = 1;
        open(my $file, "+<", $ARGV[0]) or die $!;
        my $lock = pack("s s x4 q q i x4", F_WRLCK, 0, 123, 5, 0);
        until (fcntl($file, F_SETLK, $lock)) { select(undef, undef, undef, 0.01) }
        print "locked\n"; sleep 600;
    "#;
    let index = home.data().join("heph.db-shm");
    let perl = home.command("perl").args(&["-e", program]).args(&[index]);
    let mut holder = perl.start();
    holder.line("locked");
    let mut wire = Wire::open(&home.socket());
    refused(wire.ask("task.add", json!({ "title": "two" })));
    drop(holder);
    ends_and_loses_nothing(&home, daemon, "locking protocol", &["one"]);
}

#[test]
fn files_that_were_moved_replaced_or_removed_are_noticed_before_anything_is_acknowledged_there() {
    /// What the log says, what happens to the files, and the tasks that are there afterwards.
    type Case = (&'static str, fn(&Home), &'static [&'static str]);
    let cases: [Case; 4] = [
        (
            "heph.db' was moved",
            |home| {
                fs::rename(home.store(), home.path.join("moved")).unwrap();
                fs::copy(home.path.join("moved"), home.store()).unwrap();
            },
            &[],
        ),
        (
            "heph.db' was moved",
            |home| fs::rename(home.path.join("backup.db"), home.store()).unwrap(),
            &["one"],
        ),
        (
            "heph.db-wal' was moved",
            |home| fs::remove_file(home.data().join("heph.db-wal")).unwrap(),
            &["one", "two"],
        ),
        (
            "heph.db-shm' was moved",
            |home| fs::remove_file(home.data().join("heph.db-shm")).unwrap(),
            &["one", "two"],
        ),
    ];
    for (why, damage, kept) in cases {
        let home = Home::new();
        let daemon = home.start("");
        home.add("one");
        home.heph("backup backup.db").exits(0);
        home.add("two");
        damage(&home);
        let mut wire = Wire::open(&home.socket());
        for (method, params) in [
            ("task.add", json!({ "title": "three" })),
            ("task.list", json!({})),
        ] {
            // hephd may have ended before the second one.
            let answer = wire.ask(method, params);
            if method == "task.add" || answer.is_some() {
                refused(answer);
            }
        }
        let titles = ends_and_loses_nothing(&home, daemon, why, kept);
        assert!(!titles.iter().any(|title| title == "three"), "{titles:?}");
    }
}

#[test]
fn a_store_that_was_moved_away_keeps_what_was_acknowledged() {
    let home = Home::new();
    let mut daemon = home.start("");
    home.add("one");
    let moved = home.path.join("moved.db");
    fs::rename(home.store(), &moved).unwrap();
    let mut wire = Wire::open(&home.socket());
    refused(wire.ask("task.next", json!({})));
    assert_eq!(daemon.wait().code(), Some(1));
    fs::rename(&moved, home.store()).unwrap();
    let _daemon = home.start("");
    assert_eq!(home.titles(), ["one"]);
}

#[test]
fn the_service_manager_starts_hephd_again_and_not_more_than_once_a_second() {
    let user = Machine::new();
    user.heph("daemon start").exits(0);
    user.add("one");
    let pid = u32::try_from(user.pid()).unwrap();
    let strace = break_disk(&user, pid, "-wal", "fdatasync,fsync");
    user.heph("add two")
        .exits(1)
        .complains("files of the store are unusable")
        .complains("hint: ");
    drop(strace);
    until(PATIENCE, || match user.running() {
        Some(_) if user.pid() != i64::from(pid) => Ok(()),
        _ => Err(user.log()),
    });
    // The other one was written, and may be on the disk.
    assert!(user.titles().contains(&"one".to_owned()));

    // One that can never be opened is tried again, without haste.
    user.heph("daemon stop").exits(0);
    let store = fs::read(user.store()).unwrap();
    fs::write(user.store(), "no store").unwrap();
    user.heph("daemon start --wait 5s")
        .exits(1)
        .complains("not a database")
        .complains("hephd store restore");
    let tries = || user.log().matches("not a database").count();
    let before = tries();
    thread::sleep(Duration::from_secs(4));
    assert!(tries() - before <= 5, "{}", user.log());
    fs::write(user.store(), store).unwrap();
    user.heph("daemon start").exits(0);
    assert!(user.titles().contains(&"one".to_owned()));
}
