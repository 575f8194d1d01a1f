//! Verification: each binary starts and prints the expected version.

use std::path::Path;
use std::time::Duration;

use semver::Version;

use crate::error::{Error, Kind, Result, ResultExt, bail};
use crate::os::process::{Run, describe};
use crate::release::version;

const LIMIT: Duration = Duration::from_secs(10);

/// Fails unless each of the binaries `names` in `folder` starts and prints `expected`, by semver precedence (build metadata
/// tells builds of one release apart, not releases).
pub(crate) fn binaries<'a>(
    folder: &Path,
    names: impl IntoIterator<Item = &'a str>,
    expected: &Version,
) -> Result<()> {
    for name in names {
        let path = folder.join(name);
        let said = version_of(&path)?;
        if said.cmp_precedence(expected).is_ne() {
            bail!(
                "'{}' reports version {said}, not {expected}",
                path.display()
            );
        }
    }
    Ok(())
}

pub(crate) fn version_of(binary: &Path) -> Result<Version> {
    version_within(binary, LIMIT)
}

fn version_within(binary: &Path, limit: Duration) -> Result<Version> {
    let cannot = || format!("cannot get the version of '{}'", binary.display());
    let output = match Run::new(binary).arg("--version").limit(limit).output() {
        Err(error) if is_forbidden(&error) => {
            let folder = binary.parent().unwrap_or(binary).display();
            return Err(error.context(
                Error::new(format!("cannot run '{}'", binary.display())).with_hint(format!(
                    "if '{folder}' is on a file system mounted with noexec, set XDG_DATA_HOME to a folder on another one"
                )),
            ));
        }
        output => output.with_context(cannot)?,
    };
    if !output.status.success() {
        let how = describe(output.status);
        let said = output.last_lines(5);
        let said = if said.is_empty() { "nothing" } else { &said };
        bail!(
            "'{}' does not start: `--version` {how} and printed: {said}",
            binary.display()
        );
    }
    let text = output.text();
    version::in_output(&text).with_context(|| {
        let said: String = text.trim().chars().take(200).collect();
        format!(
            "'{}' prints no version: {said:?} is not an answer to `--version`",
            binary.display()
        )
    })
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
            binaries(folder.path(), ["tool"], &Version::parse(version).unwrap())
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
    fn a_binary_that_hangs_is_killed_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = script(folder.path(), 0o755, "exec sleep 300");
        let error = version_within(&path, Duration::from_millis(200)).unwrap_err();
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
