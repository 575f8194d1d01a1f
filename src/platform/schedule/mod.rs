//! The timer that starts `heph self-update`: systemd, launchd or cron.
//!
//! One back end for each scheduler, all with the same verbs, all compiled everywhere and chosen at run time. The generated
//! files are the only record of what the timer does: heph reads them to show it and to change it.
//!
//! Architecture invariant: nothing here knows what the job does when it runs.

mod backend;
pub mod cadence;
mod cron;
pub mod job;
pub(crate) mod launchd;
mod systemd;

use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;

use crate::config::ServiceManager;
use crate::error::Result;
use crate::os::{files, host};
use crate::paths::Paths;
use crate::platform::generated::{self, FileState, Planned};
use crate::platform::systemd::systemctl;
use backend::{BY_HAND, Backend};
use cadence::Cadence;
use job::{Environment, Invocation, Job};

/// The log of the job is emptied beyond so many bytes.
const LOG_LIMIT: u64 = 1 << 20;

/// What can start the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheduler {
    /// A user timer.
    Systemd,
    /// An agent.
    Launchd,
    /// A block in the user's crontab.
    Cron,
}

/// What `enable` changes; `None` keeps what is.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The absolute path of `heph` in bin-dir.
    pub program: PathBuf,
    /// The settings file that `--config` named.
    pub config: Option<PathBuf>,
    /// From [`job::bake_env`]; it always replaces the former one.
    pub environment: Environment,
    pub notify_only: Option<bool>,
    pub cadence: Option<Cadence>,
    /// Whether a new timer only reports releases.
    pub default_notify_only: bool,
    /// When a new timer runs.
    pub default_cadence: Cadence,
    /// Whether files that a person made or edited are replaced.
    pub force: bool,
}

/// A timer that is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Enabled {
    pub scheduler: Scheduler,
    pub job: Job,
    /// Whether anything had to be written.
    pub changed: bool,
}

impl Scheduler {
    const ALL: [Scheduler; 3] = [Scheduler::Systemd, Scheduler::Launchd, Scheduler::Cron];

    /// Returns the scheduler on this machine, given the setting `choice`.
    pub(crate) fn choose(choice: ServiceManager) -> Scheduler {
        let answers = || systemctl::check().is_ok();
        Scheduler::pick(choice, cfg!(target_os = "macos"), answers)
    }

    fn pick(choice: ServiceManager, macos: bool, systemd: impl FnOnce() -> bool) -> Scheduler {
        match choice {
            ServiceManager::Systemd => Scheduler::Systemd,
            ServiceManager::Launchd => Scheduler::Launchd,
            ServiceManager::Auto if macos => Scheduler::Launchd,
            ServiceManager::Auto if systemd() => Scheduler::Systemd,
            _ => Scheduler::Cron,
        }
    }

    pub(super) fn backend(self, paths: &Paths) -> Box<dyn Backend> {
        match self {
            Scheduler::Systemd => Box::new(systemd::Systemd::new(paths)),
            Scheduler::Launchd => Box::new(launchd::Launchd::new(paths)),
            Scheduler::Cron => Box::new(cron::Cron::new(paths, host::stable_number(&paths.home))),
        }
    }

    /// Returns the files of `job` as this heph renders them.
    ///
    /// # Errors
    ///
    /// The scheduler cannot express the cadence, or the files cannot carry a value.
    pub fn plan(self, job: &Job, paths: &Paths) -> Result<Vec<Planned>> {
        self.backend(paths).plan(job)
    }
}

impl fmt::Display for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// Returns the log of the job.
pub(crate) fn log(paths: &Paths) -> PathBuf {
    paths.state.join("self-update.log")
}

/// Empties the job's log where it has grown beyond its limit. Schedulers append to it, so it may be open meanwhile.
pub(crate) fn trim_log(paths: &Paths) {
    let log = log(paths);
    if log
        .metadata()
        .is_ok_and(|metadata| metadata.len() > LOG_LIMIT)
    {
        // A log that stays long is no reason to skip a run.
        drop(std::fs::write(log, ""));
    }
}

/// Returns the job and what starts it, as the generated files say; `None` where the timer is off. Starts no other program.
pub(crate) fn job(choice: ServiceManager, paths: &Paths) -> Result<Option<(Scheduler, Job)>> {
    let first = Scheduler::pick(choice, cfg!(target_os = "macos"), || true);
    for scheduler in [first].into_iter().chain(Scheduler::ALL) {
        if let Some(job) = scheduler.backend(paths).read()? {
            return Ok(Some((scheduler, job)));
        }
    }
    Ok(None)
}

/// Returns when the files of the timer were last written.
pub(crate) fn since(scheduler: Scheduler, paths: &Paths) -> Option<Timestamp> {
    let files = scheduler.backend(paths).files().ok()?;
    let written = files
        .iter()
        .filter_map(|(path, _)| path.metadata().ok()?.modified().ok());
    written.max()?.try_into().ok()
}

