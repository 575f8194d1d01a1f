//! How hephd starts, who it starts beside, and how it ends.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::Path;

use rustix::process::Signal;
use serde_json::json;

use crate::support::call::Call;
use crate::support::daemon::{Daemon, Wire, request};
use crate::support::files::{copy, mode};
use crate::support::home::Home;
use crate::support::programs;
use crate::support::wait::{PATIENCE, eventually};

#[test]
fn it_says_its_version() {
    let home = Home::new();
    let said = home.hephd("--version").exits(0).quietly();
    assert_eq!(said.out, format!("hephd {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_service_manager_hears_ready_once_clients_are_served_and_then_of_the_end() {
    let home = Home::new();
    let manager = UnixDatagram::bind(home.path.join("notify")).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let hephd = home
        .hephd("")
        .env("NOTIFY_SOCKET", home.path.join("notify"));
    let mut daemon = Daemon::start(hephd, &home.path);
    let mut buffer = [0; 4096];
    let mut hear = || {
        let read = manager.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..read].to_vec()).unwrap()
    };
    let making = hear();
    assert!(making.contains("STATUS=creating the store"), "{making}");
    assert!(
        making.contains("EXTEND_TIMEOUT_USEC=30000000\n"),
        "{making}"
    );
    let ready = hear();
    assert!(
        ready.contains("READY=1\n") && ready.contains("STATUS="),
        "{ready}"
    );
    // No waiting: ready means that a client is served.
    Wire::open(&home.socket()).call("status", json!({}));
    daemon.signal(Signal::TERM);
    assert!(hear().contains("STOPPING=1\n"));
    assert_eq!(daemon.wait().code(), Some(0));
}

#[test]
fn nobody_else_can_read_what_it_makes() {
    let home = Home::new();
    let folder = home.path.join("run/heph");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    // As lax as an environment can be.
    let hephd = home.command("sh").args("-c 'umask 000; exec \"$0\"'");
    let hephd = hephd.args(&[programs::hephd()]);
    let _daemon = Daemon::start(hephd, &home.path).until_ready(&home.socket());
    Wire::open(&home.socket()).call("task.add", json!({ "title": "secret" }));
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&home.socket()), 0o600);
    assert_eq!(mode(&home.data()), 0o700);
    for name in ["heph.db", "heph.db-wal", "heph.db-shm", "heph.db.lock"] {
        assert_eq!(mode(&home.data().join(name)), 0o600, "{name}");
    }
}

#[test]
fn another_user_is_not_served_even_where_the_file_system_lets_them_in() {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test takes on another user, which needs root"
    );
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    open(folder.path());
    let home = folder.path().join("home");
    let program = folder.path().join("hephd");
    fs::create_dir(&home).unwrap();
    copy(&programs::hephd(), &program);
    open(&program);
    let nobody = 65534;
    chown(&home, Some(nobody), Some(nobody)).unwrap();
    let socket = home.join("s");
    let environment = [("HOME", &home), ("HEPH_SOCKET", &socket)];
    let hephd = Call::clean(program, environment).current_dir("/");
    let mut hephd = hephd.into_command();
    hephd.uid(nobody).gid(nobody);
    let daemon = Daemon::start(hephd.into(), folder.path());
    eventually("hephd serves", || daemon.log().contains("serves"));
    let mut wire = Wire::open(&socket);
    assert_eq!(wire.ask("status", json!({})), None);
    assert!(
        daemon
            .log()
            .contains("rejected a connection of another user")
    );
}

#[test]
fn every_request_that_reached_it_before_sigterm_is_answered() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let home = Home::new();
        let mut daemon = home.start("");
        let mut wires: Vec<Wire> = (0..8).map(|_| Wire::open(&home.socket())).collect();
        for wire in &mut wires {
            let lines: String = (0..30)
                .map(|number| request(number, "task.add", json!({ "title": "in flight" })))
                .collect();
            wire.send(lines);
        }
        daemon.signal(signal);
        for wire in &mut wires {
            for number in 0..30 {
                let answer = wire.receive().expect("an answer before the end");
                assert_eq!(answer["id"], number);
                assert!(answer.get("result").is_some(), "{answer}");
            }
            assert_eq!(wire.receive(), None);
        }
        assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.log());
        assert!(!home.socket().exists(), "the socket is gone");
        assert!(!home.data().join("heph.db-wal").exists(), "closed cleanly");
        let _daemon = home.start("");
        let mut wire = Wire::open(&home.socket());
        assert_eq!(wire.call("status", json!({}))["open_tasks"], 240);
    }
}

