//! hephd as a service, with the real `heph` and `hephd`: under a real systemd user manager, under a launchctl that is
//! as awkward as the real one, and without either.

mod flags;
mod launchd;
mod sockets;
mod systemd;
mod unit_files;
mod without_a_manager;

use std::thread;
use std::time::{Duration, Instant};

use crate::support::old::home::run;

/// Waits until `holds` does, and fails the test if it never does.
#[track_caller]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
