//! `launchctl`: the agents of this user, and the patience that launchd takes.
//!
//! launchctl answers before launchd is done. `bootout` returns while the job still ends, and a `bootstrap` right after
//! it fails with 5 (input/output error) or 37 (already in progress) for seconds. So a job that was booted out is waited
//! for until `print` no longer knows it, and `bootstrap` is tried again for a while.
//!
//! An agent belongs to the domain `gui/UID`, which exists only while its user is logged in on the screen; over SSH it
//! is `user/UID` instead. A job that is loaded stays in the domain it is in, so that it never runs in both.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Result, bail};
use crate::os::process::{Output, Run, describe};

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

/// An agent of this user, loaded or not.
#[derive(Debug)]
pub struct Agent {
    label: &'static str,
    file: PathBuf,
    uid: u32,
}

impl Agent {
    /// Returns the agent `label` whose property list is in the folder `agents`.
    pub fn new(label: &'static str, agents: &Path) -> Agent {
        Agent {
            label,
            file: agents.join(format!("{label}.plist")),
            uid: rustix::process::getuid().as_raw(),
        }
    }

    /// Returns its property list, whether or not it is there.
    pub fn file(&self) -> &Path {
        &self.file
    }

    fn domains(&self) -> [String; 2] {
        [format!("gui/{}", self.uid), format!("user/{}", self.uid)]
    }

    fn target(&self, domain: &str) -> String {
        format!("{domain}/{}", self.label)
    }

    /// Returns the domain that the job is loaded in and what launchd says of it; `None` where it is not loaded.
    ///
    /// # Errors
    ///
    /// `launchctl` cannot be started.
    pub fn loaded(&self) -> Result<Option<(String, String)>> {
        for domain in self.domains() {
            if let Some(said) = print(&self.target(&domain))? {
                return Ok(Some((domain, said)));
            }
        }
        Ok(None)
    }

    /// Unloads the job, wherever it is loaded. Returns what launchd said of it before; `None` where it was not loaded.
    ///
    /// # Errors
    ///
    /// As [`Agent::boot_out`].
    pub fn unload(&self) -> Result<Option<String>> {
        let Some((domain, state)) = self.loaded()? else {
            return Ok(None);
        };
        self.boot_out(&domain)?;
        Ok(Some(state))
    }

    /// Unloads the job from `domain`, which ends its process, and returns once launchd has let it go.
    ///
    /// # Errors
    ///
    /// launchd refused, or still has it after 30 s.
    pub fn boot_out(&self, domain: &str) -> Result<()> {
        let target = self.target(domain);
        let output = launchctl(["bootout", &target]).output()?;
        match output.status.code() {
            Some(0 | NO_PROCESS | IN_PROGRESS | NOT_FOUND) => {}
            _ => return Err(failed("bootout", &target, &output)),
        }
        let deadline = Instant::now() + PATIENCE;
        while print(&target)?.is_some() {
            if Instant::now() >= deadline {
                bail!("launchd still has '{target}' {PATIENCE:?} after `launchctl bootout`");
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Loads the job: into the domain it `was` in, else where launchd takes it.
    ///
    /// # Errors
    ///
    /// launchd refused, or was busy for 30 s.
    pub fn boot_in(&self, was: Option<String>) -> Result<()> {
        let [gui, user] = self.domains();
        let fixed = was.is_some();
        let mut domain = was.unwrap_or_else(|| gui.clone());
        let mut deadline = Instant::now() + PATIENCE;
        loop {
            let bootstrap = launchctl(["bootstrap", &domain]).arg(&self.file);
            let output = bootstrap.output()?;
            let late = Instant::now() >= deadline;
            match output.status.code() {
                Some(0) => return Ok(()),
                // There may be no such domain, for which launchd has the code of a busy one.
                _ if !fixed && domain == gui && (late || print(&gui)?.is_none()) => {
                    domain.clone_from(&user);
                    deadline = Instant::now() + PATIENCE;
                }
                Some(IO_ERROR | ALREADY) if !late => thread::sleep(PAUSE),
                _ => return Err(failed("bootstrap", &domain, &output)),
            }
        }
    }

    /// Starts the job that is loaded in `domain`, afresh where `kill` is set; returns whether it is loaded there at all.
    ///
    /// # Errors
    ///
    /// launchd refused.
    pub fn kickstart(&self, domain: &str, kill: bool) -> Result<bool> {
        let target = self.target(domain);
        let kickstart = if kill {
            launchctl(["kickstart", "-k", &target])
        } else {
            launchctl(["kickstart", &target])
        };
        let output = kickstart.output()?;
        match output.status.code() {
            Some(0) => Ok(true),
            Some(NOT_FOUND) => Ok(false),
            _ => Err(failed("kickstart", &target, &output)),
        }
    }
}

/// Returns what launchd says of `target`, a domain or a job; `None` where it knows no such thing.
fn print(target: &str) -> Result<Option<String>> {
    let output = launchctl(["print", target]).output()?;
    Ok(output.status.success().then(|| output.text()))
}

fn launchctl<const N: usize>(arguments: [&str; N]) -> Run {
    Run::new("launchctl").args(arguments)
}

fn failed(verb: &str, target: &str, output: &Output) -> Error {
    Error::new(format!(
        "`launchctl {verb} {target}` {}: {}",
        describe(output.status),
        output.last_lines(12)
    ))
}
