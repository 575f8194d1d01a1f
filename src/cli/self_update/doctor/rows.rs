//! From facts to rows: pure functions, one a matter.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use semver::Version;

use super::row::Row;
use crate::config::Forge;
use crate::error::{Error, Kind};
use crate::install::build_failure::{self, BuildFailure};
use crate::platform::service;
use crate::release::Release;

/// Less than this much room for builds stops them, in bytes. A build of heph takes about 400 MiB.
const BUILD_NEEDS: u64 = 1 << 30;
/// Less than this much room for slots stops an update, in bytes.
const SLOT_NEEDS: u64 = 256 << 20;

/// What helps against generated files that do not fit this heph, or this shell.
const ENABLE: &str = "run `heph self-update enable` again";

/// How the trial of a small build ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trial {
    /// It was compiled, linked and started.
    Worked,
    /// cargo said this and failed.
    Failed(String),
    /// It was not tried, for cargo does not run.
    NotTried,
}

/// Returns the row about the scheduler. `timer` says in words what runs when; `None` where it is off.
pub fn timer(timer: Result<Option<String>, String>) -> Row {
    match timer {
        Ok(Some(words)) => Row::ok("timer", words),
        Ok(None) => Row::warning(
            "timer",
            "the timer is off; what follows is what it would find if it were turned on here and now",
            "`heph self-update enable` turns it on",
        ),
        Err(why) => Row::problem("timer", why, ENABLE),
    }
}

/// Returns the row about the files that `enable` generated, given what is wrong with them.
pub fn generated(stale: &[String]) -> Row {
    if stale.is_empty() {
        return Row::ok("generated files", "as this heph writes them");
    }
    Row::problem("generated files", stale.join("\n"), ENABLE)
}

/// Returns the row about the program that the job starts, given its version as it says it.
pub fn program(path: &Path, says: Result<Version, String>) -> Row {
    let path = path.display();
    match says {
        Ok(version) => Row::ok("program", format!("the job runs '{path}', heph {version}")),
        Err(why) => Row::problem(
            "program",
            format!("the job runs '{path}', which does not work: {why}"),
            ENABLE,
        ),
    }
}

/// Returns the row about the way the checks were made. `place` says it in words.
pub fn environment(place: &str, ran: Result<(), String>) -> Row {
    match ran {
        Ok(()) => Row::ok("environment", format!("checked {place}")),
        Err(why) => Row::problem(
            "environment",
            format!("nothing can be checked {place}: {why}"),
            ENABLE,
        ),
    }
}

/// Returns a row where the job would use other folders than this shell: pairs of what, here, and there.
pub fn folders(pairs: &[(&str, &Path, &Path)]) -> Option<Row> {
    let other: Vec<String> = pairs
        .iter()
        .filter(|(_, here, there)| here != there)
        .map(|(what, here, there)| {
            format!(
                "the job's {what} is '{}', this shell's is '{}'",
                there.display(),
                here.display()
            )
        })
        .collect();
    (!other.is_empty()).then(|| Row::problem("folders", other.join("\n"), ENABLE))
}

/// Returns the row about cargo: where it is and its version, as it says it.
pub fn cargo(found: Result<(PathBuf, String), String>) -> Row {
    match found {
        Ok((path, version)) => Row::ok("cargo", format!("{version}, '{}'", path.display())),
        Err(why) => {
            let hint = match build_failure::recognize(&why) {
                BuildFailure::Toolchain => "choose a toolchain: `rustup default stable`",
                _ => {
                    "install Rust as https://rustup.rs says, then run `heph self-update enable` again"
                }
            };
            Row::problem("cargo", why, hint)
        }
    }
}

/// Returns the row about compiling, linking and starting a program in the build folder.
pub fn linker(trial: &Trial, folder: &Path) -> Row {
    let said = match trial {
        Trial::Worked => {
            return Row::ok(
                "linker",
                "a small program was compiled, linked and started in the build folder",
            );
        }
        Trial::NotTried => {
            return Row::problem("linker", "not tried, for cargo does not run", "see cargo");
        }
        Trial::Failed(said) => said,
    };
    match build_failure::recognize(said) {
        BuildFailure::Linker => Row::problem(
            "linker",
            "there is no C compiler or linker",
            "install one: `sudo apt install build-essential`, `sudo dnf install gcc` or `xcode-select --install`",
        ),
        BuildFailure::Disk => Row::problem(
            "linker",
            "the disk is full",
            "make room; `heph self-update clean` removes old releases and the build folder",
        ),
        BuildFailure::Toolchain => Row::problem(
            "linker",
            format!("the Rust toolchain does not work:\n{}", gist(said)),
            "run `rustup default stable`",
        ),
        _ if said.contains("Permission denied") && said.contains("could not execute") => {
            Row::problem(
                "linker",
                format!(
                    "programs cannot be started in the build folder '{}' (is it mounted noexec?)",
                    folder.display()
                ),
                "set XDG_CACHE_HOME to a folder that allows it, and run `heph self-update enable` again",
            )
        }
        _ => Row::problem(
            "linker",
            format!("a small program cannot be built:\n{}", gist(said)),
            "build any program with `cargo run` in the same environment, and repair what fails",
        ),
    }
}

