//! Starting and restarting hephd, up to the moment it answers.
//!
//! The service manager's report is not enough: under `Restart=always` a hephd that cannot start never reads as failed,
//! and launchd reports nothing at all. hephd is up when a process answers on the socket, and that process is the one that
//! the service manager started and not the one that ran before.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::definition::Definition;
use super::log;
use super::manager::{Activity, Manager, Process};
use crate::client::{self, Status};
use crate::error::{Error, Result, ResultExt, bail, ensure};
use crate::paths::HephdPaths;

/// How many lines of the log an error quotes.
const QUOTED: usize = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// A hephd that is up.
#[derive(Debug)]
pub struct Up {
    pub status: Status,
    /// The files that were written.
    pub wrote: Vec<PathBuf>,
    /// Whether the process is a new one.
    pub started: bool,
    /// Why units that the service manager had stopped along with hephd do not run again.
    pub companions: Result<()>,
}

/// Writes the files of `definition` where they differ, starts hephd, or with `restart` replaces its process, and returns once
/// it answers.
///
/// An error after the start quotes the last lines of hephd's log; the service is left as the service manager has it.
pub fn bring_up(
    manager: &dyn Manager,
    definition: &Definition,
    paths: &HephdPaths,
    restart: bool,
    wait: Duration,
) -> Result<Up> {
    let deadline = Instant::now() + wait;
    let files = manager.plan(definition)?;
    let due = files.iter().filter(|file| file.is_due);
    let wrote: Vec<_> = due.map(|file| file.path.clone()).collect();
    let (environment, runtime) = (&definition.environment, manager.runtime_dir());
    let socket = environment.paths(paths, runtime.as_deref()).socket;
    let before = manager.process()?;
    check_unmanaged(&before, &socket)?;

    let log = PathBuf::from(&definition.log);
    // New flags reach a running hephd only by a restart.
    let replace = restart || (!wrote.is_empty() && before.activity != Activity::Stopped);
    let started = replace || before.activity != Activity::Running;
    if started {
        log::prepare(&log)?;
    }
    let mark = log::size(&log);
    let companions = manager.companions()?;
    let run = if replace {
        manager.restart(&files, wait)
    } else {
        manager.start(&files, wait)
    };
    let old = before.pid.filter(|_| replace);
    run.and_then(|()| wait_for_answer(manager, &socket, old, deadline))
        .map(|status| Up {
            status,
            wrote,
            started,
            companions: manager.start_companions(&companions),
        })
        .map_err(|error| with_log(error, &log, mark))
}

/// Checks that no hephd that was started by hand holds the socket; the service would never get it.
fn check_unmanaged(before: &Process, socket: &Path) -> Result<()> {
    if before.activity != Activity::Stopped {
        return Ok(());
    }
    let Ok(Some(Status { pid, .. })) = client::status(socket, Duration::from_secs(5)) else {
        return Ok(());
    };
    let message = format!("hephd runs already, as process {pid}, but not as a service");
    let hint = format!("stop it with `kill {pid}`, then try again");
    Err(Error::new(message).with_hint(hint))
}

fn wait_for_answer(
    manager: &dyn Manager,
    socket: &Path,
    old: Option<u32>,
    deadline: Instant,
) -> Result<Status> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let limit = left.clamp(Duration::from_millis(100), Duration::from_secs(2));
        let answer = client::status(socket, limit);
        match judge(manager.process()?, answer, old, socket) {
            Ok(status) => return Ok(status),
            Err(error) if left.is_zero() => return Err(error),
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// Returns the status of a hephd that is up, or why it is not up yet. Pure.
fn judge(
    process: Process,
    answer: Result<Option<Status>>,
    old: Option<u32>,
    socket: &Path,
) -> Result<Status> {
    let answer = answer.context("hephd answers with an error")?;
    let status = answer.with_context(|| format!("no hephd listens on '{}'", socket.display()))?;
    let answering = status.pid;
    ensure!(
        old != Some(answering),
        "the old hephd, process {answering}, still answers"
    );
    match process.pid {
        Some(pid) if pid == answering => Ok(status),
        Some(pid) => bail!("process {answering} answers, while the service is process {pid}"),
        None => bail!("process {answering} answers, while the service has no process"),
    }
}

/// Adds the last lines that hephd logged since `mark` to an error.
fn with_log(error: Error, log: &Path, mark: u64) -> Error {
    let (lines, _) = log::added(log, mark, QUOTED).unwrap_or_default();
    let lines = String::from_utf8_lossy(&lines);
    let mut message = "hephd did not come up".to_owned();
    if !lines.trim().is_empty() {
        message.push_str("; it logged:");
        message.extend(lines.lines().map(|line| format!("\n  | {line}")));
    }
    // A more specific hint wins.
    let usual = "see `heph daemon logs` and `heph daemon status`; then `heph daemon restart`";
    let hint = error.hint().unwrap_or(usual).to_owned();
    error.context(Error::new(message).with_hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(pid: u32) -> Status {
        Status {
            version: "1.2.3".into(),
            pid,
            mode: "local".into(),
            store: "/store".into(),
            schema: 1,
            open_tasks: 0,
            started_at: "2026-11-21T00:00:00Z".into(),
        }
    }

    #[test]
    fn hephd_is_up_when_the_process_of_the_service_answers_and_is_a_new_one() {
        let run = |pid| Process {
            activity: Activity::Running,
            pid,
        };
        let judge = |process, answer, old| judge(process, answer, old, Path::new("/socket"));
        assert!(judge(run(Some(7)), Ok(Some(status(7))), None).is_ok());
        assert!(judge(run(Some(7)), Ok(Some(status(7))), Some(6)).is_ok());
        for (process, answer, old, reason) in [
            (run(Some(7)), Ok(None), None, "no hephd listens"),
            (run(Some(7)), Ok(Some(status(7))), Some(7), "the old hephd"),
            (
                run(Some(8)),
                Ok(Some(status(7))),
                None,
                "the service is process 8",
            ),
            (run(None), Ok(Some(status(7))), None, "no process"),
            (run(Some(7)), Err(Error::new("garbage")), None, "garbage"),
        ] {
            let error = judge(process, answer, old).unwrap_err().one_line();
            assert!(error.contains(reason), "{error}");
        }
    }
}
