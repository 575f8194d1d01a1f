//! Generated units, judged by systemd itself.

use std::fs;
use std::path::Path;
use std::time::Duration;

use heph::paths::Paths;
use heph::platform::schedule::Scheduler;
use heph::platform::schedule::cadence::{Cadence, Trigger};
use heph::platform::schedule::job::{Invocation, Job};

use super::SHELL;
use crate::support::call::{Call, Ended, Words};
use crate::support::files::script;
use crate::support::home::ODD_NAME;

const CADENCES: [&str; 8] = [
    "every 1m",
    "every 90s",
    "every 61s",
    "every 45m",
    "every 6h",
    "every 7h",
    "every 2d",
    "at 00:00,03:30,23:59",
];

fn analyze(folder: &Path, words: &(impl Words + ?Sized)) -> Ended {
    let environment = [
        ("PATH", Path::new("/usr/bin:/bin")),
        ("TZ", Path::new("UTC")),
        ("HOME", folder),
        ("XDG_RUNTIME_DIR", folder),
    ];
    Call::clean("systemd-analyze", environment)
        .args(words)
        .exits(0)
}

#[test]
fn systemd_accepts_every_unit() {
    let folder = tempfile::tempdir().unwrap();
    for (name, cadence) in ["plain", " two  spaces ", "$HOME ${x} $$", ODD_NAME]
        .into_iter()
        .flat_map(|name| CADENCES.map(|cadence| (name, cadence)))
    {
        let home = folder.path().join(name);
        let job = Job {
            invocation: Invocation {
                program: home.join("heph"),
                config: Some(home.join("config.toml")),
                notify_only: cadence.contains("at"),
                environment: SHELL
                    .map(|(name, value)| (name.into(), value.into()))
                    .into(),
                log: home.join("self-update.log"),
            },
            cadence: Cadence::parse(cadence).unwrap(),
        };
        script(&job.invocation.program, "");
        let paths = Paths::in_home(&home);
        let units = Scheduler::Systemd.plan(&job, &paths).unwrap();
        // Under a plain path: how systemd-analyze is given the files is not what is tested.
        for unit in &units {
            fs::write(
                folder.path().join(unit.path.file_name().unwrap()),
                &unit.text,
            )
            .unwrap();
        }
        let [service, timer] = ["heph-self-update.service", "heph-self-update.timer"]
            .map(|unit| folder.path().join(unit));
        let arguments = [
            "--user",
            "verify",
            service.to_str().unwrap(),
            timer.to_str().unwrap(),
        ];
        let said = analyze(folder.path(), &arguments).err;
        assert!(
            !said.contains("heph-self-update"),
            "{name}, {cadence}: {said}"
        );
    }
}

#[test]
fn systemd_reads_calendar_events_as_they_are_meant() {
    let folder = tempfile::tempdir().unwrap();
    let divisors = (60..=86400).filter(|seconds| 86400 % seconds == 0);
    let mut checked = 0;
    for seconds in divisors {
        let cadence = Cadence::every(Duration::from_secs(seconds)).unwrap();
        let Trigger::Calendar(events) = cadence.systemd() else {
            continue;
        };
        // Several events: systemd-analyze lists the times of each.
        let count = 2 * 86400 / seconds / events.len() as u64 + 1;
        let iterations = format!("--iterations={count}");
        let mut arguments = vec![
            "calendar",
            "--base-time=2026-11-21 00:00:00 UTC",
            &iterations,
        ];
        arguments.extend(events.iter().map(String::as_str));
        let said = analyze(folder.path(), &arguments).out;
        let mut times: Vec<u64> = said.lines().filter_map(time_in).collect();
        times.sort_unstable();
        times.truncate(86400 / seconds as usize);
        let expected: Vec<u64> = (1..=86400 / seconds).map(|n| n * seconds).collect();
        assert_eq!(times, expected, "{seconds} s: {events:?}");
        checked += 1;
    }
    assert!(checked > 40, "{checked}");
}

/// Returns the seconds since 2026-11-21 of a line such as `Iter. #2: Sat 2026-11-21 06:00:00 UTC`.
fn time_in(line: &str) -> Option<u64> {
    let (label, time) = line.trim().split_once(": ")?;
    if !label.starts_with("Next elapse") && !label.starts_with("Iter") {
        return None;
    }
    let mut words = time.split(' ').skip(1);
    let day: u64 = words.next()?.strip_prefix("2026-11-")?.parse().ok()?;
    let clock: Vec<u64> = words
        .next()?
        .split(':')
        .map(|part| part.parse().unwrap())
        .collect();
    Some((day - 21) * 86400 + clock[0] * 3600 + clock[1] * 60 + clock[2])
}
