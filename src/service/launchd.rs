//! The launchd back end: the agent `org.hephaestus.hephd`, and the one wrapper of `launchctl`.
//!
//! launchctl answers before launchd is done. `bootout` returns while the job still ends, and a `bootstrap` right after
//! it fails with 5 (input/output error) or 37 (already in progress) for seconds. So a job that was booted out is waited
//! for until `print` no longer knows it, and `bootstrap` is tried again for a while. A job whose property list did not
//! change is not loaded anew: `kickstart -k` is enough.
//!
//! An agent belongs to the domain `gui/UID`, which exists only while its user is logged in on the screen; over SSH it
//! is `user/UID` instead. A job that is loaded stays in the domain it is in, so that it never runs in both.

pub mod agent;

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::definition::{Definition, Written};
use super::{Activity, Manager, Process};
use crate::error::Fault;
use crate::os::files;
use crate::os::process::{Output, Run, describe};
use crate::paths::Paths;

const LABEL: &str = "org.hephaestus.hephd";

/// How long launchd is given to let a job go, and to take one.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(200);

/// No such process: the job is not loaded (`bootout`).
const NO_PROCESS: i32 = 3;
/// Input/output error: launchd is still busy with the job, or the domain is not there.
const IO_ERROR: i32 = 5;
/// Operation now in progress: the job is still being booted out.
const IN_PROGRESS: i32 = 36;
/// Operation already in progress.
const ALREADY: i32 = 37;
/// Could not find service.
const NOT_FOUND: i32 = 113;

/// launchd, for the agents of this user.
#[derive(Debug)]
pub struct Launchd {
    file: PathBuf,
    uid: u32,
}

impl Launchd {
    /// Returns launchd.
    pub fn new(paths: &Paths) -> Launchd {
        Launchd {
            file: paths.launch_agents.join(format!("{LABEL}.plist")),
            uid: rustix::process::getuid().as_raw(),
        }
    }

    fn domains(&self) -> [String; 2] {
        [format!("gui/{}", self.uid), format!("user/{}", self.uid)]
    }

    /// Returns what launchd says of `target`, a domain or a job; `None` where it knows no such thing.
    fn print(&self, target: &str) -> Result<Option<String>> {
        let output = launchctl(["print", target]).output()?;
        Ok(output.status.success().then(|| output.text()))
    }

    /// Returns the domain that the job is loaded in and what launchd says of it.
    fn loaded(&self) -> Result<Option<(String, String)>> {
        for domain in self.domains() {
            if let Some(said) = self.print(&format!("{domain}/{LABEL}"))? {
                return Ok(Some((domain, said)));
            }
        }
        Ok(None)
    }

    /// Unloads the job from `domain`, which ends its process, and returns once launchd has let it go.
    fn boot_out(&self, domain: &str) -> Result<()> {
        let target = format!("{domain}/{LABEL}");
        let output = launchctl(["bootout", &target]).output()?;
        match output.status.code() {
            Some(0 | NO_PROCESS | IN_PROGRESS | NOT_FOUND) => {}
            _ => return Err(failed("bootout", &target, &output)),
        }
        let deadline = Instant::now() + PATIENCE;
        while self.print(&target)?.is_some() {
            if Instant::now() >= deadline {
                bail!("launchd still has '{target}' {PATIENCE:?} after `launchctl bootout`");
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Loads the job, and with it starts hephd: into the domain it `was` in, else where launchd takes it.
    fn boot_in(&self, was: Option<String>) -> Result<()> {
        let [gui, user] = self.domains();
        let fixed = was.is_some();
        let mut domain = was.unwrap_or_else(|| gui.clone());
        let mut deadline = Instant::now() + PATIENCE;
        loop {
            let output = Run::new("launchctl")
                .args(["bootstrap", &domain])
                .arg(&self.file)
                .output()?;
            let late = Instant::now() >= deadline;
            match output.status.code() {
                Some(0) => return Ok(()),
                // There may be no such domain, for which launchd has the code of a busy one.
                _ if !fixed && domain == gui && (late || self.print(&gui)?.is_none()) => {
                    domain.clone_from(&user);
                    deadline = Instant::now() + PATIENCE;
                }
                Some(IO_ERROR | ALREADY) if !late => thread::sleep(PAUSE),
                _ => return Err(failed("bootstrap", &domain, &output)),
            }
        }
    }

    fn run(&self, new_file: Option<&str>, kill: bool) -> Result<()> {
        let loaded = self.loaded()?.map(|(domain, _)| domain);
        let (Some(domain), None) = (&loaded, new_file) else {
            // Booted out before the file is written: were this run cut short in between, the next start would load
            // the new file, and never take the job for one that is up to date.
            if let Some(domain) = &loaded {
                self.boot_out(domain)?;
            }
            if let Some(text) = new_file {
                files::write_atomic(&self.file, text.as_bytes(), files::SHARED)?;
            }
            return self.boot_in(loaded);
        };
        let target = format!("{domain}/{LABEL}");
        let kickstart = if kill {
            launchctl(["kickstart", "-k", &target])
        } else {
            launchctl(["kickstart", &target])
        };
        let output = kickstart.output()?;
        match output.status.code() {
            Some(0) => Ok(()),
            Some(NOT_FOUND) => self.boot_in(loaded),
            _ => Err(failed("kickstart", &target, &output)),
        }
    }
}

fn launchctl<const N: usize>(arguments: [&str; N]) -> Run {
    Run::new("launchctl").args(arguments)
}

fn failed(verb: &str, target: &str, output: &Output) -> anyhow::Error {
    Fault::new(format!(
        "`launchctl {verb} {target}` {}: {}",
        describe(output.status),
        output.last_lines(12)
    ))
    .into()
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
        &self.file
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

    fn process(&self) -> Result<Process> {
        Ok(self.loaded()?.map_or(
            Process {
                activity: Activity::Stopped,
                pid: None,
            },
            |(_, said)| process(&said),
        ))
    }

    fn start(&self, new_file: Option<&str>, _limit: Duration) -> Result<()> {
        self.run(new_file, false)
    }

    fn restart(&self, new_file: Option<&str>, _limit: Duration) -> Result<()> {
        self.run(new_file, true)
    }

    fn stop(&self) -> Result<bool> {
        let Some((domain, said)) = self.loaded()? else {
            return Ok(false);
        };
        // KeepAlive starts a killed process again: only an unloaded job stays down.
        self.boot_out(&domain)?;
        Ok(process(&said).pid.is_some())
    }

    fn uninstall(&self) -> Result<bool> {
        let was_loaded = self.loaded()?.is_some();
        self.stop()?;
        let was_there = files::remove_file_if_there(&self.file)
            .with_context(|| format!("cannot remove '{}'", self.file.display()))?;
        Ok(was_loaded || was_there)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
