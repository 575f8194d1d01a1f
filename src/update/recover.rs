//! An interrupted run is finished or undone before anything else, and reported.

use std::time::Instant;

use super::history::{self, Action, Run};
use super::journal::{Journal, Recovery, recovery};
use super::report::{Outcome, Report};
use super::{World, record, transaction};
use crate::error::Result;

/// Finishes or undoes what an interrupted run left, and removes slots that never became complete. After an error, nothing else
/// may be tried.
pub(super) fn unfinished(world: World, report: &mut Report) -> Result<()> {
    let start = Instant::now();
    if let Some(journal) = Journal::load(world.paths)? {
        report.note(end(world, journal)?);
    }
    for name in world.slots().sweep()? {
        report.note(format!("removed the unfinished slot {name}"));
    }
    report.took("recover", start);
    Ok(())
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
            format!("an interrupted update to {to} had not switched yet; it is undone")
        }
        Recovery::LeaveAlone => {
            let reason = "interrupted, and the installation was changed by hand since";
            report.end(Outcome::Failed, reason);
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
            match report.summary.outcome {
                Outcome::RolledBack => {
                    format!("an interrupted update to {to} was not healthy; it is undone")
                }
                Outcome::Failed => {
                    format!("an interrupted update to {to} could neither be finished nor undone")
                }
                _ => format!("an interrupted update to {to} is finished"),
            }
        }
        Recovery::RollBack => {
            (world.say)(&format!("undoing an interrupted update to {to}"));
            let reason = journal.reason.as_deref();
            let reason = reason.unwrap_or("interrupted repeatedly").to_owned();
            transaction::roll_back(world, journal.clone(), reason, &mut report)?;
            match &report.summary.reason {
                Some(reason) if report.summary.outcome == Outcome::Failed => {
                    format!("an interrupted update to {to} cannot be undone: {reason}")
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
