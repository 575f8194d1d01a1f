//! Updates on a whole machine: real git over http, real cargo, a real systemd user manager.

mod broken;
mod trouble;
mod upgrade;

use crate::support::machine::Machine;

/// Returns a machine with hephd running as a service and one task in its store.
fn machine() -> Machine {
    let machine = Machine::serving();
    machine.add("kept");
    machine
}
