//! Sockets that a service manager holds, by the protocol of sd_listen_fds(3), with the test as the service manager.

use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::support::call::Call;
use crate::support::daemon::{Daemon, Wire, request};
use crate::support::home::Home;
use crate::support::programs;
use crate::support::wait::PATIENCE;

/// Returns a hephd of `home` that is passed `file` as its first descriptor, with LISTEN_PID as `pid` expands in a shell.
fn passed(home: &Home, file: impl Into<OwnedFd>, pid: &str) -> Call {
    let script = format!("exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID={pid}; exec \"$0\"");
    let shell = home.command("/bin/sh").args(&["-c", &script]);
    let mut command = shell.args(&[programs::hephd()]).into_command();
    command.stdin(file.into());
    command.into()
}

/// Listens on `path` as a service manager does, in a folder that is private.
fn listen(path: &Path) -> UnixListener {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    UnixListener::bind(path).unwrap()
}

fn start(home: &Home, listener: &UnixListener) -> Daemon {
    let hephd = passed(home, listener.try_clone().unwrap(), "$$");
    Daemon::start(hephd, &home.path).until_ready(&home.socket())
}

#[test]
fn who_connects_between_two_hephds_is_served_by_the_second() {
    let home = Home::new();
    let listener = listen(&home.socket());
    for signal in [Signal::TERM, Signal::KILL] {
        let mut first = start(&home, &listener);
        let mut early = Wire::open(&home.socket());
        early.call("status", json!({}));
        first.signal(signal);
        first.wait();
        assert!(early.at_end(), "an idle connection ends with its hephd");
        assert!(home.socket().exists(), "the name is not hephd's to remove");

        let mut waiting = Wire::open(&home.socket());
        waiting.send(request(
            7,
            "task.add",
            json!({ "title": "while nobody was there" }),
        ));
        let second = start(&home, &listener);
        let answer = waiting.receive().expect("an answer of the second hephd");
        assert_eq!(answer["id"], 7);
        assert!(answer.get("result").is_some(), "{answer}");
        assert!(!second.log().contains("all the same"), "{}", second.log());
        second.stop();
    }
}

#[test]
fn what_waits_in_the_queue_when_it_ends_is_left_to_the_next_one() {
    let home = Home::new();
    let listener = listen(&home.socket());
    let mut first = start(&home, &listener);
    // Stopped before it can accept, and told to end before it can go on: the connection is in the queue for certain.
    first.signal(Signal::STOP);
    let mut waiting = Wire::open(&home.socket());
    waiting.send(request(1, "status", json!({})));
    first.signal(Signal::TERM);
    first.signal(Signal::CONT);
    let ended = first.wait();
    assert_eq!(ended.code(), Some(0), "{}", first.log());
    let second = start(&home, &listener);
    // Whichever of the two had it: it was not refused, and not dropped.
    let answer = waiting.receive().expect("an answer");
    assert_eq!(answer["id"], 1);
    second.stop();
}

#[test]
fn who_has_connected_and_not_asked_yet_is_still_answered() {
    let home = Home::new();
    let listener = listen(&home.socket());
    let manager = UnixDatagram::bind(home.path.join("notify")).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    // The grace is short, and this machine may be slow: one time out of many is enough.
    let answered = (0..20).any(|_| {
        let hephd = passed(&home, listener.try_clone().unwrap(), "$$");
        let hephd = hephd.env("NOTIFY_SOCKET", home.path.join("notify"));
        let mut daemon = Daemon::start(hephd, &home.path).until_ready(&home.socket());
        let mut fresh = Wire::open(&home.socket());
        // Accepted in order: once this one is answered, the other is accepted.
        Wire::open(&home.socket()).call("status", json!({}));
        daemon.signal(Signal::TERM);
        let mut buffer = [0; 4096];
        loop {
            let read = manager.recv(&mut buffer).unwrap();
            if String::from_utf8_lossy(&buffer[..read]).contains("STOPPING=1") {
                break;
            }
        }
        // Longer than hephd waits for more of those who have asked before.
        thread::sleep(Duration::from_millis(100));
        let answer = fresh.ask("status", json!({}));
        assert_eq!(daemon.wait().code(), Some(0));
        answer.is_some()
    });
    assert!(answered);
}

#[test]
fn a_socket_at_another_path_is_served_and_told_of() {
    let home = Home::new();
    let other = home.path.join("other.sock");
    let listener = listen(&other);
    let hephd = passed(&home, listener.try_clone().unwrap(), "$$");
    let daemon = Daemon::start(hephd, &home.path).until_ready(&other);
    assert!(daemon.log().contains("is not '"), "{}", daemon.log());
    assert!(!home.socket().exists());
    daemon.stop();
}

#[test]
fn what_was_passed_to_another_process_or_is_no_socket_is_left_alone() {
    let home = Home::new();
    let other = home.path.join("other.sock");
    let listener = listen(&other);
    // As where hephd is run by hand in a shell that a service manager started.
    let hephd = passed(&home, listener.try_clone().unwrap(), "1");
    let daemon = Daemon::start(hephd, &home.path).until_ready(&home.socket());
    assert!(
        !daemon.log().contains("service manager"),
        "{}",
        daemon.log()
    );
    daemon.stop();
    assert!(
        !home.socket().exists(),
        "its own socket is its own to remove"
    );

    let hephd = passed(&home, fs::File::open("/dev/null").unwrap(), "$$");
    let daemon = Daemon::start(hephd, &home.path).until_ready(&home.socket());
    assert!(daemon.log().contains("not a listener"), "{}", daemon.log());
    daemon.stop();

    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap();
    let hephd = passed(&home, port, "$$");
    let daemon = Daemon::start(hephd, &home.path).until_ready(&home.socket());
    let told = format!("listens on '{address}' for hephd, which does not serve");
    assert!(daemon.log().contains(&told), "{}", daemon.log());
    daemon.stop();
}
