//! `systemctl --user`: the user's own systemd.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::os::process::{Output, Run};

/// Returns a run of `systemctl --user` with `arguments`, with messages in English and times in UTC.
pub fn run(arguments: &[&str]) -> Run {
    let run = Run::new("systemctl")
        .args(["--user", "--no-pager"])
        .args(arguments)
        .env("LC_ALL", "C")
        .env("TZ", "UTC");
    match runtime_folder() {
        Some(folder) => run.env("XDG_RUNTIME_DIR", folder),
        None => run,
    }
}

/// Runs `systemctl --user` with `arguments` to its end.
///
/// # Errors
///
/// It cannot be started, or failed; the error carries what it said.
pub fn call(arguments: &[&str]) -> Result<Output> {
    run(arguments).success()
}

/// Returns whether a user manager answers.
pub fn answers() -> bool {
    call(&["show", "--property=Version"]).is_ok()
}

/// Returns whether the user manager is shutting down: at logout without lingering, or with the machine.
pub fn is_stopping() -> bool {
    // It exits with 1 in every state but "running" (systemctl(1)).
    let said = run(&["is-system-running"]).output();
    said.is_ok_and(|output| output.text().trim() == "stopping")
}

/// Returns whether the user's manager runs without a session, so that timers run after logout; `None` where nothing tells.
pub fn lingers() -> Option<bool> {
    let user = Run::new("id").arg("-un").success().ok()?.text();
    let user = user.trim();
    let folder = Path::new("/var/lib/systemd/linger");
    if folder.join(user).exists() {
        return Some(true);
    }
    // logind may not know a user without a session, and its tool may be missing; the folder says the same then.
    let said = Run::new("loginctl")
        .args(["show-user", user, "--property=Linger"])
        .success();
    match said.as_ref().map(|output| output.text()) {
        Ok(text) => Some(text.trim() == "Linger=yes"),
        Err(_) => folder.is_dir().then_some(false),
    }
}

/// Returns the user's runtime folder, also where cron or sudo left `XDG_RUNTIME_DIR` out (systemd issue 34849).
pub fn runtime_folder() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty()) {
        return Some(PathBuf::from(folder));
    }
    let user = rustix::process::getuid().as_raw();
    let folder = PathBuf::from(format!("/run/user/{user}"));
    folder.is_dir().then_some(folder)
}
