//! A restart that nobody notices: many requests while hephd is restarted and killed, and not one of them fails.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use heph::client;
use rustix::process::Signal;
use serde_json::Value;

use crate::support::home::Home;
use crate::support::load::{Client, Load};
use crate::support::mac::Mac;
use crate::support::machine::Machine;
use crate::support::soak::times;
use crate::support::wait::eventually;

/// How many requests go through between two restarts.
const BETWEEN: usize = 100;

#[test]
fn no_request_fails_while_hephd_is_restarted_under_systemd() {
    let user = Machine::new();
    user.heph("daemon start").exits(0);
    let clients = [Client::Heph, Client::Heph, Client::Bare, Client::Bare];
    let load = load(&user, clients);
    restart(&user, &load, 6);
    judge("systemd, heph daemon restart", &user, load);
}

#[test]
fn no_request_of_a_client_fails_while_hephd_is_killed_under_systemd() {
    let user = Machine::new();
    user.heph("daemon start").exits(0);
    let load = load(&user, [Client::Heph; 4]);
    kill(&user, &load, 6);
    judge("systemd, kill -9", &user, load);
}

#[test]
fn no_request_of_a_client_fails_while_hephd_is_restarted_by_launchd() {
    let mac = Mac::new();
    mac.heph("daemon start").exits(0);
    let load = load(&mac, [Client::Heph; 4]);
    restart(&mac, &load, 6);
    judge("launchd, heph daemon restart", &mac, load);
}

#[test]
fn no_request_of_a_client_fails_while_hephd_is_killed_under_launchd() {
    let mac = Mac::new();
    mac.heph("daemon start").exits(0);
    let load = load(&mac, [Client::Heph; 4]);
    kill(&mac, &load, 6);
    judge("launchd, kill -9", &mac, load);
}

#[test]
fn the_first_restart_of_an_install_from_before_there_were_sockets_goes_unnoticed_too() {
    let user = Machine::new();
    user.heph("daemon start").exits(0);
    let unit = user.unit("heph.service");
    let old = fs::read_to_string(&unit).unwrap();
    user.heph("daemon stop").exits(0);
    fs::remove_file(user.unit("heph.socket")).unwrap();
    let lines = old.lines().filter(|line| !line.starts_with("# Made from:"));
    let first = lines.map(|line| line.replace("template 3", "template 1") + "\n");
    let first: String = first.collect();
    fs::write(unit, first.replace("heph.socket", "no.socket")).unwrap();
    user.manager.systemctl("daemon-reload").exits(0);
    user.manager.systemctl("start heph.service").exits(0);
    assert_eq!(user.status()["socket_held"], Value::Bool(false));
    // A bare client is refused while the path is free for the socket: this one time.
    let load = load(&user, [Client::Heph; 4]);
    restart(&user, &load, 1);
    assert_eq!(user.status()["socket_held"], Value::Bool(true));
    restart(&user, &load, 1);
    judge("systemd, moving over", &user, load);
}

fn load(home: &Home, clients: [fn(PathBuf) -> Client; 4]) -> Load {
    let clients = clients.map(|client| client(home.socket()));
    Load::of("client", clients.into(), Duration::ZERO, 2)
}

fn restart(home: &Home, load: &Load, usually: u64) {
    for _ in 0..times(usually) {
        load.wait_for_more(BETWEEN);
        home.heph("daemon restart").exits(0);
    }
    load.wait_for_more(BETWEEN);
}

fn kill(home: &Home, load: &Load, usually: u64) {
    for _ in 0..times(usually) {
        load.wait_for_more(BETWEEN);
        let pid = home.pid();
        home.signal(Signal::KILL);
        eventually("hephd comes back", || {
            let status = home.status();
            status["version"].is_string() && status["pid"].as_i64() != Some(pid)
        });
    }
    load.wait_for_more(BETWEEN);
}

/// Ends the load: no request failed, and each task that was added is there exactly once.
#[allow(clippy::print_stderr, reason = "a figure for who looks, and no test")]
fn judge(what: &str, home: &Home, load: Load) {
    let seen = load.end();
    eprintln!(
        "{what}: {} requests, the longest {:?}, {} failed",
        seen.requests,
        seen.longest,
        seen.failures.len()
    );
    assert!(seen.failures.is_empty(), "{:#?}", seen.failures);
    let tasks = client::list(&home.socket(), client::Which::All).unwrap();
    let mut there: Vec<_> = tasks.into_iter().map(|task| task.title).collect();
    there.sort();
    let mut added = seen.added;
    added.sort();
    assert!(added.len() >= BETWEEN, "tasks were added");
    assert_eq!(
        there.len(),
        added.len(),
        "no task is lost, and none is there twice"
    );
    assert_eq!(there, added);
}
