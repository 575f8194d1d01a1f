//! `launchctl`: the agents of this user.
//!
//! launchctl returns before launchd is done. After `bootout` the job still ends, and a `bootstrap` right then fails with 5
//! (input/output error) or 37 (already in progress) for seconds. So heph waits until `print` no longer knows the job, and
//! retries `bootstrap`.
//!
//! An agent belongs to the domain `gui/UID`, which exists only while its user is logged in on the screen; over SSH it
//! is `user/UID` instead. A loaded job stays in its domain, so that it never runs in both.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Result, bail};
use crate::os::process::{Output, Run, describe};

/// How long launchd may take to unload a job, and to load one.
const LIMIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(200);

/// No such process: the job is not loaded (`bootout`).
const NO_PROCESS: i32 = 3;
/// Input/output error: launchd is still busy with the job, or the domain does not exist.
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
    pub fn new(label: &'static str, folder: &Path) -> Agent {
        Agent {
            label,
            file: folder.join(format!("{label}.plist")),
            uid: rustix::process::getuid().as_raw(),
        }
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    fn domains(&self) -> [String; 2] {
        [format!("gui/{}", self.uid), format!("user/{}", self.uid)]
    }

    fn target(&self, domain: &str) -> String {
        format!("{domain}/{}", self.label)
    }

    /// Returns the domain that the job is loaded in and its state, as `print` shows it; `None` where it is not loaded.
    pub fn loaded(&self) -> Result<Option<(String, String)>> {
        for domain in self.domains() {
            if let Some(state) = print(&self.target(&domain))? {
                return Ok(Some((domain, state)));
            }
        }
        Ok(None)
    }

    /// Checks that the user has not disabled the job: launchd would not load it, and would not say why.
    pub fn check_enabled(&self) -> Result<()> {
        for domain in self.domains() {
            // Fails for a domain that does not exist.
            let output = launchctl(["print-disabled", &domain]).output()?;
            if output.status.success() && is_disabled(&output.text(), self.label) {
                let target = self.target(&domain);
                let message = format!("launchd does not load '{}': it is disabled", self.label);
                return Err(Error::new(message)
                    .with_hint(format!("`launchctl enable {target}`, then try again")));
            }
        }
        Ok(())
    }

    /// Unloads the job. Returns the state it had; `None` where it was not loaded.
    pub fn unload(&self) -> Result<Option<String>> {
        let Some((domain, state)) = self.loaded()? else {
            return Ok(None);
        };
        self.bootout(&domain)?;
        Ok(Some(state))
    }

    /// Unloads the job from `domain`, which ends its process, and waits until it is gone.
    pub fn bootout(&self, domain: &str) -> Result<()> {
        let target = self.target(domain);
        let output = launchctl(["bootout", &target]).output()?;
        match output.status.code() {
            Some(0 | NO_PROCESS | IN_PROGRESS | NOT_FOUND) => {}
            _ => return Err(failed("bootout", &target, &output)),
        }
        let deadline = Instant::now() + LIMIT;
        while print(&target)?.is_some() {
            if Instant::now() >= deadline {
                bail!(
                    "cannot unload '{target}': launchd still has it {LIMIT:?} after `launchctl bootout`"
                );
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Loads the job: into the domain `former`, else into the first one that exists.
    pub fn bootstrap(&self, former: Option<String>) -> Result<()> {
        let [gui, user] = self.domains();
        let fixed = former.is_some();
        let mut domain = former.unwrap_or_else(|| gui.clone());
        let mut deadline = Instant::now() + LIMIT;
        loop {
            let output = launchctl(["bootstrap", &domain]).arg(&self.file).output()?;
            let late = Instant::now() >= deadline;
            match output.status.code() {
                Some(0) => return Ok(()),
                // The domain may not exist, which has the exit code of a busy one.
                _ if !fixed && domain == gui && (late || print(&gui)?.is_none()) => {
                    domain.clone_from(&user);
                    deadline = Instant::now() + LIMIT;
                }
                Some(IO_ERROR | ALREADY) if !late => thread::sleep(PAUSE),
                _ => return Err(failed("bootstrap", &domain, &output)),
            }
        }
    }

    /// Starts the job that is loaded in `domain`; with `kill`, restarts it. Returns whether it is loaded there at all.
    pub fn kickstart(&self, domain: &str, kill: bool) -> Result<bool> {
        let target = self.target(domain);
        let kill = kill.then_some("-k");
        let output = launchctl(["kickstart"]).args(kill).arg(&target).output()?;
        match output.status.code() {
            Some(0) => Ok(true),
            Some(NOT_FOUND) => Ok(false),
            _ => Err(failed("kickstart", &target, &output)),
        }
    }
}

/// Returns what `print` shows of `target`, a domain or a job; `None` where it does not exist.
fn print(target: &str) -> Result<Option<String>> {
    let output = launchctl(["print", target]).output()?;
    Ok(output.status.success().then(|| output.text()))
}

/// Returns whether `label` is disabled, by what `print-disabled` shows. Pure.
fn is_disabled(shown: &str, label: &str) -> bool {
    let quoted = format!("\"{label}\"");
    let state = shown.lines().find_map(|line| {
        let (name, state) = line.split_once("=>")?;
        (name.trim() == quoted).then(|| state.trim())
    });
    // Before macOS 13 "true" and "false" say whether it is disabled.
    matches!(state, Some("disabled" | "true"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disabled_job_is_seen_in_what_either_macos_prints() {
        let shown = |state| {
            format!(
                "\n\tdisabled services = {{\n\t\t\"com.apple.x\" => disabled\n\t\t\"org.y\" => {state}\n\t}}\n\tlogin item associations = {{\n\t}}\n"
            )
        };
        for (state, disabled) in [
            ("disabled", true),
            ("true", true),
            ("enabled", false),
            ("false", false),
        ] {
            assert_eq!(is_disabled(&shown(state), "org.y"), disabled, "{state}");
        }
        assert!(!is_disabled(&shown("disabled"), "y"), "another label");
        assert!(!is_disabled("", "org.y"), "never disabled");
    }
}
