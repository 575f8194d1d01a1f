//! `heph self-update status`: show whether updates are on, what runs, and why it is not the latest.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use semver::Version;
use serde::Serialize;
use serde_json::{Value, json};

use super::{ignored, outcome, rows, shown, size};
use crate::cli::{Context, ui::Ui};
use crate::config::TagPrefix;
use crate::error::{Error, Exit, Result};
use crate::install::slots::Slots;
use crate::os::files;
use crate::platform::schedule::job::Job;
use crate::platform::schedule::{self, Scheduler};
use crate::release::decide::{Asked, Decision};
use crate::release::source::ForeignTags;
use crate::update::builds::{FailedBuild, Wait, Waiting};
use crate::update::history::{self, Entry};
use crate::update::journal::Journal;
use crate::update::quarantine::Quarantine;
use crate::update::report::Outcome;
use crate::update::{self, Survey};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What the status shows, gathered without the network.
struct Facts {
    timer: Option<(Scheduler, Job)>,
    next_run: Option<Timestamp>,
    last: Option<Entry>,
    survey: Result<Survey>,
    last_success: Option<Timestamp>,
    last_error: Option<String>,
    withdrawn: Option<Version>,
    foreign: Option<ForeignTags>,
    slots: Vec<SlotSize>,
    quarantine: Quarantine,
    /// The version that an interrupted run was installing; an error if its journal cannot be read.
    unfinished: Result<Option<String>>,
    /// Whether the packages have a hephd.
    brings_hephd: bool,
}

#[derive(Serialize)]
struct SlotSize {
    name: String,
    size: u64,
    current: bool,
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    let facts = gather(context)?;
    if args.json {
        context.ui.json(&object(&facts));
    } else {
        print(&context.ui, &facts, &context.config.self_update.tag_prefix);
    }
    Ok(Exit::Done)
}

fn gather(context: &Context) -> Result<Facts> {
    let paths = &context.paths;
    let remembered = update::feed(&context.config.self_update, &paths.feed()).cached();
    let slots = Slots::new(paths);
    let current = slots.current().ok().flatten().map(|slot| slot.name);
    let slots = slots.list()?.into_iter().map(|slot| SlotSize {
        size: files::tree_size(&slot.path),
        current: Some(&slot.name) == current.as_ref(),
        name: slot.name,
    });
    let survey = outcome::with_world(context, true, |world| {
        update::survey(world, remembered.latest.clone(), &Asked::default())
    });
    let timer = schedule::job(context.config.service_manager, paths)?;
    Ok(Facts {
        next_run: timer
            .as_ref()
            .and_then(|(scheduler, job)| schedule::next_run(*scheduler, job, paths)),
        timer,
        last: history::read(paths)?.pop(),
        survey,
        last_success: remembered.last_success,
        last_error: remembered.last_error.clone(),
        withdrawn: remembered
            .withdrawn()
            .map(|release| release.version.clone()),
        foreign: remembered.foreign_tags().cloned(),
        slots: slots.collect(),
        quarantine: Quarantine::load(paths)?,
        // The journal of a run that is under way does not mean an interruption.
        unfinished: match Journal::load(paths) {
            _ if update::is_under_way(paths) => Ok(None),
            journal => journal.map(|it| it.map(|journal| journal.to.version.to_string())),
        },
        brings_hephd: outcome::with_world(context, true, update::brings_hephd),
    })
}

/// Returns the one sentence that says why this machine is not on the latest release; `None` where it is.
fn reason(facts: &Facts) -> Option<String> {
    let survey = match &facts.survey {
        Ok(survey) => survey,
        Err(error) => return Some(error.one_line()),
    };
    let release = match &survey.decision {
        Decision::Update(release) => release,
        Decision::Skipped(reason) => return Some(reason.clone()),
        Decision::RestartOnly => {
            let reason = "hephd still runs an older release; `heph self-update apply` restarts it";
            return Some(reason.to_owned());
        }
        Decision::UpToDate(_) if facts.last_success.is_none() => {
            return Some(match &facts.last_error {
                Some(error) => format!("no check has succeeded yet: {error}"),
                None => "no check was made yet; `heph self-update check` makes one".to_owned(),
            });
        }
        Decision::UpToDate(_) => return None,
    };
    let version = &release.version;
    let last = facts.last.as_ref().map(|entry| &entry.summary);
    let last = last.filter(|summary| summary.to.as_ref() == Some(version));
    let failed = last.and_then(|summary| Some((summary.outcome, summary.reason.as_ref()?)));
    Some(match (failed, &facts.timer) {
        (Some((Outcome::Skipped, reason)), _) => reason.clone(),
        (Some((_, reason)), _) => format!("the last run failed: {reason}"),
        (None, Some((_, job))) if job.invocation.notify_only => {
            format!("the timer only reports releases; `heph self-update apply` installs {version}")
        }
        (None, Some(_)) => format!("the next run installs {version}"),
        (None, None) => format!("updates are off; `heph self-update apply` installs {version}"),
    })
}

