//! From the journal to the commit or the way back ([`undo`]): the part of an update that is finished or undone, never left.

use std::time::Instant;

use super::daemon::{self, Daemon, Setback};
use super::history::{self, Run};
use super::journal::{self, Aim, Journal, Phase, SlotRef};
use super::report::{Outcome, Report};
use super::undo::{self, Blame};
use super::{World, quarantine, store, switch, trust};
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
    let companions = match plan.restart {
        true => daemon::companions(world)?,
        false => Vec::new(),
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
        companions,
        store: plan.before.store(),
        backup,
        attempts: 0,
        reason: None,
        blameless: false,
        ended: None,
    };
    report.step("journal", || journal.open(world.paths))?;
    let start = Instant::now();
    let switched = switch::to(world, &plan.to);
    let took = start.elapsed();
    report.took("switch", start);
    if let Err(error) = switched {
        // Links to commands that the new release lacks may be gone already.
        if let Some(from) = &journal.from {
            switch::relink(world, &switch::open(world, from)?)?;
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
    let to = switch::open(world, &journal.to)?;
    let version = &journal.to.version;
    let (error, blame) = match healthy(world, &journal, &to, report) {
        Ok(()) => {
            report.tolerate(daemon::start_companions(world, &journal.companions));
            return commit(world, &journal, report).with_context(|| {
                format!("{version} is in use, but that cannot be recorded; the next run does it")
            });
        }
        Err(Setback::Unhealthy(error)) => (error, Blame::Release),
        Err(Setback::Machine(error)) => (error, Blame::Machine),
    };
    let reason = error.one_line();
    if journal.restart && daemon::session_is_ending(world) {
        return Err(Error::new(format!(
            "the session ended during the update ({reason}); the next run finishes it"
        )));
    }
    (world.say)(&match blame {
        Blame::Release => format!("{version} is not healthy: {reason}"),
        Blame::Machine => format!("cannot finish the update to {version}: {reason}"),
    });
    if (journal.aim, blame) == (Aim::Restart, Blame::Machine) {
        // hephd runs on as it did, and what is installed is right.
        report.fail(error);
        return Ok(());
    }
    undo::roll_back(world, journal, reason, blame, report).map(drop)
}

/// Restarts hephd as `slot` has it, and watches it.
fn healthy(
    world: World,
    journal: &Journal,
    slot: &Slot,
    report: &mut Report,
) -> Result<(), Setback> {
    switch::relink(world, slot).map_err(Setback::Machine)?;
    if !journal.restart {
        return Ok(());
    }
    if let Some(path) = journal
        .store
        .as_deref()
        .filter(|path| !store::can_read(slot, path))
    {
        // Going back by hand, past a migration of the store.
        daemon::stop(world, slot).map_err(Setback::Machine)?;
        let readable = store::make_readable(world, slot, path, None);
        if let Some(sentence) = readable.map_err(Setback::Unhealthy)? {
            report.note(sentence);
        }
    }
    (world.say)(&format!("restarting hephd as {}", slot.manifest.version));
    report.step("restart", || daemon::restart(world, slot))?;
    let settle = world.config.self_update.settle;
    (world.say)(&format!(
        "hephd {} answers; watching it for {settle}",
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

/// Records how the run ended: in the journal if it has one, in the history, then removes the journal.
pub(super) fn close(world: World, entry: &history::Entry) -> Result<()> {
    // An earlier run's journal that this run could not bring to an end stays for the next one.
    let is_over = |journal: &Journal| journal.run == entry.run.id || journal.phase == Phase::Ended;
    // One that cannot be read is not of this run.
    let journal = Journal::load(world.paths).unwrap_or_default();
    let Some(mut journal) = journal.filter(is_over) else {
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
