//! Flags with which hephd cannot run: found before anything is written, or taken back.

use std::fs;
use std::net::TcpListener;

use serde_json::json;

use super::{SERVICE, SOCKET};
use crate::support::files::script;
use crate::support::home::Home;
use crate::support::mac::Mac;
use crate::support::machine::Machine;

#[test]
fn flags_are_validated_together_before_anything_is_written_or_stopped() {
    let user = Machine::new();
    let cases = [
        ("--mode server", "requires --http-addr"),
        ("--http-addr 7345", "is not an IP address and port"),
        (
            "--mode server --http-addr 127.0.0.1:0 --oidc-issuer https://id.example",
            "--oidc-issuer requires --oidc-audience",
        ),
        (
            "--mode server --http-addr localhost:80",
            "not an IP address",
        ),
        ("--sync-rate 9", "requires --mode server"),
    ];
    for (flags, complaint) in cases {
        user.heph(&format!("daemon start {flags}"))
            .exits(2)
            .complains(complaint)
            .complains("hint: ");
    }
    assert!(!user.unit(SERVICE).exists());
    user.heph("daemon start").exits(0);
    let (pid, unit) = (user.pid(), user.unit_text(SERVICE));
    for (flags, complaint) in cases {
        let restart = user.heph(&format!("daemon restart {flags}"));
        restart.exits(2).complains(complaint);
    }
    let long = user.path.join("x".repeat(120));
    let restart = user.heph("daemon restart").env("HEPH_SOCKET", long);
    restart.exits(2).complains("HEPH_SOCKET");
    assert_eq!((user.pid(), user.unit_text(SERVICE)), (pid, unit));
}

#[test]
fn a_hephd_that_does_not_come_up_with_its_flags_runs_with_the_former_ones() {
    let user = Machine::new();
    user.heph("daemon start --mode local").exits(0);
    user.add("one");
    let texts = || [user.unit_text(SERVICE), user.unit_text(SOCKET)];
    let before = texts();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let garbage = user.write("garbage.db", "this is no store\n".repeat(500));

    let hub = format!("daemon restart --wait 10s --mode server --http-addr {address}");
    let hub = user.heph(&hub).exits(1);
    hub.complains("the former ones are back, and hephd runs with them")
        .complains("in use");
    assert_eq!(texts(), before);
    assert_eq!(user.status()["flags"], json!({"mode": "local"}));
    assert_eq!(user.titles(), ["one"]);

    // The variables count as well, and `start` does what `restart` does.
    for verb in ["restart", "start"] {
        let command = user.heph(&format!("daemon {verb} --wait 10s"));
        let ended = command.env("HEPH_DB", &garbage).exits(1);
        ended
            .complains("the former ones are back")
            .complains("garbage.db");
        assert_eq!(texts(), before);
        assert_eq!(user.titles(), ["one"]);
    }
    assert_eq!(user.status()["socket_held"], true);

    // One that was stopped stays so.
    user.heph("daemon stop").exits(0);
    let start = user.heph("daemon start --wait 10s");
    let start = start.env("HEPH_DB", &garbage).exits(1);
    start.complains("the former ones are back, and hephd is stopped");
    assert_eq!(texts(), before);
    assert_eq!(user.status()["running"], false);
    user.heph("daemon start").exits(0);
    assert_eq!(user.titles(), ["one"]);
}

#[test]
fn an_agent_that_does_not_come_up_with_its_flags_runs_with_the_former_ones() {
    let mac = Mac::new();
    mac.heph("daemon start --mode local").exits(0);
    mac.add("one");
    let agent = || fs::read_to_string(mac.agent("hephd")).unwrap();
    let before = agent();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let hub = format!("daemon restart --wait 10s --mode server --http-addr {address}");
    mac.heph(&hub)
        .exits(1)
        .complains("the former ones are back, and hephd runs with them")
        .complains("in use");
    assert_eq!(agent(), before);
    assert_eq!(mac.titles(), ["one"]);
}

#[test]
fn a_program_that_cannot_run_is_not_blamed_on_the_flags() {
    let user = Machine::new();
    user.heph("daemon start").exits(0);
    let hephd = user.bin().join("hephd");
    fs::remove_file(&hephd).unwrap();
    script(&hephd, "echo broken >&2\nexit 1");
    let restart = user.heph("daemon restart --wait 3s").exits(1);
    let restart = restart.complains("broken");
    assert!(!restart.err.contains("former"), "{restart}");
}

/// Makes a `loginctl` that says whether the user lingers, and puts it first on PATH.
fn with_lingering(home: &mut Home, says: &str) {
    let tools = home.path.join("tools");
    script(&tools.join("loginctl"), &format!("echo Linger={says}"));
    home.set("PATH", format!("{}:/usr/bin:/bin", tools.display()));
}

#[test]
fn a_hub_or_a_spoke_started_over_ssh_is_warned_of_the_logout() {
    let mut user = Machine::new();
    let ssh = ("SSH_CONNECTION", "10.0.0.1 5 10.0.0.2 22");
    let warning = "hint: `loginctl enable-linger`";
    let hub = "daemon restart --mode server --http-addr 127.0.0.1:0";
    let spoke = "daemon restart --hub-url http://127.0.0.1:9 --unset mode --unset http-addr";
    with_lingering(&mut user.home, "no");
    user.heph("daemon start").env(ssh.0, ssh.1).succeeds();
    user.heph(hub).env(ssh.0, ssh.1).exits(0).complains(warning);
    user.heph("daemon restart").exits(0).complains(warning);
    let over_ssh = user.heph(spoke).env(ssh.0, ssh.1).exits(0);
    over_ssh.complains(warning);
    // At a desk it ends with its user, who is there to start it.
    user.heph("daemon restart").succeeds();
    with_lingering(&mut user.home, "yes");
    user.heph("daemon restart").env(ssh.0, ssh.1).succeeds();
}
