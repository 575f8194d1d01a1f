//! The life of hephd under a real systemd user manager.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::{eventually, run};
use crate::support::old::home::ODD_NAME;
use crate::support::old::managed::Machine;
use crate::support::old::user::User;

#[test]
fn start_installs_and_a_second_start_changes_nothing() {
    let user = User::new();
    assert_eq!(user.status()["installed"], json!(false));
    user.heph(&["daemon", "start"])
        .exits(0)
        .says("wrote")
        .says("runs, process");
    let unit = user.unit_text();
    let first = user.status();
    assert_eq!(first["schema"], json!(1));
    assert_eq!(first["manager"], json!("systemd"));
    assert_eq!(first["installed"], json!(true));
    assert_eq!(first["running"], json!(true));
    assert_eq!(first["managed"], json!(true));
    assert_eq!(first["version"], json!(env!("CARGO_PKG_VERSION")));
    assert_eq!(first["file_state"], json!("current"));
    assert_eq!(first["flags"], json!({}));
    assert_eq!(first["program"], json!(user.home.bin().join("hephd")));
    assert_eq!(first["store"], json!(user.home.data().join("heph.db")));
    assert_eq!(
        first["socket"],
        json!(user.manager.runtime_dir().join("heph/hephd.sock"))
    );
    assert_eq!(
        user.manager.property("heph.service", "UnitFileState"),
        "enabled"
    );

    user.heph(&["daemon", "start"]).exits(0).says("already");
    assert_eq!(user.status(), first);
    assert_eq!(user.unit_text(), unit);
    user.heph(&["daemon", "status"])
        .exits(0)
        .says("running, process")
        .says("systemd, ");
}

#[test]
fn a_home_that_takes_quoting_apart_works_like_any_other() {
    let user = User::named(ODD_NAME);
    user.heph(&["daemon", "start", "--oidc-audience", ODD_NAME])
        .exits(0);
    user.heph(&["daemon", "restart"]).exits(0);
    let status = user.status();
    assert_eq!(status["flags"], json!({"oidc-audience": ODD_NAME}));
    assert_eq!(status["program"], json!(user.home.bin().join("hephd")));
    assert_eq!(status["file_state"], json!("current"));
    assert_eq!(status["log"], json!(user.home.data().join("hephd.log")));
    assert_eq!(status["managed"], json!(true));
    assert_eq!(status["socket_held"], json!(true));
    let log = user.home.log();
    assert!(!log.contains("the service manager passed"), "{log}");
    user.heph(&["daemon", "uninstall"]).exits(0);
    assert!(!user.unit().exists());
    assert!(!user.socket_unit().exists());
}

#[test]
fn stop_halts_until_the_next_login_and_uninstall_leaves_nothing() {
    let user = User::new();
    user.heph(&["daemon", "stop"])
        .exits(0)
        .says("was not running");
    user.heph(&["daemon", "uninstall"])
        .exits(0)
        .says("was not installed");
    user.heph(&["daemon", "start"]).exits(0);
    user.heph(&["daemon", "stop"]).exits(0).says("next login");
    let status = user.status();
    assert_eq!(status["running"], json!(false));
    assert_eq!(status["pid"], json!(null));
    assert_eq!(status["installed"], json!(true));
    assert_eq!(
        user.manager.property("heph.service", "UnitFileState"),
        "enabled"
    );
    user.heph(&["daemon", "stop"])
        .exits(0)
        .says("was not running");

    user.heph(&["daemon", "restart"]).exits(0);
    user.heph(&["daemon", "uninstall"]).exits(0).says("removed");
    assert_eq!(user.status()["running"], json!(false));
    assert_eq!(user.status()["installed"], json!(false));
    assert_eq!(
        user.manager.property("heph.service", "LoadState"),
        "not-found"
    );
    let wants = user
        .unit()
        .with_file_name("default.target.wants/heph.service");
    assert!(fs::symlink_metadata(wants).is_err());
    assert!(user.home.data().join("heph.db").exists(), "tasks stay");
    user.heph(&["daemon", "uninstall"])
        .exits(0)
        .says("was not installed");
}

#[test]
fn a_unit_that_somebody_deleted_is_still_stopped_and_cleared_away() {
    let user = User::new();
    user.heph(&["daemon", "start"]).exits(0);
    fs::remove_file(user.unit()).unwrap();
    user.heph(&["daemon", "uninstall"]).exits(0).says("removed");
    let status = user.status();
    assert_eq!(status["running"], json!(false));
    let wants = user
        .unit()
        .with_file_name("default.target.wants/heph.service");
    assert!(fs::symlink_metadata(wants).is_err());
}

