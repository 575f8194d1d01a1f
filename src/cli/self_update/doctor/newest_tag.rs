//! Will the tag of the newest release pass?

use std::path::Path;

use super::facts::Job;
use super::row::Row;
use crate::config::Require;
use crate::error::{Kind, Result, ResultExt};
use crate::os::{clock, files};
use crate::release::trust::seen_tags::{SeenTag, SeenTags};
use crate::release::trust::{Proof, examine, moved};
use crate::update;

const ASK_OWNER: &str =
    "ask the owner of the project; `heph self-update trust show` lists the trusted keys";

/// What a run would find about the tag.
#[derive(Debug)]
pub(super) struct Found {
    pub tag: String,
    pub proof: Proof,
    /// The sentence about a tag that was moved, unless a signature may decide.
    pub moved: Option<String>,
}

/// Checks the tag as a run does, and records nothing.
pub(super) fn newest_tag(job: &Job) -> Option<Row> {
    job.newest()?;
    let require = job.context.config.self_update.trust.require();
    let folder = job.context.paths.cache.join("doctor-tag");
    let found = find(job, &folder);
    drop(files::remove_tree_if_there(&folder));
    Some(newest_tag_row(found, require))
}

fn find(job: &Job, folder: &Path) -> Result<Found> {
    let (settings, paths) = (&job.context.config.self_update, &job.context.paths);
    let release = job.newest().context("the forge names no release")?;
    let cache = paths.feed();
    let all = update::feed(settings, &cache).advertised(clock::now())?;
    let here = all.iter().find(|found| found.tag == release.tag);
    let tag = release.tag.as_str().to_owned();
    let here = here.with_context(|| format!("the repository has no tag {tag}"))?;
    let memory = SeenTags::load(&paths.trust())?;
    let seen = memory.seen(&settings.repository, &tag);
    let proof = examine(&settings.repository, here, &settings.trust, folder)?;
    let proves = matches!(proof, Proof::Proven(_));
    let moved = moved(here, seen).filter(|_| !(proves && seen.is_some_and(SeenTag::is_unproven)));
    Ok(Found { tag, proof, moved })
}

/// Judges what was found about the tag of the newest release.
pub(super) fn newest_tag_row(found: Result<Found>, require: Require) -> Row {
    let fails = |why: &str| format!("a run would end as `failed`: {why}");
    match found {
        Err(error) if error.kind() == Kind::Unreachable => {
            let detail = format!("a run would end as `unreachable`: {}", error.one_line());
            Row::problem(detail, "see git and forge")
        }
        Err(error) => Row::problem(
            fails(&error.one_line()),
            error.hint().unwrap_or("see git and forge"),
        ),
        Ok(Found {
            moved: Some(moved), ..
        }) => Row::problem(fails(&moved), ASK_OWNER),
        Ok(Found { tag, proof, .. }) => match proof {
            Proof::Proven(by) => Row::ok(format!("{tag} is signed by {by}")),
            Proof::Refused(reason) => Row::problem(fails(&reason), ASK_OWNER),
            Proof::Unproven(reason) if require == Require::Signature => Row::warning(
                format!("a run installs {tag} only from an archive that is signed: {reason}"),
                "`heph self-update trust add FILE-OR-KEY` adds the key of the owner's tags",
            ),
            Proof::Unproven(_) => {
                Row::ok(format!("{tag} is where it was seen; no proof is required"))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::Status;
    use super::*;
    use crate::error::Error;

    #[test]
    fn the_row_says_what_a_run_would_end_with() {
        let found = |proof, moved: Option<&str>| {
            let tag = "v1.0.0".to_owned();
            let moved = moved.map(str::to_owned);
            Ok(Found { tag, proof, moved })
        };
        let unsigned = || "the tag v1.0.0 is not signed".to_owned();
        for (found, require, status, words) in [
            (
                found(Proof::Proven("alice".to_owned()), None),
                Require::Signature,
                Status::Ok,
                "signed by alice",
            ),
            (
                found(Proof::Refused(unsigned()), None),
                Require::Signature,
                Status::Problem,
                "`failed`: the tag v1.0.0 is not signed",
            ),
            (
                found(Proof::Unproven(unsigned()), None),
                Require::Signature,
                Status::Warning,
                "archive that is signed",
            ),
            (
                found(Proof::Unproven(unsigned()), None),
                Require::Checksum,
                Status::Ok,
                "no proof is required",
            ),
            (
                found(Proof::Proven("alice".to_owned()), Some("it was moved")),
                Require::Signature,
                Status::Problem,
                "`failed`: it was moved",
            ),
            (
                Err(Error::unreachable("no route")),
                Require::Checksum,
                Status::Problem,
                "`unreachable`: no route",
            ),
            (
                Err(Error::new("no git")),
                Require::Signature,
                Status::Problem,
                "`failed`: no git",
            ),
        ] {
            let row = newest_tag_row(found, require);
            assert_eq!(row.status, status, "{row:?}");
            assert!(row.detail.contains(words), "{row:?}");
        }
    }
}
