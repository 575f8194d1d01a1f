//! `systemctl --user`: the user's own systemd.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use crate::error::{Error, Result, ResultExt};
use crate::os::process::{Output, Run};
use crate::platform::generated;

/// The default limit: most commands return at once.
const AT_ONCE: Duration = Duration::from_secs(30);

/// Returns a run of `systemctl --user` with `arguments`, with messages in English and times in UTC.
pub fn run(arguments: &[&str]) -> Run {
    let run = Run::new("systemctl")
        .args(["--user", "--no-pager"])
        .args(arguments)
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .limit(AT_ONCE);
    match runtime_folder() {
        Some(folder) => run.env("XDG_RUNTIME_DIR", folder),
        None => run,
    }
}

/// Runs `systemctl --user` with `arguments` to its end, and fails as it does.
pub fn call(arguments: &[&str]) -> Result<Output> {
    run(arguments).success()
}

/// Checks that a user manager answers; the hint of the error says what may help.
pub fn check() -> Result<()> {
    show(run(&["show", "--property=Version"]).limit(Duration::from_secs(10)))?;
    Ok(())
}

/// Runs `systemctl show`, which fails only if the user manager does not answer or there is no `systemctl`.
fn show(run: Run) -> Result<Output> {
    run.success().with_context(|| {
        Error::new("your systemd user manager does not answer").with_hint(match runtime_folder() {
            None => {
                "for a systemd user manager, log in as that user (XDG_RUNTIME_DIR is not set), \
                 or run `loginctl enable-linger`"
                    .to_owned()
            }
            Some(runtime) => format!(
                "for a systemd user manager, check `systemctl --user status` (XDG_RUNTIME_DIR is '{}')",
                runtime.display()
            ),
        })
    })
}

/// The properties of a unit that heph looks at (org.freedesktop.systemd1(5)).
#[derive(Debug)]
pub struct Properties(HashMap<String, String>);

impl Properties {
    pub fn of(unit: &str) -> Result<Properties> {
        let wanted = "--property=LoadState,ActiveState,MainPID,UnitFileState,NeedDaemonReload";
        let shown = show(run(&["show", unit, wanted]))?.text();
        let pairs = shown.lines().filter_map(|line| line.split_once('='));
        Ok(Properties::from_iter(pairs))
    }

    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// Returns whether the unit is up, or on its way up or down.
    pub fn is_active(&self) -> bool {
        !matches!(self.get("ActiveState"), "inactive" | "failed" | "")
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Properties {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(pairs: I) -> Properties {
        let pairs = pairs.into_iter();
        let owned = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Properties(owned.collect())
    }
}

/// Has systemd read `units` again where their files `changed`, and start `enabled`, one of them, at every login. Returns
/// whether systemd had to read them.
pub fn install(units: &[&str], enabled: &str, mut changed: bool) -> Result<bool> {
    for unit in units {
        // An interrupted run may have written the files and got no further.
        let before = Properties::of(unit)?;
        changed |=
            before.get("NeedDaemonReload") == "yes" || before.get("LoadState") == "not-found";
    }
    if changed {
        call(&["daemon-reload"])?;
    }
    let loaded = Properties::of(enabled)?;
    if loaded.get("LoadState") == "not-found" {
        return Err(Error::new(format!(
            "systemd does not find {enabled}: its user manager has other folders than this shell"
        ))
        .with_hint("compare XDG_CONFIG_HOME here and in `systemctl --user show-environment`"));
    }
    if loaded.get("UnitFileState") != "enabled" {
        call(&["enable", enabled])?;
    }
    Ok(changed)
}

/// Removes `units` from `folder`, the link by which `target` wants `enabled`, and what systemd remembers of them. Returns
/// whether any of the files existed. Works without a user manager.
pub fn uninstall(folder: &Path, units: &[&str], enabled: &str, target: &str) -> Result<bool> {
    let answers = check().is_ok();
    if answers && Properties::of(enabled)?.get("UnitFileState") == "enabled" {
        call(&["disable", enabled])?;
    }
    let mut removed = false;
    for unit in units {
        removed |= generated::remove(&folder.join(unit))?;
    }
    // `disable` fails where only this link is left.
    removed |= generated::remove(&folder.join(format!("{target}.wants")).join(enabled))?;
    if answers {
        call(&["daemon-reload"])?;
        for unit in units {
            // Fails for a unit that did not fail.
            drop(run(&["reset-failed", unit]).output());
        }
    }
    Ok(removed)
}

/// Returns whether the user manager is shutting down: at logout without lingering, or with the machine.
pub fn is_stopping() -> bool {
    // It exits with 1 in every state but "running" (systemctl(1)).
    let output = run(&["is-system-running"]).output();
    output.is_ok_and(|output| output.text().trim() == "stopping")
}

/// Returns whether the user's manager runs without a session, so that timers run after logout; `None` where that is unknown.
pub fn lingers() -> Option<bool> {
    let user = Run::new("id").arg("-un").success().ok()?.text();
    let user = user.trim();
    let folder = Path::new("/var/lib/systemd/linger");
    if folder.join(user).exists() {
        return Some(true);
    }
    // logind may not know a user without a session, and its tool may be missing. The folder then has the answer.
    let arguments = ["show-user", user, "--property=Linger"];
    match Run::new("loginctl").args(arguments).success() {
        Ok(output) => Some(output.text().trim() == "Linger=yes"),
        Err(_) => folder.is_dir().then_some(false),
    }
}

/// Returns the runtime folder of this user, where the user's manager has its socket; `None` where that is unknown.
pub fn runtime_folder() -> Option<PathBuf> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || {
        let given = std::env::var_os("XDG_RUNTIME_DIR").filter(|given| !given.is_empty());
        let usual = PathBuf::from(format!("/run/user/{}", rustix::process::getuid().as_raw()));
        choose_runtime_folder(given.map(PathBuf::from), usual, look, is_home_of_account)
    };
    FOLDER.get_or_init(find).clone()
}

/// What a folder is that may be the runtime folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Candidate {
    Missing,
    OfAnotherUser,
    Ours,
    /// Our user manager has its socket there.
    WithManager,
}

