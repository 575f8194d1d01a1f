//! Under a real systemd user manager.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::{Recording, with_shell};
use crate::support::files::script;
use crate::support::home::ODD_NAME;
use crate::support::machine::Machine;
use crate::support::wait::within;

const SERVICE: &str = "heph-self-update.service";
const TIMER: &str = "heph-self-update.timer";

fn user(name: &str) -> Machine {
    let user = Machine::named(name);
    user.record("");
    user
}

#[test]
fn the_job_sees_what_was_baked_and_disable_leaves_no_trace() {
    let user = user(ODD_NAME);
    with_shell(user.update("enable"))
        .exits(0)
        .says("self-update is on: installs new releases every 6h, through systemd")
        .says("next run: ");
    let property = |unit, name| user.manager.property(unit, name);
    assert_eq!(property(TIMER, "ActiveState"), "active");
    assert_eq!(property(TIMER, "UnitFileState"), "enabled");
    assert_eq!(property(SERVICE, "Nice"), "19");
    assert_eq!(property(SERVICE, "TimeoutStartUSec"), "3h");
    assert_eq!(user.seen(), None, "nothing runs at once");

    let started = user.manager.systemctl(&["start", SERVICE]);
    assert_eq!(started.code, 0, "{started} {}", user.job_log());
    let seen = user.seen().unwrap();
    assert_eq!(seen.arguments, ["self-update", "apply", "--scheduled"]);
    for (name, value) in user.baked() {
        assert_eq!(seen.environment.get(&name), Some(&value), "{name}");
    }
    let cargo = format!("{}:", std::path::Path::new("/ends in \\/bin").display());
    assert!(seen.environment["PATH"].starts_with(&cargo), "{seen:?}");
    assert!(!seen.environment.contains_key("SECRET_TOKEN"));
    assert_eq!(user.job_log(), "recorded\n");

    user.update("disable")
        .exits(0)
        .says("self-update is off: removed from systemd");
    assert_eq!(property(TIMER, "LoadState"), "not-found");
    assert_eq!(property(SERVICE, "LoadState"), "not-found");
    assert_eq!(user.traces(), [] as [PathBuf; 0]);
    user.update("disable").exits(0).says("off already");
}

#[test]
fn the_timer_fires_by_itself() {
    let user = user("home");
    user.update("enable --every 60s --notify-only")
        .exits(0)
        .says("reports new releases every 1m");
    fs::write(user.job().join("status"), "100").unwrap();
    within(Duration::from_secs(100), "a run", || user.seen().is_some());
    let seen = user.seen().unwrap();
    assert_eq!(seen.arguments, ["self-update", "check", "--scheduled"]);
    // A newer release is no failure.
    within(Duration::from_secs(10), "the end of the run", || {
        user.manager.property(SERVICE, "ExecMainStatus") == "100"
    });
    assert_eq!(user.manager.property(SERVICE, "Result"), "success");
}

#[test]
fn an_unreachable_forge_is_no_failed_unit_but_a_failed_update_is() {
    let user = user("home");
    user.update("enable").exits(0);
    for (status, works) in [("75", true), ("1", false), ("3", false), ("100", false)] {
        fs::write(user.job().join("status"), status).unwrap();
        let started = user.manager.systemctl(&["start", SERVICE]);
        assert_eq!(started.code == 0, works, "{status}");
    }
    // A failed run leaves a trace in the manager, which goes too.
    user.update("disable").exits(0);
    assert_eq!(user.manager.property(SERVICE, "ActiveState"), "inactive");
}

#[test]
fn a_second_enable_changes_only_what_is_passed() {
    let user = user("home");
    user.write("other.toml", user.settings("") + "every = \"8h\"\n");
    user.update("enable --config other.toml --notify-only")
        .exits(0)
        .says("reports new releases every 8h");
    let service = user.unit_text(SERVICE);
    assert!(service.contains("\"--config\""), "{service}");

    user.update("enable --at 15:30,3:30")
        .exits(0)
        .says("reports new releases at 03:30,15:30");
    assert_eq!(user.unit_text(SERVICE), service);
    assert!(
        user.manager
            .property(TIMER, "TimersCalendar")
            .contains("15:30:00")
    );

    user.update("enable --notify-only=false")
        .exits(0)
        .says("installs new releases at 03:30,15:30");
    assert_ne!(user.unit_text(SERVICE), service);

    let written = |name| fs::metadata(user.unit(name)).unwrap().modified().unwrap();
    let before = [written(SERVICE), written(TIMER)];
    user.update("enable")
        .exits(0)
        .says("on already: installs new releases at 03:30,15:30");
    assert_eq!([written(SERVICE), written(TIMER)], before);
    assert_eq!(user.manager.property(TIMER, "ActiveState"), "active");
}

