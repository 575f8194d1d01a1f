//! Between decide and stage: the release's tag is looked up, recorded, and verified.

use semver::Version;

use super::report::Report;
use super::{Request, World, exclusive, feed, quarantine};
use crate::error::{Error, Result, ResultExt};
use crate::os::{clock, files};
use crate::release::Release;
use crate::release::source::git::Advertised;
use crate::release::trust::seen_tags::SeenTags;
use crate::release::trust::{Origin, Proof, examine, moved, needs_object};

/// Returns the origin of `release`: the commit of its tag, and its signer. A release whose tag is refused is quarantined.
pub(super) fn prove(
    world: World,
    request: &Request,
    release: &Release,
    report: &mut Report,
) -> Result<Origin> {
    let (all, here) = advertised(world, release)?;
    let repository = &world.config.self_update.repository;
    let mut memory = SeenTags::load(&world.paths.trust())?;
    let seen = memory.seen(repository, here.tag.as_str());
    if let Some(sentence) = moved(&here, seen) {
        if !request.accept_moved_tag {
            let error = moved_error(&release.version, &sentence);
            return Err(refuse(world, &release.version, None, error, report));
        }
        (world.say)(&format!("{sentence}; accepted"));
        report.note(format!("{sentence}; accepted"));
        memory.accept(repository, &here, clock::now());
    }
    memory.see(repository, &all, &here, clock::now());
    memory.save(&world.paths.trust())?;

    let trust = &world.config.self_update.trust;
    if needs_object(&here, trust.signs_tags(), trust.require()) {
        (world.say)(&format!("verifying the tag {}", here.tag.as_str()));
    }
    let proof = examine(repository, &here, trust, &world.paths.tags())?;
    match &proof {
        Proof::Proven(by) => {
            (world.say)(&format!("{} is signed by {by}", here.tag.as_str()));
            // A refused tag is kept for inspection.
            files::remove_tree_if_there(&world.paths.tags())?;
        }
        Proof::Unproven(reason) if trust.signs_tags() => report.note(reason),
        Proof::Unproven(_) => {}
        Proof::Refused(reason) => {
            let hint = "ask its owner; `heph self-update trust show` lists the trusted keys";
            let error = Error::new(reason).with_hint(hint);
            let commit = Some(here.commit.as_str());
            return Err(refuse(world, &release.version, commit, error, report));
        }
    }
    Ok(Origin {
        commit: here.commit,
        proof,
    })
}

/// Checks, for `check`, whether the tag of `release` was moved, and records it. Returns the error if it was.
pub(super) fn look(world: World, release: &Release) -> Result<Option<Error>> {
    let (all, here) = advertised(world, release)?;
    let repository = &world.config.self_update.repository;
    let path = world.paths.trust();
    // A run that is under way records it itself.
    let held = exclusive(world.paths).ok();
    let mut memory = SeenTags::load(&path)?;
    if let Some(sentence) = moved(&here, memory.seen(repository, here.tag.as_str())) {
        let error = moved_error(&release.version, &sentence);
        return Ok(Some(match held {
            Some(_) => {
                let report = &mut Report::default();
                refuse(world, &release.version, None, error, report)
            }
            None => error,
        }));
    }
    if held.is_some() {
        memory.see(repository, &all, &here, clock::now());
        memory.save(&path)?;
    }
    Ok(None)
}

/// Records that `version` was healthy here.
pub(super) fn was_healthy(world: World, version: &Version) -> Result<()> {
    let path = world.paths.trust();
    let mut memory = SeenTags::load(&path)?;
    let settings = &world.config.self_update;
    let (repository, prefix) = (&settings.repository, &settings.tag_prefix);
    if memory.was_healthy(repository, prefix, version, clock::now()) {
        memory.save(&path)?;
    }
    Ok(())
}

/// Returns all releases that the git remote advertises, and `release` among them.
fn advertised(world: World, release: &Release) -> Result<(Vec<Advertised>, Advertised)> {
    let cache = world.paths.feed();
    let all = feed(&world.config.self_update, &cache).advertised(clock::now())?;
    let here = all.iter().find(|found| found.tag == release.tag).cloned();
    let here = here.with_context(|| {
        Error::new(format!(
            "the feed names {}, but the repository has no such tag",
            release.tag.as_str()
        ))
        .with_hint("ask its owner, or try again when the tag is there")
    })?;
    Ok((all, here))
}

fn moved_error(version: &Version, sentence: &str) -> Error {
    Error::new(sentence).with_hint(format!(
        "ask its owner why; `heph self-update apply --to {version} --accept-moved-tag` installs it as it is now"
    ))
}

/// Quarantines a release that must not be installed because of `error`: at `commit`, or, after its tag was moved, at any.
/// Returns the error to fail with.
fn refuse(
    world: World,
    version: &Version,
    commit: Option<&str>,
    error: Error,
    report: &mut Report,
) -> Error {
    match quarantine::put(world, version, commit, &error.to_string()) {
        Ok(()) => {
            report.note(super::quarantined(version));
            error
        }
        Err(failed) => failed.context(error),
    }
}
