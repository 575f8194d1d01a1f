//! A hub and two spokes, each updated by `heph self-update apply` while a thousand requests a second reach the hub: none of
//! them fails, and nothing that was acknowledged is lost.

use std::time::Duration;

use serde_json::Value;

use crate::support::load::{Client, Load};
use crate::support::machine::Machine;
use crate::support::node::free_address;
use crate::support::releases::Flaw;
use crate::support::workshop::{NEW, OLD};

/// How often each of the hub's clients asks: eight of them ask a thousand times a second.
const EVERY: Duration = Duration::from_millis(8);
/// How often somebody adds a task at a spoke.
const NOW_AND_THEN: Duration = Duration::from_millis(100);

#[test]
fn a_hub_and_its_spokes_are_updated_one_by_one_and_nobody_notices() {
    let address = free_address();
    let hub = Machine::with_cargo();
    hub.heph(&format!("daemon start --mode server --http-addr {address}"))
        .exits(0);
    let spokes = [Machine::with_cargo(), Machine::with_cargo()];
    for spoke in &spokes {
        spoke
            .heph(&format!("daemon start --hub-url http://{address}"))
            .exits(0);
    }
    for machine in [&hub, &spokes[0], &spokes[1]] {
        machine.publish(NEW, Flaw::None);
    }

    let by_socket = Client::Bare(hub.socket());
    let by_port = Client::Spoke(address, Value::Null);
    let clients = [vec![by_socket; 4], vec![by_port; 4]].concat();
    let load = Load::of("client", clients, EVERY, 10);
    let writers = spokes.each_ref().map(|spoke| {
        let clients = vec![Client::Heph(spoke.socket())];
        Load::of(spoke.path.to_str().unwrap(), clients, NOW_AND_THEN, 1)
    });
    for machine in [&hub, &spokes[0], &spokes[1]] {
        assert_eq!(machine.running().as_deref(), Some(OLD));
        let report = machine.heph("self-update apply --json").json();
        assert_eq!(report["outcome"], "updated", "{report}");
        assert_eq!(machine.running().as_deref(), Some(NEW));
    }
    let seen = load.end();
    let mut added = seen.added;
    for writer in writers {
        let seen = writer.end();
        assert_eq!(seen.failures, Vec::<String>::new(), "no call may fail");
        added.extend(seen.added);
    }
    assert_eq!(seen.failures, Vec::<String>::new(), "of {}", seen.requests);
    tell(seen.requests, seen.rate, seen.longest);
    assert!(seen.requests > 10_000, "the hub was asked all the while");

    // What the first one fetches may not have what the second one sends.
    for spoke in spokes.iter().chain(&spokes) {
        spoke.sync();
    }
    added.sort();
    for machine in [&hub, &spokes[0], &spokes[1]] {
        let there = machine.titles();
        assert_eq!(there.len(), added.len(), "none is lost, none there twice");
        assert!(
            there == added,
            "every acknowledged task is on every machine"
        );
    }
}

#[allow(clippy::print_stderr, reason = "figures for who looks, and no test")]
fn tell(requests: usize, rate: f64, longest: Duration) {
    eprintln!("{requests} requests, {rate:.0} a second, the longest {longest:?}");
}
