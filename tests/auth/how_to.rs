//! The how-to guides about hubs and logins, followed line by line: what a person would type, on machines with systemd.

use serde_json::json;

use super::bearer::{Bent, hub};
use crate::support::machine::Machine;
use crate::support::node::free_address;

const HUB: &str = include_str!("../../docs/how-to/hub.md");
const LOGIN: &str = include_str!("../../docs/how-to/login.md");

/// Returns the command lines in a section of a document.
fn commands(document: &str, section: &str) -> Vec<String> {
    let (_, after) = document
        .split_once(&format!("\n## {section}\n"))
        .unwrap_or_else(|| panic!("there is no section '{section}'"));
    let section = after.split("\n## ").next().unwrap();
    let lines = section.lines().filter_map(|line| line.strip_prefix("    "));
    let lines = lines.map(|line| line.strip_prefix("$ ").unwrap_or(line));
    let is_command = |line: &&str| line.starts_with("heph ") || line.contains("=/etc/ssl/");
    let found: Vec<String> = lines
        .filter(is_command)
        .map(|line| line.split(" #").next().unwrap().trim_end().to_owned())
        .collect();
    assert!(!found.is_empty());
    found
}

/// Returns what follows `heph` in a command line.
fn arguments(command: &str) -> &str {
    command.split_once("heph ").unwrap().1
}

#[test]
fn a_hub_without_a_provider_is_set_up_as_the_how_to_says() {
    let (hub, laptop) = (Machine::new(), Machine::new());
    let address = free_address();
    let mut line = String::new();
    for command in commands(HUB, "Without a provider") {
        let command = command.replace("100.64.0.1:7345", &address);
        let arguments = arguments(&command);
        if arguments == "sync join" {
            laptop.heph(arguments).input(&line).exits(0);
            hub.add("from the hub");
            laptop.sync();
            assert_eq!(laptop.titles(), ["from the hub"]);
            continue;
        }
        let ended = hub.heph(arguments).exits(0);
        if arguments.starts_with("hub invite") {
            line = ended.out;
        }
        if arguments.starts_with("hub revoke") {
            laptop.heph("sync now").exits(1);
        }
    }
    assert!(line.starts_with("https://heph.example.org#"), "{line}");
    let (_, secret) = line.split_once('#').unwrap();
    let line = format!("http://{address}#{secret}");
    laptop.heph("sync join").input(&line).exits(0);
}

#[test]
fn a_machine_becomes_a_spoke_and_leaves_as_the_how_to_says() {
    let machine = Machine::new();
    for section in ["Make a machine a spoke", "Leave a hub, or change it"] {
        for command in commands(HUB, section) {
            let start = machine.heph(arguments(&command));
            match command.split_once("=/etc/ssl/") {
                Some((variable, _)) => start.envs([(variable, "/etc/ssl/ours.pem")]).exits(0),
                None => start.exits(0),
            };
        }
    }
    assert_eq!(
        machine.status()["flags"]["hub-url"],
        "https://other.example.org"
    );
}

#[test]
fn a_machine_logs_in_and_out_as_the_how_to_says() {
    let issuer = Bent::start(json!({ "opaque": false, "id_life": 3600, "renews_id": true }));
    let hub = hub(&issuer.url(), "hub");
    let machine = Machine::new();
    let mut lines = Vec::new();
    for section in ["Log in", "Check the login", "Log out"] {
        lines.extend(commands(LOGIN, section));
    }
    // The guide shows the login before what is set once for it.
    lines.sort_by_key(|line| !line.contains("daemon restart"));
    machine
        .heph(&[
            "daemon",
            "start",
            "--hub-url",
            &hub.url(),
            "--oidc-issuer",
            &issuer.url(),
            "--oidc-client-id",
            "x",
        ])
        .exits(0);
    for line in lines {
        let line = line.replace("https://id.example.org", &issuer.url());
        if line.contains("auth logout") {
            machine.add("while logged in");
            machine.sync();
        }
        machine.heph(arguments(&line)).exits(0);
    }
    machine.heph("sync now").exits(1).complains("not logged in");
}
