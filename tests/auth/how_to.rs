//! The how-to guides about hubs and logins, followed line by line: what a person would type, on machines with systemd.

use serde_json::json;

use super::bearer::{Bent, hub};
use crate::support::call::Ended;
use crate::support::machine::Machine;
use crate::support::node::free_address;
use crate::support::provider::{Browser, Provider};

const HUB: &str = include_str!("../../docs/how-to/hub.md");
const LOGIN: &str = include_str!("../../docs/how-to/login.md");

/// The sections with commands, each of which a test below follows to its last line.
const FOLLOWED: [(&str, &[&str]); 2] = [
    (
        HUB,
        &[
            "Run a hub",
            "Without a provider",
            "Make a machine a spoke",
            "Log in",
            "Check the state",
            "When the hub deletes too much",
            "Leave a hub, or change it",
        ],
    ),
    (LOGIN, &["Log in", "Check the login", "Log out"]),
];

/// Returns a section of a document.
fn section<'a>(document: &'a str, name: &str) -> &'a str {
    let (_, after) = document
        .split_once(&format!("\n## {name}\n"))
        .unwrap_or_else(|| panic!("there is no section '{name}'"));
    after.split("\n## ").next().unwrap()
}

/// Returns the commands of a section that are shown with their output, and the lines of that.
fn shown<'a>(document: &'a str, name: &str) -> Vec<(&'a str, Vec<&'a str>)> {
    let mut shown: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut is_output = false;
    for line in section(document, name).lines() {
        match line.strip_prefix("    ") {
            Some(line) if line.starts_with("$ ") => {
                shown.push((&line[2..], Vec::new()));
                is_output = true;
            }
            Some(line) if is_output => shown.last_mut().unwrap().1.push(line),
            Some(_) => {}
            None => is_output = false,
        }
    }
    shown
}

/// Asserts that `ended` printed the first column of each of these lines.
#[track_caller]
fn says_all(ended: Ended, output: &[&str]) {
    let labels = output.iter().map(|line| line.split("  ").next().unwrap());
    labels.fold(ended, Ended::says);
}

/// Returns the command lines in a section of a document.
fn commands(document: &str, name: &str) -> Vec<String> {
    let section = section(document, name);
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
fn no_command_of_the_how_tos_is_left_out() {
    for (document, followed) in FOLLOWED {
        let sections = document.split("\n## ").skip(1);
        for text in sections {
            let (name, text) = text.split_once('\n').unwrap();
            let has_code = text.lines().any(|line| line.starts_with("    "));
            assert_eq!(has_code, followed.contains(&name), "section '{name}'");
            if !has_code {
                continue;
            }
            // What is indented is a command, or the output below one with a prompt.
            let output: usize = shown(document, name)
                .iter()
                .map(|(_, lines)| lines.len())
                .sum();
            let code = text.lines().filter(|line| line.starts_with("    ")).count();
            assert_eq!(
                code - output,
                commands(document, name).len(),
                "section '{name}'"
            );
        }
    }
}

#[test]
fn a_hub_with_a_provider_is_set_up_used_and_left_as_the_how_tos_say() {
    let provider = Provider::start();
    provider.set(json!({ "audience": "heph" }));
    let (hub, laptop) = (Machine::new(), Machine::new());
    let address = free_address();
    let here = |command: &str| {
        command
            .replace("127.0.0.1:7345", &address)
            .replace("https://id.example.org", &provider.issuer)
            .replace("https://heph.example.org", &format!("http://{address}"))
    };
    for command in commands(HUB, "Run a hub") {
        hub.heph(arguments(&here(&command))).exits(0);
    }
    // The other ones of this section are for other networks.
    let become_spoke = &commands(HUB, "Make a machine a spoke")[0];
    laptop.heph(arguments(&here(become_spoke))).exits(0);
    for command in commands(HUB, "Log in") {
        let run = laptop.heph(arguments(&here(&command)));
        if !command.contains("auth login") {
            run.exits(0);
            continue;
        }
        let mut login = run.start();
        Browser::of("alice").confirm(&login.line("user_code="));
        let login = login.ends().exits(0);
        let (_, output) = &shown(LOGIN, "Log in")[0];
        for line in output.iter().filter(|line| !line.starts_with(' ')) {
            let words: Vec<_> = line.split(' ').take(2).collect();
            assert!(login.out.contains(&words.join(" ")), "{line}: {login}");
        }
    }
    laptop.add("one");
    laptop.sync();

    let mut states = shown(HUB, "Check the state").into_iter();
    let mut next = || states.next().unwrap();
    let (command, output) = next();
    let state = laptop.heph(arguments(command)).exits(0);
    says_all(state, &output);
    hub.heph("daemon stop").exits(0);
    laptop.add("two");
    laptop.heph("sync now").exits(75);
    let (command, output) = next();
    let state = laptop.heph(arguments(command)).exits(0);
    says_all(state, &output);
    hub.heph("daemon start").exits(0);
    laptop.sync();
    let (command, output) = next();
    let state = hub.heph(arguments(command)).exits(0);
    for heading in output[0]
        .split("  ")
        .map(str::trim)
        .filter(|word| !word.is_empty())
    {
        assert!(state.out.contains(heading), "{heading}: {state}");
    }
    let (command, output) = next();
    let synced = laptop.heph(arguments(command)).exits(0);
    synced.says(output[0].split(" 17").next().unwrap());
    assert_eq!(states.next(), None);

    let (command, output) = &shown(LOGIN, "Check the login")[0];
    let state = laptop.heph(arguments(command)).exits(0);
    says_all(state, output);
    let (command, output) = &shown(LOGIN, "Log out")[0];
    let out = laptop.heph(arguments(command)).exits(0);
    out.says(output[0].split(" https").next().unwrap());
    laptop.heph("sync now").exits(1).complains("not logged in");
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

#[test]
fn what_a_hub_deleted_comes_back_as_the_how_to_says() {
    let (hub, laptop) = (Machine::new(), Machine::new());
    let address = free_address();
    let start = format!("daemon start --mode server --http-addr {address}");
    hub.heph(&start).exits(0);
    let start = format!("daemon start --hub-url http://{address}");
    laptop.heph(&start).exits(0);
    let ids: Vec<_> = (0..22).map(|_| laptop.add("kept")).collect();
    laptop.sync();
    for id in &ids {
        hub.heph(&format!("delete {id}")).exits(0);
    }
    laptop.heph("sync now").ends();
    assert_eq!(laptop.titles().len(), 22, "the deletions wait");
    for command in commands(HUB, "When the hub deletes too much") {
        let command = command.replace("01M7Y0ZG54RPNVDFMBJC41RFS7", &ids[0]);
        laptop.heph(arguments(&command)).exits(0);
        let left = if command.contains("--accept-deletes") {
            0
        } else {
            22
        };
        assert_eq!(laptop.titles().len(), left, "{command}");
    }
}
