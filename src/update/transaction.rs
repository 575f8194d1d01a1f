//! From the journal to the commit or the roll-back: the part of an update that is finished or undone, never left.

use std::time::Instant;

use super::daemon::{self, Daemon};
use super::history::{self, Run};
use super::journal::{self, Aim, Journal, Phase, SlotRef};
use super::report::{Outcome, Report};
use super::{World, quarantine, store, trust};
use crate::error::{Error, Result, ResultExt};
use crate::install::slots::Slot;
use crate::os::interrupt;

/// What [`carry_out`] does; most fields are those of the [`Journal`].
#[derive(Debug)]
pub(super) struct Plan {
    pub aim: Aim,
    pub from: Option<SlotRef>,
    pub to: Slot,
    pub restart: bool,
    /// The state of hephd until now.
    pub before: Daemon,
}

impl SlotRef {
    pub fn of(slot: &Slot) -> SlotRef {
        SlotRef {
            slot: slot.name.clone(),
            version: slot.manifest.version.clone(),
            commit: slot.manifest.commit.clone(),
        }
    }
}

/// Back up, journal, switch, restart, settle, commit or roll back. The journal stays until [`close`].
pub(super) fn carry_out(world: World, run: &Run, plan: Plan, report: &mut Report) -> Result<()> {
    let backup = match plan.restart {
        true => report.step("backup", || store::back_up(world, &plan.before))?,
        false => None,
    };
    interrupt::check()?;
    let journal = Journal {
        schema: 1,
        run: run.id.clone(),
        started_at: run.started_at,
        phase: Phase::Switching,
        aim: plan.aim,
        from: plan.from,
        to: SlotRef::of(&plan.to),
        restart: plan.restart,
        store: plan.before.store(),
        backup,
        attempts: 0,
        reason: None,
        ended: None,
    };
    report.step("journal", || journal.open(world.paths))?;
    let start = Instant::now();
    let switched = switch(world, &plan.to);
    let took = start.elapsed();
    report.took("switch", start);
    if let Err(error) = switched {
        // Links to commands that the new release lacks may be gone already.
        if let Some(from) = &journal.from {
            world.bin_dir()?.relink(&open(world, from)?)?;
        }
        Journal::close(world.paths)?;
        return Err(error.context(format!(
            "cannot switch to {}; nothing was changed",
            journal.to.version
        )));
    }
    if journal.aim != Aim::Restart {
        let ms = took.as_secs_f64() * 1e3;
        (world.say)(&format!("switched to {} in {ms:.1} ms", journal.to.version));
    }
    finish(world, journal, report)
}

/// Restart, settle, and commit or roll back, once `current` points at the slot. After an error, the journal stays for the next
/// run.
pub(super) fn finish(world: World, journal: Journal, report: &mut Report) -> Result<()> {
    let ended = finish_or_undo(world, journal, report);
    report.unfinished = ended.is_err();
    ended
}

fn finish_or_undo(world: World, journal: Journal, report: &mut Report) -> Result<()> {
    let to = open(world, &journal.to)?;
    match healthy(world, &journal, &to, report) {
        Ok(()) => commit(world, &journal, report),
        Err(error) => {
            let reason = error.one_line();
            if journal.restart && daemon::session_is_ending(world) {
                return Err(Error::new(format!(
                    "the session ended during the update ({reason}); the next run finishes it"
                )));
            }
            (world.say)(&format!("{} is not healthy: {reason}", journal.to.version));
            roll_back(world, journal, reason, report)
        }
    }
}

/// Restarts hephd as `slot` has it, and watches it; the error says why it is not healthy.
fn healthy(world: World, journal: &Journal, slot: &Slot, report: &mut Report) -> Result<()> {
    world.bin_dir()?.relink(slot)?;
    if !journal.restart {
        return Ok(());
    }
    if let Some(path) = journal
        .store
        .as_deref()
        .filter(|path| !store::can_read(slot, path))
    {
        // Going back by hand, past a migration of the store.
        daemon::stop(world, slot)?;
        if let Some(sentence) = store::make_readable(world, slot, path, None)? {
            report.note(sentence);
        }
    }
    (world.say)(&format!("restarting hephd as {}", slot.manifest.version));
    report.step("restart", || daemon::restart(world, slot))?;
    let settle = world.config.self_update.settle;
    (world.say)(&format!(
        "hephd {} answers; watching it for {settle:?}",
        slot.manifest.version
    ));
    report.step("settle", || daemon::settle(world, &slot.manifest.version))
}

fn commit(world: World, journal: &Journal, report: &mut Report) -> Result<()> {
    let start = Instant::now();
    let version = &journal.to.version;
    let left = journal.from.as_ref();
    if let (Aim::GoBack, Some(left)) = (journal.aim, left.filter(|left| left.version != *version)) {
        let commit = left.commit.as_deref();
        quarantine::put(world, &left.version, commit, "rolled back by hand")?;
    }
    // A release that was installed by name and is healthy leaves the quarantine.
    quarantine::release(world, version, journal.to.commit.as_deref())?;
    if journal.aim != Aim::GoBack {
        let recorded = trust::was_healthy(world, version);
        report
            .tolerate(recorded.with_context(|| format!("cannot record that {version} is healthy")));
    }
    report.summary.outcome = match journal.aim {
        Aim::Update => Outcome::Updated,
        Aim::Restart => Outcome::Restarted,
        Aim::GoBack => Outcome::RolledBack,
    };
    report.took("commit", start);
    Ok(())
}