#[test]
fn enabling_again_starts_a_timer_that_was_stopped() {
    let user = user("home");
    user.update("enable").exits(0);
    user.manager.systemctl(&["disable", "--now", TIMER]);
    user.update("enable").exits(0);
    assert_eq!(user.manager.property(TIMER, "ActiveState"), "active");
    assert_eq!(user.manager.property(TIMER, "UnitFileState"), "enabled");
}

#[test]
fn enabling_after_disabling_does_not_run_at_once() {
    let user = user("home");
    user.update("enable").exits(0);
    let stamp = format!(".local/share/systemd/timers/stamp-{TIMER}");
    let stamp = user.path.join(stamp);
    assert!(stamp.exists(), "systemd records the runs of this timer");
    user.update("disable").exits(0);
    assert!(!stamp.exists());
}

#[test]
fn a_hand_made_unit_is_left_alone_unless_forced() {
    let user = user("home");
    user.write(
        ".config/systemd/user/heph-self-update.timer",
        "[Timer]\nOnCalendar=daily\n",
    );
    for command in ["enable", "disable"] {
        user.update(command)
            .exits(1)
            .complains("not made by heph")
            .complains("--force");
    }
    assert!(!user.unit(SERVICE).exists());
    assert_eq!(user.unit_text(TIMER), "[Timer]\nOnCalendar=daily\n");
    user.update("enable --force").exits(0);
    assert!(user.unit_text(TIMER).contains("Made by heph"));
}

#[test]
fn a_bin_dir_without_heph_is_refused() {
    let user = user("home");
    fs::remove_file(user.job().join("heph")).unwrap();
    user.update("enable")
        .exits(1)
        .complains("hint: ")
        .complains("bin-dir");
    assert!(!user.unit(SERVICE).exists());
}

#[test]
fn intervals_that_are_too_short_and_two_cadences_are_wrong_usage() {
    let user = user("home");
    user.update("enable --every 59s")
        .exits(2)
        .complains("too often");
    user.update("enable --at 24:00")
        .exits(2)
        .complains("time of day");
    user.update("enable --at 03:30 --every 6h")
        .exits(2)
        .complains("cannot be used with");
    assert!(!user.unit(SERVICE).exists());
}

#[test]
fn lingering_that_is_off_is_warned_of() {
    let user = user("home");
    let tools = user.path.join("tools");
    script(&tools.join("id"), "echo nobody-here");
    for (linger, warned) in [("no", true), ("yes", false)] {
        script(&tools.join("loginctl"), &format!("echo Linger={linger}"));
        let path = format!("{}:/usr/bin:/bin", tools.display());
        let ended = user.update("enable").env("PATH", path).exits(0);
        assert_eq!(
            ended.err.contains("loginctl enable-linger"),
            warned,
            "{}",
            ended.err
        );
    }
}

#[test]
fn moving_to_cron_and_back_takes_the_cadence_along() {
    let user = user("home");
    user.update("enable --every 12h").exits(0);
    // A crontab for tests: one file.
    let tools = user.path.join("tools");
    let table = user.path.join("table");
    script(
        &tools.join("crontab"),
        &format!(
            "case $1 in\n-l) cat '{0}' 2>/dev/null || {{ echo no crontab for me >&2; exit 1; }} ;;\n-r) rm '{0}' ;;\n*) cat \"$1\" >'{0}' ;;\nesac",
            table.display(),
        ),
    );
    user.write("cron.toml", user.settings("service-manager = \"none\""));
    let with_tools = |words: &str| {
        let path = format!("{}:/usr/bin:/bin", tools.display());
        user.update(words).env("PATH", path)
    };
    with_tools("enable --config cron.toml")
        .exits(0)
        .says("every 12h, through cron");
    assert!(!user.unit(TIMER).exists());
    assert_eq!(user.manager.property(TIMER, "LoadState"), "not-found");
    assert!(
        fs::read_to_string(&table)
            .unwrap()
            .contains("-23/12 * * * ")
    );

    with_tools("enable")
        .exits(0)
        .says("every 12h, through systemd");
    assert!(!table.exists(), "the crontab is as empty as it was");
    assert!(user.unit(TIMER).exists());
}
