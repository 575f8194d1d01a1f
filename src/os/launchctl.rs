//! `launchctl`: launchd, which answers before it has done what it was asked.
//!
//! `bootout` returns before the job is gone, and a `bootstrap` meanwhile fails with 5 or 37 for seconds. So both are
//! waited for here: after [`unload`] the job is gone, after [`load`] it is there.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::error::Fault;
use crate::os::process::Run;

/// How long launchd has for a change.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// Returns what `launchctl print` says of the job `label`; `None` where launchd does not know it.
///
/// # Errors
///
/// `launchctl` cannot be started.
pub fn print(label: &str) -> Result<Option<String>> {
    for domain in domains() {
        let output = Run::new("launchctl")
            .args(["print", &format!("{domain}/{label}")])
            .output()?;
        if output.status.success() {
            return Ok(Some(output.text()));
        }
    }
    Ok(None)
}

/// Loads the job `label` from `plist`, once it is not loaded any more.
///
/// # Errors
///
/// launchd refused for 30 s; the error carries what it said.
pub fn load(label: &str, plist: &Path) -> Result<()> {
    unload(label)?;
    let domain = domain()?;
    let until = Instant::now() + PATIENCE;
    loop {
        let attempt = Run::new("launchctl")
            .args(["bootstrap", &domain])
            .arg(plist)
            .success();
        match attempt {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() >= until => {
                return Err(error).with_context(|| format!("cannot load '{label}'"));
            }
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// Unloads the job `label` and waits until it is gone. Returns whether it was there.
///
/// # Errors
///
/// It is still there after 30 s.
pub fn unload(label: &str) -> Result<bool> {
    if print(label)?.is_none() {
        return Ok(false);
    }
    let until = Instant::now() + PATIENCE;
    loop {
        for domain in domains() {
            // Whatever it answers, `print` tells whether the job is gone.
            Run::new("launchctl")
                .args(["bootout", &format!("{domain}/{label}")])
                .output()?;
        }
        if print(label)?.is_none() {
            return Ok(true);
        }
        if Instant::now() >= until {
            bail!("launchd still has '{label}' {PATIENCE:?} after it was told to unload it");
        }
        thread::sleep(PAUSE);
    }
}

/// Starts the loaded job `label` afresh, ending what runs of it.
///
/// # Errors
///
/// launchd refused.
pub fn kickstart(label: &str) -> Result<()> {
    let domain = domain()?;
    Run::new("launchctl")
        .args(["kickstart", "-k", &format!("{domain}/{label}")])
        .success()?;
    Ok(())
}

/// Returns the domain for new jobs: `gui/UID` needs a login in the graphical session, `user/UID` does not.
fn domain() -> Result<String> {
    for domain in domains() {
        let output = Run::new("launchctl").args(["print", &domain]).output()?;
        if output.status.success() {
            return Ok(domain);
        }
    }
    Err(Fault::new("launchd has no domain for this user")
        .hint("log in once at the screen, then run the command again")
        .into())
}

fn domains() -> [String; 2] {
    let user = rustix::process::getuid().as_raw();
    [format!("gui/{user}"), format!("user/{user}")]
}
