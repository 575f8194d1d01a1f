//! Under a real systemd user manager.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::{Recording, files_below, script, with_shell, within};
use crate::support::manager::UserManager;
use crate::support::old::home::{Ended, ODD_NAME, run};

const SERVICE: &str = "heph-self-update.service";
const TIMER: &str = "heph-self-update.timer";

struct User {
    // Dropped first: the manager ends before its home goes.
    manager: UserManager,
    recording: Recording,
}

impl User {
    fn new() -> User {
        User::named("home", "")
    }

    fn named(name: &str, settings: &str) -> User {
        let recording = Recording::new(name, settings);
        User {
            manager: UserManager::start(&recording.0.path),
            recording,
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.manager.command(self.recording.0.bin().join("heph"));
        command.arg("self-update").args(arguments);
        command
    }

    #[track_caller]
    fn heph(&self, arguments: &[&str]) -> Ended {
        run(self.command(arguments))
    }

    fn unit(&self, name: &str) -> PathBuf {
        self.recording
            .0
            .path
            .join(".config/systemd/user")
            .join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.unit(name)).unwrap()
    }
}

#[test]
fn the_job_sees_what_was_baked_and_disable_leaves_no_trace() {
    let user = User::named(ODD_NAME, "");
    run(with_shell(user.command(&["enable"])))
        .exits(0)
        .says("self-update is on: installs new releases every 6h, through systemd")
        .says("next run: ");
    let property = |unit, name| user.manager.property(unit, name);
    assert_eq!(property(TIMER, "ActiveState"), "active");
    assert_eq!(property(TIMER, "UnitFileState"), "enabled");
    assert_eq!(property(SERVICE, "Nice"), "19");
    assert_eq!(property(SERVICE, "TimeoutStartUSec"), "3h");
    assert_eq!(user.recording.seen(), None, "nothing runs at once");

    let output = user.manager.systemctl(&["start", SERVICE]);
    let log = || fs::read_to_string(user.recording.log()).unwrap_or_default();
    assert!(output.status.success(), "{output:?} {}", log());
    let seen = user.recording.seen().unwrap();
    assert_eq!(seen.arguments, ["self-update", "apply", "--scheduled"]);
    for (name, value) in user.recording.baked() {
        assert_eq!(seen.environment.get(&name), Some(&value), "{name}");
    }
    let cargo = format!("{}:", std::path::Path::new("/ends in \\/bin").display());
    assert!(seen.environment["PATH"].starts_with(&cargo), "{seen:?}");
    assert!(!seen.environment.contains_key("SECRET_TOKEN"));
    assert_eq!(log(), "recorded\n");

    user.heph(&["disable"])
        .exits(0)
        .says("self-update is off: removed from systemd");
    assert_eq!(property(TIMER, "LoadState"), "not-found");
    assert_eq!(property(SERVICE, "LoadState"), "not-found");
    let home = &user.recording.0.path;
    let left = files_below(home).into_iter();
    let left: Vec<_> = left
        .filter(|file| file.to_string_lossy().contains("self-update"))
        .collect();
    assert_eq!(left, [] as [PathBuf; 0]);
    user.heph(&["disable"]).exits(0).says("off already");
}

#[test]
fn the_timer_fires_by_itself() {
    let user = User::new();
    user.heph(&["enable", "--every", "60s", "--notify-only"])
        .exits(0)
        .says("tells of new releases every 1m");
    fs::write(user.recording.job().join("status"), "100").unwrap();
    within(Duration::from_secs(100), "a run", || {
        user.recording.seen().is_some()
    });
    let seen = user.recording.seen().unwrap();
    assert_eq!(seen.arguments, ["self-update", "check", "--scheduled"]);
    // A newer release is no failure.
    within(Duration::from_secs(10), "the end of the run", || {
        user.manager.property(SERVICE, "ExecMainStatus") == "100"
    });
    assert_eq!(user.manager.property(SERVICE, "Result"), "success");
}

#[test]
fn an_unreachable_forge_is_no_failed_unit_but_a_failed_update_is() {
    let user = User::new();
    user.heph(&["enable"]).exits(0);
    for (status, works) in [("75", true), ("1", false), ("3", false), ("100", false)] {
        fs::write(user.recording.job().join("status"), status).unwrap();
        let output = user.manager.systemctl(&["start", SERVICE]);
        assert_eq!(output.status.success(), works, "{status}");
    }
    // A failed run leaves a trace in the manager, which goes too.
    user.heph(&["disable"]).exits(0);
    assert_eq!(user.manager.property(SERVICE, "ActiveState"), "inactive");
}

