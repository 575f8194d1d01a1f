//! Starting and restarting hephd, up to the moment it answers.
//!
//! The service manager's word is not enough: under `Restart=always` a hephd that cannot start never reads as failed,
//! and launchd says nothing at all. hephd is up when a process answers on the socket, and that process is the one the
//! service manager started, and not the one that ran before.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::definition::Definition;
use super::{Activity, Manager, NewFiles, Process, log};
use crate::client::{self, Status};
use crate::error::{Error, Result};
use crate::os::files;
use crate::paths::Paths;

/// How many lines of the log a failure quotes.
const QUOTED: usize = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// What bringing hephd up came to.
#[derive(Debug)]
pub struct Up {
    /// What hephd says of itself.
    pub status: Status,
    /// Whether the service file was written.
    pub wrote_service: bool,
    /// Whether the file of the socket was written.
    pub wrote_socket: bool,
    /// Whether the process is a new one.
    pub started: bool,
}

/// Writes the files of `definition` where they differ, starts hephd, or with `restart` has it replaced by a new
/// process, and returns once it answers.
///
/// # Errors
///
/// hephd runs already, and not as the service; or it does not answer within `wait`: the error then carries the last lines
/// of its log. The service is left as the service manager has it.
pub fn bring_up(
    manager: &dyn Manager,
    definition: &Definition,
    paths: &Paths,
    restart: bool,
    wait: Duration,
) -> Result<Up> {
    let deadline = Instant::now() + wait;
    let text = manager.render(definition);
    let socket_text = manager.render_socket(definition);
    let socket_file = manager.socket_file().zip(socket_text.as_deref());
    let new = NewFiles {
        service: differs(manager.file(), &text),
        socket: socket_file.and_then(|(path, text)| differs(path, text)),
    };
    let wrote = new.service.is_some() || new.socket.is_some();
    let runtime = manager.runtime_dir();
    let socket = definition.environment.socket(paths, runtime.as_deref());
    let before = manager.process()?;
    refuse_one_by_hand(&before, &socket)?;

    let log = PathBuf::from(&definition.log);
    // New flags reach a hephd that runs only by a restart.
    let replace = restart || (wrote && before.activity != Activity::Stopped);
    let started = replace || before.activity != Activity::Running;
    if started {
        log::prepare(&log)?;
    }
    let mark = log::size(&log);
    let run = if replace {
        manager.restart(new, wait)
    } else {
        manager.start(new, wait)
    };
    let old = before.pid.filter(|_| replace);
    run.and_then(|()| wait_for_answer(manager, &socket, old, deadline))
        .map(|status| Up {
            status,
            wrote_service: new.service.is_some(),
            wrote_socket: new.socket.is_some(),
            started,
        })
        .map_err(|error| with_log(error, &log, mark))
}

/// Returns `text` where `path` holds anything else.
fn differs<'a>(path: &Path, text: &'a str) -> Option<&'a str> {
    let there = files::read_if_there(path, super::FILE_LIMIT);
    let same = there.is_ok_and(|bytes| bytes.as_deref() == Some(text.as_bytes()));
    (!same).then_some(text)
}

/// Checks that no hephd that the service manager knows nothing of holds the socket; the service would never get it.
fn refuse_one_by_hand(before: &Process, socket: &Path) -> Result<()> {
    if before.activity != Activity::Stopped {
        return Ok(());
    }
    match client::status(socket, Duration::from_secs(5)) {
        Ok(Some(other)) => Err(Error::new(format!(
            "hephd runs already, as process {}, and not as a service",
            other.pid
        ))
        .with_hint(format!("end it with `kill {}`, then try again", other.pid))),
        _ => Ok(()),
    }
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
            Err(reason) if left.is_zero() => return Err(Error::new(reason)),
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// Returns the status of a hephd that is up, or why none is yet. Pure.
fn judge(
    process: Process,
    answer: Result<Option<Status>>,
    old: Option<u32>,
    socket: &Path,
) -> Result<Status, String> {
    let status = match answer {
        Ok(Some(status)) => status,
        Ok(None) => return Err(format!("no hephd listens on '{}'", socket.display())),
        Err(error) => return Err(format!("hephd does not answer well: {error:#}")),
    };
    if old == Some(status.pid) {
        return Err(format!(
            "the old hephd, process {}, still answers",
            status.pid
        ));
    }
    match process.pid {
        Some(pid) if pid == status.pid => Ok(status),
        Some(pid) => Err(format!(
            "process {} answers, while the service is process {pid}",
            status.pid
        )),
        None => Err(format!(
            "process {} answers, while the service has no process",
            status.pid
        )),
    }
}

/// Adds the last lines that hephd logged since `mark` to an error.
fn with_log(error: Error, log: &Path, mark: u64) -> Error {
    let lines = log::since(log, mark, QUOTED).unwrap_or_default();
    let lines = String::from_utf8_lossy(&lines);
    let mut message = "hephd did not come up".to_owned();
    if !lines.trim().is_empty() {
        let quoted: Vec<_> = lines.lines().map(|line| format!("\n  | {line}")).collect();
        message.push_str("; it logged:");
        message.push_str(&quoted.concat());
    }
    // A remedy that is known already is better than ours.
    let hint = error
        .hint()
        .unwrap_or("see `heph daemon logs` and `heph daemon status`; then `heph daemon restart`")
        .to_owned();
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
            let told = judge(process, answer, old).unwrap_err();
            assert!(told.contains(reason), "{told}");
        }
    }
}
