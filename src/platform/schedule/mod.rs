//! The timer that starts `heph self-update`: systemd, launchd or cron.
//!
//! One back end a scheduler, all with the same verbs, all compiled everywhere and chosen at run time. The generated files
//! are the only record of what the timer does: they are read back to tell it and to change it.
//!
//! Architecture invariant: nothing here knows what the job does when it runs.

pub mod cadence;
mod cron;

pub mod job;
pub mod launchd;
pub mod systemd;

use std::fmt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::config::{Config, Mode, ServiceManager};
use crate::error::{Error, Result, ResultExt};
use crate::os::{clock, files, host};
use crate::paths::Paths;
use crate::platform::generated::{self, Generated};
use crate::platform::systemd::systemctl;
use cadence::Cadence;
use job::{Environment, Job};

/// The log of the job is emptied beyond so many bytes.
const LOG_LIMIT: u64 = 1 << 20;

/// What the scheduler says of the timer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimerState {
    /// "systemd", "launchd" or "cron".
    pub scheduler: &'static str,
    /// The cadence in words: "every 6h", "at 03:30,15:30".
    pub cadence: String,
    /// Whether it only tells of releases.
    pub notify_only: bool,
    /// The length between two runs at most, in seconds; how stale the last check may be is measured against it.
    pub interval_secs: u64,
    /// The next run, where the scheduler can tell.
    pub next: Option<Timestamp>,
    /// The last run, where the scheduler can tell.
    pub last: Option<Timestamp>,
}

/// What can start the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheduler {
    /// A systemd user timer.
    Systemd,
    /// A launchd agent.
    Launchd,
    /// A block in the user's crontab.
    Cron,
}

/// What `enable` changes; `None` keeps what is.
#[derive(Clone, Debug)]
pub struct Request {
    /// The absolute path of `heph` in bin-dir.
    pub exe: PathBuf,
    /// The settings file that `--config` named.
    pub config: Option<PathBuf>,
    /// The environment, from [`job::bake_env`]; it is always baked afresh.
    pub env: Environment,
    /// Whether the job only tells of releases.
    pub notify_only: Option<bool>,
    /// When it runs.
    pub cadence: Option<Cadence>,
    /// Whether files that a person made are replaced.
    pub force: bool,
}

/// A timer that is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enabled {
    /// What starts it.
    pub scheduler: Scheduler,
    /// What it starts.
    pub job: Job,
    /// Whether anything had to be written.
    pub changed: bool,
}

impl Scheduler {
    const ALL: [Scheduler; 3] = [Scheduler::Systemd, Scheduler::Launchd, Scheduler::Cron];

    /// Returns the scheduler that `config` chooses on this machine.
    pub fn choose(config: &Config) -> Scheduler {
        let macos = cfg!(target_os = "macos");
        Scheduler::pick(config.service_manager, macos, systemctl::answers)
    }