#[test]
fn a_second_enable_changes_only_what_is_passed() {
    let user = User::new();
    let settings = user.recording.0.path.join("other.toml");
    let folder = user.recording.job();
    fs::write(
        &settings,
        format!(
            "[self-update]\nbin-dir = \"{}\"\nevery = \"8h\"\n",
            folder.display()
        ),
    )
    .unwrap();
    let other = settings.to_str().unwrap();
    user.heph(&["enable", "--config", other, "--notify-only"])
        .exits(0)
        .says("tells of new releases every 8h");
    let service = user.text(SERVICE);
    assert!(service.contains("\"--config\""), "{service}");

    user.heph(&["enable", "--at", "15:30,3:30"])
        .exits(0)
        .says("tells of new releases at 03:30,15:30");
    assert_eq!(user.text(SERVICE), service);
    assert!(
        user.manager
            .property(TIMER, "TimersCalendar")
            .contains("15:30:00")
    );

    user.heph(&["enable", "--notify-only=false"])
        .exits(0)
        .says("installs new releases at 03:30,15:30");
    assert_ne!(user.text(SERVICE), service);

    let written = |name| fs::metadata(user.unit(name)).unwrap().modified().unwrap();
    let before = [written(SERVICE), written(TIMER)];
    user.heph(&["enable"])
        .exits(0)
        .says("on already: installs new releases at 03:30,15:30");
    assert_eq!([written(SERVICE), written(TIMER)], before);
    assert_eq!(user.manager.property(TIMER, "ActiveState"), "active");
}

#[test]
fn enabling_again_starts_a_timer_that_was_stopped() {
    let user = User::new();
    user.heph(&["enable"]).exits(0);
    user.manager.systemctl(&["disable", "--now", TIMER]);
    user.heph(&["enable"]).exits(0);
    assert_eq!(user.manager.property(TIMER, "ActiveState"), "active");
    assert_eq!(user.manager.property(TIMER, "UnitFileState"), "enabled");
}

#[test]
fn enabling_after_disabling_does_not_run_at_once() {
    let user = User::new();
    user.heph(&["enable"]).exits(0);
    let home = &user.recording.0.path;
    let stamp = home
        .join(".local/share/systemd/timers")
        .join(format!("stamp-{TIMER}"));
    assert!(stamp.exists(), "systemd records the runs of this timer");
    user.heph(&["disable"]).exits(0);
    assert!(!stamp.exists());
}

#[test]
fn a_hand_made_unit_is_left_alone_unless_forced() {
    let user = User::new();
    script(&user.unit(TIMER), "[Timer]\nOnCalendar=daily\n");
    for command in ["enable", "disable"] {
        user.heph(&[command])
            .exits(1)
            .complains("not made by heph")
            .complains("--force");
    }
    assert!(!user.unit(SERVICE).exists());
    assert_eq!(user.text(TIMER), "[Timer]\nOnCalendar=daily\n");
    user.heph(&["enable", "--force"]).exits(0);
    assert!(user.text(TIMER).contains("Made by heph"));
}

#[test]
fn a_bin_dir_without_heph_is_refused() {
    let user = User::new();
    fs::remove_file(user.recording.job().join("heph")).unwrap();
    user.heph(&["enable"])
        .exits(1)
        .complains("hint: ")
        .complains("bin-dir");
    assert!(!user.unit(SERVICE).exists());
}

#[test]
fn intervals_that_are_too_short_and_two_cadences_are_wrong_usage() {
    let user = User::new();
    user.heph(&["enable", "--every", "59s"])
        .exits(2)
        .complains("too often");
    user.heph(&["enable", "--at", "24:00"])
        .exits(2)
        .complains("time of day");
    user.heph(&["enable", "--at", "03:30", "--every", "6h"])
        .exits(2)
        .complains("cannot be used with");
    assert!(!user.unit(SERVICE).exists());
}

#[test]
fn lingering_that_is_off_is_warned_of() {
    let user = User::new();
    let tools = user.recording.0.path.join("tools");
    script(&tools.join("id"), "#!/bin/sh\necho nobody-here\n");
    for (linger, warned) in [("no", true), ("yes", false)] {
        script(
            &tools.join("loginctl"),
            &format!("#!/bin/sh\necho Linger={linger}\n"),
        );
        let mut command = user.command(&["enable"]);
        command.env("PATH", format!("{}:/usr/bin:/bin", tools.display()));
        let ended = run(command).exits(0);
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
    let user = User::new();
    user.heph(&["enable", "--every", "12h"]).exits(0);
    // A crontab for tests: one file.
    let tools = user.recording.0.path.join("tools");
    let table = user.recording.0.path.join("table");
    script(
        &tools.join("crontab"),
        &format!(
            "#!/bin/sh\ncase $1 in\n-l) cat '{0}' 2>/dev/null || {{ echo no crontab for me >&2; exit 1; }} ;;\n-r) rm '{0}' ;;\n-) cat >'{0}' ;;\nesac\n",
            table.display(),
        ),
    );
    let other = user.recording.0.path.join("cron.toml");
    let folder = user.recording.job();
    fs::write(
        &other,
        format!(
            "service-manager = \"none\"\n[self-update]\nbin-dir = \"{}\"\n",
            folder.display()
        ),
    )
    .unwrap();
    let with_tools = |arguments: &[&str]| {
        let mut command = user.command(arguments);
        command.env("PATH", format!("{}:/usr/bin:/bin", tools.display()));
        run(command)
    };
    with_tools(&["enable", "--config", other.to_str().unwrap()])
        .exits(0)
        .says("every 12h, through cron");
    assert!(!user.unit(TIMER).exists());
    assert_eq!(user.manager.property(TIMER, "LoadState"), "not-found");
    assert!(
        fs::read_to_string(&table)
            .unwrap()
            .contains("-23/12 * * * ")
    );

    with_tools(&["enable"])
        .exits(0)
        .says("every 12h, through systemd");
    assert!(!table.exists(), "the crontab is as empty as it was");
    assert!(user.unit(TIMER).exists());
}
