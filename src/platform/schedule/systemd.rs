//! systemd: a user timer and the oneshot service that it starts.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::backend::{Backend, source};
use super::cadence::{Cadence, Trigger};
use super::job::{Invocation, Job};
use crate::config::Interval;
use crate::error::{Error, Result, ResultExt};
use crate::os::files;
use crate::paths::Paths;
use crate::platform::generated::{self, FileState, Format, Planned, Values};
use crate::platform::legacy;
use crate::platform::systemd::syntax::{command, escape_specifiers, variables};
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
    let mut values = vec![
        ("description", description.to_owned()),
        ("command", command(&words[0], &words[1..])),
        ("success", success.to_owned()),
        // No list of words: it is not quoted, and only specifiers are expanded in it.
        ("log", escape_specifiers(invocation.log()?)),
    ];
    values.extend(variables(invocation.environment()?));
    Ok(values)
}

fn timer_values(Timer { cadence }: &Timer) -> Result<Values> {
    let show = |length| Interval::from(length).to_string();
    let mut values = vec![
        ("cadence", cadence.to_string()),
        ("spread", show(cadence.spread())),
        ("accuracy", show(cadence.accuracy())),
    ];
    match cadence.systemd() {
        Trigger::Calendar(events) => {
            values.push(("persistent", "true".to_owned()));
            values.extend(events.into_iter().map(|event| ("event", event)));
        }
        Trigger::Pauses { boot, between } => {
            values.extend([("boot", show(boot)), ("between", show(between))]);
        }
    }
    Ok(values)
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
    pub fn new(paths: &Paths) -> Systemd {
        let folder = &paths.systemd_units;
        let data = paths.hephd.data.with_file_name("systemd");
        Systemd {
            folder: folder.clone(),
            service: folder.join(SERVICE),
            timer: folder.join(TIMER),
            stamp: data.join("timers").join(format!("stamp-{TIMER}")),
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

    fn next_run(&self, _job: &Job) -> Option<Timestamp> {
        /// Microseconds since 1970; 0 or the largest number where no run is planned.
        #[derive(Deserialize)]
        struct Row {
            next: Option<i128>,
        }
        let output = call(&["list-timers", "--all", "--output=json", TIMER]).ok()?;
        let rows: Vec<Row> = serde_json::from_str(&output.text()).ok()?;
        let micros = i64::try_from(rows.first()?.next?).ok()?;
        let next = Timestamp::from_millisecond(micros / 1000).ok()?;
        (micros > 0).then_some(next)
    }
}
