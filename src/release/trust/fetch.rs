//! The tag object of a release. Of the release itself git gets one commit at most, without its files where the server can
//! leave them out.

use std::path::Path;

use crate::error::{Result, ResultExt};
use crate::os::process::Output;
use crate::release::bare_git::{self, BareGit};
use crate::release::source::git::Advertised;

/// The largest tag object that is looked at, in bytes; those of git are a few hundred.
const LARGEST: u64 = 64 * 1024;

/// Returns the content of the tag object of `tag`, which the repository at `url` advertises, or the sentence that says why
/// it is none to look at. `folder` is made afresh.
///
/// # Errors
///
/// There is no git, or it cannot fetch the tag (exit 75: the remote was well a moment ago).
pub fn tag_object(url: &str, tag: &Advertised, folder: &Path) -> Result<Result<Vec<u8>, String>> {
    let git = BareGit::make(folder, &tag.object)?;
    git.fetch(url, &tag.tag, "tree:0")?;
    content(&git, tag)
}

/// Reads the tag object that was advertised, by its own name: git has checked that the content belongs to it.
fn content(git: &BareGit, tag: &Advertised) -> Result<Result<Vec<u8>, String>> {
    let cat = |what: &str| -> Result<Output> {
        git.run(["cat-file", what, &tag.object])
            .success()
            .with_context(|| bare_git::changed(&tag.tag))
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