#[test]
fn a_client_that_keeps_asking_does_not_keep_it_from_ending() {
    let home = Home::new();
    let mut daemon = home.start("");
    let mut wire = Wire::open(&home.socket());
    wire.call("task.next", json!({}));
    let asking = std::thread::spawn(move || while wire.ask("task.next", json!({})).is_some() {});
    let _idle = Wire::open(&home.socket());
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait().code(), Some(0));
    asking.join().unwrap();
    assert!(!daemon.log().contains("gave up"), "{}", daemon.log());
}

#[test]
fn a_client_that_does_not_read_holds_the_end_up_for_a_moment_only() {
    let home = Home::new();
    let mut daemon = home.start("");
    let mut deaf = Wire::open(&home.socket());
    for _ in 0..100 {
        deaf.call("task.add", json!({ "title": "x".repeat(4000) }));
    }
    for number in 0..10 {
        deaf.send(request(number, "task.list", json!({})));
    }
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait().code(), Some(0));
    assert!(
        daemon.log().contains("gave up on 1 connections"),
        "{}",
        daemon.log()
    );
    assert!(!home.data().join("heph.db-wal").exists(), "closed cleanly");
}

#[test]
fn one_store_has_one_hephd() {
    let home = Home::new();
    let _daemon = home.start("");
    let second = home.hephd("--socket other.sock").exits(1);
    second
        .complains("another hephd has it open")
        .complains("hint:");
    assert!(!home.path.join("other.sock").exists());
    Wire::open(&home.socket()).call("status", json!({}));
}

#[test]
fn a_socket_somebody_answers_on_is_not_taken_over() {
    let home = Home::new();
    let _daemon = home.start("");
    let second = home.hephd("--db other.db").exits(1);
    second.complains("listens on the socket");
    Wire::open(&home.socket()).call("status", json!({}));
}

#[test]
fn the_socket_of_a_killed_one_is_taken_over_and_a_file_is_not() {
    let home = Home::new();
    home.start("").kill();
    assert!(home.socket().exists(), "left by the kill");
    home.start("").stop();

    fs::write(home.socket(), "somebody's notes").unwrap();
    home.hephd("").exits(1).complains("is not a socket");
    assert_eq!(fs::read(home.socket()).unwrap(), b"somebody's notes");
}

#[test]
fn a_socket_that_another_has_taken_meanwhile_is_not_removed_at_the_end() {
    let home = Home::new();
    let daemon = home.start("");
    fs::remove_file(home.socket()).unwrap();
    let _other = UnixListener::bind(home.socket()).unwrap();
    daemon.stop();
    assert!(home.socket().exists());
}

#[test]
fn a_path_too_long_for_a_socket_is_refused_by_the_name_of_its_variable() {
    let home = Home::new();
    let long = format!("/tmp/{}", "x".repeat(200));
    let hephd = home.hephd("").env("HEPH_SOCKET", long).exits(2);
    hephd.complains("HEPH_SOCKET").complains("205 bytes");
}

#[test]
fn variables_and_flags_name_other_places() {
    let home = Home::new();
    let hephd = home
        .hephd("--socket s")
        .env("HEPH_DB", home.path.join("new folder/tasks.db"))
        .env("HEPH_SOCKET", "/nonexistent/s");
    let daemon = Daemon::start(hephd, &home.path).until_ready(&home.path.join("s"));
    assert!(home.path.join("new folder/tasks.db").exists());
    assert!(!home.data().exists());
    daemon.stop();
}

#[test]
fn a_store_of_a_newer_release_stops_it_before_anything_is_touched() {
    let home = Home::new();
    home.start("").stop();
    rusqlite::Connection::open(home.store())
        .unwrap()
        .execute_batch(
            "PRAGMA journal_mode = delete; UPDATE meta SET schema = 9, oldest_reader = 9",
        )
        .unwrap();
    let before = fs::read(home.store()).unwrap();
    let refused = home.hephd("").exits(1);
    refused.complains("has schema 9").complains("has schema 2");
    assert_eq!(fs::read(home.store()).unwrap(), before);
    assert!(!home.data().join("heph.db-wal").exists());
    assert!(!home.socket().exists());
}
