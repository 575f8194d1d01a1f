//! cron: a marked block in the user's crontab, and the script that its lines start.
//!
//! The lines do not hold the job itself. Vixie cron and its heirs silently cut a command after 999 bytes (`MAX_COMMAND` in
//! their `cron.h`), and one PATH can be longer than that. So they start a script, which holds the variables and the command.
//!
//! The block stands first in the crontab: variables that the user sets there, such as SHELL or CRON_TZ, hold for the
//! lines below them only, and so do not reach it.

use std::path::PathBuf;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::backend::{Backend, source};
use super::job::Job;
use crate::error::{Result, ensure};
use crate::os::clock;
use crate::paths::Paths;
use crate::platform::cron::{self, Crontab};
use crate::platform::generated::{self, FileState, Format, Planned, Values, check_path};
use crate::platform::legacy;

const FORMAT: Format<Job> = Format {
    template: include_str!("../../../templates/self-update-job.sh"),
    // A proxy's address may hold a password.
    mode: 0o700,
    values,
    legacy: Some(|text| Job::try_from(legacy::script(text)?)),
};

fn values(job: &Job) -> Result<Values> {
    let command = job.invocation.command()?;
    let mut values = vec![
        ("cadence", job.cadence.to_string()),
        ("log", shlex::try_quote(job.invocation.log()?)?.into_owned()),
        (
            "command",
            shlex::try_join(command.iter().map(String::as_str))?,
        ),
    ];
    for (name, value) in job.invocation.environment()? {
        values.push(("variable", format!("{name}={}", shlex::try_quote(value)?)));
    }
    Ok(values)
}

/// The user's cron.
pub(super) struct Cron {
    script: PathBuf,
    /// The machine's own, which spreads many machines over an interval.
    number: u64,
}

impl Cron {
    pub fn new(paths: &Paths, number: u64) -> Cron {
        Cron {
            script: paths.hephd.data.join("self-update-job.sh"),
            number,
        }
    }

    /// Returns the lines between the markers of the crontab.
    pub fn block(&self, job: &Job) -> Result<Vec<String>> {
        let script = check_path("the path of the job's script", &self.script)?;
        let command = cron::quote(script);
        let fits = command.len() <= cron::LONGEST_COMMAND;
        ensure!(fits, "the path '{script}' is too long for a crontab");
        let comment = "# Made by heph. To change it: `heph self-update enable`. To remove it: `heph self-update disable`.";
        let mut lines = vec![comment.to_owned()];
        let times = job.cadence.cron(self.number)?.into_iter();
        lines.extend(times.map(|fields| format!("{fields} {command}")));
        Ok(lines)
    }
}

impl Backend for Cron {
    fn files(&self) -> Result<Vec<(PathBuf, FileState)>> {
        let file = FORMAT.read(&self.script)?;
        Ok(vec![(file.path, file.state)])
    }

    fn read(&self) -> Result<Option<Job>> {
        source(FORMAT.read(&self.script)?)
    }

    fn plan(&self, job: &Job) -> Result<Vec<Planned>> {
        self.block(job)?;
        Ok(vec![FORMAT.plan(self.script.clone(), job)?])
    }

    fn check(&self, job: &Job) -> Result<()> {
        let before = Crontab::find()?.read()?;
        let after = cron::with_block(&before, &self.block(job)?)?;
        cron::check(&before, &after)
    }

    fn load(&self, files: &[Planned], job: &Job) -> Result<bool> {
        let wrote = generated::write(files)?;
        let crontab = Crontab::find()?;
        let before = crontab.read()?;
        let after = cron::with_block(&before, &self.block(job)?)?;
        crontab.replace(&before, &after)?;
        Ok(wrote || after != before)
    }

    fn problem(&self, job: &Job) -> Result<Option<String>> {
        let before = Crontab::find()?.read()?;
        let differs = cron::with_block(&before, &self.block(job)?)? != before;
        Ok(differs.then(|| "the crontab does not hold the block of the timer".to_owned()))
    }

    fn remove(&self) -> Result<bool> {
        let removed = remove_block(self.script.exists())?;
        Ok(generated::remove(&self.script)? || removed)
    }

    fn next_run(&self, job: &Job) -> Option<Timestamp> {
        let now = clock::now().to_zoned(TimeZone::system());
        let next = job.cadence.next_by_cron(self.number, &now)?;
        Some(next.timestamp())
    }
}

fn remove_block(expected: bool) -> Result<bool> {
    // Without the program there is no crontab to hold a block.
    let Ok(crontab) = Crontab::find() else {
        return Ok(false);
    };
    let before = match crontab.read() {
        // A user who may not use cron never had a block.
        Err(_) if !expected => return Ok(false),
        before => before?,
    };
    let after = cron::without_block(&before)?;
    crontab.replace(&before, &after)?;
    Ok(after != before)
}