fn object(facts: &Facts) -> Value {
    let scheduler = facts.timer.as_ref().map(|(scheduler, _)| scheduler);
    let job = facts.timer.as_ref().map(|(_, job)| job);
    let last = facts.last.as_ref();
    let survey = facts.survey.as_ref().ok();
    let latest = survey.and_then(|survey| survey.latest.as_ref());
    json!({
        "enabled": job.is_some(),
        "scheduler": scheduler,
        "cadence": job.map(|job| &job.cadence),
        "notify_only": job.map(|job| job.invocation.notify_only),
        "next_run": facts.next_run,
        "last_run": last.map(|last| last.run.started_at),
        "last_outcome": last.map(|last| last.summary.outcome),
        "last_reason": last.and_then(|last| last.summary.reason.as_ref()),
        "last_check": facts.last_success,
        "installed": survey.and_then(|survey| survey.installed.as_ref()),
        "running": survey.and_then(|survey| survey.running.as_ref()),
        "latest": latest.map(|release| &release.version),
        "last_check_error": facts.last_error,
        "withdrawn": facts.withdrawn,
        "ignored_tags": facts.foreign.as_ref().map(ForeignTags::printable_names),
        "reason": reason(facts),
        "slots": facts.slots,
        "quarantine": facts.quarantine.entries().collect::<Vec<_>>(),
        "failed_build": survey.and_then(|survey| survey.waiting.as_ref()).map(failed_build),
        "unfinished": facts.unfinished.as_ref().ok(),
        "journal": facts.unfinished.as_ref().err().map(Error::one_line),
    })
}

fn failed_build(waiting: &Waiting) -> Value {
    let failed = &waiting.failed;
    json!({
        "version": failed.version,
        "repository": failed.repository,
        "commit": failed.source.commit,
        "reason": failed.reason,
        "log": failed.log,
        "failed_at": failed.at,
        "failures": failed.failures,
        "next_try": match waiting.wait {
            Wait::Until(until) => Some(until),
            Wait::Over | Wait::Changed(_) => None,
        },
    })
}

fn print(ui: &Ui, facts: &Facts, prefix: &TagPrefix) {
    let time = |at: Timestamp| {
        let at = at.to_zoned(TimeZone::system());
        at.strftime("%Y-%m-%d %H:%M %Z").to_string()
    };
    match &facts.timer {
        Some((scheduler, job)) => {
            let does = if job.invocation.notify_only {
                "reports"
            } else {
                "installs"
            };
            let cadence = &job.cadence;
            ui.say(format!(
                "updates    on: {scheduler} {does} releases {cadence}"
            ));
        }
        None => ui.say("updates    off; `heph self-update enable` turns them on"),
    }
    rows(ui, "next run   ", facts.next_run.map(time));
    let last = facts.last.iter().map(|Entry { run, summary, .. }| {
        let reason = summary.reason.iter().map(|reason| format!(": {reason}"));
        let reason: String = reason.collect();
        format!("{}, {}{reason}", time(run.started_at), summary.outcome)
    });
    rows(ui, "last run   ", last);
    if let Ok(survey) = &facts.survey {
        let or_none = |version| shown(version, "none");
        let latest = survey.latest.as_ref().map(|release| &release.version);
        let checked = facts.last_success.iter();
        let checked: String = checked
            .map(|at| format!(", checked {}", time(*at)))
            .collect();
        ui.say(format!("installed  {}", or_none(survey.installed.as_ref())));
        if facts.brings_hephd {
            ui.say(format!("running    {}", or_none(survey.running.as_ref())));
        }
        ui.say(format!("latest     {}{checked}", or_none(latest)));
    }
    let withdrawn = facts.withdrawn.iter();
    let withdrawn =
        withdrawn.map(|version| format!("{version}: the feed named it before, and no longer does"));
    rows(ui, "withdrawn  ", withdrawn);
    let foreign = facts.foreign.iter();
    rows(ui, "ignored    ", foreign.map(|tags| ignored(tags, prefix)));
    // Without any success, it is the reason below.
    let error = facts
        .last_error
        .iter()
        .filter(|_| facts.last_success.is_some());
    rows(
        ui,
        "last check ",
        error.map(|error| format!("failed: {error}")),
    );
    let slots = facts.slots.iter().map(|slot| {
        let mark = if slot.current { "  in use" } else { "" };
        format!("{}  {}{mark}", slot.name, size(slot.size))
    });
    rows(ui, "slots      ", slots);
    let quarantine = facts
        .quarantine
        .entries()
        .map(|entry| format!("{}  {}", entry.version, entry.reason));
    rows(ui, "quarantine ", quarantine);
    let waiting = facts
        .survey
        .iter()
        .filter_map(|survey| survey.waiting.as_ref());
    for waiting in waiting {
        let FailedBuild {
            version,
            reason,
            log,
            ..
        } = &waiting.failed;
        let log = log
            .iter()
            .map(|log| format!("the output of cargo is in '{log}'"));
        let lines = [
            format!("{version}  {reason}"),
            format!(
                "{}; a failed build does not quarantine {version}",
                waiting.wait
            ),
        ];
        rows(ui, "waiting    ", lines.into_iter().chain(log));
    }
    let unfinished = match &facts.unfinished {
        Ok(None) => Vec::new(),
        Ok(Some(version)) => vec![format!(
            "an update to {version} was interrupted; the next run, or `heph self-update apply`, ends it"
        )],
        Err(error) => {
            let hint = error.hint().map(str::to_owned);
            [error.one_line()].into_iter().chain(hint).collect()
        }
    };
    rows(ui, "unfinished ", unfinished);
    rows(ui, "not latest ", reason(facts));
}