#[test]
fn a_hephd_that_cannot_start_fails_the_restart_with_its_last_words() {
    let user = User::new();
    let garbage = user.home.path.join("garbage.db");
    fs::write(&garbage, "this is no store\n".repeat(500)).unwrap();
    let mut command = user.command(&["daemon", "start"]);
    command.env("HEPH_DB", &garbage);
    run(command)
        .exits(1)
        .complains("hephd did not come up; it logged:")
        .complains("garbage.db")
        .complains("heph daemon logs");
    user.heph(&["daemon", "logs"]).exits(0).says("garbage.db");
    eventually("status tells of the failed start", || {
        let status = user.status();
        status["starting"] == json!(true) && status["running"] == json!(false)
    });
    // The cause gone, a restart is all it takes.
    fs::remove_file(&garbage).unwrap();
    user.heph(&["daemon", "restart"]).exits(0);
    assert_eq!(user.status()["store"], json!(garbage));
}

#[test]
fn a_hephd_that_is_never_ready_fails_the_restart_within_the_wait() {
    let user = User::new();
    user.heph(&["daemon", "start"]).exits(0);
    let hephd = user.home.bin().join("hephd");
    let good = fs::read(&hephd).unwrap();
    fs::remove_file(&hephd).unwrap();
    fs::write(&hephd, "#!/bin/sh\necho I hang >&2\nexec sleep 1000\n").unwrap();
    fs::set_permissions(&hephd, fs::Permissions::from_mode(0o755)).unwrap();
    user.heph(&["daemon", "restart", "--wait", "2s"])
        .exits(1)
        .complains("I hang")
        .complains("timed out after 2s");
    fs::remove_file(&hephd).unwrap();
    fs::write(&hephd, good).unwrap();
    fs::set_permissions(&hephd, fs::Permissions::from_mode(0o755)).unwrap();
    user.heph(&["daemon", "restart"]).exits(0);
}

#[test]
fn a_killed_hephd_comes_back_however_often_it_is_killed() {
    let user = User::new();
    user.heph(&["daemon", "start"]).exits(0);
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
        user.kill(signal);
        eventually("hephd comes back", || {
            let status = user.status();
            status["managed"] == json!(true)
                && status["version"].is_string()
                && status["pid"] != json!(before)
        });
    }
}

#[test]
fn a_hephd_started_by_hand_is_seen_and_not_fought() {
    let user = User::new();
    let mut by_hand = user
        .manager
        .command(user.home.bin().join("hephd"))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("hephd answers", || user.status()["running"] == json!(true));
    let status = user.status();
    assert_eq!(status["managed"], json!(false));
    assert_eq!(status["pid"], json!(by_hand.id()));
    user.heph(&["daemon", "start"])
        .exits(1)
        .complains("not as a service")
        .complains(&format!("kill {}", by_hand.id()));
    kill_process(Pid::from_child(&by_hand), Signal::TERM).unwrap();
    by_hand.wait().unwrap();
    user.heph(&["daemon", "start"]).exits(0);
}

#[test]
fn the_log_is_private_and_a_large_one_is_moved_aside() {
    let user = User::new();
    user.heph(&["daemon", "logs"])
        .exits(0)
        .complains("there is no log yet");
    user.heph(&["daemon", "start"]).exits(0);
    let log = user.home.data().join("hephd.log");
    assert_eq!(
        fs::metadata(&log).unwrap().permissions().mode() & 0o777,
        0o600
    );
    fs::write(&log, "line one\nline two\n").unwrap();
    let last = user.heph(&["daemon", "logs", "--lines", "1"]).exits(0);
    assert_eq!(last.out, "line two\n");
    fs::write(&log, vec![b'x'; 9 << 20]).unwrap();
    user.heph(&["daemon", "restart"]).exits(0);
    assert!(
        fs::metadata(user.home.data().join("hephd.log.1"))
            .unwrap()
            .len()
            >= 9 << 20
    );
    assert!(fs::metadata(&log).unwrap().len() < 9 << 20);
}

#[test]
fn logs_follow_what_is_added_while_somebody_reads() {
    use std::io::{BufRead, BufReader, Write};
    let user = User::new();
    let log = user.home.data().join("hephd.log");
    fs::create_dir_all(user.home.data()).unwrap();
    fs::write(&log, "old\n").unwrap();
    let mut command = user.command(&["daemon", "logs", "--follow"]);
    let mut follow = command.stdout(Stdio::piped()).spawn().unwrap();
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
