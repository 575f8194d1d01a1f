//! git, for one tag of a release: fetched into a small bare repository of its own.
//!
//! git runs with a clean environment and without the user's settings: no hooks, no credential helpers, no prompts, no
//! submodules, and no protocol but https (http on loopback). The repository is recreated each time, so nothing stale can
//! pass for new, and nothing is ever checked out.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Tag;
use crate::error::{Error, Result, ResultExt};
use crate::os::files;
use crate::os::process::Run;

const FETCH_LIMIT: Duration = Duration::from_secs(5 * 60);
/// Variables of the environment that git and its http library need to reach the network.
const NETWORK: &[&str] = &[
    "PATH",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
];

#[derive(Debug)]
pub(crate) struct BareGit {
    program: PathBuf,
    variables: Vec<(OsString, OsString)>,
}

impl BareGit {
    /// Makes `folder` an empty repository for objects that are named like `object`, by SHA-1 or SHA-256.
    pub(crate) fn make(folder: &Path, object: &str) -> Result<BareGit> {
        let bare = BareGit::find(folder)?;
        files::remove_tree_if_there(folder)?;
        files::create_private_dir(folder)?;
        let format = if object.len() == 64 {
            "--object-format=sha256"
        } else {
            "--object-format=sha1"
        };
        bare.run(["init", "--quiet", "--bare", "--template=", format])
            .success()
            .context("cannot create a repository for tags")?;
        Ok(bare)
    }

    /// Fetches `tag` from the repository at `url`, without its history, and without what `filter` omits if the server
    /// supports filters (git-rev-list(1)).
    ///
    /// # Errors
    ///
    /// git cannot fetch it (exit 75: the remote answered a moment ago).
    pub(crate) fn fetch(&self, url: &str, tag: &Tag, filter: &str) -> Result<()> {
        let name = format!("refs/tags/{}", tag.as_str());
        // It holds for redirects, too.
        let loopback = if url.starts_with("http://") {
            "protocol.http.allow=always"
        } else {
            "protocol.http.allow=never"
        };
        self.run([
            "-c",
            loopback,
            "-c",
            "protocol.https.allow=always",
            "fetch",
            "--quiet",
            "--depth=1",
            &format!("--filter={filter}"),
            "--no-tags",
            "--no-recurse-submodules",
            "--",
            url,
            &format!("+{name}:{name}"),
        ])
        .limit(FETCH_LIMIT)
        .interruptible()
        .success()
        .with_context(|| {
            Error::unreachable(format!("cannot fetch the tag {}", tag.as_str()))
                .with_hint("try again later; `heph self-update doctor` looks for the cause")
        })?;
        Ok(())
    }

    /// Returns a run of git in the repository, which fetches nothing implicitly.
    pub(crate) fn run<const N: usize>(&self, arguments: [&str; N]) -> Run {
        Run::new(&self.program)
            .only_env(self.variables.iter().cloned())
            .args([
                "-c",
                "protocol.allow=never",
                "-c",
                "core.hooksPath=/dev/null",
                "-c",
                "credential.helper=",
                "-c",
                "gc.auto=0",
                "-c",
                "maintenance.auto=false",
            ])
            .args(arguments)
    }

    fn find(folder: &Path) -> Result<BareGit> {
        let program = which::which("git").map_err(|_| {
            Error::new("cannot find git, which fetches the tags of releases")
                .with_hint("install git, or put it on PATH")
        })?;
        let mut variables: Vec<(OsString, OsString)> = NETWORK
            .iter()
            .filter_map(|name| Some(((*name).into(), std::env::var_os(name)?)))
            .collect();
        // Other programs read these; git's http library does not.
        for (name, from) in [
            ("GIT_SSL_CAINFO", "SSL_CERT_FILE"),
            ("GIT_SSL_CAPATH", "SSL_CERT_DIR"),
        ] {
            if let (None, Some(value)) = (std::env::var_os(name), std::env::var_os(from)) {
                variables.push((name.into(), value));
            }
        }
        let mut set = |name: &str, value: &OsStr| variables.push((name.into(), value.to_owned()));
        set("GIT_DIR", folder.as_os_str());
        set("HOME", folder.as_os_str());
        set("GIT_CONFIG_GLOBAL", "/dev/null".as_ref());
        set("GIT_CONFIG_NOSYSTEM", "1".as_ref());
        set("GIT_TERMINAL_PROMPT", "0".as_ref());
        set("GIT_NO_LAZY_FETCH", "1".as_ref());
        set("LC_ALL", "C".as_ref());
        Ok(BareGit { program, variables })
    }
}

/// Returns the error for a tag that is no longer what the remote advertised a moment ago.
pub(super) fn changed(tag: &Tag) -> Error {
    Error::unreachable(format!(
        "the tag {} changed while it was fetched",
        tag.as_str()
    ))
    .with_hint("try again later")
}