    fn pick(manager: ServiceManager, macos: bool, systemd: impl FnOnce() -> bool) -> Scheduler {
        match manager {
            ServiceManager::Systemd => Scheduler::Systemd,
            ServiceManager::Launchd => Scheduler::Launchd,
            ServiceManager::None => Scheduler::Cron,
            ServiceManager::Auto if macos => Scheduler::Launchd,
            ServiceManager::Auto if systemd() => Scheduler::Systemd,
            ServiceManager::Auto => Scheduler::Cron,
        }
    }

    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Scheduler::Systemd => "systemd",
            Scheduler::Launchd => "launchd",
            Scheduler::Cron => "cron",
        }
    }

    fn files(self, job: &Job, paths: &Paths) -> Result<Vec<Generated>> {
        match self {
            Scheduler::Systemd => systemd::files(job, paths),
            Scheduler::Launchd => launchd::files(job, paths),
            Scheduler::Cron => cron::files(job, paths),
        }
    }

    fn read(self, paths: &Paths) -> Result<Option<Job>> {
        match self {
            Scheduler::Systemd => systemd::read(paths),
            Scheduler::Launchd => launchd::read(paths),
            Scheduler::Cron => cron::read(paths),
        }
    }

    /// Checks, before anything is written, that the scheduler is there and can take the job.
    fn check(self, job: &Job, paths: &Paths) -> Result<()> {
        match self {
            Scheduler::Systemd => systemd::check(),
            Scheduler::Launchd => launchd::check(),
            Scheduler::Cron => cron::check(job, paths, host::stable_number(&paths.home)),
        }
    }

    /// Has the scheduler take the files as they are now. Returns whether it had to be told of more than files.
    fn load(self, job: &Job, paths: &Paths, changed: bool) -> Result<bool> {
        match self {
            Scheduler::Systemd => systemd::load(changed).map(|()| false),
            Scheduler::Launchd => launchd::load(paths).map(|()| false),
            Scheduler::Cron => cron::load(job, paths, host::stable_number(&paths.home)),
        }
    }

    fn remove(self, paths: &Paths, force: bool) -> Result<bool> {
        match self {
            Scheduler::Systemd => systemd::remove(paths, force),
            Scheduler::Launchd => launchd::remove(paths, force),
            Scheduler::Cron => cron::remove(paths, force),
        }
    }
}

impl fmt::Display for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Returns the log of the job.
pub fn log(paths: &Paths) -> PathBuf {
    paths.state.join("self-update.log")
}

/// Empties the job's log where it has grown beyond its bound. Schedulers append to it, so it may be open meanwhile.
pub fn trim_log(paths: &Paths) {
    let log = log(paths);
    let grown = log
        .metadata()
        .is_ok_and(|metadata| metadata.len() > LOG_LIMIT);
    if grown {
        // A log that stays long is no reason to leave out a run.
        drop(std::fs::write(log, ""));
    }
}

/// Returns the job and what starts it, as the generated files say; `None` where the timer is off.
///
/// It starts no other program, but for the choice of the scheduler that is looked at first.
///
/// # Errors
///
/// A file cannot be read, or heph did not write it.
pub fn job(config: &Config, paths: &Paths) -> Result<Option<(Scheduler, Job)>> {
    let chosen = config.service_manager;
    let first = Scheduler::pick(chosen, cfg!(target_os = "macos"), || true);
    let others = Scheduler::ALL.into_iter().filter(|other| *other != first);
    for scheduler in std::iter::once(first).chain(others) {
        if let Some(job) = scheduler.read(paths)? {
            return Ok(Some((scheduler, job)));
        }
    }
    Ok(None)
}

/// Returns when the files of the timer were written last: since when it is as it is.
pub fn since(scheduler: Scheduler, job: &Job, paths: &Paths) -> Option<Timestamp> {
    let files = scheduler.files(job, paths).ok()?;
    let written = files
        .iter()
        .filter_map(|file| file.path.metadata().ok()?.modified().ok());
    written
        .max()
        .and_then(|time| Timestamp::try_from(time).ok())
}

/// Returns the timer, or `None` where it is off.
///
/// # Errors
///
/// As [`job()`].
pub fn state(config: &Config, paths: &Paths) -> Result<Option<TimerState>> {
    let Some((scheduler, job)) = job(config, paths)? else {
        return Ok(None);
    };
    let (next, last) = match scheduler {
        Scheduler::Systemd => {
            let runs = systemd::runs();
            (runs.next, runs.last)
        }
        Scheduler::Launchd => (None, None),
        Scheduler::Cron => {
            let now = clock::now().to_zoned(TimeZone::system());
            let next = job
                .cadence
                .next_by_cron(host::stable_number(&paths.home), &now);
            (next.map(|next| next.timestamp()), None)
        }
    };
    Ok(Some(TimerState {
        scheduler: scheduler.name(),
        cadence: job.cadence.to_string(),
        notify_only: job.notify_only,
        interval_secs: job.cadence.longest_gap().as_secs(),
        next,
        last,
    }))
}

