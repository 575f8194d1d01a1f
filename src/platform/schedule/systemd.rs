//! systemd: a user timer and the oneshot service that it starts.

use jiff::Timestamp;
use serde::Deserialize;

use super::cadence::{Cadence, Trigger};
use super::job::{Environment, Job};
use crate::config::Interval;
use crate::error::{Error, Result, ResultExt, bail};
use crate::os::files;
use crate::paths::Paths;
use crate::platform::generated::{self, Generated, check_path, fill};
use crate::platform::systemd::syntax::{command, escape_specifiers, read_command, settings, split};
use crate::platform::systemd::syntax::{unescape_specifiers, word};
use crate::platform::systemd::systemctl;

/// The unit of the job.
pub const SERVICE: &str = "heph-self-update.service";
/// The unit that starts it.
pub const TIMER: &str = "heph-self-update.timer";

const SERVICE_TEMPLATE: &str = include_str!("../../../templates/heph-self-update.service");
const TIMER_TEMPLATE: &str = include_str!("../../../templates/heph-self-update.timer");
const CADENCE: &str = "# Cadence: ";

/// Returns the units of `job`.
///
/// # Errors
///
/// Units cannot carry one of its values.
pub fn files(job: &Job, paths: &Paths) -> Result<Vec<Generated>> {
    let file = |name: &str, text| Generated {
        path: paths.systemd_units.join(name),
        text,
        // A proxy's address may hold a password.
        mode: files::PRIVATE,
    };
    Ok(vec![
        file(SERVICE, render_service(job, paths)?),
        file(TIMER, render_timer(&job.cadence)),
    ])
}

fn render_service(job: &Job, paths: &Paths) -> Result<String> {
    job.check_env()?;
    let (description, success) = match job.notify_only {
        false => ("Keep heph current", "75"),
        true => ("Look for a new release of heph", "75 100"),
    };
    let variables = job.env.iter();
    let variables = variables.map(|(name, value)| word(&format!("{name}={value}")));
    let log = super::log(paths);
    // The value of StandardOutput= is no list of words: it is not quoted, only specifiers are expanded in it.
    let log = escape_specifiers(check_path("the path of the log", &log)?);
    Ok(fill(
        SERVICE_TEMPLATE,
        &[
            ("description", vec![description.to_owned()]),
            ("command", vec![command(job.program()?, &job.arguments()?)]),
            ("variable", variables.collect()),
            ("success", vec![success.to_owned()]),
            ("log", vec![log]),
        ],
    ))
}

fn render_timer(cadence: &Cadence) -> String {
    let (events, pauses) = match cadence.systemd() {
        Trigger::Calendar(events) => (events, None),
        Trigger::Pauses { boot, between } => (Vec::new(), Some((boot, between))),
    };
    let persistent = pauses.is_none().then(|| "true".to_owned());
    let (boot, between) = pauses.unzip();
    let show = |length| Interval::from(length).to_string();
    fill(
        TIMER_TEMPLATE,
        &[
            ("cadence", vec![cadence.to_string()]),
            ("event", events),
            ("persistent", persistent.into_iter().collect()),
            ("boot", boot.into_iter().map(show).collect()),
            ("between", between.into_iter().map(show).collect()),
            ("spread", vec![show(cadence.spread())]),
            ("accuracy", vec![show(cadence.accuracy())]),
        ],
    )
}

/// Returns the job that the units of `paths` say; `None` where they are not there.
///
/// # Errors
///
/// They cannot be read, or heph did not write them.
pub fn read(paths: &Paths) -> Result<Option<Job>> {
    let (service, timer) = (
        paths.systemd_units.join(SERVICE),
        paths.systemd_units.join(TIMER),
    );
    match (generated::read(&service)?, generated::read(&timer)?) {
        (Some(service_text), Some(timer_text)) => parse(&service_text, &timer_text)
            .with_context(|| super::damaged(&service))
            .map(Some),
        // One of them alone starts nothing.
        _ => Ok(None),
    }
}