/// Returns the next run of `job`, where the scheduler knows it.
pub(crate) fn next_run(scheduler: Scheduler, job: &Job, paths: &Paths) -> Option<Timestamp> {
    scheduler.backend(paths).next_run(job)
}

/// Returns what is wrong with the files of the timer, one sentence each: missing, edited, from another template, or not
/// loaded. `heph self-update enable` repairs it.
pub(crate) fn stale(scheduler: Scheduler, job: &Job, paths: &Paths) -> Result<Vec<String>> {
    let backend = scheduler.backend(paths);
    let mut stale = Vec::new();
    for (path, state) in backend.files()? {
        let what = match state {
            FileState::Current => continue,
            FileState::Absent => "is missing",
            FileState::OlderTemplate => "is from an older version of heph",
            FileState::NewerTemplate => "is from a newer version of heph",
            FileState::Edited => "is edited: `heph self-update enable --force` rewrites it",
            FileState::HandMade => "was not made by heph",
        };
        stale.push(format!("'{}' {what}", path.display()));
    }
    stale.extend(backend.problem(job)?);
    Ok(stale)
}

/// Turns the timer on, or changes it: writes its files, loads it and starts it. What is up to date stays untouched.
pub(crate) fn enable(choice: ServiceManager, paths: &Paths, request: Request) -> Result<Enabled> {
    let scheduler = Scheduler::choose(choice);
    let (before, cadence) = match job(choice, paths) {
        Ok(Some((_, job))) => (Some(job.invocation), Some(job.cadence)),
        Ok(None) => (None, None),
        // What cannot be read has nothing to keep.
        Err(_) if request.force => (None, None),
        Err(error) => return Err(error),
    };
    let mut environment = request.environment;
    if scheduler != Scheduler::Cron {
        // The others set it themselves, and it may change from login to login.
        environment.remove("XDG_RUNTIME_DIR");
    }
    let notify_only = before.as_ref().map(|before| before.notify_only);
    let job = Job {
        invocation: Invocation {
            program: request.program,
            config: request.config.or_else(|| before?.config),
            notify_only: request
                .notify_only
                .or(notify_only)
                .unwrap_or(request.default_notify_only),
            environment,
            log: log(paths),
        },
        cadence: request
            .cadence
            .or(cadence)
            .unwrap_or(request.default_cadence),
    };
    let backend = scheduler.backend(paths);
    let planned = backend.plan(&job)?;
    backend.check(&job)?;
    // What a person made for another scheduler is theirs.
    let others: Vec<_> = Scheduler::ALL
        .into_iter()
        .filter(|other| *other != scheduler)
        .map(|other| other.backend(paths))
        .filter(|other| matches!(other.read(), Ok(Some(_))))
        .collect();
    if !request.force {
        for backend in others.iter().chain([&backend]) {
            check_replaceable(&**backend)?;
        }
        generated::check_links(
            &planned,
            "or replace the link by a file: `heph self-update enable --force`",
        )?;
    }
    // The schedulers open the log themselves, but create no folder for it.
    files::create_private_dir(&paths.state)?;
    trim_log(paths);
    let former = (
        generated::as_they_are(&planned),
        backend.read().ok().flatten(),
    );
    let loaded = backend.load(&planned, &job);
    let mut changed = loaded.inspect_err(|_| undo(&*backend, &planned, former))?;
    for other in &others {
        changed |= other.remove()?;
    }
    Ok(Enabled {
        scheduler,
        job,
        changed,
    })
}

/// Takes back what a failed [`Backend::load`] left: a timer that was off is off, and one that was on is on as before. What fails
/// here is of less interest than what failed first.
fn undo(backend: &dyn Backend, planned: &[Planned], (files, job): (Vec<Planned>, Option<Job>)) {
    if let Some(job) = job {
        drop(backend.load(&files, &job));
        return;
    }
    drop(backend.remove());
    for file in planned {
        drop(generated::remove(&file.path));
    }
    // Those that a person made, and that were to be replaced.
    drop(generated::write(&files));
}

/// Turns the timer off and removes every trace of it, whichever schedulers have one. Returns those that had.
pub(crate) fn disable(paths: &Paths, force: bool) -> Result<Vec<Scheduler>> {
    let mut removed = Vec::new();
    for scheduler in Scheduler::ALL {
        let backend = scheduler.backend(paths);
        if !force {
            check_replaceable(&*backend)?;
        }
        if backend.remove()? {
            removed.push(scheduler);
        }
    }
    generated::remove(&log(paths))?;
    Ok(removed)
}

/// Checks that heph may overwrite and remove the files of `backend`.
fn check_replaceable(backend: &dyn Backend) -> Result<()> {
    for (path, state) in backend.files()? {
        state.check_replaceable(&path, BY_HAND)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
