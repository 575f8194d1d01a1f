//! An interrupted run is finished or undone before anything else, and reported.

use std::time::Instant;

use semver::Version;

use super::history::{self, Action, Run};
use super::journal::{Journal, Phase, Recovery, recovery};
use super::quarantine::Quarantine;
use super::report::{Outcome, Report};
use super::survey::held_back;
use super::undo::{self, Blame};
use super::{World, record, switch, transaction};
use crate::error::{Result, ResultExt};
use crate::install::slots::Slot;
use crate::release::trust::seen_tags::SeenTags;

/// What to do about a journal that cannot be read, such as one of a newer heph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Fail: what that run has left is unknown.
    Refuse,
    /// Set it aside: a person has asked for a release that is known to work.
    SetAside,
}

/// Finishes or undoes what an interrupted run left, goes to a complete release where the commands are broken, and removes
/// folders that never became slots. Returns the slot that broken commands were moved to. After an error, nothing else may be
/// tried.
pub(super) fn unfinished(
    world: World,
    unreadable: Unreadable,
    report: &mut Report,
) -> Result<Option<Slot>> {
    let start = Instant::now();
    match Journal::load(world.paths) {
        Ok(None) => {}
        Ok(Some(journal)) => report.note(end(world, journal)?),
        Err(error) if unreadable == Unreadable::SetAside => {
            let aside = Journal::set_aside(world.paths)?;
            let (error, aside) = (error.one_line(), aside.display());
            report.note(format!("{error}; it is kept as '{aside}'"));
        }
        Err(error) => return Err(error),
    }
    let repaired = repair(world)?;
    if let Some(slot) = &repaired {
        report.note(format!(
            "the commands led to no complete release; they are those of {} now, which is",
            slot.manifest.version
        ));
    }
    for name in world.slots().sweep()? {
        report.note(format!("removed the unfinished slot {name}"));
    }
    report.took("recover", start);
    Ok(repaired)
}

/// Where `current` leads to no complete release and a command is broken for it, goes to the newest complete release that is
/// not held back. Returns its slot.
fn repair(world: World) -> Result<Option<Slot>> {
    let slots = world.slots();
    // Most runs end here, without a look at the commands.
    if slots.current().is_ok() {
        return Ok(None);
    }
    let bin_dir = world.bin_dir()?;
    if !bin_dir.is_broken(&slots)? {
        return Ok(None);
    }
    let quarantine = Quarantine::load(world.paths)?;
    let seen_tags = SeenTags::load(&world.paths.trust())?;
    let held_back = held_back(&quarantine, &world.config.self_update, &seen_tags);
    let complete = slots.list()?;
    // Where a file is in the way, adoption or the update decides.
    let refuge = refuges(&complete, &held_back)
        .find(|slot| slot.verify().is_ok() && bin_dir.check(slot).is_ok());
    if let Some(slot) = refuge {
        slots.switch(slot)?;
        bin_dir.relink(slot)?;
    }
    Ok(refuge.cloned())
}

/// Returns those of the `complete` slots, the highest version first, that are not held back. Pure.
fn refuges<'a>(complete: &'a [Slot], held_back: &[Version]) -> impl Iterator<Item = &'a Slot> {
    let admitted = |slot: &&Slot| {
        let version = &slot.manifest.version;
        let mut held_back = held_back.iter();
        held_back.all(|held| held.cmp_precedence(version).is_ne())
    };
    complete.iter().filter(admitted)
}

/// Restores the links to the slot in use, of which an interrupted run may have removed some: those to commands that the other
/// release lacks.
fn restore_links(world: World, report: &mut Report) {
    if let Ok(Some(slot)) = world.slots().current() {
        let restored = switch::relink(world, &slot);
        report.tolerate(restored.context("cannot restore the links"));
    }
}

