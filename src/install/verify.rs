//! Verification: each binary starts and says the expected version.

use std::path::Path;
use std::time::Duration;

use semver::Version;

use crate::error::{Error, Kind, Result, ResultExt, bail};
use crate::os::process::{Run, describe};
use crate::release::version;

/// How long a binary has to say its version.
pub const LIMIT: Duration = Duration::from_secs(10);

/// Starts each of the binaries `names` in `folder` and compares what it says with `expected`, by semver precedence
/// (build metadata tells builds of one release apart, not releases).
///
/// # Errors
///
/// One does not start, does not end in time, fails, or says something else; the error names it, what was expected and
/// what it said.
pub fn binaries<'a>(
    folder: &Path,
    names: impl IntoIterator<Item = &'a str>,
    expected: &Version,
) -> Result<()> {
    for name in names {
        let path = folder.join(name);
        let said = says(&path)?;
        if said.cmp_precedence(expected).is_ne() {
            bail!("'{}' says it is {said}, not {expected}", path.display());
        }
    }
    Ok(())
}

/// Returns the version that `binary` says it is.
///
/// # Errors
///
/// As [`binaries`].
pub fn says(binary: &Path) -> Result<Version> {
    says_within(binary, LIMIT)
}

fn says_within(binary: &Path, limit: Duration) -> Result<Version> {
    let does_not_start = || format!("'{}' does not say its version", binary.display());
    let output = match Run::new(binary).arg("--version").limit(limit).output() {
        Err(error) if is_forbidden(&error) => {
            return Err(error.context(
                Error::new(format!("'{}' may not be run", binary.display()))
                    .with_hint(noexec_hint(binary)),
            ));
        }
        output => output.with_context(does_not_start)?,
    };
    if !output.status.success() {
        let how = describe(output.status);
        let said = output.last_lines(5);
        let said = if said.is_empty() { "nothing" } else { &said };
        bail!(
            "'{}' does not start: `--version` {how} and said: {said}",
            binary.display()
        );
    }
    let text = output.text();
    version::in_output(&text).with_context(|| {
        let said: String = text.trim().chars().take(200).collect();
        format!(
            "'{}' says no version: {said:?} is no answer to `--version`",
            binary.display()
        )
    })
}

/// Returns whether `error` is about this machine: the binary may not be run where it is.
pub fn is_forbidden(error: &Error) -> bool {
    error.kind() == Kind::Denied
}

/// Returns whether `error` is about this machine: it has not the library, or not the version of it, that a binary built
/// elsewhere needs (what ld.so(8) says then), or no loader for it at all.
pub fn lacks_library(error: &Error) -> bool {
    const SAID: [&str; 3] = [
        "version `GLIBC",
        "error while loading shared libraries",
        "Library not loaded",
    ];
    let text = error.one_line();
    error.kind() == Kind::NotFound || SAID.iter().any(|words| text.contains(words))
}

fn noexec_hint(binary: &Path) -> String {
    let folder = binary.parent().unwrap_or(binary).display();
    format!(
        "if '{folder}' is on a file system mounted with noexec, set XDG_DATA_HOME to a folder on another one"
    )
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
    fn a_binary_is_taken_at_its_word() {
        let folder = tempfile::tempdir().unwrap();
        let path = script(folder.path(), 0o755, "echo 'tool 1.0.3 (abc123)'");
        assert_eq!(says(&path).unwrap(), Version::new(1, 0, 3));
        let check = |version| {
            binaries(folder.path(), ["tool"], &Version::parse(version).unwrap())
                .map_err(|error| error.to_string())
        };
        assert_eq!(check("1.0.3"), Ok(()));
        assert_eq!(check("1.0.3+build.5"), Ok(()));
        let error = check("1.0.4").unwrap_err();
        assert!(
            error.ends_with("tool' says it is 1.0.3, not 1.0.4"),
            "{error}"
        );
        assert!(check("1.0.3-rc.1").is_err());
    }

    #[test]
    fn a_binary_that_hangs_is_ended_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = script(folder.path(), 0o755, "exec sleep 300");
        let error = says_within(&path, Duration::from_millis(200)).unwrap_err();
        let text = error.one_line();
        assert!(
            text.contains("tool' does not say its version") && text.contains("took longer"),
            "{text}"
        );
    }

    #[test]
    fn a_binary_that_fails_is_quoted() {
        let folder = tempfile::tempdir().unwrap();
        for (body, words) in [
            ("echo 1.0.0; echo no luck >&2; exit 7", "exited with 7"),
            ("kill -9 $$", "was killed by signal 9 and said: nothing"),
            ("echo hello", "says no version: \"hello\""),
            ("true", "says no version"),
        ] {
            let path = script(folder.path(), 0o755, body);
            let text = says(&path).unwrap_err().to_string();
            assert!(text.contains(words), "{body}: {text}");
        }
    }

    #[test]
    fn a_binary_that_may_not_be_run_comes_with_a_hint() {
        let folder = tempfile::tempdir().unwrap();
        let path = script(folder.path(), 0o644, "echo tool 1.0.0");
        let error = says(&path).unwrap_err();
        assert!(is_forbidden(&error), "{error:?}");
        assert!(error.hint().unwrap().contains("noexec"));
    }

    #[test]
    fn a_binary_that_is_not_there_is_named() {
        let error = says(Path::new("/nonexistent/tool")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/tool"));
    }
}
