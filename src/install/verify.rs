//! Verification: the commands of a release start and report its version.
//!
//! The package's own command must report it. A helper beside it may have no `--version`, which is not the release's fault;
//! but what it reports must not be another version.

use std::path::Path;
use std::time::{Duration, Instant};

use semver::Version;

use super::printed_version;
use crate::error::{Error, Kind, Result, bail};
use crate::os::interrupt;
use crate::os::process::{Output, Run, describe};

const LIMIT: Duration = Duration::from_secs(10);
/// How long all helpers together may take: an archive may have thousands that hang.
const LIMIT_OF_HELPERS: Duration = Duration::from_secs(60);
/// The commands that their package does not give its own name, and that must report its version nevertheless.
const OWN: [&str; 1] = ["hephd"];

/// What a command answers to `--version`.
#[derive(Debug)]
enum Reply {
    Version(Version),
    /// It runs, and reports no version.
    Silence(Error),
    /// It does not run.
    Failure(Error),
}

/// Fails unless the commands `names` in `folder`, which are those of `packages`, are of the version `expected`, by semver
/// precedence (build metadata tells builds of one release apart, not releases).
pub(crate) fn binaries<'a>(
    folder: &Path,
    names: impl IntoIterator<Item = &'a str>,
    packages: &[String],
    expected: &Version,
) -> Result<()> {
    let mut left = LIMIT_OF_HELPERS;
    let mut answers = Vec::new();
    for name in names {
        interrupt::check()?;
        let own = is_own(name, packages);
        let limit = if own { LIMIT } else { LIMIT.min(left) };
        let start = Instant::now();
        let answer = match limit.is_zero() {
            true => Reply::Silence(Error::new(format!(
                "there was no time left to run '{name}'"
            ))),
            false => ask(&folder.join(name), &called(name, packages), limit),
        };
        if !own {
            left = left.saturating_sub(start.elapsed());
        }
        answers.push((name, answer));
    }
    judge(answers, packages, expected)
}

/// Decides whether commands that answer so are of the version `expected`.
fn judge(answers: Vec<(&str, Reply)>, packages: &[String], expected: &Version) -> Result<()> {
    let mut reported = false;
    let mut silent = None;
    for (name, answer) in answers {
        match answer {
            Reply::Version(found) if found.cmp_precedence(expected).is_ne() => {
                bail!("'{name}' reports version {found}, not {expected}");
            }
            Reply::Version(_) => reported = true,
            Reply::Silence(why) if !is_own(name, packages) => silent = silent.or(Some(why)),
            Reply::Silence(why) | Reply::Failure(why) => return Err(why),
        }
    }
    match silent {
        Some(why) if !reported => Err(why),
        _ => Ok(()),
    }
}

/// Returns the version that the command `name` of `packages` reports; `None` for a helper that reports none.
pub(crate) fn reported(binary: &Path, name: &str, packages: &[String]) -> Result<Option<Version>> {
    match ask(binary, &called(name, packages), LIMIT) {
        Reply::Version(version) => Ok(Some(version)),
        Reply::Silence(_) if !is_own(name, packages) => Ok(None),
        Reply::Silence(why) | Reply::Failure(why) => Err(why),
    }
}

/// Returns the version that the command at `binary` reports.
pub(crate) fn version_of(binary: &Path) -> Result<Version> {
    let name = binary.file_name().unwrap_or_default().to_string_lossy();
    match ask(binary, &[&name], LIMIT) {
        Reply::Version(version) => Ok(version),
        Reply::Silence(why) | Reply::Failure(why) => Err(why),
    }
}

/// Returns whether a command must report the version of its package.
fn is_own(name: &str, packages: &[String]) -> bool {
    OWN.contains(&name) || packages.iter().any(|package| package == name)
}

/// Returns what the command `name` may call itself.
fn called<'a>(name: &'a str, packages: &'a [String]) -> Vec<&'a str> {
    let packages = packages.iter().map(String::as_str);
    packages.chain([name]).collect()
}

/// Asks the command at `binary`, which may call itself any of `names`, for its version.
fn ask(binary: &Path, names: &[&str], limit: Duration) -> Reply {
    let start = Instant::now();
    let shown = binary.display();
    let output = match Run::new(binary).arg("--version").limit(limit).output() {
        Ok(output) => output,
        Err(error) if is_forbidden(&error) => {
            let folder = binary.parent().unwrap_or(binary).display();
            let cannot = Error::new(format!("cannot run '{shown}'")).with_hint(format!(
                "if '{folder}' is on a file system mounted with noexec, set XDG_DATA_HOME to a folder on another one"
            ));
            return Reply::Failure(error.context(cannot));
        }
        Err(error) => {
            let error = error.context(format!("cannot get the version of '{shown}'"));
            // A helper may have begun to work.
            return match start.elapsed() < limit {
                true => Reply::Failure(error),
                false => Reply::Silence(error),
            };
        }
    };
    answer(&shown.to_string(), &output, names)
}

/// Interprets what the command `shown` printed for `--version`, on whichever stream.
fn answer(shown: &str, output: &Output, names: &[&str]) -> Reply {
    if !output.status.success() {
        let how = describe(output.status);
        let said = output.last_lines(5);
        let said = if said.is_empty() { "nothing" } else { &said };
        let error = Error::new(format!(
            "'{shown}' does not start: `--version` {how} and printed: {said}"
        ));
        let runs = output.status.code().is_some() && !lacks_library(&error);
        return if runs {
            Reply::Silence(error)
        } else {
            Reply::Failure(error)
        };
    }
    let text = format!(
        "{}\n{}",
        output.text(),
        String::from_utf8_lossy(&output.stderr)
    );
    match printed_version::in_output(&text, names) {
        Some(version) => Reply::Version(version),
        None => {
            let said: String = text.trim().chars().take(200).collect();
            Reply::Silence(Error::new(format!(
                "'{shown}' prints no version: {said:?} is not an answer to `--version`"
            )))
        }
    }
}

