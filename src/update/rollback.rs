//! `rollback`: an instant switch to a slot that is still on disk.

use semver::Version;

use super::history::{self, Action, Run};
use super::journal::{Aim, SlotRef};
use super::recover::{self, Unreadable};
use super::report::{Outcome, Report};
use super::transaction::{self, Plan};
use super::{World, daemon, record, with_lock};
use crate::error::{Error, Result, ResultExt};
use crate::install::slots::Slot;

/// Switches to the slot of `to`, or to the one in use before the current one; restarts and verifies hephd.
///
/// The version left is quarantined, so that the timer does not bring it back. If the slot is not healthy, the current one
/// comes back and the outcome is failed.
pub fn rollback(world: World, to: Option<&Version>) -> Report {
    let mut report = Report::default();
    let run = Run::begin(Action::Rollback, false);
    with_lock(world, &mut report, |report| {
        if let Err(error) = straight_line(world, to, &run, report) {
            report.fail(error);
        }
        record(world, &run, report);
    });
    report
}

fn straight_line(world: World, to: Option<&Version>, run: &Run, report: &mut Report) -> Result<()> {
    let repaired = recover::unfinished(world, Unreadable::SetAside, report)?;
    if let (Some(slot), None) = (repaired, to) {
        // The release in use was lost, so that was the way back.
        report.summary.outcome = Outcome::RolledBack;
        report.summary.to = Some(slot.manifest.version);
        return Ok(());
    }
    let slots = world.slots();
    let current = slots.current()?.with_context(|| {
        Error::new("heph has not updated anything yet, so there is nothing to go back to")
            .with_hint("`heph self-update apply --to VERSION` installs a release by name")
    })?;
    report.summary.from = Some(current.manifest.version.clone());
    let all = slots.list()?;
    let target = match to {
        Some(version) => {
            let mut slots = all.iter();
            let slot = slots.find(|slot| slot.manifest.version == *version);
            slot.with_context(|| {
                let names: Vec<_> = all.iter().map(|slot| slot.name.as_str()).collect();
                Error::new(format!("no slot holds {version}")).with_hint(format!(
                    "`heph self-update apply --to {version}` installs it; on disk: {}",
                    names.join(", ")
                ))
            })?
        }
        None => previous(&all, &current, &history::read(world.paths)?).with_context(|| {
            Error::new("no earlier release is on disk")
                .with_hint("name one: `heph self-update apply --to VERSION`")
        })?,
    };
    report.summary.to = Some(target.manifest.version.clone());
    if target.name == current.name {
        report.end(
            Outcome::UpToDate,
            format!("{} is in use already", target.manifest.version),
        );
        return Ok(());
    }
    target.verify()?;
    let bin_dir = world.bin_dir()?;
    bin_dir.check(target)?;
    let before = daemon::look(world, &bin_dir)?;
    let restart = before.managed && target.has("hephd");
    let plan = Plan {
        aim: Aim::GoBack,
        from: Some(SlotRef::of(&current)),
        to: target.clone(),
        restart,
        before,
    };
    transaction::carry_out(world, run, plan, report)
}

/// Returns the slot in use before `current`: the one that the last update to it came from, else the highest lower version.
fn previous<'a>(all: &'a [Slot], current: &Slot, runs: &[history::Entry]) -> Option<&'a Slot> {
    let version = &current.manifest.version;
    let mut ends = runs.iter().rev().map(|entry| &entry.summary);
    let update =
        ends.find(|end| end.outcome == Outcome::Updated && end.to.as_ref() == Some(version));
    let slot_of = |wanted: &Version| {
        all.iter()
            .find(|slot| slot.name != current.name && slot.manifest.version == *wanted)
    };
    update
        .and_then(|update| slot_of(update.from.as_ref()?))
        .or_else(|| all.iter().find(|slot| slot.manifest.version < *version))
}
