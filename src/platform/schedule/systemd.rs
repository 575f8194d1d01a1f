//! systemd: a user timer and the oneshot service that it starts.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::backend::{Backend, Runs, source};
use super::cadence::{Cadence, Trigger};
use super::job::{Invocation, Job};
use crate::config::Interval;
use crate::error::{Error, Result, ResultExt};
use crate::os::files;
use crate::platform::generated::{self, FileState, Format, Planned, Values};
use crate::platform::legacy;
use crate::platform::systemd::syntax::{command, escape_specifiers, word};
use crate::platform::systemd::systemctl::{self, call};

const SERVICE: &str = "heph-self-update.service";
const TIMER: &str = "heph-self-update.timer";
const UNITS: [&str; 2] = [TIMER, SERVICE];

const SERVICE_FORMAT: Format<Invocation> = Format {
    template: include_str!("../../../templates/heph-self-update.service"),
    // A proxy's address may hold a password.
    mode: files::PRIVATE,
    values: service_values,
    legacy: Some(|text| Invocation::try_from(legacy::service(text)?)),
};

const TIMER_FORMAT: Format<Timer> = Format {
    template: include_str!("../../../templates/heph-self-update.timer"),
    mode: files::PRIVATE,
    values: timer_values,
    legacy: Some(|text| {
        let cadence = Cadence::parse(&legacy::cadence(text)?)?;
        Ok(Timer { cadence })
    }),
};

/// What the timer unit is made from.
#[derive(Serialize, Deserialize)]
struct Timer {
    cadence: Cadence,
}

fn service_values(invocation: &Invocation) -> Result<Values> {
    let (description, success) = match invocation.notify_only {
        false => ("Keep heph current", "75"),
        true => ("Look for a new release of heph", "75 100"),
    };
    let words = invocation.command()?;
    let variables = invocation.environment()?.iter();
    let variables = variables.map(|(name, value)| word(&format!("{name}={value}")));
    Ok(vec![
        ("description", vec![description.to_owned()]),
        ("command", vec![command(&words[0], &words[1..])]),
        ("variable", variables.collect()),
        ("success", vec![success.to_owned()]),
        // No list of words: it is not quoted, and only specifiers are expanded in it.
        ("log", vec![escape_specifiers(invocation.log()?)]),
    ])
}

fn timer_values(Timer { cadence }: &Timer) -> Result<Values> {
    let (events, pauses) = match cadence.systemd() {
        Trigger::Calendar(events) => (events, None),
        Trigger::Pauses { boot, between } => (Vec::new(), Some((boot, between))),
    };
    let persistent = pauses.is_none().then(|| "true".to_owned());
    let (boot, between) = pauses.unzip();
    let show = |length| Interval::from(length).to_string();
    Ok(vec![
        ("cadence", vec![cadence.to_string()]),
        ("event", events),
        ("persistent", persistent.into_iter().collect()),
        ("boot", boot.into_iter().map(show).collect()),
        ("between", between.into_iter().map(show).collect()),
        ("spread", vec![show(cadence.spread())]),
        ("accuracy", vec![show(cadence.accuracy())]),
    ])
}

/// The systemd user manager.
pub(super) struct Systemd {
    folder: PathBuf,
    service: PathBuf,
    timer: PathBuf,
    /// systemd's record of the last run.
    stamp: PathBuf,
}

impl Systemd {
    /// Returns the user manager of this user, whose units are in `folder` and whose data beside heph's folder `data`.
    pub fn new(folder: &Path, data: &Path) -> Systemd {
        let all_data = data.parent().unwrap_or(data);
        Systemd {
            folder: folder.to_owned(),
            service: folder.join(SERVICE),
            timer: folder.join(TIMER),
            stamp: all_data
                .join("systemd/timers")
                .join(format!("stamp-{TIMER}")),
        }
    }
}

impl Backend for Systemd {
    fn files(&self) -> Result<Vec<(PathBuf, FileState)>> {
        let service = SERVICE_FORMAT.read(&self.service)?;
        let timer = TIMER_FORMAT.read(&self.timer)?;
        Ok(vec![
            (service.path, service.state),
            (timer.path, timer.state),
        ])
    }

    fn read(&self) -> Result<Option<Job>> {
        let invocation = source(SERVICE_FORMAT.read(&self.service)?)?;
        let timer = source(TIMER_FORMAT.read(&self.timer)?)?;
        // One of them alone starts nothing.
        Ok(invocation.zip(timer).map(|(invocation, timer)| Job {
            invocation,
            cadence: timer.cadence,
        }))
    }

    fn plan(&self, job: &Job) -> Result<Vec<Planned>> {
        let cadence = job.cadence.clone();
        Ok(vec![
            SERVICE_FORMAT.plan(self.service.clone(), &job.invocation)?,
            TIMER_FORMAT.plan(self.timer.clone(), &Timer { cadence })?,
        ])
    }

    fn check(&self, _job: &Job) -> Result<()> {
        systemctl::check().context(
            Error::new("no systemd user manager answers, so it cannot run the timer").with_hint(
                "log in as this user, not through sudo or su; or use cron: service-manager = \"none\" in the settings",
            ),
        )
    }

    fn load(&self, files: &[Planned], _job: &Job) -> Result<bool> {
        let wrote = generated::write(files)?;
        let changed = systemctl::install(&UNITS, TIMER, wrote)?;
        // A running timer takes up a new cadence only when it is restarted.
        call(&[if changed { "restart" } else { "start" }, TIMER])?;
        Ok(wrote)
    }

    /// A run under way is left to finish.
    fn remove(&self) -> Result<bool> {
        let is_active = call(&["is-active", "--quiet", TIMER]).is_ok();
        let link = self.folder.join("timers.target.wants").join(TIMER);
        let exists = [&self.service, &self.timer, &link]
            .iter()
            .any(|path| path.symlink_metadata().is_ok());
        if !exists && !is_active {
            return Ok(false);
        }
        if is_active {
            call(&["stop", TIMER])?;
        }
        systemctl::uninstall(&self.folder, &UNITS, TIMER, "timers.target")?;
        // Left behind, it would make a timer that is enabled later start at once.
        generated::remove(&self.stamp)?;
        Ok(true)
    }

    fn runs(&self, _job: &Job) -> Runs {
        call(&["list-timers", "--all", "--output=json", TIMER])
            .map(|output| parse_runs(&output.text()))
            .unwrap_or_default()
    }
}

fn parse_runs(json: &str) -> Runs {
    /// Microseconds since 1970; 0 or the largest number where there is none.
    #[derive(Deserialize)]
    struct Row {
        next: Option<i128>,
        last: Option<i128>,
    }
    let time = |micros: Option<i128>| {
        let micros = i64::try_from(micros?).ok().filter(|micros| *micros > 0)?;
        Timestamp::from_millisecond(micros / 1000).ok()
    };
    let rows: Vec<Row> = serde_json::from_str(json).unwrap_or_default();
    rows.first().map_or(Runs::default(), |row| Runs {
        next: time(row.next),
        last: time(row.last),
    })
}