fn parse(service: &str, timer: &str) -> Result<Job> {
    let cadence = timer
        .lines()
        .find_map(|line| line.strip_prefix(CADENCE))
        .context("its timer names no cadence")?;
    let mut line = Vec::new();
    let mut env = Environment::new();
    for (key, value) in settings(service, "Service") {
        match key.as_str() {
            "ExecStart" if line.is_empty() => line = read_command(&value)?,
            "ExecStart" => bail!("it starts more than one program"),
            "Environment" => {
                for word in split(&value)? {
                    let word = unescape_specifiers(&word)?;
                    let (name, value) = word.split_once('=').context("a variable without '='")?;
                    env.insert(name.to_owned(), value.to_owned());
                }
            }
            _ => {}
        }
    }
    Job::from_command(&line, Cadence::parse(cadence)?, env)
}

/// Checks that a user manager answers.
///
/// # Errors
///
/// None does.
pub fn check() -> Result<()> {
    systemctl::call(&["show", "--property=Version"]).context(
        Error::new("no systemd user manager answers, so it cannot run the timer").with_hint(
            "log in as this user, not through sudo or su; or use cron: service-manager = \"none\" in the settings",
        ),
    )?;
    Ok(())
}

/// Has systemd read the units again where they changed, and keeps the timer running, now and after every login.
///
/// # Errors
///
/// systemd refused.
pub fn load(changed: bool) -> Result<()> {
    // An earlier run may have written the units and got no further.
    let reload = ["show", "--property=NeedDaemonReload", TIMER, SERVICE];
    let changed = changed || systemctl::call(&reload)?.text().contains("=yes");
    if changed {
        systemctl::call(&["daemon-reload"])?;
    }
    systemctl::call(&["enable", TIMER]).context(
        Error::new("systemd does not take the timer").with_hint(
            "compare XDG_CONFIG_HOME here and in `systemctl --user show-environment`: it is where systemd looks for units",
        ),
    )?;
    // A running timer notices a new cadence only when it is started afresh.
    systemctl::call(&[if changed { "restart" } else { "start" }, TIMER])?;
    Ok(())
}

/// Stops the timer and removes its units. A run under way is left to finish. Returns whether there was any of it.
///
/// # Errors
///
/// A unit cannot be removed, or was made by a person and `force` is not set.
pub fn remove(paths: &Paths, force: bool) -> Result<bool> {
    let units = [TIMER, SERVICE].map(|name| paths.systemd_units.join(name));
    let wanted = paths.systemd_units.join("timers.target.wants").join(TIMER);
    // systemd's record of the last run. Left behind, it would make a timer enabled later start at once.
    let data = paths.hephd.data.parent().unwrap_or(&paths.hephd.data);
    let stamp = data.join("systemd/timers").join(format!("stamp-{TIMER}"));
    let active = || systemctl::call(&["is-active", "--quiet", TIMER]).is_ok();
    if !units.iter().any(|unit| unit.exists()) && wanted.symlink_metadata().is_err() && !active() {
        return Ok(false);
    }
    if !force {
        for unit in &units {
            generated::read(unit)?;
        }
    }
    let answers = systemctl::answers();
    if answers && active() {
        systemctl::call(&["stop", TIMER])?;
    }
    for unit in &units {
        generated::remove(unit, force)?;
    }
    for rest in [&wanted, &stamp] {
        files::remove_file_if_there(rest)
            .with_context(|| format!("cannot remove '{}'", rest.display()))?;
    }
    if answers {
        systemctl::call(&["daemon-reload"])?;
        // Without a failed run to forget, this fails.
        systemctl::run(&["reset-failed", SERVICE]).output()?;
    }
    Ok(true)
}

/// When the timer runs next and ran last, as far as systemd knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// The next run.
    pub next: Option<Timestamp>,
    /// The last run.
    pub last: Option<Timestamp>,
}

/// Returns what the user manager says of the timer: nothing where it does not answer or has no such timer.
pub fn runs() -> Runs {
    systemctl::call(&["list-timers", "--all", "--output=json", TIMER])
        .map(|output| parse_runs(&output.text()))
        .unwrap_or_default()
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
