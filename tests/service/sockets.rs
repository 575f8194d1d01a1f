//! heph.socket under a real systemd user manager: what holds the socket, when it lets go, and who takes over.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::Signal;
use serde_json::json;

use super::{SERVICE, SOCKET};
use crate::support::machine::Machine;
use crate::support::wait::eventually;

/// Returns what tells one socket from another at the same path; the number alone may be given again.
fn identity(socket: &Path) -> (u64, i64, i64) {
    let socket = fs::metadata(socket).unwrap();
    (socket.ino(), socket.ctime(), socket.ctime_nsec())
}

/// Returns heph.service as a heph that knew no sockets wrote it.
fn without_a_socket(user: &Machine) -> String {
    let unit = user.unit_text(SERVICE);
    let new = ["heph.socket", "# Wanted and not required", "# Made from"];
    let lines = unit.lines();
    let lines = lines.filter(|line| !new.iter().any(|new| line.contains(new)));
    let text: String = lines.flat_map(|line| [line, "\n"]).collect();
    text.replace("template 3", "template 1")
}

/// Puts `unit` in place and restarts hephd, as a heph of another release does.
fn install_by_another_heph(user: &Machine, unit: &str) {
    fs::write(user.unit(SERVICE), unit).unwrap();
    for arguments in [&["daemon-reload"][..], &["restart", "heph.service"]] {
        user.manager.systemctl(arguments).exits(0);
    }
}

fn state(user: &Machine) -> String {
    user.manager.property("heph.socket", "ActiveState")
}

#[test]
fn the_socket_outlives_every_hephd_and_goes_with_the_service() {
    let user = Machine::new();
    user.heph("daemon start")
        .exits(0)
        .says("heph.service'")
        .says("heph.socket'");
    let status = user.status();
    assert_eq!(status["socket_file"], json!(user.unit(SOCKET)));
    assert_eq!(status["socket_file_state"], "current");
    assert_eq!(status["socket_held"], true);
    let first = identity(&user.socket());

    let mut pid = user.pid();
    user.heph("daemon restart").exits(0);
    assert_ne!(user.pid(), pid);
    for signal in [Signal::KILL, Signal::TERM] {
        pid = user.pid();
        user.signal(signal);
        // No waiting: the connection is taken while nobody is there yet.
        let added = user.heph("add 'in between' --json").json();
        assert_eq!(added["task"]["title"], "in between");
        eventually("another hephd runs", || {
            let now = user.status()["pid"].as_i64();
            now.is_some_and(|now| now != pid)
        });
    }
    assert_eq!(identity(&user.socket()), first, "one socket all along");

    user.heph("daemon stop").exits(0);
    assert_eq!(state(&user), "inactive");
    assert!(!user.socket().exists());
    // To ask how it is does not start it.
    let status = user.status();
    assert_eq!(status["running"], false);
    assert_eq!(status["socket_held"], false);
    assert_eq!(
        user.manager.property("heph.service", "ActiveState"),
        "inactive"
    );

    user.heph("daemon start").exits(0);
    assert_eq!(user.status()["socket_held"], true);
    user.heph("daemon uninstall").exits(0);
    assert!(!user.unit(SOCKET).exists());
    assert!(!user.socket().exists());
    assert_eq!(
        user.manager.property("heph.socket", "LoadState"),
        "not-found"
    );
}

#[test]
fn an_install_from_before_there_were_sockets_moves_over_at_its_next_restart() {
    let user = Machine::new();
    user.heph("daemon start").exits(0);
    let (unit, socket_unit) = (user.unit_text(SERVICE), user.unit_text(SOCKET));
    let old = without_a_socket(&user);
    user.heph("daemon uninstall").exits(0);
    fs::write(user.unit(SERVICE), &old).unwrap();
    user.manager.systemctl("daemon-reload");
    user.manager.systemctl("enable --now heph.service");
    let status = user.status();
    assert_eq!(status["managed"], true);
    assert_eq!(status["file_state"], "older-template");
    assert_eq!(status["socket_file_state"], "absent");
    assert_eq!(status["socket_held"], false);

    user.heph("daemon restart").exits(0);
    let status = user.status();
    assert_eq!(status["managed"], true);
    assert_eq!(status["file_state"], "current");
    assert_eq!(status["socket_file_state"], "current");
    assert_eq!(status["socket_held"], true);
    assert_eq!(
        (user.unit_text(SERVICE), user.unit_text(SOCKET)),
        (unit, socket_unit)
    );
}

