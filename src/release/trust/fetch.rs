//! The tag object of a release, fetched by git into a small bare repository of its own.
//!
//! git runs with a clean environment and nobody's settings: no hooks, no helpers, no questions, no submodules, and no
//! protocol but https (http on loopback). The repository is made afresh for each tag, so nothing old can be taken for new;
//! of the release itself it gets one commit at most, without its files where the server can leave them out.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::error::{Exit, Fault};
use crate::os::files;
use crate::os::process::{Output, Run};
use crate::release::source::git::Advertised;

/// How long a fetch may take.
const FETCH_LIMIT: Duration = Duration::from_secs(5 * 60);
/// The largest tag object that is looked at, in bytes; those of git are a few hundred.
const LARGEST: u64 = 64 * 1024;
/// Variables of the environment that git and its http library need to get out.
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

/// Returns the content of the tag object of `tag`, which the repository at `url` advertises, or the sentence that says why
/// it is none to look at. `folder` is made afresh.
///
/// # Errors
///
/// There is no git, or it cannot fetch the tag (exit 75: the remote was well a moment ago).
pub fn tag_object(url: &str, tag: &Advertised, folder: &Path) -> Result<Result<Vec<u8>, String>> {
    let git = Git::new(folder)?;
    files::remove_tree_if_there(folder)?;
    files::create_private_dir(folder)?;
    let format = if tag.object.len() == 64 {
        "--object-format=sha256"
    } else {
        "--object-format=sha1"
    };
    git.run(["init", "--quiet", "--bare", "--template=", format])
        .success()
        .context("cannot make a repository for tags")?;
    fetch(&git, url, tag)?;
    content(&git, tag)
}

fn fetch(git: &Git, url: &str, tag: &Advertised) -> Result<()> {
    let name = format!("refs/tags/{}", tag.tag.as_str());
    // Redirections can lead nowhere else than to these protocols either.
    let loopback = if url.starts_with("http://") {
        "protocol.http.allow=always"
    } else {
        "protocol.http.allow=never"
    };
    git.run([
        "-c",
        loopback,
        "-c",
        "protocol.https.allow=always",
        "fetch",
        "--quiet",
        "--depth=1",
        "--filter=tree:0",
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
        Fault::new(format!("cannot fetch the tag {}", tag.tag.as_str()))
            .exit(Exit::TryLater)
            .hint("try again later; `heph self-update doctor` looks for the cause")
    })?;
    Ok(())
}

/// Reads the tag object that was advertised, by its own name: git has checked that the content belongs to it.
fn content(git: &Git, tag: &Advertised) -> Result<Result<Vec<u8>, String>> {
    let cat = |what: &str| -> Result<Output> {
        git.run(["cat-file", what, &tag.object])
            .success()
            .with_context(|| {
                Fault::new(format!(
                    "the tag {} changed while heph looked at it",
                    tag.tag.as_str()
                ))
                .exit(Exit::TryLater)
                .hint("try again later")
            })
    };
    let kind = cat("-t")?.text();
    if kind.trim() != "tag" {
        return Ok(Err(format!("it is a {}", kind.trim())));
    }
    let size: u64 = cat("-s")?.text().trim().parse().unwrap_or(u64::MAX);
    if size > LARGEST {
        return Ok(Err(format!("it is larger than {LARGEST} bytes")));
    }
    Ok(Ok(cat("tag")?.stdout))
}

/// The git program, for one repository.
struct Git {
    program: PathBuf,
    variables: Vec<(OsString, OsString)>,
}

impl Git {
    fn new(folder: &Path) -> Result<Git> {
        let program = which::which("git").map_err(|_| {
            Fault::new("cannot find git, which fetches signed tags")
                .hint("install git, or put it on PATH")
        })?;
        let mut variables: Vec<(OsString, OsString)> = NETWORK
            .iter()
            .filter_map(|name| Some(((*name).into(), std::env::var_os(name)?)))
            .collect();
        // What other programs take for granted, git's http library does not know.
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
        Ok(Git { program, variables })
    }

    fn run<const N: usize>(&self, arguments: [&str; N]) -> Run {
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
}
