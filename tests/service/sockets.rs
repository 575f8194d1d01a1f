//! heph.socket under a real systemd user manager: what holds the socket, when it lets go, and who takes over.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::json;

use super::{eventually, run};
use crate::support::old::managed::Machine;
use crate::support::old::user::User;

fn socket(user: &User) -> PathBuf {
    user.manager.runtime_dir().join("heph/hephd.sock")
}

/// Returns what tells one socket from another at the same path; the number alone may be given again.
fn identity(socket: &Path) -> (u64, i64, i64) {
    let socket = fs::metadata(socket).unwrap();
    (socket.ino(), socket.ctime(), socket.ctime_nsec())
}

/// Returns heph.service as a heph that knew no sockets wrote it.
fn without_a_socket(user: &User) -> String {
    let unit = user.unit_text();
    let lines = unit.lines().filter(|line| {
        !line.contains("heph.socket") && !line.starts_with("# Wanted and not required")
    });
    let text: String = lines.flat_map(|line| [line, "\n"]).collect();
    text.replace("template 2", "template 1")
}

/// Puts `unit` in place and restarts hephd, as a heph of another release does.
fn install_by_another_heph(user: &User, unit: &str) {
    fs::write(user.unit(), unit).unwrap();
    for arguments in [&["daemon-reload"][..], &["restart", "heph.service"]] {
        let output = user.manager.systemctl(arguments);
        assert!(output.status.success(), "{output:?}");
    }
}

fn state(user: &User) -> String {
    user.manager.property("heph.socket", "ActiveState")
}

#[test]
fn the_socket_outlives_every_hephd_and_goes_with_the_service() {
    let user = User::new();
    user.heph(&["daemon", "start"])
        .exits(0)
        .says("heph.service'")
        .says("heph.socket'");
    let status = user.status();
    assert_eq!(status["socket_file"], json!(user.socket_unit()));
    assert_eq!(status["socket_file_state"], json!("current"));
    assert_eq!(status["socket_held"], json!(true));
    let first = identity(&socket(&user));

    let mut pid = user.pid();
    user.heph(&["daemon", "restart"]).exits(0);
    assert_ne!(user.pid(), pid);
    for signal in [Signal::KILL, Signal::TERM] {
        pid = user.pid();
        user.kill(signal);
        // No waiting: the connection is taken while nobody is there yet.
        let added = user.heph(&["add", "in between", "--json"]).exits(0).json();
        assert_eq!(added["task"]["title"], json!("in between"));
        eventually("another hephd runs", || {
            let now = user.status()["pid"].as_i64();
            now.is_some_and(|now| now != pid)
        });
    }
    assert_eq!(identity(&socket(&user)), first, "one socket all along");

    user.heph(&["daemon", "stop"]).exits(0);
    assert_eq!(state(&user), "inactive");
    assert!(!socket(&user).exists());
    // To ask how it is does not start it.
    let status = user.status();
    assert_eq!(status["running"], json!(false));
    assert_eq!(status["socket_held"], json!(false));
    assert_eq!(
        user.manager.property("heph.service", "ActiveState"),
        "inactive"
    );

    user.heph(&["daemon", "start"]).exits(0);
    assert_eq!(user.status()["socket_held"], json!(true));
    user.heph(&["daemon", "uninstall"]).exits(0);
    assert!(!user.socket_unit().exists());
    assert!(!socket(&user).exists());
    assert_eq!(
        user.manager.property("heph.socket", "LoadState"),
        "not-found"
    );
}

#[test]
fn an_install_from_before_there_were_sockets_moves_over_at_its_next_restart() {
    let user = User::new();
    user.heph(&["daemon", "start"]).exits(0);
    let (unit, socket_unit) = (user.unit_text(), user.socket_text());
    let old = without_a_socket(&user);
    user.heph(&["daemon", "uninstall"]).exits(0);
    fs::write(user.unit(), &old).unwrap();
    user.manager.systemctl(&["daemon-reload"]);
    user.manager.systemctl(&["enable", "--now", "heph.service"]);
    let status = user.status();
    assert_eq!(status["managed"], json!(true));
    assert_eq!(status["file_state"], json!("older-template"));
    assert_eq!(status["socket_file_state"], json!("absent"));
    assert_eq!(status["socket_held"], json!(false));

    user.heph(&["daemon", "restart"]).exits(0);
    let status = user.status();
    assert_eq!(status["managed"], json!(true));
    assert_eq!(status["file_state"], json!("current"));
    assert_eq!(status["socket_file_state"], json!("current"));
    assert_eq!(status["socket_held"], json!(true));
    assert_eq!((user.unit_text(), user.socket_text()), (unit, socket_unit));
}

