//! The systemd back end: `heph.service`.

pub mod unit;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::definition::{Definition, Written};
use super::{Activity, Manager, Process};
use crate::error::Fault;
use crate::os::process::{Output, Run};
use crate::os::{files, systemctl};
use crate::paths::Paths;

const UNIT: &str = "heph.service";

/// How long systemctl may take for what systemd does at once.
const AT_ONCE: Duration = Duration::from_secs(30);
/// How long stopping may take: TimeoutStopSec of the unit, and then SIGKILL.
const STOPPING: Duration = Duration::from_secs(60);

/// The systemd user manager.
#[derive(Debug)]
pub struct Systemd {
    file: PathBuf,
    runtime: Option<PathBuf>,
}

impl Systemd {
    /// Returns the user manager of this user, whether or not it answers.
    pub fn new(paths: &Paths) -> Systemd {
        Systemd {
            file: paths.systemd_units.join(UNIT),
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
        let silent = || Fault::new("your systemd user manager does not answer").hint(self.remedy());
        self.systemctl(["show"])
            .args(arguments)
            .limit(limit)
            .success()
            .with_context(silent)
    }

    /// Returns the properties of the unit that heph looks at (org.freedesktop.systemd1(5)).
    fn properties(&self) -> Result<HashMap<String, String>> {
        let wanted =
            "--property=LoadState,ActiveState,MainPID,UnitFileState,NeedDaemonReload,FragmentPath";
        let shown = self.show([UNIT, wanted], AT_ONCE)?.text();
        Ok(shown
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect())
    }

    /// Writes the unit if it is to change, and has it loaded and enabled.
    fn install(&self, new_file: Option<&str>) -> Result<()> {
        if let Some(text) = new_file {
            files::write_atomic(&self.file, text.as_bytes(), files::SHARED)?;
        }
        let before = self.properties()?;
        // A run that was cut short may have written the unit and not reloaded it.
        let outdated = property(&before, "NeedDaemonReload") == "yes"
            || property(&before, "LoadState") == "not-found";
        if new_file.is_some() || outdated {
            self.systemctl(["daemon-reload"]).success()?;
        }
        let loaded = self.properties()?;
        if property(&loaded, "LoadState") == "not-found" {
            return Err(Fault::new(format!(
                "systemd does not read '{}': its user manager has other folders than this shell",
                self.file.display()
            ))
            .hint("compare XDG_CONFIG_HOME here and in `systemctl --user show-environment`")
            .into());
        }
        if property(&loaded, "UnitFileState") != "enabled" {
            self.systemctl(["enable", UNIT]).success()?;
        }
        Ok(())
    }
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
        Ok(process(&self.properties()?))
    }

    fn start(&self, new_file: Option<&str>, limit: Duration) -> Result<()> {
        self.install(new_file)?;
        self.systemctl(["start", UNIT])
            .limit(limit)
            .success()
            .map(drop)
    }

    fn restart(&self, new_file: Option<&str>, limit: Duration) -> Result<()> {
        self.install(new_file)?;
        // Type=notify: the job ends well only after READY=1.
        self.systemctl(["restart", UNIT])
            .limit(limit)
            .success()
            .map(drop)
    }

    fn stop(&self) -> Result<bool> {
        let properties = self.properties()?;
        if property(&properties, "ActiveState") == "inactive" {
            return Ok(false);
        }
        self.systemctl(["stop", UNIT]).limit(STOPPING).success()?;
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
        // `disable` refuses where the unit is gone and only this link is left.
        let wanted_by = self.file.with_file_name("default.target.wants").join(UNIT);
        let was_wanted = remove(&wanted_by)?;
        self.systemctl(["daemon-reload"]).success()?;
        // Fails where the unit did not fail before, which is well.
        drop(self.systemctl(["reset-failed", UNIT]).output());
        Ok(was_running || was_there || was_wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