fn look(folder: &Path) -> Candidate {
    let us = rustix::process::getuid().as_raw();
    match folder.metadata() {
        Err(_) => Candidate::Missing,
        Ok(metadata) if metadata.uid() != us => Candidate::OfAnotherUser,
        Ok(_) if folder.join("systemd/private").exists() => Candidate::WithManager,
        Ok(_) => Candidate::Ours,
    }
}

/// Returns the runtime folder: the one `given`, unless the `usual` one must be meant. Pure.
///
/// Neither cron nor sudo passes one (systemd issue 34849), and `su` passes the caller's; the usual one exists nevertheless
/// while the user's manager runs. Other programs give the shell a folder of their own, as WSLg does, in which no manager is.
/// Then the usual one is taken if the manager there serves the home that this process has.
fn choose_runtime_folder(
    given: Option<PathBuf>,
    usual: PathBuf,
    look: impl Fn(&Path) -> Candidate,
    is_home_of_account: impl FnOnce() -> bool,
) -> Option<PathBuf> {
    use Candidate::*;
    let there = look(&usual);
    let Some(given) = given else {
        return matches!(there, Ours | WithManager).then_some(usual);
    };
    let usual_is_meant = match look(&given) {
        WithManager => false,
        OfAnotherUser => matches!(there, Ours | WithManager),
        Ours | Missing => there == WithManager && is_home_of_account(),
    };
    Some(if usual_is_meant { usual } else { given })
}

/// Returns whether `HOME` is the home of this account, whose units its manager reads.
fn is_home_of_account() -> bool {
    let uid = rustix::process::getuid().as_raw().to_string();
    let entry = Run::new("getent").args(["passwd", &uid]).success();
    let entry = entry.map(|output| output.text()).unwrap_or_default();
    let account = entry.trim().split(':').nth(5).map(PathBuf::from);
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let resolved = |path: Option<PathBuf>| path?.canonicalize().ok();
    home.is_some() && resolved(home) == resolved(account)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_runtime_folder_stands_in_for_one_that_cannot_be_meant() {
        use Candidate::*;
        let choose = |given: Option<Candidate>, usual: Candidate, same_home: bool| {
            let look = |path: &Path| match path.ends_with("given") {
                true => given.unwrap(),
                false => usual,
            };
            let path = given.map(|_| PathBuf::from("/given"));
            let chosen = choose_runtime_folder(path, "/usual".into(), look, || same_home);
            chosen.map(|path| path.to_str().unwrap().to_owned())
        };
        for (given, usual, same_home, chosen) in [
            // Cron, sudo.
            (None, WithManager, true, Some("/usual")),
            (None, Ours, false, Some("/usual")),
            (None, Missing, true, None),
            (None, OfAnotherUser, true, None),
            // A login.
            (Some(WithManager), WithManager, true, Some("/given")),
            (Some(Ours), Ours, true, Some("/given")),
            (Some(Ours), Missing, true, Some("/given")),
            // su, sudo -E.
            (Some(OfAnotherUser), WithManager, false, Some("/usual")),
            (Some(OfAnotherUser), Ours, false, Some("/usual")),
            (Some(OfAnotherUser), Missing, true, Some("/given")),
            // WSLg; and a home of its own beside the account's, which the manager there does not serve.
            (Some(Ours), WithManager, true, Some("/usual")),
            (Some(Missing), WithManager, true, Some("/usual")),
            (Some(Ours), WithManager, false, Some("/given")),
        ] {
            let found = choose(given, usual, same_home);
            assert_eq!(found.as_deref(), chosen, "{given:?} {usual:?} {same_home}");
        }
    }
}
