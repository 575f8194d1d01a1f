//! The systemd back end: `heph.service`, and `heph.socket`, which listens for it.
//!
//! heph.service wants heph.socket, and heph.socket stops when no unit wants it. So they come and go together, but a restart
//! or a crash of hephd leaves the socket up. A roll-back to a release without heph.socket writes a heph.service without the
//! want: at its daemon-reload the socket stops and removes its path, and that hephd binds the path itself.

mod companions;
pub mod socket;
pub mod unit;

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::definition::Definition;
use super::manager::{Activity, Manager, Obstacle, Process};
use crate::error::Result;
use crate::os::files;
use crate::os::process::Run;
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
        let moves = due.any(|file| file.path == self.socket) || self.path_is_lost()?;
        // A socket listens elsewhere, or has its path again, only once it is started again. It is stopped before its file is
        // written: if this run is interrupted in between, the next start reads the new file and does not take the socket for
        // an up-to-date one.
        if moves && Properties::of(SOCKET)?.is_active() {
            stop_both()?;
        }
        let changed = generated::write(files)?;
        systemctl::install(&UNITS, SERVICE, changed).map(drop)
    }

    /// Returns whether the path of the socket was removed, which neither systemd nor hephd notices.
    fn path_is_lost(&self) -> Result<bool> {
        let Some(listening) = socket::FORMAT.read(&self.socket)?.source.ok() else {
            return Ok(false);
        };
        let path = match (listening.unix, systemctl::runtime_folder()) {
            (Some(unix), _) => PathBuf::from(unix),
            (None, Some(runtime)) => runtime.join("heph/hephd.sock"),
            (None, None) => return Ok(false),
        };
        Ok(files::metadata_if_there(&path)?.is_none())
    }
}

/// Returns why systemd refuses the unit in `file`, whose program `hephd` an update replaces; `None` where it does not.
fn refusal(file: &Path, hephd: Option<&str>) -> Option<Obstacle> {
    // It reads drop-ins that the manager has not read yet. Where it is missing, the manager's own word has to do.
    let verify = Run::new("systemd-analyze")
        .args(["--user", "verify"])
        .arg(file);
    let output = verify.env("LC_ALL", "C").output().ok()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        return None;
    }
    refused(&said, hephd)
}

/// Returns what `systemd-analyze verify` said against heph.service. Pure.
fn refused(said: &str, hephd: Option<&str>) -> Option<Obstacle> {
    let about =
        |line: &&str| line.starts_with(SERVICE) && hephd.is_none_or(|it| !line.contains(it));
    let lines: Vec<&str> = said.lines().filter(about).collect();
    (!lines.is_empty()).then(|| Obstacle {
        what: format!("systemd refuses its settings: {}", lines.join("; ")),
        hint: "correct its drop-ins: `systemctl --user edit heph.service`".to_owned(),
    })
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

    fn obstacle(&self) -> Result<Option<Obstacle>> {
        let state = Properties::of(SERVICE)?;
        let (what, hint) = match state.get("LoadState") {
            "masked" => (
                "heph.service is masked",
                "`systemctl --user unmask heph.service`",
            ),
            "bad-setting" | "error" => (
                "systemd could not load heph.service",
                "`systemctl --user status heph.service` says why; correct its drop-ins",
            ),
            _ => {
                let source = self.read()?.source.ok();
                let hephd = source.map(|definition| definition.program);
                return Ok(refusal(&self.service, hephd.as_deref()));
            }
        };
        let (what, hint) = (what.to_owned(), hint.to_owned());
        Ok(Some(Obstacle { what, hint }))
    }

    fn companions(&self) -> Result<Vec<String>> {
        companions::running(&UNITS)
    }

    fn start_companions(&self, companions: &[String]) -> Result<()> {
        companions::start(companions)
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

    fn release_socket(&self) -> Result<()> {
        // systemd opens a socket that it holds no second time, not even for a restart.
        match Properties::of(SOCKET)?.is_active() {
            true => stop_both(),
            false => Ok(()),
        }
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
    fn what_systemd_says_against_the_unit_is_an_obstacle_unless_an_update_replaces_it() {
        let twice = "heph.service: Service has more than one ExecStart= setting, which is only allowed for Type=oneshot \
                     services. Refusing.\nUnit heph.service has a bad unit file setting.\n";
        let found = refused(twice, Some("/home/me/bin/hephd")).unwrap();
        assert!(found.what.contains("more than one ExecStart="), "{found:?}");
        let gone = "heph.service: Command /home/me/bin/hephd is not executable: No such file or directory\n";
        assert_eq!(refused(gone, Some("/home/me/bin/hephd")), None);
        assert!(refused(gone, Some("/elsewhere/hephd")).is_some());
        for other in [
            "",
            "other.service: Refusing.\n",
            "/x/a.conf:2: Unknown key 'Foo', ignoring.\n",
        ] {
            assert_eq!(refused(other, None), None);
        }
    }

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
