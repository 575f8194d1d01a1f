//! `heph self-update status`: show whether updates are on, what runs, and why it is not the latest.

use jiff::Timestamp;
use semver::Version;
use serde_json::{Value, json};

use super::{outcome, shown, size};
use crate::cli::Context;
use crate::error::{Exit, Result};
use crate::install::slots::Slots;
use crate::os::{files, lock};
use crate::paths::Paths;
use crate::platform::schedule;
use crate::release::decide::{Asked, Decision};
use crate::update::history::{self, Entry};
use crate::update::journal::Journal;
use crate::update::quarantine::Quarantine;
use crate::update::{self, Survey};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What the status shows, gathered without the network.
struct Facts {
    timer: Option<schedule::TimerState>,
    last: Option<Entry>,
    survey: Result<Survey>,
    last_success: Option<Timestamp>,
    last_error: Option<String>,
    withdrawn: Option<Version>,
    slots: Vec<(String, u64, bool)>,
    quarantine: Quarantine,
    /// The version that an interrupted run was installing.
    unfinished: Option<String>,
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    let facts = gather(context)?;
    if args.json {
        context.ui.json(&object(&facts));
    } else {
        tell(context, &facts);
    }
    Ok(Exit::Done)
}

fn gather(context: &Context) -> Result<Facts> {
    let paths = &context.paths;
    let remembered = update::feed(&context.config.self_update, &paths.feed()).cached();
    let slots = Slots::new(paths);
    let current = slots.current().ok().flatten().map(|slot| slot.name);
    let survey = outcome::with_world(context, true, |world| {
        update::survey(world, remembered.latest.clone(), &Asked::default())
    });
    Ok(Facts {
        timer: schedule::state(context.config.service_manager, paths)?,
        last: history::read(paths)?.pop(),
        survey,
        last_success: remembered.last_success,
        last_error: remembered.last_error,
        withdrawn: remembered.withdrawn.map(|release| release.version),
        slots: slots
            .list()?
            .into_iter()
            .map(|slot| {
                (
                    slot.name.clone(),
                    files::tree_size(&slot.path),
                    Some(&slot.name) == current.as_ref(),
                )
            })
            .collect(),
        quarantine: Quarantine::load(paths)?,
        unfinished: Journal::load(paths)?
            .filter(|_| !under_way(paths))
            .map(|journal| journal.to.version.to_string()),
    })
}

/// Returns whether a run holds the lock just now: its journal does not mean an interruption then.
fn under_way(paths: &Paths) -> bool {
    matches!(lock::try_exclusive(&paths.lock()), Ok(None))
}

/// Returns the one sentence that says why this machine is not on the latest release; `None` where it is.
fn reason(facts: &Facts) -> Option<String> {
    let survey = match &facts.survey {
        Ok(survey) => survey,
        Err(error) => return Some(error.one_line()),
    };
    match &survey.decision {
        Decision::Skipped(reason) => Some(reason.clone()),
        Decision::RestartOnly => Some(
            "hephd still runs an older release; `heph self-update apply` restarts it".to_owned(),
        ),
        Decision::UpToDate(_) if facts.last_success.is_none() => Some(match &facts.last_error {
            Some(error) => format!("no check has succeeded yet: {error}"),
            None => "no check was made yet; `heph self-update check` makes one".to_owned(),
        }),
        Decision::UpToDate(_) => None,
        Decision::Update(release) => Some(match (&facts.last, &facts.timer) {
            (Some(Entry { summary, .. }), _)
                if summary.to.as_ref() == Some(&release.version) && summary.reason.is_some() =>
            {
                format!(
                    "the last run failed: {}",
                    summary.reason.as_deref().unwrap_or_default()
                )
            }
            (_, Some(timer)) if timer.notify_only => format!(
                "the timer only reports releases; `heph self-update apply` installs {}",
                release.version
            ),
            (_, Some(_)) => format!("the next run installs {}", release.version),
            (_, None) => format!(
                "updates are off; `heph self-update apply` installs {}",
                release.version
            ),
        }),
    }
}

