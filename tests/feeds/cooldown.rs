//! `cooldown` gives time to notice: a release is as old as its first sighting here, whatever date the forge gives it.

use heph::config::{self, Interval};

use super::machine::{FORGES, Machine, publish};
use crate::support::forge::{Forge, Published, Speaks, WorkTree};

const DAY: u64 = 24 * 60 * 60;

fn dated(tag: &str, at: &str) -> Published {
    Published {
        at: at.to_owned(),
        ..Published::new(tag)
    }
}

fn with_cooldown(forge: &Forge, kind: config::Forge) -> Machine {
    let mut machine = Machine::of(forge, kind);
    machine.settings.cooldown = Interval::from_secs(3 * DAY);
    machine.wait(30 * DAY);
    machine
}

/// Returns how many days old the newest release is that the feed names.
fn days(machine: &Machine) -> Option<u64> {
    let highest = machine.feed().cached().highest.unwrap();
    let age = machine.feed().age(&highest, machine.now)?;
    Some(age.as_secs() / DAY)
}

#[test]
fn a_release_that_was_first_seen_a_moment_ago_waits_whatever_its_date() {
    for (speaks, kind) in FORGES {
        let forge = Forge::speaking(speaks);
        publish(&forge, ["v1.0.0"]);
        let mut machine = with_cooldown(&forge, kind);
        assert_eq!(machine.asks(), "1.0.0", "{speaks:?}: its date counts");
        forge.publish(dated("v1.1.0", "2020-01-01T00:00:00Z"));
        assert_eq!(machine.asks(), "1.0.0", "{speaks:?}: back-dated");
        assert_eq!(days(&machine), Some(0));
        assert_eq!(machine.wait(3 * DAY - 1).asks(), "1.0.0", "{speaks:?}");
        assert_eq!(machine.wait(1).asks(), "1.1.0", "{speaks:?}: three days");
        assert_eq!(days(&machine), Some(3));
    }
}

#[test]
fn a_date_in_the_future_lets_a_release_wait_longer() {
    for (speaks, kind) in FORGES {
        let forge = Forge::speaking(speaks);
        publish(&forge, ["v1.0.0"]);
        let mut machine = with_cooldown(&forge, kind);
        assert_eq!(machine.asks(), "1.0.0");
        forge.publish(dated("v1.1.0", "2026-02-02T00:00:00Z"));
        assert_eq!(machine.asks(), "1.0.0");
        assert_eq!(machine.wait(4 * DAY).asks(), "1.0.0", "{speaks:?}");
        assert_eq!(machine.wait(DAY).asks(), "1.1.0", "{speaks:?}");
    }
}

#[test]
fn a_lost_record_lets_the_dates_count_once() {
    for (speaks, kind) in FORGES {
        let forge = Forge::speaking(speaks);
        publish(&forge, ["v1.0.0", "v1.1.0"]);
        let machine = with_cooldown(&forge, kind);
        assert_eq!(machine.asks(), "1.1.0", "{speaks:?}");
        let record = machine.state.with_file_name("first-seen.json");
        std::fs::remove_file(&record).unwrap();
        assert_eq!(machine.asks(), "1.1.0", "{speaks:?}: with a cached feed");
        std::fs::write(&record, "garbage").unwrap();
        assert_eq!(machine.asks(), "1.1.0", "{speaks:?}: with garbage");
        forge.publish(dated("v1.2.0", "2020-01-01T00:00:00Z"));
        assert_eq!(machine.asks(), "1.1.0", "{speaks:?}: recorded again");
    }
}

#[test]
fn a_longer_cooldown_or_a_pin_does_not_make_a_release_older() {
    for (speaks, kind) in FORGES {
        let forge = Forge::speaking(speaks);
        publish(&forge, ["v1.0.0"]);
        let mut machine = with_cooldown(&forge, kind);
        assert_eq!(machine.asks(), "1.0.0");
        forge.publish(dated("v1.1.0", "2020-01-01T00:00:00Z"));
        assert_eq!(machine.asks(), "1.0.0");
        machine.settings.cooldown = Interval::from_secs(7 * DAY);
        assert_eq!(machine.asks(), "1.0.0", "{speaks:?}: another cooldown");
        machine.settings.pin = Some("1".parse().unwrap());
        assert_eq!(machine.asks(), "1.0.0", "{speaks:?}: a pin");
    }
}

#[test]
fn tags_of_a_git_remote_count_from_their_first_sighting() {
    let folder = tempfile::tempdir().unwrap();
    let forge = Forge::speaking(Speaks::Git);
    let work = WorkTree::new(folder.path());
    work.commit("one");
    work.tag("v1.0.0");
    forge.push(&work);
    let mut machine = with_cooldown(&forge, config::Forge::Git);
    assert_eq!(machine.asks(), "1.0.0", "there is nothing else to name");
    assert_eq!(days(&machine), Some(0), "it is not old, either");
    machine.wait(3 * DAY);
    assert_eq!(days(&machine), Some(3));
    work.tag("v1.1.0");
    forge.push(&work);
    assert_eq!(machine.asks(), "1.0.0", "the ripe one");
    assert_eq!(machine.wait(3 * DAY).asks(), "1.1.0");
}

#[test]
fn without_a_cooldown_nothing_is_recorded() {
    for (speaks, kind) in FORGES {
        let forge = Forge::speaking(speaks);
        publish(&forge, ["v1.0.0", "nightly"]);
        let machine = Machine::of(&forge, kind);
        assert_eq!(machine.asks(), "1.0.0");
        assert!(!machine.state.with_file_name("first-seen.json").exists());
    }
}
