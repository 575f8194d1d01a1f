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
use crate::os::lock_holder;
use crate::paths::HephdPaths;
use crate::platform::generated::{self, Planned};

/// How many lines of the log an error quotes.
const QUOTED: usize = 20;
const PAUSE: Duration = Duration::from_millis(50);
/// How long a process of the service may hold the store on its way down: hephd gives what is in flight 5 s.
const STOPPING: Duration = Duration::from_secs(6);
/// How long a new hephd may take to bind its socket.
const BINDING: Duration = Duration::from_secs(2);

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

/// How hephd is brought up.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether a running hephd is replaced even if nothing has changed.
    pub restart: bool,
    /// Whether links are replaced by files.
    pub force: bool,
    /// How long hephd may take to answer.
    pub wait: Duration,
}

/// Writes the files of `definition` where they differ, starts hephd, or with `restart` replaces its process, and returns once
/// it answers. A socket that nothing reaches any more is opened again.
///
/// If hephd does not come up with flags or variables that `before` did not have, the files of `before` are put back, and hephd
/// with them. Otherwise the service is left as the service manager has it. The error quotes the last lines of hephd's log.
pub fn bring_up(
    manager: &dyn Manager,
    definition: &Definition,
    before: Option<&Definition>,
    paths: &HephdPaths,
    options: Options,
) -> Result<Up> {
    let files = manager.plan(definition)?;
    if !options.force {
        generated::check_links(&files, "or replace the link by a file with --force")?;
    }
    let due = files.iter().filter(|file| file.is_due);
    let wrote: Vec<_> = due.map(|file| file.path.clone()).collect();
    let (environment, runtime) = (&definition.environment, manager.runtime_dir());
    let there = environment.paths(paths, runtime.as_deref());
    client::check_length(&there.socket)?;
    let process = manager.process()?;
    check_unmanaged(manager, &process, &there)?;

    let log = PathBuf::from(&definition.log);
    let socket_now = before.map_or(there.socket.clone(), |before| {
        before.environment.paths(paths, runtime.as_deref()).socket
    });
    let is_lost = is_lost(manager, &process, &socket_now)?;
    // New flags reach a running hephd only by a restart.
    let changed = !wrote.is_empty() || is_lost;
    let replace = options.restart || (changed && process.activity != Activity::Stopped);
    let started = replace || process.activity != Activity::Running;
    if started {
        log::prepare(&log)?;
    }
    let mark = log::size(&log);
    let companions = manager.companions()?;
    let former = former_files(before, definition, &files);
    // While the socket is held, hephd is wanted: it only fails to start at this moment.
    let was_running =
        process.activity != Activity::Stopped || manager.holds_socket()? == Some(true);
    let old = process.pid.filter(|_| replace);
    let deadline = Instant::now() + options.wait;
    let run = || {
        if is_lost {
            manager.release_socket()?;
        }
        match replace {
            true => manager.restart(&files, options.wait)?,
            false => manager.start(&files, options.wait)?,
        }
        wait_for_answer(manager, &there.socket, old, deadline)
    };
    match run() {
        Ok(status) => Ok(Up {
            status,
            wrote,
            started,
            companions: manager.start_companions(&companions),
        }),
        Err(error) => {
            let error = with_log(error, &log, mark);
            Err(match former {
                Some(former) => {
                    let running = was_running.then_some(&companions[..]);
                    put_back(manager, &former, &socket_now, running, options.wait, error)
                }
                None => error,
            })
        }
    }
}

/// Returns the files as they are, to be put back if hephd does not come up; `None` where no flag and no variable changes, so that
/// what fails is the program.
fn former_files(
    before: Option<&Definition>,
    definition: &Definition,
    files: &[Planned],
) -> Option<Vec<Planned>> {
    let differs = |before: &Definition| {
        before.flags != definition.flags || before.environment.differs(&definition.environment)
    };
    let changes = before.is_some_and(differs) && files.iter().any(|file| file.is_due);
    changes.then(|| generated::as_they_are(files))
}

