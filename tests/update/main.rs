//! Updates on a whole machine: real git over http, real cargo, a real systemd user manager.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

#[path = "../support/disk.rs"]
mod disk;
#[path = "../support/forge.rs"]
mod forge;
#[path = "../support/machine.rs"]
mod machine;
#[path = "../support/manager.rs"]
mod manager;
#[path = "../support/releases.rs"]
mod releases;

mod broken;
mod trouble;
mod upgrade;

use std::path::Path;

use machine::{Machine, Workshop};

/// Returns a machine with hephd running as a service and one task in its store.
fn machine() -> Machine {
    let machine = Machine::serving(workshop());
    machine.add("kept");
    machine
}

fn workshop() -> &'static Workshop {
    Workshop::open(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("workshop"))
}