fn object(facts: &Facts) -> Value {
    let survey = facts.survey.as_ref().ok();
    json!({
        "schema": 1,
        "enabled": facts.timer.is_some(),
        "scheduler": facts.timer.as_ref().map(|timer| timer.scheduler),
        "cadence": facts.timer.as_ref().map(|timer| &timer.cadence),
        "notify_only": facts.timer.as_ref().map(|timer| timer.notify_only),
        "next_run": facts.timer.as_ref().and_then(|timer| timer.next),
        "last_run": facts.last.as_ref().map(|last| last.run.started_at),
        "last_outcome": facts.last.as_ref().map(|last| last.summary.outcome),
        "last_reason": facts.last.as_ref().and_then(|last| last.summary.reason.as_ref()),
        "last_check": facts.last_success,
        "installed": survey.and_then(|survey| survey.installed.as_ref()),
        "running": survey.and_then(|survey| survey.running.as_ref()),
        "latest": survey.and_then(|survey| survey.latest.as_ref()).map(|release| &release.version),
        "withdrawn": facts.withdrawn,
        "reason": reason(facts),
        "slots": facts.slots.iter().map(|(name, size, current)| {
            json!({ "name": name, "size": size, "current": current })
        }).collect::<Vec<_>>(),
        "quarantine": facts.quarantine.releases,
        "unfinished": facts.unfinished,
    })
}

fn tell(context: &Context, facts: &Facts) {
    let ui = &context.ui;
    let time = |at: Timestamp| {
        at.to_zoned(jiff::tz::TimeZone::system())
            .strftime("%Y-%m-%d %H:%M %Z")
            .to_string()
    };
    match &facts.timer {
        Some(timer) => {
            let does = if timer.notify_only {
                "reports releases"
            } else {
                "installs releases"
            };
            ui.say(format!(
                "updates    on: {} {does} {}",
                timer.scheduler, timer.cadence
            ));
            if let Some(next) = timer.next {
                ui.say(format!("next run   {}", time(next)));
            }
        }
        None => ui.say("updates    off; `heph self-update enable` turns them on"),
    }
    if let Some(last) = &facts.last {
        let reason = last
            .summary
            .reason
            .as_ref()
            .map(|reason| format!(": {reason}"))
            .unwrap_or_default();
        ui.say(format!(
            "last run   {}, {}{reason}",
            time(last.run.started_at),
            last.summary.outcome
        ));
    }
    if let Ok(survey) = &facts.survey {
        let or_none = |version| shown(version, "none");
        ui.say(format!("installed  {}", or_none(survey.installed.as_ref())));
        ui.say(format!("running    {}", or_none(survey.running.as_ref())));
        let checked = facts
            .last_success
            .map(|at| format!(", checked {}", time(at)))
            .unwrap_or_default();
        ui.say(format!(
            "latest     {}{checked}",
            or_none(survey.latest.as_ref().map(|release| &release.version))
        ));
    }
    if let Some(version) = &facts.withdrawn {
        ui.say(format!(
            "withdrawn  {version}: the feed named it before, and no longer does"
        ));
    }
    for (index, (name, bytes, current)) in facts.slots.iter().enumerate() {
        let title = if index == 0 { "slots" } else { "" };
        let mark = if *current { "  in use" } else { "" };
        ui.say(format!("{title:<11}{name}  {}{mark}", size(*bytes)));
    }
    for (index, entry) in facts.quarantine.releases.iter().enumerate() {
        let title = if index == 0 { "quarantine" } else { "" };
        ui.say(format!("{title:<11}{}  {}", entry.version, entry.reason));
    }
    if let Some(version) = &facts.unfinished {
        ui.say(format!(
            "unfinished an update to {version} was interrupted; the next run, or `heph self-update apply`, ends it"
        ));
    }
    if let Some(reason) = reason(facts) {
        ui.say(format!("not latest {reason}"));
    }
}
