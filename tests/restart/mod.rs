//! A restart that nobody notices: many requests while hephd is restarted and killed, and not one of them fails.

mod load;

use std::thread;
use std::time::{Duration, Instant};

use crate::support::old::mac::Mac;
use crate::support::old::managed::Machine;
use crate::support::old::user::User;
use heph::client;
use load::{Kind, Load};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long anything may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many requests go through between two restarts.
const BETWEEN: usize = 100;

#[test]
fn no_request_fails_while_hephd_is_restarted_under_systemd() {
    let user = User::new();
    user.heph(&["daemon", "start"]).exits(0);
    let kinds = [Kind::Client, Kind::Client, Kind::Bare, Kind::Bare];
    let load = Load::on(&user.socket(), &kinds);
    restart(&user, &load, 6);
    judge("systemd, heph daemon restart", &user, load);
}

#[test]
fn no_request_of_a_client_fails_while_hephd_is_killed_under_systemd() {
    let user = User::new();
    user.heph(&["daemon", "start"]).exits(0);
    let load = Load::on(&user.socket(), &[Kind::Client; 4]);
    kill(&user, &load, 6);
    judge("systemd, kill -9", &user, load);
}

#[test]
fn no_request_of_a_client_fails_while_hephd_is_restarted_by_launchd() {
    let mac = Mac::new();
    mac.heph(&["daemon", "start"]).exits(0);
    let load = Load::on(&mac.socket(), &[Kind::Client; 4]);
    restart(&mac, &load, 6);
    judge("launchd, heph daemon restart", &mac, load);
}

#[test]
fn no_request_of_a_client_fails_while_hephd_is_killed_under_launchd() {
    let mac = Mac::new();
    mac.heph(&["daemon", "start"]).exits(0);
    let load = Load::on(&mac.socket(), &[Kind::Client; 4]);
    kill(&mac, &load, 6);
    judge("launchd, kill -9", &mac, load);
}

#[test]
fn the_first_restart_of_an_install_from_before_there_were_sockets_goes_unnoticed_too() {
    let user = User::new();
    user.heph(&["daemon", "start"]).exits(0);
    let old = user.unit_text().replace("heph.socket", "no.socket");
    user.heph(&["daemon", "stop"]).exits(0);
    std::fs::remove_file(user.socket_unit()).unwrap();
    std::fs::write(user.unit(), old).unwrap();
    user.manager.systemctl(&["daemon-reload"]);
    user.manager.systemctl(&["start", "heph.service"]);
    assert_eq!(user.status()["socket_held"], Value::Bool(false));
    // A bare client is refused while the path is free for the socket: this one time.
    let load = Load::on(&user.socket(), &[Kind::Client; 4]);
    restart(&user, &load, 1);
    assert_eq!(user.status()["socket_held"], Value::Bool(true));
    restart(&user, &load, 1);
    judge("systemd, moving over", &user, load);
}

fn restart(machine: &impl Machine, load: &Load, times: usize) {
    for _ in 0..times {
        load.wait_for_more(BETWEEN);
        machine.heph(&["daemon", "restart"]).exits(0);
    }
    load.wait_for_more(BETWEEN);
}

fn kill(machine: &impl Machine, load: &Load, times: usize) {
    for _ in 0..times {
        load.wait_for_more(BETWEEN);
        let pid = i32::try_from(machine.pid()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = machine.status();
            if status["version"].is_string() && status["pid"].as_i64() != Some(pid.into()) {
                break;
            }
            assert!(Instant::now() < deadline, "hephd does not come back");
            thread::sleep(Duration::from_millis(20));
        }
    }
    load.wait_for_more(BETWEEN);
}

/// Ends the load: no request failed, and each task that was added is there exactly once.
#[allow(clippy::print_stderr, reason = "a figure for who looks, and no test")]
fn judge(what: &str, machine: &impl Machine, load: Load) {
    let socket = machine.socket();
    let seen = load.end();
    eprintln!(
        "{what}: {} requests, the longest {:?}, {} failed",
        seen.requests,
        seen.longest,
        seen.failures.len()
    );
    assert!(seen.failures.is_empty(), "{:#?}", seen.failures);
    let tasks = client::list(&socket, client::Which::All).unwrap();
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