/// Finishes or undoes the run of `journal` and returns a sentence that says how.
fn end(world: World, mut journal: Journal) -> Result<String> {
    let slots = world.slots();
    // A link to an incomplete slot counts as no link.
    let current = slots.current().ok().flatten().map(|slot| slot.name);
    let to = journal.to.version.clone();
    let mut report = Report::default();
    report.summary.from = journal.from.as_ref().map(|from| from.version.clone());
    report.summary.to = Some(to.clone());
    let sentence = match recovery(&journal, current.as_deref()) {
        Recovery::Record => {
            if let Some(entry) = &journal.ended {
                history::record(world.paths, entry)?;
            }
            Journal::close(world.paths)?;
            return Ok(format!(
                "an interrupted run had finished with {to}; its record is complete now"
            ));
        }
        Recovery::Forget => {
            let reason = "interrupted before the switch; nothing was changed";
            report.end(Outcome::Failed, reason);
            restore_links(world, &mut report);
            format!("an interrupted update to {to} had not switched yet; it is undone")
        }
        Recovery::LeaveAlone => {
            let reason = "interrupted, and the installation was changed by hand since";
            report.end(Outcome::Failed, reason);
            restore_links(world, &mut report);
            if journal.phase == Phase::RollingBack {
                undo::quarantine_bad(world, &journal)?;
            }
            format!(
                "an interrupted update to {to} was superseded by a change by hand; it is dropped"
            )
        }
        Recovery::Finish => {
            (world.say)(&format!("finishing an interrupted update to {to}"));
            journal.attempts += 1;
            // A full disk must not prevent the recovery.
            report.tolerate(journal.save(world.paths));
            transaction::finish(world, journal.clone(), &mut report)?;
            match (report.summary.outcome, &report.summary.reason) {
                (Outcome::RolledBack, _) => {
                    format!("an interrupted update to {to} was not healthy; it is undone")
                }
                (Outcome::Failed, Some(reason)) => {
                    format!("an interrupted update to {to} could not be finished: {reason}")
                }
                _ => format!("an interrupted update to {to} is finished"),
            }
        }
        Recovery::RollBack => {
            (world.say)(&format!("undoing an interrupted update to {to}"));
            // Only a roll-back that had begun is a verdict: a machine that goes down again and again proves nothing.
            let (reason, blame) = match (&journal.reason, journal.blameless) {
                (Some(reason), false) => (reason.clone(), Blame::Release),
                (Some(reason), true) => (reason.clone(), Blame::Machine),
                (None, _) => ("interrupted repeatedly".to_owned(), Blame::Machine),
            };
            let undone = undo::roll_back(world, journal.clone(), reason, blame, &mut report)?;
            match &report.summary.reason {
                Some(reason) if !undone => {
                    format!("an interrupted update to {to} cannot be undone: {reason}")
                }
                Some(reason) if report.summary.outcome == Outcome::Failed => {
                    format!("an interrupted update to {to} is undone: {reason}")
                }
                _ => format!("an interrupted update to {to} is undone"),
            }
        }
    };
    let run = Run {
        id: journal.run,
        action: Action::Recover,
        started_at: journal.started_at,
        scheduled: false,
    };
    record(world, &run, &mut report);
    Ok(sentence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::install::slots::{Delivery, SlotManifest};

    #[test]
    fn broken_commands_go_to_the_newest_release_that_is_not_held_back() {
        let slot = |name: &str, version: &str| Slot {
            name: name.to_owned(),
            path: name.into(),
            manifest: SlotManifest {
                schema: 1,
                version: version.parse().unwrap(),
                tag: None,
                commit: None,
                delivery: Delivery::Cargo,
                signed_by: None,
                features: Default::default(),
                binaries: Vec::new(),
                installed_at: jiff::Timestamp::UNIX_EPOCH,
            },
        };
        let complete = [
            slot("1.2.0~2", "1.2.0"),
            slot("1.2.0", "1.2.0"),
            slot("1.1.0", "1.1.0"),
            slot("1.0.0", "1.0.0"),
        ];
        for (held_back, expected) in [
            (&[][..], Some("1.2.0~2")),
            (&["1.2.0"], Some("1.1.0")),
            (&["1.2.0+build.5", "1.1.0"], Some("1.0.0")),
            (&["1.2.0", "1.1.0", "1.0.0"], None),
        ] {
            let held_back: Vec<Version> = held_back.iter().map(|it| it.parse().unwrap()).collect();
            let first = refuges(&complete, &held_back).next();
            assert_eq!(first.map(|slot| slot.name.as_str()), expected);
        }
    }
}