/// Returns whether `error` is about this machine: it does not permit to run the binary where it is.
pub(crate) fn is_forbidden(error: &Error) -> bool {
    error.kind() == Kind::Denied
}

/// Returns whether `error` is about this machine: it lacks the library, or the version of it, that a binary built elsewhere
/// needs (the messages of ld.so(8)), or a loader for it.
pub(crate) fn lacks_library(error: &Error) -> bool {
    const SAID: [&str; 3] = [
        "version `GLIBC",
        "error while loading shared libraries",
        "Library not loaded",
    ];
    let text = error.one_line();
    error.kind() == Kind::NotFound || SAID.iter().any(|words| text.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    fn script(folder: &Path, mode: u32, body: &str) -> PathBuf {
        let path = folder.join("tool");
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn the_version_that_a_binary_prints_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = script(folder.path(), 0o755, "echo 'tool 1.0.3 (abc123)'");
        assert_eq!(version_of(&path).unwrap(), Version::new(1, 0, 3));
        let check = |version| {
            let packages = ["tool".to_owned()];
            let version = Version::parse(version).unwrap();
            binaries(folder.path(), ["tool"], &packages, &version)
                .map_err(|error| error.to_string())
        };
        assert_eq!(check("1.0.3"), Ok(()));
        assert_eq!(check("1.0.3+build.5"), Ok(()));
        let error = check("1.0.4").unwrap_err();
        assert!(
            error.ends_with("tool' reports version 1.0.3, not 1.0.4"),
            "{error}"
        );
        assert!(check("1.0.3-rc.1").is_err());
    }

    #[test]
    fn the_version_may_be_on_standard_error_and_in_colours() {
        let folder = tempfile::tempdir().unwrap();
        for body in [
            "echo 'tool 1.0.3' >&2",
            "echo 'a note'; echo 'version=1.0.3.' >&2",
            "printf '\\033[1mtool\\033[0m \\033[32m1.0.3\\033[0m\\n'",
            "echo 'built with rustc 1.80.0'; echo 'tool/1.0.3'",
        ] {
            let path = script(folder.path(), 0o755, body);
            assert_eq!(version_of(&path).unwrap(), Version::new(1, 0, 3), "{body}");
        }
    }

    #[test]
    fn only_the_packages_own_command_has_to_report_a_version() {
        let version = |text: &str| Reply::Version(text.parse().unwrap());
        let silent = || Reply::Silence(Error::new("silent"));
        let dead = || Reply::Failure(Error::new("dead"));
        let packages = ["tool".to_owned()];
        let expected = Version::new(1, 0, 0);
        for (answers, good) in [
            (vec![("tool", version("1.0.0"))], true),
            (vec![("tool", version("1.0.0")), ("helper", silent())], true),
            (
                vec![("helper", silent()), ("tool", version("1.0.0+b"))],
                true,
            ),
            // The command of ripgrep is rg.
            (vec![("t", version("1.0.0")), ("helper", silent())], true),
            (vec![("tool", version("1.0.1"))], false),
            (vec![("tool", silent())], false),
            (
                vec![("tool", silent()), ("helper", version("1.0.0"))],
                false,
            ),
            (
                vec![("tool", version("1.0.0")), ("helper", version("0.9.0"))],
                false,
            ),
            (vec![("tool", version("1.0.0")), ("helper", dead())], false),
            (vec![("tool", version("1.0.0")), ("hephd", silent())], false),
            (vec![("t", silent()), ("helper", silent())], false),
        ] {
            let shown = format!("{answers:?}");
            assert_eq!(
                judge(answers, &packages, &expected).is_ok(),
                good,
                "{shown}"
            );
        }
    }

    #[test]
    fn a_binary_that_hangs_is_killed_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = script(folder.path(), 0o755, "exec sleep 300");
        let answer = ask(&path, &["tool"], Duration::from_millis(200));
        let Reply::Silence(error) = answer else {
            panic!("{answer:?}");
        };
        let text = error.one_line();
        assert!(
            text.contains("cannot get the version of")
                && text.contains("tool'")
                && text.contains("timed out"),
            "{text}"
        );
    }

    #[test]
    fn a_binary_that_fails_is_quoted() {
        let folder = tempfile::tempdir().unwrap();
        for (body, words) in [
            ("echo 1.0.0; echo no luck >&2; exit 7", "exited with 7"),
            ("kill -9 $$", "was killed by signal 9 and printed: nothing"),
            ("echo hello", "prints no version: \"hello\""),
            ("true", "prints no version"),
        ] {
            let path = script(folder.path(), 0o755, body);
            let text = version_of(&path).unwrap_err().to_string();
            assert!(text.contains(words), "{body}: {text}");
        }
    }

    #[test]
    fn a_binary_that_may_not_be_run_comes_with_a_hint() {
        let folder = tempfile::tempdir().unwrap();
        let path = script(folder.path(), 0o644, "echo tool 1.0.0");
        let error = version_of(&path).unwrap_err();
        assert!(is_forbidden(&error), "{error:?}");
        assert!(error.hint().unwrap().contains("noexec"));
    }

    #[test]
    fn a_binary_that_is_not_there_is_named() {
        let error = version_of(Path::new("/nonexistent/tool")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/tool"));
    }
}
