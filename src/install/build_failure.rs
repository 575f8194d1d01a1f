//! Why a build failed, as far as the output of cargo shows.
//!
//! Whose fault a failed build is, no log can tell: a missing library, a killed compiler and a typo all end in "could not
//! compile". So the words choose a sentence and a hint, and one thing besides: whether a host could not be reached, so that the
//! next run may succeed. That counts only where cargo itself concludes it, at the end of its output (see [`conclusion`]); a
//! compiler, a build script or a warning may say "connection refused" as often as it likes.

use super::cargo_git;
use crate::error::{Error, Kind};
use crate::os::text;

/// The kinds of failure that have a sentence or a remedy of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BuildFailure {
    /// A host cannot be reached, or asks for a later try.
    Network,
    /// A server rejects the request.
    Refused,
    /// cargo's copy of the repository is damaged.
    GitStore,
    Disk,
    Linker,
    /// The operating system killed the compiler.
    Killed,
    /// The installed Rust is too old, or no toolchain is selected.
    Toolchain,
    /// The standard library of a configured target is not installed.
    Target,
    /// A build script failed.
    Script,
    Compile,
    Tag,
    /// The repository has no such package, or one without binaries.
    Package,
    /// cargo cannot read the manifest or the lock file.
    Manifest,
    Unknown,
}

/// Phrases of cargo, rustc, cc-rs, libgit2, git and rustup, in the order in which they count: a missing linker, for example,
/// ends with "could not compile" as well.
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
    (BuildFailure::Killed, &["(signal: 9, sigkill: kill)"]),
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
            "lock file version",
            "`resolver` setting",
        ],
    ),
    (BuildFailure::Target, &["target may not be installed"]),
    (
        BuildFailure::Script,
        &["error: failed to run custom build command for `"],
    ),
    (BuildFailure::Compile, &["error: could not compile `"]),
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
        BuildFailure::Manifest,
        &[
            "failed to parse manifest",
            "failed to parse lock file",
            "failed to select a version",
            "lock file",
        ],
    ),
];

/// What servers and git say to a request that they reject. These count before [`UNREACHABLE`]: libgit2 calls a rejected request
/// a network failure, too.
const REFUSED: &[&str] = &[
    "failed to authenticate",
    "authentication required",
    "authentication failed",
    "access denied",
    "permission denied (publickey",
    "permission denied (password",
    "permission denied (keyboard",
    "host key verification failed",
    "could not read username",
    "could not read password",
    "remote: not found",
    "repository not found",
    "' not found",
    "could not be found or you don't have permission",
    "does not appear to be a git repository",
    "object format",
    "object-format",
];

/// What curl, libgit2, git and ssh say where there is no connection.
const UNREACHABLE: &[&str] = &[
    "could not resolve",
    "couldn't resolve",
    "failed to resolve",
    "temporary failure in name resolution",
    "name or service not known",
    "failed to connect",
    "could not connect",
    "couldn't connect",
    "unable to connect",
    "network is unreachable",
    "no route to host",
    "connection refused",
    "connection reset",
    "connection closed",
    "connection timed out",
    "operation timed out",
    "timed out",
    "timeout was reached",
    "early eof",
    "unexpected eof",
    "unexpected disconnect",
    "remote end hung up unexpectedly",
    "failure when receiving data",
    "failed sending data",
    "transfer closed",
    "empty reply from server",
    "http2 framing layer",
    "ssl ",
    "tls ",
    "certificate",
];

/// What libgit2 and git say of objects that they cannot read.
const UNREADABLE: &[&str] = &[
    "class=odb",
    "class=zlib",
    "class=object",
    "class=indexer",
    "corrupt",
    "bad object",
    "unable to read tree",
    "loose object",
    "packfile",
];

/// Returns the kind of failure that the output of cargo shows.
pub(crate) fn recognize(output: &str) -> BuildFailure {
    let conclusion = conclusion(output).to_lowercase();
    let concludes = |phrases: &[&str]| phrases.iter().any(|phrase| conclusion.contains(phrase));
    let output = output.to_lowercase();
    let known = PHRASES
        .iter()
        .find(|(_, phrases)| phrases.iter().any(|phrase| output.contains(phrase)))
        .map(|(failure, _)| *failure);
    let statuses = statuses(&conclusion);
    let later = |status: &u16| matches!(status, 408 | 429 | 500..);
    match known {
        // Something was compiled, so that all had been fetched.
        Some(BuildFailure::Script | BuildFailure::Compile) => known,
        _ if concludes(UNREADABLE) => Some(BuildFailure::GitStore),
        Some(BuildFailure::Tag | BuildFailure::Disk) => known,
        _ if statuses.iter().any(later) => Some(BuildFailure::Network),
        _ if statuses.iter().any(|status| *status >= 400) || concludes(REFUSED) => {
            known.or(Some(BuildFailure::Refused))
        }
        _ if concludes(UNREACHABLE) => Some(BuildFailure::Network),
        _ => known,
    }
    .unwrap_or(BuildFailure::Unknown)
}

