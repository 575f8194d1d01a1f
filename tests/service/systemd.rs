//! The life of hephd under a real systemd user manager.

use std::fs;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::json;

use super::{SERVICE, SOCKET};
use crate::support::files;
use crate::support::home::ODD_NAME;
use crate::support::machine::Machine;
use crate::support::wait::eventually;

#[test]
fn start_installs_and_a_second_start_changes_nothing() {
    let user = Machine::new();
    assert_eq!(user.status()["installed"], false);
    user.heph("daemon start")
        .exits(0)
        .says("wrote")
        .says("runs, process");
    let unit = user.unit_text(SERVICE);
    let first = user.status();
    assert_eq!(first["schema"], json!(1));
    assert_eq!(first["manager"], "systemd");
    assert_eq!(first["installed"], true);
    assert_eq!(first["running"], true);
    assert_eq!(first["managed"], true);
    assert_eq!(first["version"], json!(env!("CARGO_PKG_VERSION")));
    assert_eq!(first["file_state"], "current");
    assert_eq!(first["flags"], json!({}));
    assert_eq!(first["program"], json!(user.bin().join("hephd")));
    assert_eq!(first["store"], json!(user.data().join("heph.db")));
    assert_eq!(
        first["socket"],
        json!(user.manager.runtime_dir().join("heph/hephd.sock"))
    );
    assert_eq!(
        user.manager.property("heph.service", "UnitFileState"),
        "enabled"
    );

    user.heph("daemon start").exits(0).says("already");
    assert_eq!(user.status(), first);
    assert_eq!(user.unit_text(SERVICE), unit);
    user.heph("daemon status")
        .exits(0)
        .says("running, process")
        .says("systemd, ");
}

#[test]
fn a_home_that_takes_quoting_apart_works_like_any_other() {
    let user = Machine::named(ODD_NAME);
    user.heph(&["daemon", "start", "--oidc-audience", ODD_NAME])
        .exits(0);
    user.heph("daemon restart").exits(0);
    let status = user.status();
    assert_eq!(status["flags"], json!({"oidc-audience": ODD_NAME}));
    assert_eq!(status["program"], json!(user.bin().join("hephd")));
    assert_eq!(status["file_state"], "current");
    assert_eq!(status["log"], json!(user.data().join("hephd.log")));
    assert_eq!(status["managed"], true);
    assert_eq!(status["socket_held"], true);
    let log = user.log();
    assert!(!log.contains("the service manager passed"), "{log}");
    user.heph("daemon uninstall").exits(0);
    assert!(!user.unit(SERVICE).exists());
    assert!(!user.unit(SOCKET).exists());
}

#[test]
fn stop_halts_until_the_next_login_and_uninstall_leaves_nothing() {
    let user = Machine::new();
    user.heph("daemon stop").exits(0).says("was not running");
    user.heph("daemon uninstall")
        .exits(0)
        .says("was not installed");
    user.heph("daemon start").exits(0);
    user.heph("daemon stop").exits(0).says("next login");
    let status = user.status();
    assert_eq!(status["running"], false);
    assert_eq!(status["pid"], json!(null));
    assert_eq!(status["installed"], true);
    assert_eq!(
        user.manager.property("heph.service", "UnitFileState"),
        "enabled"
    );
    user.heph("daemon stop").exits(0).says("was not running");

    user.heph("daemon restart").exits(0);
    user.heph("daemon uninstall").exits(0).says("removed");
    assert_eq!(user.status()["running"], false);
    assert_eq!(user.status()["installed"], false);
    assert_eq!(
        user.manager.property("heph.service", "LoadState"),
        "not-found"
    );
    let wants = user
        .unit(SERVICE)
        .with_file_name("default.target.wants/heph.service");
    assert!(fs::symlink_metadata(wants).is_err());
    assert!(user.data().join("heph.db").exists(), "tasks stay");
    user.heph("daemon uninstall")
        .exits(0)
        .says("was not installed");
}

#[test]
fn a_unit_that_somebody_deleted_is_still_stopped_and_cleared_away() {
    let user = Machine::new();
    user.heph("daemon start").exits(0);
    fs::remove_file(user.unit(SERVICE)).unwrap();
    user.heph("daemon uninstall").exits(0).says("removed");
    let status = user.status();
    assert_eq!(status["running"], false);
    let wants = user
        .unit(SERVICE)
        .with_file_name("default.target.wants/heph.service");
    assert!(fs::symlink_metadata(wants).is_err());
}