/// Returns the row about the temporary folder: whether files can be written there, and programs started.
pub fn temporary(folder: &Path, written: Result<(), String>, started: Result<(), String>) -> Row {
    let name = folder.display();
    let hint = "if a build fails for that, set TMPDIR under [env] in cargo's config.toml";
    match (written, started) {
        (Err(why), _) => Row::problem(
            "temporary folder",
            format!("nothing can be written in '{name}', and compilers have to: {why}"),
            "make it writable again, or unset TMPDIR and run `heph self-update enable` again",
        ),
        // cargo builds in the build folder; only a few build scripts start programs of their own from here.
        (Ok(()), Err(why)) => Row::warning(
            "temporary folder",
            format!(
                "programs cannot be started in '{name}' (is it mounted noexec?), which some builds need: {why}"
            ),
            hint,
        ),
        (Ok(()), Ok(())) => Row::ok("temporary folder", format!("'{name}'")),
    }
}

/// Returns the row about the feed.
pub fn forge(
    host: &str,
    latest: Result<Option<Release>, Error>,
    kind: Forge,
    now: Timestamp,
) -> Row {
    let hint = "check the network, and the proxy and certificate variables of the shell that runs `heph self-update enable`";
    let error = match latest {
        Ok(Some(release)) => {
            return Row::ok(
                "forge",
                format!("{host} answers; the newest release is {}", release.version),
            );
        }
        Ok(None) => {
            return Row::warning(
                "forge",
                format!("{host} answers, but has no release to install"),
                "check `repository` and `tag-prefix` under [self-update]",
            );
        }
        Err(error) => error,
    };
    let why = error.one_line();
    match (error.kind(), error.retry_after()) {
        (Kind::Unreachable, Some(wait)) => Row::warning(
            "forge",
            match now.checked_add(wait) {
                Ok(until) => format!("{host} asks for no request before {until}: {why}"),
                Err(_) => why,
            },
            "nothing to do: the timer waits as long",
        ),
        (Kind::Unreachable, None) => Row::problem("forge", why, hint),
        _ => {
            let which = match kind {
                Forge::Auto => "name the kind of forge with `forge` under [self-update]",
                _ => "check `repository` and `forge` under [self-update]",
            };
            Row::problem("forge", why, error.hint().unwrap_or(which))
        }
    }
}

/// Returns the row about the git remote, given what it advertises in words.
pub fn git(asked: Result<String, (String, Option<String>)>) -> Row {
    match asked {
        Ok(words) => Row::ok("git", words),
        Err((why, hint)) => Row::problem(
            "git",
            why,
            hint.as_deref()
                .unwrap_or("check `repository` under [self-update]"),
        ),
    }
}

/// Returns the row about room: free bytes where releases are built, and where slots are.
pub fn space(build: Result<u64, String>, slots: Result<u64, String>) -> Row {
    let (build, slots) = match (build, slots) {
        (Ok(build), Ok(slots)) => (build, slots),
        (Err(why), _) | (_, Err(why)) => {
            return Row::warning("free space", why, "see whether the folder can be read");
        }
    };
    let detail = format!(
        "{} for builds, {} for releases",
        show_bytes(build),
        show_bytes(slots)
    );
    if build < BUILD_NEEDS || slots < SLOT_NEEDS {
        return Row::problem(
            "free space",
            format!(
                "{detail}; an update needs {} and {}",
                show_bytes(BUILD_NEEDS),
                show_bytes(SLOT_NEEDS)
            ),
            "make room; `heph self-update clean` removes old releases and trims the build folder",
        );
    }
    Row::ok("free space", detail)
}

/// Returns the row about running without a login; `None` where that is no question.
pub fn lingering(lingers: Option<bool>) -> Row {
    match lingers {
        Some(true) => Row::ok("lingering", "the timer runs without a login"),
        Some(false) => Row::warning(
            "lingering",
            "the timer and hephd run only while you are logged in",
            "`loginctl enable-linger` lets them run always",
        ),
        None => Row::warning(
            "lingering",
            "cannot tell whether the timer runs while you are not logged in",
            "where logind runs, `loginctl enable-linger` lets it",
        ),
    }
}

