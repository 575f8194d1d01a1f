//! The way back to the slot in use before, with or without blame.
//!
//! A release is blamed for its health only, and only where the comparison holds: on the same machine, at the same time, the
//! hephd of before comes back to health. If it does not either, something else is at fault.

use std::time::Instant;

use super::daemon::{self, Setback};
use super::journal::{self, Aim, Journal, Phase};
use super::quarantine::{self, Quarantine};
use super::report::{Outcome, Report};
use super::{World, store, switch};
use crate::error::{Error, Result, ResultExt};
use crate::install::slots::Slot;

/// What is to blame for an update that is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// The release: it is not tried again.
    Release,
    /// This machine, or nothing that is known: the release is tried again.
    Machine,
}

/// Switches back, restarts, verifies the old release, and quarantines the new one if it is to blame. Returns whether the old
/// release is back. After an error, the journal stays for the next run.
pub(super) fn roll_back(
    world: World,
    mut journal: Journal,
    reason: String,
    blame: Blame,
    report: &mut Report,
) -> Result<bool> {
    let start = Instant::now();
    journal::use_reserve(world.paths);
    journal.phase = Phase::RollingBack;
    journal.reason = Some(reason.clone());
    journal.blameless = blame == Blame::Machine;
    // A full disk must not keep the old release from coming back; what follows needs no space.
    let saved = journal.save(world.paths);
    report.tolerate(saved.context("rolling back without a record of it"));
    let bad = journal.to.clone();
    let was_blamed = is_blamed_otherwise(world, &journal);
    let quarantined = quarantine_bad(world, &journal);
    let old = match &journal.from {
        Some(from) if from.slot != bad.slot => world.slots().open(&from.slot)?,
        _ => None,
    };
    let Some(old) = old else {
        report.end(
            Outcome::Failed,
            format!("{reason}; there is no earlier release on disk to go back to"),
        );
        report.took("roll-back", start);
        return quarantined.map(|()| false);
    };
    let version = &old.manifest.version;
    (world.say)(&format!("rolling back to {version}"));
    switch::to(world, &old).with_context(|| {
        Error::new(format!("cannot switch back to {version}"))
            .with_hint("`heph self-update apply` tries it again")
    })?;
    // hephd comes back even where links cannot be made; the next run makes them.
    let relinked = switch::relink(world, &old);
    let back = match journal.restart {
        true => revive(world, &journal, &old, report),
        false => Ok(()),
    };
    if back.is_ok() {
        report.tolerate(daemon::start_companions(world, &journal.companions));
        (world.say)(&format!("{version} is back"));
    }
    if journal.aim != Aim::GoBack && blame == Blame::Release {
        // On a full disk, the writes that follow need its space.
        let removed = switch::open(world, &bad).and_then(|slot| world.slots().remove(&slot));
        report.tolerate(
            removed.with_context(|| format!("cannot remove the slot of {}", bad.version)),
        );
    }
    if quarantined.is_err() {
        quarantine_bad(world, &journal)?;
    }
    if matches!(back, Err(NotBack::Ill(_))) && !was_blamed {
        // The same happens with the old release, so this was no fault of the new one.
        quarantine::release(world, &bad.version, bad.commit.as_deref())?;
    }
    relinked?;
    end(&journal, &old, reason, blame, back, report);
    report.took("roll-back", start);
    Ok(true)
}

/// Ends the report of a roll-back to `old`.
fn end(
    journal: &Journal,
    old: &Slot,
    reason: String,
    blame: Blame,
    back: Result<(), NotBack>,
    report: &mut Report,
) {
    let version = &old.manifest.version;
    match back {
        Ok(()) if blame == Blame::Machine => report.fail(Error::new(format!(
            "{reason}; {version} is in use again, and the next run tries {} again",
            journal.to.version
        ))),
        Ok(()) => {
            let outcome = match journal.aim {
                Aim::GoBack => Outcome::Failed,
                Aim::Update | Aim::Restart => Outcome::RolledBack,
            };
            report.end(outcome, reason);
        }
        Err(NotBack::Ill(also) | NotBack::Unreadable(also)) => {
            let sentence = format!(
                "{reason}; {version} is installed again, but it is not healthy either: {}",
                also.one_line()
            );
            let hint = "see `heph daemon logs`, then `heph daemon restart`";
            report.fail(Error::new(sentence).with_hint(hint));
        }
    }
}

/// Returns whether the release is in quarantine for another reason than that of this roll-back.
fn is_blamed_otherwise(world: World, journal: &Journal) -> bool {
    let quarantine = Quarantine::load(world.paths).unwrap_or_default();
    let mut entries = quarantine.entries();
    entries.any(|entry| {
        entry.version == journal.to.version && Some(&entry.reason) != journal.reason.as_ref()
    })
}

/// Puts the release that is undone into the quarantine if it is to blame.
pub(super) fn quarantine_bad(world: World, journal: &Journal) -> Result<()> {
    let Some(reason) = journal.reason.as_ref().filter(|_| !journal.blameless) else {
        return Ok(());
    };
    let same_version = journal
        .from
        .as_ref()
        .is_some_and(|from| from.version == journal.to.version && from.slot != journal.to.slot);
    if journal.aim == Aim::GoBack || same_version {
        return Ok(());
    }
    let (version, commit) = (&journal.to.version, journal.to.commit.as_deref());
    quarantine::put(world, version, commit, reason)
}

/// Why the old hephd is not back.
enum NotBack {
    /// It cannot read the store that the new release left.
    Unreadable(Error),
    /// It is not healthy, or cannot be restarted.
    Ill(Error),
}

/// Brings the old hephd back to health, with a store that it can read.
fn revive(world: World, journal: &Journal, old: &Slot, report: &mut Report) -> Result<(), NotBack> {
    let ill = |setback: Setback| NotBack::Ill(setback.into_error());
    if let Some(path) = &journal.store {
        // The new hephd must not write while the old one's store is looked at.
        daemon::stop(world, old).map_err(NotBack::Ill)?;
        match store::make_readable(world, old, path, journal.backup.as_deref()) {
            Ok(None) => {}
            Ok(Some(sentence)) => report.note(sentence),
            Err(error) => {
                // This run stopped it. The service manager keeps trying, and the next release may succeed.
                drop(daemon::restart(world, old));
                return Err(NotBack::Unreadable(error));
            }
        }
    }
    daemon::restart(world, old).map_err(ill)?;
    daemon::settle(world, &old.manifest.version).map_err(ill)
}
