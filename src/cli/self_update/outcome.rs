//! Reports the outcome of a run: lines for people, one object for scripts, hooks for other programs.

use std::io::IsTerminal;

use semver::Version;

use super::shown;
use crate::cli::{Context, ui};
use crate::error::Exit;
use crate::update::World;
use crate::update::hooks::{self, News};
use crate::update::report::{Outcome, Report, Summary};

/// Runs `work` in this context; its steps are printed for people only.
pub fn with_world<T>(context: &Context, json: bool, work: impl FnOnce(World) -> T) -> T {
    let say = |line: &str| {
        if !json {
            context.ui.step(line);
        }
    };
    let arrived = |done, total| {
        if !json {
            context.ui.arrived(done, total);
        }
    };
    work(World {
        config: &context.config,
        paths: &context.paths,
        say: &say,
        arrived: &arrived,
        on_terminal: !json && std::io::stderr().is_terminal(),
    })
}

/// Runs the hook that belongs to the outcome; its failure becomes a note.
pub fn run_hooks(context: &Context, report: &mut Report) {
    let settings = &context.config.self_update;
    let (event, hook) = match report.summary.outcome {
        Outcome::Updated | Outcome::Restarted => ("updated", settings.on_updated.as_ref()),
        Outcome::Failed | Outcome::RolledBack => ("failed", settings.on_failed.as_ref()),
        Outcome::UpToDate | Outcome::Skipped | Outcome::Busy | Outcome::Unreachable => return,
    };
    let news = News {
        event,
        outcome: report.summary.outcome.to_string(),
        from: report.summary.from.as_ref(),
        to: report.summary.to.as_ref(),
        reason: report.summary.reason.as_deref(),
    };
    let json = serde_json::to_vec(&ui::object(&*report)).unwrap_or_default();
    if let Some(failure) = hooks::run(hook, &news, &json) {
        report.note(failure);
    }
}

/// Prints the report and returns how the process ends.
pub fn print(context: &Context, json: bool, report: &Report) -> Exit {
    if json {
        context.ui.json(report);
        return report.exit();
    }
    for note in &report.notes {
        context.ui.step(note);
    }
    if let Some(error) = &report.error {
        ui::report(error);
    } else {
        context.ui.step(sentence(&report.summary));
    }
    report.exit()
}

/// Returns the last line of a run, in one sentence.
fn sentence(summary: &Summary) -> String {
    let version = |version: &Option<Version>| shown(version.as_ref(), "nothing");
    let (from, to) = (version(&summary.from), version(&summary.to));
    let outcome = match summary.outcome {
        Outcome::Updated => format!("updated {from} → {to}"),
        Outcome::Restarted => format!("hephd restarted as {to}"),
        Outcome::UpToDate => format!("up to date at {from}"),
        // With a reason, the new release was not healthy; without one, a person asked for it.
        Outcome::RolledBack if summary.reason.is_some() => format!("rolled back to {from}"),
        Outcome::RolledBack => format!("rolled back to {to}"),
        Outcome::Skipped => "skipped".to_owned(),
        Outcome::Busy => "busy".to_owned(),
        Outcome::Unreachable => "unreachable".to_owned(),
        Outcome::Failed => format!("failed: {from} → {to}"),
    };
    match &summary.reason {
        Some(reason) => format!("{outcome}: {reason}"),
        None => outcome,
    }
}