/// Returns what differs from what this heph would generate for `job`, one sentence each: from an older template, edited,
/// or missing. `heph self-update enable` repairs it.
///
/// # Errors
///
/// A file cannot be read or rendered.
pub fn stale(scheduler: Scheduler, job: &Job, paths: &Paths) -> Result<Vec<String>> {
    let mut stale = Vec::new();
    for file in scheduler.files(job, paths)? {
        let path = file.path.display();
        match generated::read(&file.path)? {
            None => stale.push(format!("'{path}' is missing")),
            Some(text) if text != file.text => {
                stale.push(format!(
                    "'{path}' is edited or from another version of heph"
                ));
            }
            Some(_) => {}
        }
    }
    let number = host::stable_number(&paths.home);
    if scheduler == Scheduler::Cron && !cron::is_loaded(job, paths, number)? {
        stale.push("the crontab does not hold the block of the timer".to_owned());
    }
    Ok(stale)
}

/// Turns the timer on, or changes it: writes its files, loads it and starts it. What is right already stays untouched.
///
/// # Errors
///
/// A file was made by a person, cannot be written, or the scheduler refused.
pub fn enable(config: &Config, paths: &Paths, request: Request) -> Result<Enabled> {
    let scheduler = Scheduler::choose(config);
    let existing = match job(config, paths) {
        Ok(existing) => existing.map(|(_, job)| job),
        // What cannot be read has nothing to keep.
        Err(_) if request.force => None,
        Err(error) => return Err(error),
    };
    let mut env = request.env;
    if scheduler != Scheduler::Cron {
        // The others set it themselves, and it may change from login to login.
        env.remove("XDG_RUNTIME_DIR");
    }
    let cadence = match (request.cadence, &existing) {
        (Some(cadence), _) => cadence,
        (None, Some(job)) => job.cadence.clone(),
        (None, None) => Cadence::every(*config.self_update.every)?,
    };
    let job = Job {
        exe: request.exe,
        config: request.config.or_else(|| existing.as_ref()?.config.clone()),
        notify_only: request
            .notify_only
            .or_else(|| Some(existing.as_ref()?.notify_only))
            .unwrap_or(config.self_update.mode == Mode::Notify),
        cadence,
        env,
    };
    let generated = scheduler.files(&job, paths)?;
    scheduler.check(&job, paths)?;
    // The schedulers open the log themselves, but make no folder for it.
    files::create_private_dir(&paths.state)?;
    trim_log(paths);
    if scheduler == Scheduler::Launchd && generated::is_due(&generated, request.force)? {
        launchd::make_way(paths)?;
    }
    let mut changed = generated::write(&generated, request.force)?;
    changed |= scheduler.load(&job, paths, changed)?;
    for other in Scheduler::ALL {
        // What a person made there is theirs.
        if other != scheduler && matches!(other.read(paths), Ok(Some(_))) {
            changed |= other.remove(paths, request.force)?;
        }
    }
    Ok(Enabled {
        scheduler,
        job,
        changed,
    })
}

/// Turns the timer off and removes every trace of it, whichever schedulers have one. Returns those that had.
///
/// # Errors
///
/// A file was made by a person and `force` is not set, or a scheduler refused.
pub fn disable(paths: &Paths, force: bool) -> Result<Vec<Scheduler>> {
    let mut removed = Vec::new();
    for scheduler in Scheduler::ALL {
        if scheduler.remove(paths, force)? {
            removed.push(scheduler);
        }
    }
    let log = log(paths);
    files::remove_file_if_there(&log)
        .with_context(|| format!("cannot remove '{}'", log.display()))?;
    Ok(removed)
}

/// The fault of a generated file that cannot be read back.
fn damaged(path: &Path) -> Error {
    Error::new(format!("cannot tell what '{}' does", path.display())).with_hint(
        "`heph self-update disable` removes it; `heph self-update enable --force` writes it afresh",
    )
}

#[cfg(test)]
mod tests;