/// Puts `former` back, and hephd with it if it was running, with these `companions`, and returns `error` with how that ended.
fn put_back(
    manager: &dyn Manager,
    former: &[Planned],
    socket: &Path,
    companions: Option<&[String]>,
    wait: Duration,
    error: Error,
) -> Error {
    let run = || -> Result<String> {
        let Some(companions) = companions else {
            manager.stop()?;
            generated::write(former)?;
            return Ok("hephd is stopped, as it was".to_owned());
        };
        manager.restart(former, wait)?;
        let status = wait_for_answer(manager, socket, None, Instant::now() + wait)?;
        manager.start_companions(companions)?;
        Ok(format!("hephd runs with them, process {}", status.pid))
    };
    let failed = "hephd did not come up with the new flags; the former ones are back";
    match run() {
        Ok(state) => {
            let outer = Error::new(format!("{failed}, and {state}"));
            error.context(outer.with_hint("correct the flags, and try again"))
        }
        Err(second) => {
            let second = second.one_line();
            error.context(format!("{failed}, and it does not run with them: {second}"))
        }
    }
}

/// Opens the socket of a running hephd again where its path is gone: with a new process, and the files as they are. Returns
/// whether that was necessary.
pub(crate) fn heal(manager: &dyn Manager, paths: &HephdPaths, wait: Duration) -> Result<bool> {
    let Ok(definition) = manager.read()?.source else {
        return Ok(false);
    };
    let runtime = manager.runtime_dir();
    let socket = definition
        .environment
        .paths(paths, runtime.as_deref())
        .socket;
    let process = manager.process()?;
    if !is_lost(manager, &process, &socket)? {
        return Ok(false);
    }
    let deadline = Instant::now() + wait;
    let companions = manager.companions()?;
    manager.release_socket()?;
    manager.restart(&[], wait)?;
    wait_for_answer(manager, &socket, process.pid, deadline)?;
    manager.start_companions(&companions)?;
    Ok(true)
}

/// Returns whether nothing reaches the service by its socket any more, as after its path was removed, or heph.socket was
/// stopped by hand. No client can tell that from a hephd that does not run.
fn is_lost(manager: &dyn Manager, process: &Process, socket: &Path) -> Result<bool> {
    let is_held = manager.holds_socket()? == Some(true);
    if !is_held && process.activity != Activity::Running {
        return Ok(false);
    }
    let reachable = || client::listens(socket);
    if reachable() {
        return Ok(false);
    }
    if is_held {
        return Ok(true);
    }
    // A hephd that binds the path itself may be about to.
    let until = Instant::now() + BINDING;
    while Instant::now() < until {
        thread::sleep(PAUSE);
        if reachable() {
            return Ok(false);
        }
    }
    Ok(manager.process()?.activity == Activity::Running)
}

/// Checks that no hephd that was started by hand holds the socket or the store; the service would never get them.
fn check_unmanaged(manager: &dyn Manager, process: &Process, there: &HephdPaths) -> Result<()> {
    let by_hand = |message: String, pid: u32| {
        let hint = format!("stop it with `kill {pid}`, then try again");
        Err(Error::new(message).with_hint(hint))
    };
    if process.activity == Activity::Stopped
        && let Ok(Some(Status { pid, .. })) = client::status(&there.socket, Duration::from_secs(5))
    {
        let message = format!("hephd runs already, as process {pid}, but not as a service");
        return by_hand(message, pid);
    }
    let lock = HephdPaths::store_lock(&there.store);
    // A process of the service may be on its way up or down.
    let until = Instant::now() + STOPPING;
    while let Some(pid) = lock_holder::of(&lock) {
        if process.pid == Some(pid) || manager.process()?.pid == Some(pid) {
            return Ok(());
        }
        if Instant::now() > until {
            let store = there.store.display();
            let message =
                format!("process {pid}, which is not the service, has the store '{store}' open");
            return by_hand(message, pid);
        }
        thread::sleep(4 * PAUSE);
    }
    Ok(())
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
            warning: None,
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