/// Returns cargo's last error and its causes: lines that begin with `error:`, and, indented, those below `Caused by:`. If these
/// say that `git fetch` failed, what git printed before them belongs to it.
///
/// cargo prints this after everything that compilers and build scripts print has ended. Where one of those failed, nothing
/// stands below it but that compiling failed.
fn conclusion(output: &str) -> String {
    let lines: Vec<&str> = output.lines().collect();
    let Some(start) = lines.iter().rposition(|line| line.starts_with("error:")) else {
        return String::new();
    };
    let (before, block) = lines.split_at(start);
    let own = |line: &&&str| line.starts_with("error:") || line.starts_with("  ");
    let mut found: Vec<&str> = block.iter().filter(own).copied().collect();
    if found.iter().any(|line| line.contains("`git fetch")) {
        let is_status = |line: &&str| line.starts_with("    Updating ");
        let git = before.rsplit(is_status).next().unwrap_or_default();
        let warned = |line: &&&str| line.starts_with("warning:");
        found.extend(git.iter().filter(|line| !warned(line)));
    }
    found.join("\n")
}

/// Returns the http statuses in `conclusion`, as libgit2, cargo, git and curl name them.
fn statuses(conclusion: &str) -> Vec<u16> {
    const BEFORE: [&str; 5] = [
        "status code: ",
        ", got ",
        "returned error: ",
        "response code: ",
        "response ",
    ];
    let number = |rest: &str| {
        let digits = rest.get(..3)?;
        let ends = !rest[3..].starts_with(|c: char| c.is_ascii_digit());
        digits.parse().ok().filter(|_| ends)
    };
    let found = BEFORE.iter().flat_map(|before| {
        let parts = conclusion.split(before).skip(1);
        parts.filter_map(number).collect::<Vec<u16>>()
    });
    found.collect()
}

/// Returns the name that cargo puts in backquotes behind the last `words`, without the folder that may follow it.
fn named<'a>(output: &'a str, words: &str) -> Option<&'a str> {
    let mut lines = output.lines().rev();
    let name = lines.find_map(|line| line.strip_prefix(words))?;
    name.split('`').next()?.split(" (").next()
}

impl BuildFailure {
    /// Returns the error that says why `tag` of `url` cannot be built, with the remedy; `output` is that of cargo.
    pub(crate) fn error(self, tag: &str, url: &str, output: &str) -> Error {
        let cannot = |why: &str| Error::new(format!("cannot build {tag}: {why}"));
        let the = |words: &str, what: &str| match named(output, words) {
            Some(name) => format!("{what} `{}`", text::excerpt(name, 100)),
            None => what.to_owned(),
        };
        let error = match self {
            BuildFailure::Network => {
                return cannot("a host cannot be reached")
                    .with_hint("try again later, or see what `heph self-update doctor` finds")
                    .with_kind(Kind::Unreachable);
            }
            BuildFailure::Refused => cannot("a server rejects the request of cargo").with_hint(
                if cargo_git::needs_password(output) {
                    cargo_git::WITHOUT_PASSWORDS
                } else {
                    "see what `heph self-update doctor` finds"
                },
            ),
            BuildFailure::GitStore => cannot("cargo cannot read its copy of the repository")
                .with_hint("remove ~/.cargo/git, which cargo fetches again"),
            BuildFailure::Linker => cannot("there is no C compiler or linker").with_hint(
                "install one: `sudo apt install build-essential`, `sudo dnf install gcc` or `xcode-select --install`",
            ),
            BuildFailure::Disk => cannot("the disk is full")
                .with_hint("make room; `heph self-update clean` removes old releases and the build folder"),
            BuildFailure::Killed => cannot("the compiler was killed; memory may have run out")
                .with_hint("add swap, or set `jobs = 1` under [build] in ~/.cargo/config.toml"),
            BuildFailure::Toolchain => {
                cannot("it needs another Rust than the installed one").with_hint("run `rustup update stable`")
            }
            BuildFailure::Target => cannot("Rust's standard library for the configured target is not installed")
                .with_hint("install it: `rustup target add TARGET`; `build.target` in cargo's config.toml, or CARGO_BUILD_TARGET, names it"),
            BuildFailure::Script => {
                let script = the("error: failed to run custom build command for `", "the build script of");
                cannot(&format!("{script} failed"))
                    .with_hint("the log says what it needs; this machine may lack a tool or a library")
            }
            BuildFailure::Compile => {
                let what = the("error: could not compile `", "compiling");
                cannot(&format!("{what} failed"))
                    .with_hint("the log says why; a tool or a library may be missing, or the release does not compile")
            }
            BuildFailure::Tag => cannot(&format!("'{url}' has no such tag"))
                .with_hint("see whether the release was withdrawn, or `tag-prefix` is wrong"),
            BuildFailure::Package => cannot(&format!("'{url}' has no such package, or one without binaries"))
                .with_hint("set `packages` in [self-update] to the packages that the repository has"),
            BuildFailure::Manifest => cannot("cargo cannot use its manifest or its lock file")
                .with_hint("the log says why; `rustup update stable` may help"),
            BuildFailure::Unknown => cannot("cargo failed").with_hint("the log says why"),
        };
        error.with_kind(Kind::Build)
    }
}

#[cfg(test)]
mod tests;