#[test]
fn a_hephd_that_cannot_start_fails_the_restart_with_its_last_words() {
    let user = Machine::new();
    let garbage = user.path.join("garbage.db");
    fs::write(&garbage, "this is no store\n".repeat(500)).unwrap();
    let start = user.heph("daemon start").env("HEPH_DB", &garbage);
    start
        .exits(1)
        .complains("hephd did not come up; it logged:")
        .complains("garbage.db")
        .complains("heph daemon logs");
    user.heph("daemon logs").exits(0).says("garbage.db");
    eventually("status tells of the failed start", || {
        let status = user.status();
        status["starting"] == true && status["running"] == false
    });
    // The cause gone, a restart is all it takes.
    fs::remove_file(&garbage).unwrap();
    user.heph("daemon restart").exits(0);
    assert_eq!(user.status()["store"], json!(garbage));
}

#[test]
fn a_hephd_that_is_never_ready_fails_the_restart_within_the_wait() {
    let user = Machine::new();
    user.heph("daemon start").exits(0);
    let hephd = user.bin().join("hephd");
    let good = hephd.with_file_name("good");
    fs::rename(&hephd, &good).unwrap();
    files::script(&hephd, "echo I hang >&2\nexec sleep 1000");
    user.heph("daemon restart --wait 2s")
        .exits(1)
        .complains("I hang")
        .complains("timed out after 2s");
    fs::rename(good, &hephd).unwrap();
    user.heph("daemon restart").exits(0);
}

#[test]
fn a_killed_hephd_comes_back_however_often_it_is_killed() {
    let user = Machine::new();
    user.heph("daemon start").exits(0);
    // More often than systemd's own limit of 5 starts in 10 s would let it.
    for signal in [
        Signal::KILL,
        Signal::TERM,
        Signal::KILL,
        Signal::KILL,
        Signal::KILL,
        Signal::KILL,
        Signal::KILL,
    ] {
        let before = user.pid();
        user.signal(signal);
        eventually("hephd comes back", || {
            let status = user.status();
            status["managed"] == true
                && status["version"].is_string()
                && status["pid"] != json!(before)
        });
    }
}

#[test]
fn a_hephd_started_by_hand_is_seen_and_not_fought() {
    let user = Machine::new();
    let by_hand = user.start("");
    let status = user.status();
    assert_eq!(status["managed"], false);
    assert_eq!(status["pid"], json!(by_hand.pid()));
    user.heph("daemon start")
        .exits(1)
        .complains("not as a service")
        .complains(&format!("kill {}", by_hand.pid()));
    by_hand.stop();
    user.heph("daemon start").exits(0);
}

#[test]
fn the_log_is_private_and_a_large_one_is_moved_aside() {
    let user = Machine::new();
    user.heph("daemon logs")
        .exits(0)
        .complains("there is no log yet");
    user.heph("daemon start").exits(0);
    let log = user.data().join("hephd.log");
    assert_eq!(files::mode(&log), 0o600);
    fs::write(&log, "line one\nline two\n").unwrap();
    let last = user.heph("daemon logs --lines 1").exits(0);
    assert_eq!(last.out, "line two\n");
    fs::write(&log, vec![b'x'; 9 << 20]).unwrap();
    user.heph("daemon restart").exits(0);
    assert!(fs::metadata(user.data().join("hephd.log.1")).unwrap().len() >= 9 << 20);
    assert!(fs::metadata(&log).unwrap().len() < 9 << 20);
}

#[test]
fn logs_follow_what_is_added_while_somebody_reads() {
    use std::io::{BufRead, BufReader, Write};
    let user = Machine::new();
    let log = user.data().join("hephd.log");
    fs::create_dir_all(user.data()).unwrap();
    fs::write(&log, "old\n").unwrap();
    let mut follow = user.heph("daemon logs --follow").into_command();
    let mut follow = follow.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "old");
    let file = fs::File::options().append(true).open(&log).unwrap();
    writeln!(&file, "new").unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "new");
    // As `| head` does. Only a write can tell that nobody reads any more.
    drop(lines);
    eventually("following ends with its reader", || {
        writeln!(&file, "unread").unwrap();
        matches!(follow.try_wait(), Ok(Some(_)))
    });
}