/// Switches back, restarts, verifies the old release, and quarantines the new one. After an error, the journal stays for the
/// next run.
pub(super) fn roll_back(
    world: World,
    mut journal: Journal,
    reason: String,
    report: &mut Report,
) -> Result<()> {
    let start = Instant::now();
    journal::use_reserve(world.paths);
    journal.phase = Phase::RollingBack;
    journal.reason = Some(reason.clone());
    // A full disk must not keep the old release from coming back; what follows needs no space.
    let saved = journal.save(world.paths);
    report.tolerate(saved.context("rolling back without a record of it"));
    let bad = journal.to.clone();
    let quarantined = quarantine_bad(world, &journal, &reason);
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
        return quarantined;
    };
    let version = &old.manifest.version;
    (world.say)(&format!("rolling back to {version}"));
    switch(world, &old).with_context(|| {
        Error::new(format!("cannot switch back to {version}"))
            .with_hint("`heph self-update apply` tries it again")
    })?;
    world.bin_dir()?.relink(&old)?;
    let back = match journal.restart {
        true => revive(world, &journal, &old, report),
        false => Ok(()),
    };
    if journal.aim != Aim::GoBack {
        // On a full disk, the writes that follow need its space.
        let removed = open(world, &bad).and_then(|slot| world.slots().remove(&slot));
        report.tolerate(
            removed.with_context(|| format!("cannot remove the slot of {}", bad.version)),
        );
    }
    if quarantined.is_err() {
        quarantine_bad(world, &journal, &reason)?;
    }
    match back {
        Ok(()) => {
            (world.say)(&format!("{version} is back"));
            let outcome = match journal.aim {
                Aim::GoBack => Outcome::Failed,
                Aim::Update | Aim::Restart => Outcome::RolledBack,
            };
            report.end(outcome, reason);
        }
        Err(also) => {
            let sentence = format!(
                "{reason}; {version} is installed again, but it is not healthy either: {}",
                also.one_line()
            );
            let hint = "see `heph daemon logs`, then `heph daemon restart`";
            report.fail(Error::new(sentence).with_hint(hint));
        }
    }
    report.took("roll-back", start);
    Ok(())
}

fn quarantine_bad(world: World, journal: &Journal, reason: &str) -> Result<()> {
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

/// Brings the old hephd back to health, with a store that it can read.
fn revive(world: World, journal: &Journal, old: &Slot, report: &mut Report) -> Result<()> {
    if let Some(path) = &journal.store {
        // The new hephd must not write while the old one's store is looked at.
        daemon::stop(world, old)?;
        match store::make_readable(world, old, path, journal.backup.as_deref()) {
            Ok(None) => {}
            Ok(Some(sentence)) => report.note(sentence),
            Err(error) => {
                // This run stopped it. The service manager keeps trying, and the next release may succeed.
                drop(daemon::restart(world, old));
                return Err(error);
            }
        }
    }
    daemon::restart(world, old)?;
    daemon::settle(world, &old.manifest.version)
}

/// Points `current` at `slot`, unless it does so already.
fn switch(world: World, slot: &Slot) -> Result<()> {
    let slots = world.slots();
    let there = || matches!(slots.current(), Ok(Some(current)) if current.name == slot.name);
    if there() {
        return Ok(());
    }
    world.bin_dir()?.retire(slot)?;
    match slots.switch(slot) {
        // The rename itself may have happened although syncing the folder failed.
        Err(_) if there() => Ok(()),
        other => other,
    }
}

fn open(world: World, slot: &SlotRef) -> Result<Slot> {
    world.slots().open(&slot.slot)?.with_context(|| {
        Error::new(format!("the slot of {} is gone", slot.version)).with_hint(format!(
            "`heph self-update apply --to {}` installs it again",
            slot.version
        ))
    })
}

/// Records how the run ended: in the journal if it has one, in the history, then removes the journal.
pub(super) fn close(world: World, entry: &history::Entry) -> Result<()> {
    // An earlier run's journal that this run could not bring to an end stays for the next one.
    let is_over = |journal: &Journal| journal.run == entry.run.id || journal.phase == Phase::Ended;
    let Some(mut journal) = Journal::load(world.paths)?.filter(is_over) else {
        return history::record(world.paths, entry);
    };
    journal::use_reserve(world.paths);
    journal.phase = Phase::Ended;
    journal.ended = Some(entry.clone());
    let noted = journal.save(world.paths);
    let recorded = history::record(world.paths, entry);
    Journal::close(world.paths)?;
    recorded.and(noted)
}
