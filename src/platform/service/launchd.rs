//! The launchd back end: the agent `org.hephaestus.hephd`.
//!
//! launchd holds no socket for hephd: handing one over needs a call of its own (launch_activate_socket(3)), which only unsafe
//! code can make. Clients wait for the socket to come back instead.
//!
//! A job whose property list did not change is not loaded anew: `kickstart -k` is enough.

pub mod agent;

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::definition::{Definition, Written};
use super::{Activity, Manager, NewFiles, Process};
use crate::error::{Result, ResultExt};
use crate::os::files;
use crate::paths::Paths;
use crate::platform::launchd::launchctl::Agent;

const LABEL: &str = "org.hephaestus.hephd";
/// The version of the template.
const TEMPLATE: u32 = 1;

/// launchd, for the agents of this user.
#[derive(Debug)]
pub struct Launchd(Agent);

impl Launchd {
    /// Returns launchd.
    pub fn new(paths: &Paths) -> Launchd {
        Launchd(Agent::new(LABEL, &paths.launch_agents))
    }

    fn run(&self, new_file: Option<&str>, kill: bool) -> Result<()> {
        let loaded = self.0.loaded()?.map(|(domain, _)| domain);
        let (Some(domain), None) = (&loaded, new_file) else {
            // Booted out before the file is written: were this run cut short in between, the next start would load
            // the new file, and never take the job for one that is up to date.
            if let Some(domain) = &loaded {
                self.0.boot_out(domain)?;
            }
            if let Some(text) = new_file {
                files::write_atomic(self.0.file(), text.as_bytes(), files::SHARED)?;
            }
            return self.0.boot_in(loaded);
        };
        if self.0.kickstart(domain, kill)? {
            return Ok(());
        }
        self.0.boot_in(loaded)
    }
}

/// Returns what launchd is doing with a job that is loaded, from what `print` says of it. Pure.
fn process(said: &str) -> Process {
    let pid = said
        .lines()
        .find_map(|line| line.strip_prefix("\tpid = "))
        .and_then(|pid| pid.trim().parse().ok());
    Process {
        activity: match pid {
            Some(_) => Activity::Running,
            // Under KeepAlive a job without a process is between two starts.
            None => Activity::Starting,
        },
        pid,
    }
}

impl Manager for Launchd {
    fn name(&self) -> &'static str {
        "launchd"
    }

    fn file(&self) -> &Path {
        self.0.file()
    }

    fn template(&self) -> u32 {
        TEMPLATE
    }

    fn runtime_dir(&self) -> Option<PathBuf> {
        None
    }

    fn render(&self, definition: &Definition) -> String {
        agent::render(definition)
    }

    fn parse(&self, text: &str) -> Result<Written> {
        agent::parse(text)
    }

    fn answers(&self) -> Result<()> {
        // It is the first process of the machine.
        Ok(())
    }

    fn process(&self) -> Result<Process> {
        Ok(self.0.loaded()?.map_or(
            Process {
                activity: Activity::Stopped,
                pid: None,
            },
            |(_, said)| process(&said),
        ))
    }

    fn start(&self, new: NewFiles, _limit: Duration) -> Result<()> {
        self.run(new.service, false)
    }

    fn restart(&self, new: NewFiles, _limit: Duration) -> Result<()> {
        self.run(new.service, true)
    }

    fn stop(&self) -> Result<bool> {
        let Some((domain, said)) = self.0.loaded()? else {
            return Ok(false);
        };
        // KeepAlive starts a killed process again: only an unloaded job stays down.
        self.0.boot_out(&domain)?;
        Ok(process(&said).pid.is_some())
    }

    fn uninstall(&self) -> Result<bool> {
        let was_loaded = self.0.loaded()?.is_some();
        self.stop()?;
        let was_there = files::remove_file_if_there(self.0.file())
            .with_context(|| format!("cannot remove '{}'", self.0.file().display()))?;
        Ok(was_loaded || was_there)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::generated::template_of;

    #[test]
    fn the_template_says_its_version() {
        let template = include_str!("../../../templates/org.hephaestus.hephd.plist");
        assert_eq!(template_of(template), Some(TEMPLATE));
    }

    #[test]
    fn the_process_is_told_from_what_launchctl_prints() {
        // The shape of real output; nested blocks have their own pids.
        let said = "gui/501/org.hephaestus.hephd = {\n\tactive count = 1\n\tstate = running\n\tspawn type = daemon (3)\n\tpid = 4711\n\tendpoints = {\n\t\tpid = 1\n\t}\n}\n";
        assert_eq!(process(said).pid, Some(4711));
        assert_eq!(process(said).activity, Activity::Running);
        let between =
            "gui/501/x = {\n\tstate = spawn scheduled\n\tendpoints = {\n\t\tpid = 1\n\t}\n}\n";
        assert_eq!(process(between).pid, None);
        assert_eq!(process(between).activity, Activity::Starting);
    }
}