/// Returns the row about the program that starts cron's jobs.
pub fn cron(runs: bool) -> Row {
    if runs {
        return Row::ok("cron", "a cron daemon runs");
    }
    Row::problem(
        "cron",
        "cron is to run the timer, but no cron daemon runs",
        "start one, for example with `sudo systemctl enable --now cron`",
    )
}

/// Returns the row about hephd: whether an update will restart it.
///
/// `ours`: whether its service file was made by heph and names the hephd in bin-dir.
pub fn daemon(state: Result<Option<service::State>, String>, ours: bool) -> Row {
    match state {
        Ok(Some(state)) if state.running && !ours => Row::warning(
            "hephd",
            format!(
                "{} runs it by a service file that starts another hephd or was made by hand, so an update does not restart it",
                state.manager
            ),
            "move that file away, then `heph daemon start`",
        ),
        Ok(Some(state)) if state.running => Row::ok(
            "hephd",
            format!("{} runs it, and an update restarts it", state.manager),
        ),
        Ok(Some(state)) if state.installed => {
            Row::ok("hephd", "installed and stopped; an update leaves it so")
        }
        Ok(_) => Row::ok("hephd", "not a service here; an update does not restart it"),
        Err(why) => Row::warning("hephd", why, "see `heph daemon status`"),
    }
}

/// Returns the row about the links in bin-dir.
///
/// `obstructed`: whether something foreign stands in the way, which no run can mend.
pub fn links(
    bin_dir: Result<&Path, (String, Option<String>)>,
    problems: &[String],
    obstructed: bool,
) -> Row {
    match bin_dir {
        Err((why, hint)) => Row::problem(
            "links",
            why,
            hint.as_deref()
                .unwrap_or("set `bin-dir` under [self-update]"),
        ),
        Ok(folder) if problems.is_empty() => Row::ok(
            "links",
            format!("the commands in '{}' are intact", folder.display()),
        ),
        Ok(_) if obstructed => Row::problem(
            "links",
            problems.join("\n"),
            "move the foreign file away, then `heph self-update apply`",
        ),
        Ok(_) => Row::warning(
            "links",
            problems.join("\n"),
            "the next run repairs them; so does `heph self-update apply`",
        ),
    }
}

/// Returns the row about what the shell starts for `heph`: `first` on PATH, resolved, and whether that is in bin-dir.
pub fn shadow(first: Option<&Path>, bin_dir: &Path, same: bool) -> Row {
    let folder = bin_dir.display();
    match first {
        Some(first) if same => Row::ok("PATH", format!("`heph` is '{}'", first.display())),
        Some(first) => Row::warning(
            "PATH",
            format!(
                "your shell runs another copy, '{}', and not the one that is kept current in '{folder}'",
                first.display()
            ),
            format!("remove that copy, or put '{folder}' before it on PATH"),
        ),
        None => Row::warning(
            "PATH",
            format!("your shell does not find `heph`, for '{folder}' is not on PATH"),
            format!("put '{folder}' on PATH"),
        ),
    }
}

/// Returns the row about releases that failed here.
pub fn quarantine(failed: &[Version]) -> Row {
    if failed.is_empty() {
        return Row::ok("quarantine", "empty");
    }
    let failed: Vec<String> = failed.iter().map(Version::to_string).collect();
    Row::warning(
        "quarantine",
        format!(
            "not tried again, for they failed here: {}",
            failed.join(", ")
        ),
        "`heph self-update quarantine list` says why, `quarantine clear VERSION` lets one be tried again",
    )
}

/// Returns the lines of a failed build that tell most, none of them long: a linker's command line has thousands of letters.
fn gist(said: &str) -> String {
    const LINES: usize = 5;
    const LETTERS: usize = 200;
    let all: Vec<&str> = said
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let mut telling: Vec<&str> = all
        .iter()
        .copied()
        .filter(|line| line.contains("error"))
        .collect();
    if telling.is_empty() {
        telling = all;
    }
    let short = |line: &str| match line.char_indices().nth(LETTERS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    };
    let lines: Vec<String> = telling.into_iter().take(LINES).map(short).collect();
    lines.join("\n")
}

fn show_bytes(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{} KiB", bytes >> 10),
        1_048_576..1_073_741_824 => format!("{} MiB", bytes >> 20),
        _ => {
            let tenths = (bytes >> 20) * 10 / 1024;
            format!("{}.{} GiB", tenths / 10, tenths % 10)
        }
    }
}

#[cfg(test)]
mod tests;
