//! Under a launchctl for tests that is as awkward as the real one.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::{Recording, files_below, script, with_shell, within};
use crate::support::old::home::{Ended, ODD_NAME, run};

struct Mac(Recording);

impl Mac {
    fn named(name: &str) -> Mac {
        let recording = Recording::new(name, "service-manager = \"launchd\"");
        let tools = recording.0.path.join("tools");
        fs::create_dir_all(&tools).unwrap();
        let fake = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/launchctl");
        fs::copy(fake, tools.join("launchctl")).unwrap();
        Mac(recording)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let home = &self.0.0;
        let mut command = home.heph(&["self-update"]);
        let tools = home.path.join("tools");
        let path = format!("{}:/usr/bin:/bin", tools.display());
        command.args(arguments).env("PATH", path);
        command
    }

    #[track_caller]
    fn heph(&self, arguments: &[&str]) -> Ended {
        run(self.command(arguments))
    }

    fn state(&self) -> PathBuf {
        self.0.0.path.join(".fake-launchd")
    }

    fn agent(&self) -> PathBuf {
        let agents = self.0.0.path.join("Library/LaunchAgents");
        agents.join("org.hephaestus.self-update.plist")
    }

    /// Returns the verbs that launchctl was asked since the last call, without `print`.
    fn asked(&self) -> Vec<String> {
        let calls = self.state().join("calls");
        let text = fs::read_to_string(&calls).unwrap_or_default();
        drop(fs::remove_file(calls));
        let verbs = text.lines().filter_map(|line| line.split(' ').next());
        let verbs = verbs.filter(|verb| *verb != "print");
        verbs.map(str::to_owned).collect()
    }
}

#[test]
fn the_job_sees_what_was_baked_and_disable_leaves_no_trace() {
    let mac = Mac::named(ODD_NAME);
    run(with_shell(mac.command(&["enable"])))
        .exits(0)
        .says("self-update is on: installs new releases every 6h, through launchd");
    assert_eq!(mac.asked(), ["bootstrap"]);
    within(Duration::from_secs(10), "a run", || mac.0.seen().is_some());
    let mut seen = mac.0.seen().unwrap();
    assert_eq!(seen.arguments, ["self-update", "apply", "--scheduled"]);
    let path = seen.environment.remove("PATH").unwrap();
    assert!(path.starts_with("/ends in \\/bin:/"), "{path}");
    assert_eq!(seen.environment, mac.0.baked());
    within(Duration::from_secs(10), "the log of the run", || {
        fs::read_to_string(mac.0.log()).is_ok_and(|log| log == "recorded\n")
    });

    mac.heph(&["disable"])
        .exits(0)
        .says("self-update is off: removed from launchd");
    assert_eq!(mac.asked(), ["bootout"]);
    let left = files_below(&mac.0.0.path).into_iter();
    let left: Vec<_> = left
        .filter(|file| file.to_string_lossy().contains("self-update"))
        .collect();
    assert_eq!(left, [] as [PathBuf; 0]);
    mac.heph(&["disable"]).exits(0).says("off already");
    assert_eq!(mac.asked(), [] as [String; 0]);
}

#[test]
fn a_second_enable_changes_only_what_is_passed() {
    let mac = Mac::named("home");
    mac.heph(&["enable", "--at", "03:30", "--notify-only"])
        .exits(0);
    assert_eq!(mac.asked(), ["bootstrap"]);
    mac.heph(&["enable"])
        .exits(0)
        .says("on already: tells of new releases at 03:30");
    assert_eq!(mac.asked(), [] as [String; 0], "nothing is loaded anew");

    // The job is on its way out for a while, and launchd busy for another.
    mac.heph(&["enable", "--every", "7h"])
        .exits(0)
        .says("tells of new releases every 7h");
    let asked = mac.asked();
    assert_eq!(asked[0], "bootout");
    assert!(asked[1..].len() > 1, "{asked:?}");
    assert!(
        asked[1..].iter().all(|verb| verb == "bootstrap"),
        "{asked:?}"
    );
    let agent = fs::read_to_string(mac.agent()).unwrap();
    assert!(agent.contains("<integer>25200</integer>"), "{agent}");
    mac.heph(&["disable"]).exits(0);
}

#[test]
fn times_of_day_do_not_run_at_load() {
    let mac = Mac::named("home");
    mac.heph(&["enable", "--at", "03:30"]).exits(0);
    within(Duration::from_secs(10), "the end of the start", || {
        let job = mac.state().join("gui-timer");
        job.join("loaded").exists() && !job.join("supervisor").exists()
    });
    assert_eq!(mac.0.seen(), None);
}

#[test]
fn without_a_login_on_the_screen_the_user_domain_takes_the_job() {
    let mac = Mac::named("home");
    fs::create_dir_all(mac.state()).unwrap();
    fs::write(mac.state().join("no-gui"), "").unwrap();
    mac.heph(&["enable"]).exits(0);
    assert!(mac.state().join("user-timer/loaded").exists());
    mac.heph(&["disable"]).exits(0);
    assert!(!mac.state().join("user-timer/loaded").exists());
}

#[test]
fn a_hand_made_agent_is_left_alone_unless_forced() {
    let mac = Mac::named("home");
    script(&mac.agent(), "<plist/>\n");
    for command in ["enable", "disable"] {
        mac.heph(&[command])
            .exits(1)
            .complains("not made by heph")
            .complains("--force");
    }
    assert_eq!(mac.asked(), [] as [String; 0]);
    mac.heph(&["enable", "--force"]).exits(0);
    mac.heph(&["disable"]).exits(0);
    assert!(!mac.agent().exists());
}
