//! `systemctl --user`: the user's own systemd.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Result;
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
    run(&["show", "--property=Version"])
        .limit(Duration::from_secs(10))
        .success()
        .is_ok()
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

/// Returns the runtime folder of this user, where the user's manager has its socket; `None` where nothing tells.
pub fn runtime_folder() -> Option<PathBuf> {
    let usual = format!("/run/user/{}", rustix::process::getuid().as_raw());
    choose_runtime_folder(
        std::env::var_os("XDG_RUNTIME_DIR"),
        PathBuf::from(usual),
        Path::is_dir,
    )
}

/// Returns the runtime folder: the one `given`, else the `usual` one where that `exists`. Neither cron nor sudo gives one
/// (systemd issue 34849); the folder is there all the same while the user's manager runs. Pure.
fn choose_runtime_folder(
    given: Option<OsString>,
    usual: PathBuf,
    exists: impl Fn(&Path) -> bool,
) -> Option<PathBuf> {
    given
        .filter(|given| !given.is_empty())
        .map(PathBuf::from)
        .or_else(|| Some(usual).filter(|usual| exists(usual)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn under_cron_and_sudo_the_usual_runtime_folder_is_taken_where_it_is_there() {
        let usual = || PathBuf::from("/run/user/1");
        for missing in [None, Some(OsString::new())] {
            assert_eq!(
                choose_runtime_folder(missing.clone(), usual(), |_| true),
                Some(usual())
            );
            assert_eq!(choose_runtime_folder(missing, usual(), |_| false), None);
        }
        let given = choose_runtime_folder(Some("/given".into()), usual(), |_| true);
        assert_eq!(given, Some(PathBuf::from("/given")));
    }
}
