//! Why a build failed, recognized by the output of cargo.

use crate::error::{Error, Kind};

/// The kinds of failure that have a remedy of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BuildFailure {
    Linker,
    Disk,
    /// The installed Rust is too old, or no toolchain is selected.
    Toolchain,
    Tag,
    /// The repository has no such package, or one without binaries.
    Package,
    Network,
    Release,
    Unknown,
}

/// Phrases of cargo, rustc, cc-rs, libgit2, curl, git and rustup, in the order in which they count: a missing linker, for
/// example, ends with "could not compile" as well.
const PHRASES: &[(BuildFailure, &[&str])] = &[
    (
        BuildFailure::Disk,
        &[
            "no space left on device",
            "disk quota exceeded",
            "(os error 28)",
        ],
    ),
    (
        BuildFailure::Linker,
        &[
            "error: linker `",
            "failed to find tool",
            "is `cc` not installed",
            "xcrun: error: invalid active developer path",
        ],
    ),
    (
        BuildFailure::Toolchain,
        &[
            "requires rustc ",
            "requires cargo ",
            "is not supported by the following package",
            "could not choose a version of cargo",
            "no default toolchain configured",
            "no override and no default toolchain",
            "is older than the `20",
            "feature `edition20",
            "error: toolchain '",
        ],
    ),
    (
        BuildFailure::Release,
        &["could not compile `", "failed to run custom build command"],
    ),
    (
        BuildFailure::Tag,
        &["failed to find tag", "couldn't find remote ref"],
    ),
    (
        BuildFailure::Package,
        &[
            "could not find `",
            "there is nothing to install in",
            "no packages found with binaries",
            "multiple packages with binaries found",
        ],
    ),
    (
        BuildFailure::Network,
        &[
            "network error",
            "network failure",
            "failed to connect",
            "couldn't connect",
            "could not connect",
            "could not resolve",
            "couldn't resolve",
            "failed to resolve",
            "connection refused",
            "connection reset",
            "connection timed out",
            "operation timed out",
            "timeout was reached",
            "failed to download",
            "download of ",
            "failed to clone into",
            "failed to fetch into",
            "unexpected http status code",
            "unable to update",
            "ssl ",
            "certificate",
        ],
    ),
    (
        BuildFailure::Release,
        &[
            "failed to parse manifest",
            "failed to select a version",
            "lock file",
        ],
    ),
];

pub(crate) fn recognize(output: &str) -> BuildFailure {
    let output = output.to_lowercase();
    PHRASES
        .iter()
        .find(|(_, phrases)| phrases.iter().any(|phrase| output.contains(phrase)))
        .map_or(BuildFailure::Unknown, |(failure, _)| *failure)
}

impl BuildFailure {
    /// Returns the error that says why `tag` of `url` cannot be built, with the remedy.
    pub(crate) fn error(self, tag: &str, url: &str) -> Error {
        let cannot = |why: &str| Error::new(format!("cannot build {tag}: {why}"));
        match self {
            BuildFailure::Linker => cannot("there is no C compiler or linker").with_hint(
                "install one: `sudo apt install build-essential`, `sudo dnf install gcc` or `xcode-select --install`",
            ),
            BuildFailure::Disk => cannot("the disk is full")
                .with_hint("make room; `heph self-update clean` removes old releases and the build folder"),
            BuildFailure::Toolchain => {
                cannot("it needs another Rust than the installed one").with_hint("run `rustup update stable`")
            }
            BuildFailure::Tag => cannot(&format!("'{url}' has no such tag"))
                .with_hint("see whether the release was withdrawn, or `tag-prefix` is wrong"),
            BuildFailure::Package => cannot(&format!("'{url}' has no such package, or one without binaries"))
                .with_hint("set `packages` in [self-update] to the packages that the repository has"),
            BuildFailure::Network => cannot("a host cannot be reached")
                .with_hint("try again later, or see what `heph self-update doctor` finds")
                .with_kind(Kind::Unreachable),
            BuildFailure::Release => cannot("it does not compile").with_hint(
                "heph stays as it is; report it to the owner of the release",
            ),
            BuildFailure::Unknown => cannot("cargo failed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tools_say_is_recognised() {
        for (expected, output) in [
            (
                BuildFailure::Linker,
                "error: linker `cc` not found\n  |\n  = note: No such file or directory (os error 2)\n\n\
                 error: could not compile `tool` (bin \"tool\") due to 1 previous error",
            ),
            (
                BuildFailure::Linker,
                "error occurred in cc-rs: failed to find tool \"cc\": No such file or directory (os error 2)\n\
                 error: failed to run custom build command for `libsqlite3-sys`",
            ),
            (
                BuildFailure::Disk,
                "error: failed to write /c/x.rmeta: No space left on device (os error 28)\n\
                 error: could not compile `tool`",
            ),
            (
                BuildFailure::Toolchain,
                "error: cannot install package `tool 0.1.0`, it requires rustc 1.99 or newer, while the currently \
                 active rustc version is 1.95.0",
            ),
            (
                BuildFailure::Toolchain,
                "error: rustup could not choose a version of cargo to run, because one wasn't specified explicitly, \
                 and no default is configured.",
            ),
            (
                BuildFailure::Release,
                "error[E0425]: cannot find value `connection refused`\nerror: could not compile `tool`",
            ),
            (
                BuildFailure::Tag,
                "error: failed to find tag `v9`\n\nCaused by:\n  reference 'refs/remotes/origin/tags/v9' not found; \
                 class=Reference (4); code=NotFound (-3)",
            ),
            (
                BuildFailure::Package,
                "error: could not find `toolx` in https://f.example/a?tag=v1 with version `*`",
            ),
            (
                BuildFailure::Network,
                "warning: spurious network error (1 try remaining): failed to connect to 127.0.0.1: Connection refused\n\
                 error: failed to clone into: /c/git/db/x-1",
            ),
            (
                BuildFailure::Network,
                "error: failed to download from `https://static.crates.io/x`\n\nCaused by:\n  [6] Could not resolve hostname",
            ),
            (BuildFailure::Unknown, "error: something else"),
            (BuildFailure::Unknown, ""),
        ] {
            assert_eq!(recognize(output), expected, "{output}");
        }
    }

    #[test]
    fn only_an_unreachable_host_is_worth_trying_later() {
        use crate::error::Exit;
        use BuildFailure::*;
        for failure in [
            Linker, Disk, Toolchain, Tag, Package, Network, Release, Unknown,
        ] {
            let error = failure.error("v1.0.0", "https://f.example/a");
            let expected = if failure == Network {
                Exit::TryLater
            } else {
                Exit::Failed
            };
            assert_eq!(error.exit(), expected, "{failure:?}");
            assert!(error.to_string().starts_with("cannot build v1.0.0: "));
        }
    }
}
