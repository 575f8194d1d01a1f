//! Between decide and stage: the release's tag is looked up, recorded, and verified.

use semver::Version;

use super::report::Report;
use super::{Request, World, exclusive, feed, quarantine};
use crate::error::{Error, Kind, Result, ResultExt};
use crate::os::{clock, files};
use crate::release::Release;
use crate::release::source::git::Advertised;
use crate::release::trust::seen_tags::{SeenTag, SeenTags};
use crate::release::trust::{Origin, Proof, examine, moved, needs_object};

/// Returns the origin of `release`: the commit of its tag, and its signer. A release whose tag is refused is quarantined.
pub(super) fn prove(
    world: World,
    request: &Request,
    release: &Release,
    report: &mut Report,
) -> Result<Origin> {
    let (all, here) = advertised(world, release)?;
    let (repository, path) = (&world.config.self_update.repository, world.paths.trust());
    let mut memory = SeenTags::load(&path)?;
    let mut moved = moved(&here, memory.seen(repository, here.tag.as_str()));
    if let Some(sentence) = moved.take_if(|_| request.accept_moved_tag) {
        (world.say)(&format!("{sentence}; accepted"));
        report.note(format!("{sentence}; accepted"));
        memory.accept(repository, &here, clock::now())?;
    }
    match &moved {
        None => {
            memory.see(repository, &all, &here, clock::now())?;
            memory.save(&path)?;
        }
        Some(_) if a_signature_decides(world, &memory, &here) => {}
        Some(sentence) => {
            let error = moved_error(&release.version, sentence);
            return Err(refuse(world, &release.version, None, error, report));
        }
    }

    let trust = &world.config.self_update.trust;
    if needs_object(&here, trust.signs_tags(), trust.require()) {
        (world.say)(&format!("verifying the tag {}", here.tag.as_str()));
    }
    let proof = examine(repository, &here, trust, &world.paths.tags())?;
    match (&proof, moved) {
        (Proof::Proven(by), moved) => {
            (world.say)(&format!("{} is signed by {by}", here.tag.as_str()));
            if let Some(sentence) = moved {
                report.note(overridden(&sentence, by));
            }
            if memory.proved(repository, &here, by, clock::now())? {
                memory.save(&path)?;
            }
            // A refused tag is kept for inspection.
            files::remove_tree_if_there(&world.paths.tags())?;
        }
        (_, Some(sentence)) => {
            let error = moved_error(&release.version, &sentence);
            let commit = Some(here.commit.as_str());
            return Err(refuse(world, &release.version, commit, error, report));
        }
        (Proof::Unproven(reason), None) if trust.signs_tags() => report.note(reason),
        (Proof::Unproven(_), None) => {}
        (Proof::Refused(reason), None) => {
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

/// Returns whether a signature may say where a tag is that is elsewhere than it was seen.
fn a_signature_decides(world: World, memory: &SeenTags, here: &Advertised) -> bool {
    let settings = &world.config.self_update;
    let trust = &settings.trust;
    let seen = memory.seen(&settings.repository, here.tag.as_str());
    seen.is_some_and(SeenTag::is_unproven)
        && needs_object(here, trust.signs_tags(), trust.require())
}

fn overridden(sentence: &str, by: &str) -> String {
    format!("{sentence}; the signature of {by} proves it, and none proved what was seen before")
}

/// Checks, for `check`, whether the tag of `release` was moved, and records it. Returns the error if it was.
pub(super) fn look(world: World, release: &Release) -> Result<Option<Error>> {
    let (all, here) = advertised(world, release)?;
    let settings = &world.config.self_update;
    let (repository, path) = (&settings.repository, world.paths.trust());
    // A run that is under way records it itself.
    let held = exclusive(world.paths).ok();
    let mut memory = SeenTags::load(&path)?;
    let seen = memory.seen(repository, here.tag.as_str());
    let is_new = seen.is_none();
    let Some(sentence) = moved(&here, seen) else {
        if held.is_some() {
            memory.see(repository, &all, &here, clock::now())?;
            if is_new && a_signature_decides(world, &memory, &here) {
                // What is proven now, no other signature overrides. `apply` reports a tag that is not.
                let proof = examine(repository, &here, &settings.trust, &world.paths.tags());
                if let Ok(Proof::Proven(by)) = proof {
                    memory.proved(repository, &here, &by, clock::now())?;
                }
                files::remove_tree_if_there(&world.paths.tags())?;
            }
            memory.save(&path)?;
        }
        return Ok(None);
    };
    let error = moved_error(&release.version, &sentence);
    if held.is_none() {
        return Ok(Some(error));
    }
    let decides = a_signature_decides(world, &memory, &here);
    if decides
        && let Proof::Proven(by) = examine(repository, &here, &settings.trust, &world.paths.tags())?
    {
        (world.say)(&overridden(&sentence, &by));
        memory.proved(repository, &here, &by, clock::now())?;
        memory.save(&path)?;
        files::remove_tree_if_there(&world.paths.tags())?;
        return Ok(None);
    }
    // Another commit of this version may yet be the one that its owner signed.
    let commit = decides.then_some(here.commit.as_str());
    let report = &mut Report::default();
    Ok(Some(refuse(world, &release.version, commit, error, report)))
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
            "the feed names {}, but the repository has no such tag yet",
            release.tag.as_str()
        ))
        .with_kind(Kind::NotYet)
        .with_hint("the next run looks for it again; if it never comes, ask the owner")
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
