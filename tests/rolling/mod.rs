//! A hub and two spokes, each updated by `heph self-update apply` while a thousand requests a second reach the hub: none of
//! them fails, and nothing that was acknowledged is lost.

mod load;

use std::net::TcpListener;

use crate::support::old::machine::{Machine, NEW, OLD, Workshop};
use crate::support::releases::Flaw;
use load::{Load, Writer};

#[test]
fn a_hub_and_its_spokes_are_updated_one_by_one_and_nobody_notices() {
    let workshop = Workshop::open();
    let address = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .unwrap()
        .to_string();
    let hub = Machine::new(workshop);
    hub.heph(&[
        "daemon",
        "start",
        "--mode",
        "server",
        "--http-addr",
        &address,
    ])
    .exits(0);
    let spokes = [Machine::beside(&hub), Machine::beside(&hub)];
    for spoke in &spokes {
        let url = format!("http://{address}");
        spoke.heph(&["daemon", "start", "--hub-url", &url]).exits(0);
    }
    workshop.tag(NEW, Flaw::None);
    workshop.publish(NEW);

    let load = Load::on(&hub.socket(), &address);
    let writers: Vec<_> = spokes
        .iter()
        .enumerate()
        .map(|(number, spoke)| Writer::on(&spoke.socket(), number))
        .collect();
    for machine in [&hub, &spokes[0], &spokes[1]] {
        assert_eq!(machine.running().as_deref(), Some(OLD));
        let report = machine
            .heph(&["self-update", "apply", "--json"])
            .exits(0)
            .json();
        assert_eq!(report["outcome"], "updated", "{report}");
        assert_eq!(machine.running().as_deref(), Some(NEW));
    }
    let seen = load.end();
    let mut added = seen.added;
    for writer in writers {
        added.extend(writer.end());
    }
    assert_eq!(seen.failures, Vec::<String>::new(), "of {}", seen.requests);
    tell(seen.requests, seen.rate, seen.longest);
    assert!(seen.requests > 10_000, "the hub was asked all the while");

    // What the first one fetches may not have what the second one sends.
    for spoke in spokes.iter().chain(&spokes) {
        spoke.heph(&["sync", "now"]).exits(0);
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
fn tell(requests: usize, rate: f64, longest: std::time::Duration) {
    eprintln!("{requests} requests, {rate:.0} a second, the longest {longest:?}");
}
