//! The systemd back end: `heph.service`, and `heph.socket`, which listens for it.
//!
//! heph.service wants heph.socket, and heph.socket stops when nothing wants it. So the two come and go together, but a
//! restart or a crash of hephd leaves the socket as it is. An older heph that rolls back writes a heph.service without the
//! want: at its daemon-reload the socket stops and removes its path, and the older hephd binds it by itself.

pub mod socket;
pub mod unit;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::definition::{Definition, Written};
use super::{Activity, Manager, NewFiles, Process};
use crate::error::{Error, Result, ResultExt};
use crate::os::files;
use crate::os::process::{Output, Run};
use crate::paths::Paths;
use crate::platform::systemd::systemctl;

const UNIT: &str = "heph.service";
const SOCKET: &str = "heph.socket";
/// The version of both templates.
const TEMPLATE: u32 = 2;

/// How long systemctl may take for what systemd does at once.
const AT_ONCE: Duration = Duration::from_secs(30);
/// How long stopping may take: TimeoutStopSec of the unit, and then SIGKILL.
const STOPPING: Duration = Duration::from_secs(60);

/// The systemd user manager.
#[derive(Debug)]
pub struct Systemd {
    file: PathBuf,
    socket_file: PathBuf,
    runtime: Option<PathBuf>,
}

impl Systemd {
    /// Returns the user manager of this user, whether or not it answers.
    pub fn new(paths: &Paths) -> Systemd {
        Systemd {
            file: paths.systemd_units.join(UNIT),
            socket_file: paths.systemd_units.join(SOCKET),
            runtime: systemctl::runtime_folder(),
        }
    }

    /// Returns what may help where it does not answer.
    pub fn remedy(&self) -> String {
        match &self.runtime {
            None => {
                "for a systemd user manager, log in as that user (XDG_RUNTIME_DIR is not set), \
                     or run `loginctl enable-linger`"
                    .to_owned()
            }
            Some(runtime) => format!(
                "for a systemd user manager, check `systemctl --user status` (XDG_RUNTIME_DIR is '{}')",
                runtime.display()
            ),
        }
    }

    fn systemctl<const N: usize>(&self, arguments: [&str; N]) -> Run {
        systemctl::run(&arguments).limit(AT_ONCE)
    }

    /// Runs `systemctl show`, which fails only where the user manager does not answer, or there is no `systemctl`.
    fn show<const N: usize>(&self, arguments: [&str; N], limit: Duration) -> Result<Output> {
        let silent =
            || Error::new("your systemd user manager does not answer").with_hint(self.remedy());
        self.systemctl(["show"])
            .args(arguments)
            .limit(limit)
            .success()
            .with_context(silent)
    }

    /// Returns the properties of `unit` that heph looks at (org.freedesktop.systemd1(5)).
    fn properties(&self, unit: &str) -> Result<HashMap<String, String>> {
        let wanted =
            "--property=LoadState,ActiveState,MainPID,UnitFileState,NeedDaemonReload,FragmentPath";
        let shown = self.show([unit, wanted], AT_ONCE)?.text();
        Ok(shown
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect())
    }

    /// Writes the units that are to change, and has them loaded, and heph.service enabled.
    fn install(&self, new: NewFiles) -> Result<()> {
        if let Some(text) = new.socket {
            // What it listens on changes with a new start only. Stopped before the file is written: were this run cut
            // short in between, the next start would read the new file, and never take the socket for an up-to-date one.
            if is_active(&self.properties(SOCKET)?) {
                self.stop_both()?;
            }
            files::write_atomic(&self.socket_file, text.as_bytes(), files::SHARED)?;
        }
        if let Some(text) = new.service {
            files::write_atomic(&self.file, text.as_bytes(), files::SHARED)?;
        }
        // A run that was cut short may have written the units and not reloaded them.
        let mut outdated = false;
        for unit in [UNIT, SOCKET] {
            let before = self.properties(unit)?;
            outdated |= property(&before, "NeedDaemonReload") == "yes"
                || property(&before, "LoadState") == "not-found";
        }
        if new.service.is_some() || new.socket.is_some() || outdated {
            self.systemctl(["daemon-reload"]).success()?;
        }
        let loaded = self.properties(UNIT)?;
        if property(&loaded, "LoadState") == "not-found" {
            return Err(Error::new(format!(
                "systemd does not read '{}': its user manager has other folders than this shell",
                self.file.display()
            ))
            .with_hint("compare XDG_CONFIG_HOME here and in `systemctl --user show-environment`"));
        }
        if property(&loaded, "UnitFileState") != "enabled" {
            self.systemctl(["enable", UNIT]).success()?;
        }
        Ok(())
    }