#[test]
fn a_release_that_knows_no_sockets_finds_the_path_free_when_it_is_rolled_back_to() {
    let user = User::new();
    user.heph(&["daemon", "start"]).exits(0);
    let added = user.heph(&["add", "kept", "--json"]).exits(0).json();
    let held = identity(&socket(&user));
    let old = without_a_socket(&user);
    for _ in 0..3 {
        install_by_another_heph(&user, &old);
        assert_eq!(state(&user), "inactive");
        assert_ne!(identity(&socket(&user)), held, "it bound the path itself");
        let status = user.status();
        assert_eq!(status["managed"], json!(true));
        assert_eq!(status["version"], json!(env!("CARGO_PKG_VERSION")));
        assert_eq!(status["file_state"], json!("older-template"));
        assert_eq!(
            user.heph(&["next", "--json"]).exits(0).json()["task"],
            added["task"]
        );
        // The next attempt to update.
        user.heph(&["daemon", "restart"]).exits(0);
        assert_eq!(user.status()["socket_held"], json!(true));
        assert_eq!(
            user.heph(&["next", "--json"]).exits(0).json()["task"],
            added["task"]
        );
    }
}

#[test]
fn a_socket_that_is_to_be_elsewhere_moves() {
    let user = User::new();
    user.heph(&["daemon", "start"]).exits(0);
    let other = user.manager.runtime_dir().join("a $place 100%/s");
    let mut command = user.command(&["daemon", "restart"]);
    command.env("HEPH_SOCKET", &other);
    run(command).exits(0).says("heph.socket'");
    assert!(!socket(&user).exists());
    let status = user.status();
    assert_eq!(status["socket"], json!(other));
    assert_eq!(status["socket_held"], json!(true));
    assert_eq!(status["socket_file_state"], json!("current"));
    assert_eq!(status["managed"], json!(true));
    let first = identity(&other);
    user.heph(&["daemon", "restart"]).exits(0);
    assert_eq!(identity(&other), first);
    assert!(
        !user.home.log().contains("all the same"),
        "the socket is the one that hephd would bind: {}",
        user.home.log()
    );
}

#[test]
fn a_socket_file_that_is_missing_edited_or_older_is_told_of_and_written_afresh() {
    let user = User::new();
    user.heph(&["daemon", "start"]).exits(0);
    let text = user.socket_text();
    for (edited, state, words) in [
        (None, "absent", "missing"),
        (
            Some(text.replace("0600", "0666")),
            "edited",
            "edited by hand",
        ),
        (
            Some(text.replace("template 2", "template 1")),
            "older-template",
            "older template",
        ),
    ] {
        match edited {
            None => fs::remove_file(user.socket_unit()).unwrap(),
            Some(edited) => fs::write(user.socket_unit(), edited).unwrap(),
        }
        assert_eq!(user.status()["socket_file_state"], json!(state));
        assert_eq!(user.status()["file_state"], json!("current"));
        user.heph(&["daemon", "status"]).exits(0).says(words);
        let before = user.pid();
        // It reaches systemd only by a restart, so `start` makes one.
        user.heph(&["daemon", "start"])
            .exits(0)
            .says("heph.socket'");
        assert_ne!(user.pid(), before);
        assert_eq!(user.socket_text(), text);
        assert_eq!(user.status()["socket_held"], json!(true));
    }
}

#[test]
fn a_socket_file_made_by_hand_is_left_alone_unless_forced() {
    let user = User::new();
    let by_hand = "[Socket]\nListenStream=/run/mine\n";
    fs::create_dir_all(user.unit().parent().unwrap()).unwrap();
    fs::write(user.socket_unit(), by_hand).unwrap();
    for verb in ["start", "restart", "uninstall"] {
        user.heph(&["daemon", verb])
            .exits(1)
            .complains("heph.socket' was not made by heph")
            .complains("--force");
    }
    assert_eq!(user.socket_text(), by_hand);
    assert_eq!(user.status()["socket_file_state"], json!("hand-made"));
    user.heph(&["daemon", "start", "--force"]).exits(0);
    assert_eq!(user.status()["socket_held"], json!(true));
}

#[test]
fn a_crash_loop_shows_as_one_and_its_end_is_noticed_by_who_waits() {
    let user = User::new();
    user.heph(&["daemon", "start"]).exits(0);
    let hephd = user.home.bin().join("hephd");
    let kept = hephd.with_file_name("kept");
    fs::rename(&hephd, &kept).unwrap();
    user.kill(Signal::KILL);
    eventually("status tells of it", || {
        let status = user.status();
        status["starting"] == json!(true) && status["running"] == json!(false)
    });
    assert_eq!(user.status()["socket_held"], json!(true));
    let mut waiting = user.command(&["add", "patient"]);
    let waiting = waiting.stdout(Stdio::piped()).stderr(Stdio::piped());
    let waiting = waiting.spawn().unwrap();
    fs::rename(&kept, &hephd).unwrap();
    let output = waiting.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