#[test]
fn a_release_that_knows_no_sockets_finds_the_path_free_when_it_is_rolled_back_to() {
    let user = Machine::new();
    user.heph("daemon start").exits(0);
    let added = user.heph("add kept --json").json();
    let held = identity(&user.socket());
    let old = without_a_socket(&user);
    for _ in 0..3 {
        install_by_another_heph(&user, &old);
        assert_eq!(state(&user), "inactive");
        assert_ne!(identity(&user.socket()), held, "it bound the path itself");
        let status = user.status();
        assert_eq!(status["managed"], true);
        assert_eq!(status["version"], json!(env!("CARGO_PKG_VERSION")));
        assert_eq!(status["file_state"], "older-template");
        assert_eq!(user.heph("next --json").json()["task"], added["task"]);
        // The next attempt to update.
        user.heph("daemon restart").exits(0);
        assert_eq!(user.status()["socket_held"], true);
        assert_eq!(user.heph("next --json").json()["task"], added["task"]);
    }
}

#[test]
fn a_socket_that_is_to_be_elsewhere_moves() {
    let user = Machine::new();
    user.heph("daemon start").exits(0);
    let other = user.manager.runtime_dir().join("a $place 100%/s");
    let restart = user.heph("daemon restart").env("HEPH_SOCKET", &other);
    restart.exits(0).says("heph.socket'");
    assert!(!user.socket().exists());
    let status = user.status();
    assert_eq!(status["socket"], json!(other));
    assert_eq!(status["socket_held"], true);
    assert_eq!(status["socket_file_state"], "current");
    assert_eq!(status["managed"], true);
    let first = identity(&other);
    user.heph("daemon restart").exits(0);
    assert_eq!(identity(&other), first);
    assert!(
        !user.log().contains("all the same"),
        "the socket is the one that hephd would bind: {}",
        user.log()
    );
}

#[test]
fn a_socket_file_that_is_missing_or_older_is_reported_and_written_afresh() {
    let user = Machine::new();
    user.heph("daemon start").exits(0);
    let text = user.unit_text(SOCKET);
    for (older, state, words) in [
        (None, "absent", "missing"),
        (
            Some(text.replace("template 3", "template 2")),
            "older-template",
            "older template",
        ),
    ] {
        match older {
            None => fs::remove_file(user.unit(SOCKET)).unwrap(),
            Some(older) => fs::write(user.unit(SOCKET), older).unwrap(),
        }
        assert_eq!(user.status()["socket_file_state"], json!(state));
        assert_eq!(user.status()["file_state"], "current");
        user.heph("daemon status").exits(0).says(words);
        let before = user.pid();
        // It reaches systemd only by a restart, so `start` makes one.
        user.heph("daemon start").exits(0).says("heph.socket'");
        assert_ne!(user.pid(), before);
        assert_eq!(user.unit_text(SOCKET), text);
        assert_eq!(user.status()["socket_held"], true);
    }
}

#[test]
fn a_socket_file_edited_by_hand_is_left_alone_unless_forced() {
    let user = Machine::new();
    user.heph("daemon start").exits(0);
    let text = user.unit_text(SOCKET);
    let edited = text.replace("0600", "0666");
    fs::write(user.unit(SOCKET), &edited).unwrap();
    assert_eq!(user.status()["socket_file_state"], "edited");
    assert_eq!(user.status()["file_state"], "current");
    user.heph("daemon status").exits(0).says("edited by hand");
    for verb in ["start", "restart", "uninstall"] {
        user.heph(&format!("daemon {verb}"))
            .exits(1)
            .complains("heph.socket' was edited by hand")
            .complains("--force");
    }
    assert_eq!(user.unit_text(SOCKET), edited);
    user.heph("daemon restart --force").exits(0);
    assert_eq!(user.unit_text(SOCKET), text);
    assert_eq!(user.status()["socket_held"], true);
}

#[test]
fn a_socket_file_made_by_hand_is_left_alone_unless_forced() {
    let user = Machine::new();
    let by_hand = "[Socket]\nListenStream=/run/mine\n";
    fs::create_dir_all(user.unit(SERVICE).parent().unwrap()).unwrap();
    fs::write(user.unit(SOCKET), by_hand).unwrap();
    for verb in ["start", "restart", "uninstall"] {
        user.heph(&format!("daemon {verb}"))
            .exits(1)
            .complains("heph.socket' was not made by heph")
            .complains("--force");
    }
    assert_eq!(user.unit_text(SOCKET), by_hand);
    assert_eq!(user.status()["socket_file_state"], "hand-made");
    user.heph("daemon start --force").exits(0);
    assert_eq!(user.status()["socket_held"], true);
}

#[test]
fn a_crash_loop_shows_as_one_and_its_end_is_noticed_by_who_waits() {
    let user = Machine::new();
    user.heph("daemon start").exits(0);
    let hephd = user.bin().join("hephd");
    let kept = hephd.with_file_name("kept");
    fs::rename(&hephd, &kept).unwrap();
    user.signal(Signal::KILL);
    eventually("status tells of it", || {
        let status = user.status();
        status["starting"] == true && status["running"] == false
    });
    assert_eq!(user.status()["socket_held"], true);
    let waiting = user.heph("add patient").start();
    fs::rename(&kept, &hephd).unwrap();
    waiting.ends().exits(0);
}