    /// Stops heph.service and heph.socket in one transaction: who connects meanwhile starts neither again.
    fn stop_both(&self) -> Result<()> {
        let stop = match property(&self.properties(SOCKET)?, "LoadState") {
            // systemctl refuses to stop what is not there.
            "not-found" => self.systemctl(["stop", UNIT]),
            _ => self.systemctl(["stop", UNIT, SOCKET]),
        };
        stop.limit(STOPPING).success().map(drop)
    }
}

/// Returns whether the unit is up, or on its way up or down.
fn is_active(properties: &HashMap<String, String>) -> bool {
    !matches!(
        property(properties, "ActiveState"),
        "inactive" | "failed" | ""
    )
}

fn property<'a>(properties: &'a HashMap<String, String>, name: &str) -> &'a str {
    properties.get(name).map_or("", String::as_str)
}

/// Returns what systemd is doing with the unit, from its properties. Pure.
fn process(properties: &HashMap<String, String>) -> Process {
    let pid = property(properties, "MainPID")
        .parse()
        .ok()
        .filter(|pid| *pid != 0);
    let activity = match property(properties, "ActiveState") {
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
        &self.file
    }

    fn template(&self) -> u32 {
        TEMPLATE
    }

    fn socket_file(&self) -> Option<&Path> {
        Some(&self.socket_file)
    }

    fn render_socket(&self, definition: &Definition) -> Option<String> {
        Some(socket::render(&socket::Listening::of(definition)))
    }

    fn holds_socket(&self) -> Result<Option<bool>> {
        let properties = self.properties(SOCKET)?;
        Ok(Some(property(&properties, "ActiveState") == "active"))
    }

    fn runtime_dir(&self) -> Option<PathBuf> {
        self.runtime.clone()
    }

    fn render(&self, definition: &Definition) -> String {
        unit::render(definition)
    }

    fn parse(&self, text: &str) -> Result<Written> {
        unit::parse(text)
    }

    fn answers(&self) -> Result<()> {
        self.show(["--property=Version"], Duration::from_secs(10))
            .map(drop)
    }

    fn process(&self) -> Result<Process> {
        Ok(process(&self.properties(UNIT)?))
    }

    fn start(&self, new: NewFiles, limit: Duration) -> Result<()> {
        self.install(new)?;
        self.systemctl(["start", UNIT])
            .limit(limit)
            .success()
            .map(drop)
    }

    fn restart(&self, new: NewFiles, limit: Duration) -> Result<()> {
        self.install(new)?;
        // Type=notify: the job ends well only after READY=1. A socket that is up stays as it is; one that is not, because
        // hephd had bound the path by itself so far, is started in between, when that hephd has ended.
        self.systemctl(["restart", UNIT])
            .limit(limit)
            .success()
            .map(drop)
    }

    fn stop(&self) -> Result<bool> {
        let properties = self.properties(UNIT)?;
        if property(&properties, "ActiveState") == "inactive" && self.holds_socket()? != Some(true)
        {
            return Ok(false);
        }
        self.stop_both()?;
        Ok(process(&properties).activity != Activity::Stopped)
    }

    fn uninstall(&self) -> Result<bool> {
        let was_running = self.stop()?;
        let was_there = self.file.exists();
        if was_there {
            self.systemctl(["disable", UNIT]).success()?;
        }
        let remove = |path: &Path| {
            files::remove_file_if_there(path)
                .with_context(|| format!("cannot remove '{}'", path.display()))
        };
        remove(&self.file)?;
        let was_there = remove(&self.socket_file)? || was_there;
        // `disable` refuses where the unit is gone and only this link is left.
        let wanted_by = self.file.with_file_name("default.target.wants").join(UNIT);
        let was_wanted = remove(&wanted_by)?;
        self.systemctl(["daemon-reload"]).success()?;
        // Fails where the unit did not fail before, which is well.
        for unit in [UNIT, SOCKET] {
            drop(self.systemctl(["reset-failed", unit]).output());
        }
        Ok(was_running || was_there || was_wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::generated::template_of;

    #[test]
    fn both_templates_say_their_version() {
        for template in [
            include_str!("../../../templates/heph.service"),
            include_str!("../../../templates/heph.socket"),
        ] {
            assert_eq!(template_of(template), Some(TEMPLATE));
        }
    }

    #[test]
    fn what_systemd_does_is_told_from_its_properties() {
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
            let properties = [("ActiveState", state), ("MainPID", main)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()));
            let told = process(&HashMap::from(properties));
            assert_eq!(told, Process { activity, pid }, "{state} {main}");
        }
    }
}
