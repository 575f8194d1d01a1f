//! What is installed, and what earlier runs left.

use std::fs;
use std::path::Path;

use semver::Version;

use super::facts::{Job, Shell};
use super::row::Row;
use crate::cli::Context;
use crate::cli::self_update::outcome;
use crate::error::{Error, Result};
use crate::install::slots::Slots;
use crate::platform::service;
use crate::release::decide::Asked;
use crate::update;
use crate::update::builds::Waiting;
use crate::update::journal::Journal;
use crate::update::quarantine::Quarantine;

pub(super) fn links(job: &Job) -> Option<Row> {
    let paths = &job.context.paths;
    let bin_dir = match update::bin_dir(&job.context.config.self_update, paths) {
        Ok(bin_dir) => bin_dir,
        Err(error) => return Some(links_row(Err(error), &[], false)),
    };
    let mut obstructed = false;
    let problems = match Slots::new(paths).current() {
        Ok(Some(slot)) => {
            obstructed = bin_dir.is_obstructed(&slot);
            bin_dir.problems(&slot)
        }
        // Nothing was updated yet: the first update makes the links, from the files that are there.
        Ok(None) => Vec::new(),
        Err(error) => vec![error.one_line()],
    };
    Some(links_row(Ok(&bin_dir.path), &problems, obstructed))
}

/// Judges the links in bin-dir. `obstructed`: a foreign file stands in the way, which no run can repair.
pub(super) fn links_row(bin_dir: Result<&Path>, problems: &[String], obstructed: bool) -> Row {
    match bin_dir {
        Err(error) => Row::failed(&error, "set `bin-dir` under [self-update]"),
        Ok(folder) if problems.is_empty() => {
            Row::ok(format!("the commands in '{}' are intact", folder.display()))
        }
        Ok(_) if obstructed => Row::problem(
            problems.join("\n"),
            "move the foreign file away, then `heph self-update apply`",
        ),
        Ok(_) => Row::warning(
            problems.join("\n"),
            "the next run repairs them; so does `heph self-update apply`",
        ),
    }
}

/// Checks which `heph` the shell finds; no question where heph updates other programs only.
pub(super) fn path(shell: &Shell) -> Option<Row> {
    let settings = &shell.context.config.self_update;
    if !settings.packages.iter().any(|package| package == "heph") {
        return None;
    }
    // Without a bin-dir, the row of the links says why.
    let bin_dir = update::bin_dir(settings, &shell.context.paths).ok()?.path;
    let first = which::which("heph").ok();
    let real = |path: &Path| fs::canonicalize(path).ok();
    let same = first
        .as_deref()
        .and_then(Path::parent)
        .is_some_and(|folder| {
            folder == bin_dir || real(folder).is_some_and(|folder| Some(folder) == real(&bin_dir))
        });
    Some(path_row(first.as_deref(), &bin_dir, same))
}

/// Judges `first`, the `heph` that comes first on PATH; `same`: it is in `bin_dir`.
pub(super) fn path_row(first: Option<&Path>, bin_dir: &Path, same: bool) -> Row {
    let folder = bin_dir.display();
    match first.map(Path::display) {
        Some(first) if same => Row::ok(format!("`heph` is '{first}'")),
        Some(first) => Row::warning(
            format!(
                "your shell runs another copy, '{first}', and not the one that is kept current in '{folder}'"
            ),
            format!("remove that copy, or put '{folder}' before it on PATH"),
        ),
        None => Row::warning(
            format!("your shell does not find `heph`, for '{folder}' is not on PATH"),
            format!("put '{folder}' on PATH"),
        ),
    }
}

pub(super) fn quarantine(shell: &Shell) -> Option<Row> {
    let loaded = Quarantine::load(&shell.context.paths);
    Some(quarantine_row(loaded.map(|quarantine| {
        let entries = quarantine.entries();
        entries.map(|entry| entry.version.clone()).collect()
    })))
}

/// Judges the releases that failed here.
pub(super) fn quarantine_row(failed: Result<Vec<Version>>) -> Row {
    match failed {
        Ok(failed) if failed.is_empty() => Row::ok("empty"),
        Ok(failed) => {
            let failed: Vec<String> = failed.iter().map(Version::to_string).collect();
            let failed = failed.join(", ");
            Row::warning(
                format!("not tried again, for they failed here: {failed}"),
                "`heph self-update quarantine list` says why, `quarantine clear VERSION` lets one be tried again",
            )
        }
        Err(error) => Row::problem(
            error.one_line(),
            "move that file away; what it forbids may be tried again then",
        ),
    }
}

/// Checks whether the newest release has a build that failed; no question where it has not.
pub(super) fn failed_build(shell: &Shell) -> Option<Row> {
    let Context { config, paths, .. } = shell.context;
    let latest = update::feed(&config.self_update, &paths.feed())
        .cached()
        .latest;
    let survey = outcome::with_world(shell.context, true, |world| {
        update::survey(world, latest, &Asked::default())
    });
    // What prevents the survey has rows of its own.
    Some(failed_build_row(&survey.ok()?.waiting?))
}

/// Judges a build that failed, by whether the next run tries it again.
pub(super) fn failed_build_row(waiting: &Waiting) -> Row {
    match waiting.objection() {
        Some(reason) => Row::warning(
            format!("a run would end as `skipped`: {reason}"),
            "`heph self-update apply` tries it now",
        ),
        None => Row::warning(
            waiting.try_again(),
            "`heph self-update status` names the log of the last try",
        ),
    }
}

/// Checks for an interrupted run.
pub(super) fn journal(shell: &Shell) -> Option<Row> {
    Some(match Journal::load(&shell.context.paths) {
        Ok(None) => Row::ok("no run is unfinished"),
        Ok(Some(journal)) => {
            let version = journal.to.version;
            Row::warning(
                format!("an update to {version} is under way or was interrupted"),
                "the next run ends it; so does `heph self-update apply`",
            )
        }
        Err(error) => Row::failed(&error, "`heph self-update apply`"),
    })
}

/// No question where the packages have no hephd.
pub(super) fn hephd(shell: &Shell) -> Option<Row> {
    let (config, paths) = (&shell.context.config, &shell.context.paths);
    if !outcome::with_world(shell.context, true, update::brings_hephd) {
        return None;
    }
    let state = service::state(config.service_manager, paths);
    let program = match &state {
        Ok(Some(state)) => state.program.clone(),
        _ => None,
    };
    let bin_dir = update::bin_dir(&config.self_update, paths);
    let ours =
        matches!((bin_dir, program), (Ok(bin_dir), Some(program)) if bin_dir.holds(&program));
    Some(hephd_row(state.as_ref().map(Option::as_ref), ours))
}

/// Judges whether an update will restart hephd. `ours`: heph made its service file, which names the hephd in bin-dir.
pub(super) fn hephd_row(state: Result<Option<&service::State>, &Error>, ours: bool) -> Row {
    match state {
        Ok(Some(state)) if state.running && !ours => Row::warning(
            format!(
                "{} runs it by a service file that starts another hephd or was made by hand, so an update does not restart it",
                state.manager
            ),
            "move that file away, then `heph daemon start`",
        ),
        Ok(Some(state)) if state.running => {
            let manager = state.manager;
            Row::ok(format!("{manager} runs it, and an update restarts it"))
        }
        Ok(Some(state)) if state.installed => {
            Row::ok("installed and stopped; an update leaves it so")
        }
        Ok(_) => Row::ok("not a service here; an update does not restart it"),
        Err(error) => Row::warning(error.one_line(), "see `heph daemon status`"),
    }
}
