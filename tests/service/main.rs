//! hephd as a service, with the real `heph` and `hephd`: under a real systemd user manager, under a launchctl that is
//! as awkward as the real one, and without either.
#![allow(
    clippy::unwrap_used,
    reason = "a failure here is a failure of the test"
)]

#[path = "../support/home.rs"]
mod home;
#[path = "../support/manager.rs"]
mod manager;

mod flags;
mod launchd;
mod mac;
mod sockets;
mod systemd;
mod unit_files;
mod user;
mod without_a_manager;

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use home::{Ended, run};
use serde_json::Value;

/// Waits until `holds` does, and fails the test if it never does.
#[track_caller]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Something that can run `heph`.
trait Machine {
    fn command(&self, arguments: &[&str]) -> Command;

    #[track_caller]
    fn heph(&self, arguments: &[&str]) -> Ended {
        run(self.command(arguments))
    }

    #[track_caller]
    fn status(&self) -> Value {
        self.heph(&["daemon", "status", "--json"]).exits(0).json()
    }

    #[track_caller]
    fn pid(&self) -> i64 {
        self.status()["pid"].as_i64().expect("hephd runs")
    }
}
