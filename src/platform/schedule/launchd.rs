//! launchd: an agent with an interval or times of day.

use std::path::PathBuf;

use jiff::civil::Time;

use super::backend::{Backend, source};
use super::cadence::Cadence;
use super::job::Job;
use crate::error::{Error, Result};
use crate::os::files;
use crate::paths::Paths;
use crate::platform::generated::{self, FileState, Format, Planned, Values};
use crate::platform::launchd::launchctl::Agent;
use crate::platform::launchd::plist::{entries, escape};
use crate::platform::legacy;

pub const LABEL: &str = "org.hephaestus.self-update";

const FORMAT: Format<Job> = Format {
    template: include_str!("../../../templates/org.hephaestus.self-update.plist"),
    // A proxy's address may hold a password.
    mode: files::PRIVATE,
    values,
    legacy: Some(|text| Job::try_from(legacy::agent(text)?)),
};

fn values(job: &Job) -> Result<Values> {
    let mut values = vec![("log", escape(job.invocation.log()?))];
    let command = job.invocation.command()?;
    values.extend(command.iter().map(|word| ("argument", escape(word))));
    values.extend(entries(job.invocation.environment()?));
    let at_load = match &job.cadence {
        Cadence::Every(interval) => {
            let interval = format!("<integer>{}</integer>", interval.as_secs());
            values.push(("interval", interval));
            "<true/>"
        }
        Cadence::At(times) => {
            values.push(("calendar", "<array>".to_owned()));
            values.extend(times.iter().map(|time| ("time", show(*time))));
            values.push(("calendar-end", "</array>".to_owned()));
            "<false/>"
        }
    };
    values.push(("at-load", at_load.to_owned()));
    Ok(values)
}

fn show(time: Time) -> String {
    format!(
        "<dict><key>Hour</key><integer>{}</integer><key>Minute</key><integer>{}</integer></dict>",
        time.hour(),
        time.minute()
    )
}

/// launchd, for the agents of this user.
pub(super) struct Launchd(Agent);

impl Launchd {
    pub fn new(paths: &Paths) -> Launchd {
        Launchd(Agent::new(LABEL, &paths.launch_agents))
    }
}

impl Backend for Launchd {
    fn files(&self) -> Result<Vec<(PathBuf, FileState)>> {
        let file = FORMAT.read(self.0.file())?;
        Ok(vec![(file.path, file.state)])
    }

    fn read(&self) -> Result<Option<Job>> {
        source(FORMAT.read(self.0.file())?)
    }

    fn plan(&self, job: &Job) -> Result<Vec<Planned>> {
        Ok(vec![FORMAT.plan(self.0.file().to_owned(), job)?])
    }

    fn check(&self, _job: &Job) -> Result<()> {
        which::which("launchctl").map(drop).map_err(|_| {
            Error::new("there is no `launchctl` on PATH, so launchd cannot run the timer")
                .with_hint("set service-manager in the settings to the one that this system has")
        })?;
        self.0.check_enabled()
    }

    fn load(&self, files: &[Planned], _job: &Job) -> Result<bool> {
        if files.iter().any(|file| file.is_due) {
            // Before the file is written: if this run is interrupted in between, the next one loads the new file and does
            // not take the job for an up-to-date one.
            self.0.unload()?;
        }
        let wrote = generated::write(files)?;
        if self.0.loaded()?.is_none() {
            self.0.bootstrap(None)?;
        }
        Ok(wrote)
    }

    fn remove(&self) -> Result<bool> {
        // The file may exist without launchd, such as in a home shared with another system.
        let was_loaded = which::which("launchctl").is_ok() && self.0.unload()?.is_some();
        Ok(generated::remove(self.0.file())? || was_loaded)
    }
}
