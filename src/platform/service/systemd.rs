//! The systemd back end: `heph.service`, and `heph.socket`, which listens for it.
//!
//! heph.service wants heph.socket, and heph.socket stops when no unit wants it. So they come and go together, but a restart
//! or a crash of hephd leaves the socket up. A roll-back to a release without heph.socket writes a heph.service without the
//! want: at its daemon-reload the socket stops and removes its path, and that hephd binds the path itself.

pub mod socket;
pub mod unit;

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::definition::Definition;
use super::manager::{Activity, Manager, Process};
use crate::error::Result;
use crate::paths::Paths;
use crate::platform::generated::{self, FileState, OnDisk, Planned};
use crate::platform::systemd::systemctl::{self, Properties, run};
use socket::Listening;

const SERVICE: &str = "heph.service";
const SOCKET: &str = "heph.socket";
const UNITS: [&str; 2] = [SERVICE, SOCKET];

/// How long stopping may take: TimeoutStopSec of the unit, and then SIGKILL.
const STOPPING: Duration = Duration::from_secs(60);

/// The systemd user manager.
#[derive(Debug)]
pub(super) struct Systemd {
    folder: PathBuf,
    service: PathBuf,
    socket: PathBuf,
}

impl Systemd {
    pub fn new(paths: &Paths) -> Systemd {
        let folder = &paths.systemd_units;
        Systemd {
            folder: folder.clone(),
            service: folder.join(SERVICE),
            socket: folder.join(SOCKET),
        }
    }

    /// Writes those of `files` that are due, and has them loaded and heph.service enabled.
    fn install(&self, files: &[Planned]) -> Result<()> {
        let mut due = files.iter().filter(|file| file.is_due);
        let moves = due.any(|file| file.path == self.socket);
        // A socket listens elsewhere only once it is started again. It is stopped before its file is written: if this run
        // is interrupted in between, the next start reads the new file and does not take the socket for an up-to-date one.
        if moves && Properties::of(SOCKET)?.is_active() {
            stop_both()?;
        }
        let changed = generated::write(files)?;
        systemctl::install(&UNITS, SERVICE, changed).map(drop)
    }
}

/// Stops heph.service and heph.socket in one transaction, so that no client starts either again meanwhile.
fn stop_both() -> Result<()> {
    let stop = match Properties::of(SOCKET)?.get("LoadState") {
        // systemctl fails to stop what it does not know.
        "not-found" => run(&["stop", SERVICE]),
        _ => run(&["stop", SERVICE, SOCKET]),
    };
    stop.limit(STOPPING).success().map(drop)
}

/// Returns what systemd is doing with heph.service. Pure.
fn process(properties: &Properties) -> Process {
    let pid = properties.get("MainPID").parse().ok();
    let pid = pid.filter(|pid| *pid != 0);
    let activity = match properties.get("ActiveState") {
        "active" | "reloading" | "refreshing" if pid.is_some() => Activity::Running,
        // Between two starts of Restart=always the unit is "activating" too, and has no main process.
        "active" | "reloading" | "refreshing" | "activating" => Activity::Starting,
        _ => Activity::Stopped,
    };
    let pid = pid.filter(|_| activity != Activity::Stopped);
    Process { activity, pid }
}

impl Manager for Systemd {
    fn name(&self) -> &'static str {
        "systemd"
    }

    fn file(&self) -> &Path {
        &self.service
    }

    fn read(&self) -> Result<OnDisk<Definition>> {
        let file = unit::FORMAT.read(&self.service)?;
        Ok(file.and_then(Definition::try_from))
    }

    fn socket_file(&self) -> Option<&Path> {
        Some(&self.socket)
    }

    fn socket_state(&self) -> Result<Option<FileState>> {
        Ok(Some(socket::FORMAT.read(&self.socket)?.state))
    }

    fn plan(&self, definition: &Definition) -> Result<Vec<Planned>> {
        let listening = Listening::of(definition);
        Ok(vec![
            socket::FORMAT.plan(self.socket.clone(), &listening)?,
            unit::FORMAT.plan(self.service.clone(), &definition.source())?,
        ])
    }

    fn holds_socket(&self) -> Result<Option<bool>> {
        Ok(Some(Properties::of(SOCKET)?.get("ActiveState") == "active"))
    }

    fn runtime_dir(&self) -> Option<PathBuf> {
        systemctl::runtime_folder()
    }

    fn answers(&self) -> Result<()> {
        systemctl::check()
    }

    fn process(&self) -> Result<Process> {
        Ok(process(&Properties::of(SERVICE)?))
    }

    fn start(&self, files: &[Planned], limit: Duration) -> Result<()> {
        self.install(files)?;
        run(&["start", SERVICE]).limit(limit).success().map(drop)
    }

    fn restart(&self, files: &[Planned], limit: Duration) -> Result<()> {
        self.install(files)?;
        // Type=notify: the job succeeds only after READY=1. A socket that is up stays up. One that is not, because hephd has
        // bound the path itself so far, is started once that hephd has ended.
        run(&["restart", SERVICE]).limit(limit).success().map(drop)
    }

    fn stop(&self) -> Result<bool> {
        let properties = Properties::of(SERVICE)?;
        if properties.get("ActiveState") == "inactive" && self.holds_socket()? != Some(true) {
            return Ok(false);
        }
        stop_both()?;
        Ok(process(&properties).activity != Activity::Stopped)
    }

    fn uninstall(&self) -> Result<bool> {
        let was_running = self.stop()?;
        let removed = systemctl::uninstall(&self.folder, &UNITS, SERVICE, "default.target")?;
        Ok(was_running || removed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_activity_follows_from_the_properties() {
        use Activity::*;
        let cases = [
            ("active", "12", Running, Some(12)),
            ("activating", "12", Starting, Some(12)),
            ("activating", "0", Starting, None),
            ("deactivating", "12", Stopped, None),
            ("inactive", "0", Stopped, None),
            ("failed", "0", Stopped, None),
            ("", "", Stopped, None),
        ];
        for (state, main, activity, pid) in cases {
            let properties = Properties::from_iter([("ActiveState", state), ("MainPID", main)]);
            let expected = Process { activity, pid };
            assert_eq!(process(&properties), expected, "{state} {main}");
        }
    }
}
