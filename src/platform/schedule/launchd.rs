//! launchd: an agent with an interval or times of day.

use super::cadence::{Cadence, TimeOfDay};
use super::job::{Environment, Job};
use crate::error::{Error, Result, ResultExt, bail};
use crate::os::files;
use crate::paths::Paths;
use crate::platform::generated::{self, Generated, check_path, fill};
use crate::platform::launchd::launchctl::Agent;
use crate::platform::launchd::plist::{self, Value, escape};

/// The name of the agent.
pub const LABEL: &str = "org.hephaestus.self-update";

const TEMPLATE: &str = include_str!("../../../templates/org.hephaestus.self-update.plist");

fn agent(paths: &Paths) -> Agent {
    Agent::new(LABEL, &paths.launch_agents)
}

/// Returns the agent of `job`.
///
/// # Errors
///
/// Property lists cannot carry one of its values.
pub fn files(job: &Job, paths: &Paths) -> Result<Vec<Generated>> {
    job.check_env()?;
    let mut arguments = vec![escape(job.program()?)];
    arguments.extend(job.arguments()?.iter().map(|argument| escape(argument)));
    let variables = job.env.iter();
    let variables = variables
        .map(|(name, value)| format!("<key>{name}</key><string>{}</string>", escape(value)));
    let (interval, calendar) = match &job.cadence {
        Cadence::Every(interval) => (
            vec![format!("<integer>{}</integer>", interval.as_secs())],
            vec![],
        ),
        Cadence::At(times) => (vec![], times.iter().map(show_time).collect()),
    };
    let (start, end) = match calendar.is_empty() {
        true => (vec![], vec![]),
        false => (vec!["<array>".to_owned()], vec!["</array>".to_owned()]),
    };
    let at_load = if calendar.is_empty() {
        "<true/>"
    } else {
        "<false/>"
    };
    let log = super::log(paths);
    let log = escape(check_path("the path of the log", &log)?);
    let values = [
        ("argument", arguments),
        ("variable", variables.collect()),
        ("interval", interval),
        ("calendar", start),
        ("time", calendar),
        ("calendar-end", end),
        ("at-load", vec![at_load.to_owned()]),
        ("log", vec![log]),
    ];
    Ok(vec![Generated {
        path: agent(paths).file().to_owned(),
        text: fill(TEMPLATE, &values),
        // A proxy's address may hold a password.
        mode: files::PRIVATE,
    }])
}

fn show_time(time: &TimeOfDay) -> String {
    let TimeOfDay { hour, minute } = time;
    format!(
        "<dict><key>Hour</key><integer>{hour}</integer><key>Minute</key><integer>{minute}</integer></dict>"
    )
}

/// Returns the job that the agent of `paths` says; `None` where it is not there.
///
/// # Errors
///
/// It cannot be read, or heph did not write it.
pub fn read(paths: &Paths) -> Result<Option<Job>> {
    let agent = agent(paths);
    generated::read(agent.file())?
        .map(|text| parse(&text).with_context(|| super::damaged(agent.file())))
        .transpose()
}

fn parse(text: &str) -> Result<Job> {
    let agent = plist::parse(text)?;
    let items = |key| agent.get(key).map(Value::items).unwrap_or_default();
    let command: Vec<String> = items("ProgramArguments")
        .iter()
        .filter_map(Value::text)
        .map(str::to_owned)
        .collect();
    let variables = agent.get("EnvironmentVariables").map(Value::entries);
    let env: Environment = variables
        .unwrap_or_default()
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), value.text()?.to_owned())))
        .collect();
    let number = |value: &Value, key| value.get(key)?.text()?.parse::<u8>().ok();
    let times: Vec<String> = items("StartCalendarInterval")
        .iter()
        .filter_map(|time| {
            Some(format!(
                "{}:{:02}",
                number(time, "Hour")?,
                number(time, "Minute")?
            ))
        })
        .collect();
    let cadence = match agent.get("StartInterval").and_then(Value::text) {
        Some(seconds) => Cadence::parse_every(&format!("{seconds}s"))?,
        None if times.is_empty() => bail!("it holds neither an interval nor times of day"),
        None => Cadence::parse_at(&times.join(","))?,
    };
    Job::from_command(&command, cadence, env)
}

/// Checks that there is a launchd.
///
/// # Errors
///
/// There is none.
pub fn check() -> Result<()> {
    which::which("launchctl").map(drop).map_err(|_| {
        Error::new("there is no `launchctl` on PATH, so launchd cannot run the timer")
            .with_hint("set service-manager in the settings to the one that this system has")
    })
}

/// Unloads the agent where its file is about to change. Were this run cut short in between, the next one would load the
/// new file, and never take the job for one that is up to date.
///
/// # Errors
///
/// launchd keeps it.
pub fn make_way(paths: &Paths) -> Result<()> {
    unload(&agent(paths)).map(drop)
}

/// Has launchd load the agent, unless it is loaded.
///
/// # Errors
///
/// launchd refused.
pub fn load(paths: &Paths) -> Result<()> {
    let agent = agent(paths);
    match agent.loaded()? {
        Some(_) => Ok(()),
        None => agent.boot_in(None),
    }
}

/// Unloads and removes the agent. Returns whether there was any of it.
///
/// # Errors
///
/// launchd keeps it, or the file was made by a person and `force` is not set.
pub fn remove(paths: &Paths, force: bool) -> Result<bool> {
    let agent = agent(paths);
    if !force {
        generated::read(agent.file())?;
    }
    // The file of an agent may be there without launchd, such as in a home shared with another system.
    let loaded = which::which("launchctl").is_ok() && unload(&agent)?;
    Ok(generated::remove(agent.file(), force)? || loaded)
}

fn unload(agent: &Agent) -> Result<bool> {
    match agent.loaded()? {
        None => Ok(false),
        Some((domain, _)) => agent.boot_out(&domain).map(|()| true),
    }
}
