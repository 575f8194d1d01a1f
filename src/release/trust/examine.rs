//! The effects before [`judge`]: git fetches the tag object, which is parsed, and its signature is verified.
//!
//! Of the release itself git fetches one commit at most, without its files if the server can omit them.

use std::path::Path;

use super::{Evidence, Proof, judge, needs_object, tag, verify};
use crate::config::{Repository, Trust};
use crate::error::{Error, Kind, Result, ResultExt};
use crate::os::process::Output;
use crate::release::bare_git::{self, BareGit};
use crate::release::source::git::Advertised;

/// The largest tag object that is parsed, in bytes; those of git are a few hundred.
const LARGEST: u64 = 64 * 1024;

/// Returns whether `tag`, which `repository` advertises, is its owner's. `folder` is recreated if there is a tag
/// object to look at.
///
/// # Errors
///
/// git cannot fetch the tag (exit 75: the remote answered a moment ago), or git, a file of keys or a verifier is missing.
pub(crate) fn examine(
    repository: &Repository,
    tag: &Advertised,
    trust: &Trust,
    folder: &Path,
) -> Result<Proof> {
    let keys = trust.signs_tags();
    let content =
        needs_object(tag, keys, trust.require()).then(|| tag_object(repository.url(), tag, folder));
    let object = match &content {
        None => None,
        Some(Ok(content)) => Some(tag::parse(content)),
        Some(Err(error)) if error.kind() == Kind::Unfit => Some(Err(error.clone())),
        Some(Err(error)) => return Err(error.clone()),
    };
    let signature = match &object {
        Some(Ok(object)) => verify::verify(object, trust, folder)?,
        Some(Err(_)) | None => None,
    };
    Ok(judge(Evidence {
        advertised: tag,
        require: trust.require(),
        keys,
        object: object.as_ref().map(Result::as_ref),
        signature,
    }))
}

/// Returns the content of the tag object of `tag`. An error of [`Kind::Unfit`] is about the object itself.
fn tag_object(url: &str, tag: &Advertised, folder: &Path) -> Result<Vec<u8>> {
    let git = BareGit::make(folder, &tag.object)?;
    git.fetch(url, &tag.tag, "tree:0")?;
    // By its object name: git has verified that the content belongs to it.
    let cat = |what: &str| -> Result<Output> {
        git.run(["cat-file", what, &tag.object])
            .success()
            .with_context(|| bare_git::changed(&tag.tag))
    };
    let kind = cat("-t")?.text();
    if kind.trim() != "tag" {
        return Err(Error::unfit(format!("it is a {}", kind.trim())));
    }
    let size: u64 = cat("-s")?.text().trim().parse().unwrap_or(u64::MAX);
    if size > LARGEST {
        return Err(Error::unfit(format!("it is larger than {LARGEST} bytes")));
    }
    Ok(cat("tag")?.stdout)
}
