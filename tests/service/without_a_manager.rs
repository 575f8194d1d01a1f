//! Where nothing manages services.

use std::fs;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::eventually;
use crate::support::old::home::Home;
use crate::support::old::managed::Machine;

/// A user without a user manager: there is no such runtime folder.
struct Lonely {
    home: Home,
    runtime: tempfile::TempDir,
}

impl Lonely {
    fn new() -> Lonely {
        Lonely {
            home: Home::new(),
            runtime: tempfile::tempdir().unwrap(),
        }
    }
}

impl Machine for Lonely {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.home.heph(arguments);
        command.env("XDG_RUNTIME_DIR", self.runtime.path());
        command
    }
}

#[test]
fn every_verb_that_needs_a_manager_says_what_to_run_instead() {
    let lonely = Lonely::new();
    for verb in ["start", "stop", "restart", "uninstall"] {
        lonely
            .heph(&["daemon", verb])
            .exits(1)
            .complains("no service manager")
            .complains("run `hephd` by hand");
    }
    lonely.home.configure("service-manager = \"none\"\n");
    lonely
        .heph(&["daemon", "start"])
        .exits(1)
        .complains("config.toml")
        .complains("run `hephd` by hand");
    lonely.home.configure("service-manager = \"systemd\"\n");
    lonely
        .heph(&["daemon", "start"])
        .exits(1)
        .complains("does not answer")
        .complains("XDG_RUNTIME_DIR");
    let status = lonely.status();
    let problem = status["problem"].as_str().unwrap();
    assert!(problem.contains("does not answer"), "{problem}");
}

#[test]
fn status_and_logs_work_all_the_same() {
    let lonely = Lonely::new();
    let status = lonely.status();
    assert_eq!(status["manager"], json!(null));
    assert_eq!(status["installed"], json!(false));
    assert_eq!(status["running"], json!(false));
    lonely
        .heph(&["daemon", "status"])
        .exits(0)
        .says("not running")
        .says("no service manager");

    let mut by_hand = lonely
        .home
        .command(lonely.home.bin().join("hephd"))
        .env("XDG_RUNTIME_DIR", lonely.runtime.path())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("hephd answers", || {
        lonely.status()["running"] == json!(true)
    });
    let status = lonely.status();
    assert_eq!(status["managed"], json!(false));
    assert_eq!(status["pid"], json!(by_hand.id()));
    kill_process(Pid::from_child(&by_hand), Signal::TERM).unwrap();
    by_hand.wait().unwrap();

    fs::write(lonely.home.data().join("hephd.log"), "a line\n").unwrap();
    lonely.heph(&["daemon", "logs"]).exits(0).says("a line");
}
