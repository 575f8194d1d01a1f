//! Under a launchctl for tests that is as awkward as the real one.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::{Recording, with_shell};
use crate::support::home::{Home, ODD_NAME};
use crate::support::mac::Mac;
use crate::support::wait::within;

fn mac(name: &str) -> Mac {
    let mac = Mac::of(Home::named(name).with_commands());
    mac.record("service-manager = \"launchd\"");
    mac
}

#[test]
fn the_job_sees_what_was_baked_and_disable_leaves_no_trace() {
    let mac = mac(ODD_NAME);
    with_shell(mac.update("enable"))
        .exits(0)
        .says("self-update is on: installs new releases every 6h, through launchd");
    assert_eq!(mac.asked(), ["bootstrap"]);
    within(Duration::from_secs(10), "a run", || mac.seen().is_some());
    let mut seen = mac.seen().unwrap();
    assert_eq!(seen.arguments, ["self-update", "apply", "--scheduled"]);
    let path = seen.environment.remove("PATH").unwrap();
    assert!(path.starts_with("/ends in \\/bin:/"), "{path}");
    assert_eq!(seen.environment, mac.baked());
    within(Duration::from_secs(10), "the log of the run", || {
        mac.job_log() == "recorded\n"
    });

    mac.update("disable")
        .exits(0)
        .says("self-update is off: removed from launchd");
    assert_eq!(mac.asked(), ["bootout"]);
    assert_eq!(mac.traces(), [] as [PathBuf; 0]);
    mac.update("disable").exits(0).says("off already");
    assert_eq!(mac.asked(), [] as [String; 0]);
}

#[test]
fn a_second_enable_changes_only_what_is_passed() {
    let mac = mac("home");
    mac.update("enable --at 03:30 --notify-only").exits(0);
    assert_eq!(mac.asked(), ["bootstrap"]);
    mac.update("enable")
        .exits(0)
        .says("on already: reports new releases at 03:30");
    assert_eq!(mac.asked(), [] as [String; 0], "nothing is loaded anew");

    // The job is on its way out for a while, and launchd busy for another.
    mac.update("enable --every 7h")
        .exits(0)
        .says("reports new releases every 7h");
    let asked = mac.asked();
    assert_eq!(asked[0], "bootout");
    assert!(asked[1..].len() > 1, "{asked:?}");
    assert!(
        asked[1..].iter().all(|verb| verb == "bootstrap"),
        "{asked:?}"
    );
    let agent = fs::read_to_string(mac.agent("self-update")).unwrap();
    assert!(agent.contains("<integer>25200</integer>"), "{agent}");
    mac.update("disable").exits(0);
}

#[test]
fn times_of_day_do_not_run_at_load() {
    let mac = mac("home");
    mac.update("enable --at 03:30").exits(0);
    within(Duration::from_secs(10), "the end of the start", || {
        let job = mac.launchd().join("gui-timer");
        job.join("loaded").exists() && !job.join("supervisor").exists()
    });
    assert_eq!(mac.seen(), None);
}

#[test]
fn without_a_login_on_the_screen_the_user_domain_takes_the_job() {
    let mac = mac("home").without_a_screen();
    mac.update("enable").exits(0);
    assert!(mac.launchd().join("user-timer/loaded").exists());
    mac.update("disable").exits(0);
    assert!(!mac.launchd().join("user-timer/loaded").exists());
}

#[test]
fn a_hand_made_agent_is_left_alone_unless_forced() {
    let mac = mac("home");
    mac.write(
        "Library/LaunchAgents/org.hephaestus.self-update.plist",
        "<plist/>\n",
    );
    for command in ["enable", "disable"] {
        mac.update(command)
            .exits(1)
            .complains("not made by heph")
            .complains("--force");
    }
    assert_eq!(mac.asked(), [] as [String; 0]);
    mac.update("enable --force").exits(0);
    mac.update("disable").exits(0);
    assert!(!mac.agent("self-update").exists());
}
