//! The timer, as the shell sees it: is it on, are its files current, does its job start, and when does it run?

use std::fs;
use std::path::Path;

use semver::Version;

use super::facts::Shell;
use super::probe::Folders;
use super::row::Row;
use crate::cli::self_update::outcome;
use crate::error::{Error, Result};
use crate::install::verify;
use crate::platform::launchd::launchctl::Agent;
use crate::platform::schedule::job::Job;
use crate::platform::schedule::{self, Scheduler, launchd};
use crate::platform::systemd::systemctl;
use crate::update;

/// What helps against generated files that do not fit this heph, or this shell.
const ENABLE: &str = "run `heph self-update enable` again";
/// The names of cron daemons, at most 15 bytes of each (proc_pid_comm(5)).
const CRON_DAEMONS: [&str; 6] = [
    "cron",
    "crond",
    "fcron",
    "cronie",
    "anacron",
    "systemd-cron",
];

pub(super) fn timer(shell: &Shell) -> Option<Row> {
    let job = shell.job.as_ref().map_err(Clone::clone);
    Some(timer_row(job.and_then(|job| {
        job.as_ref().map(|job| timetable(shell, job)).transpose()
    })))
}

/// Judges the timer, given when it does what, in words; `None` where it is off.
pub(super) fn timer_row(timetable: Result<Option<String>>) -> Row {
    match timetable {
        Ok(Some(words)) => Row::ok(words),
        Ok(None) => Row::warning(
            "the timer is off; the checks below assume that it were turned on here and now",
            "`heph self-update enable` turns it on",
        ),
        Err(error) => Row::problem(error.one_line(), ENABLE),
    }
}

fn timetable(shell: &Shell, job: &Job) -> Result<String> {
    let paths = &shell.context.paths;
    if shell.scheduler == Scheduler::Systemd {
        let unit = "heph-self-update.timer";
        for (question, meaning) in [
            (
                "is-active",
                "its files are there, but systemd does not run it",
            ),
            (
                "is-enabled",
                "systemd runs it now, but will not after the next login",
            ),
        ] {
            systemctl::call(&[question, unit]).map_err(|error| error.context(meaning))?;
        }
    }
    if shell.scheduler == Scheduler::Launchd {
        let agent = Agent::new(launchd::LABEL, &paths.launch_agents);
        if agent.loaded()?.is_none() {
            let message = "its file is there, but launchd does not know it";
            return Err(Error::new(message));
        }
    }
    let next = schedule::next_run(shell.scheduler, job, paths)
        .map(|next| format!("; the next run is at {next}"))
        .unwrap_or_default();
    let what = if job.invocation.notify_only {
        "reports releases"
    } else {
        "installs releases"
    };
    Ok(format!(
        "{} runs it {}, and it {what}{next}",
        shell.scheduler, job.cadence
    ))
}

pub(super) fn generated_files(shell: &Shell) -> Option<Row> {
    let stale = schedule::stale(shell.scheduler, shell.job()?, &shell.context.paths);
    Some(generated_files_row(
        &stale.unwrap_or_else(|error| vec![error.one_line()]),
    ))
}

pub(super) fn generated_files_row(stale: &[String]) -> Row {
    match stale {
        [] => Row::ok("as this heph writes them"),
        stale => Row::problem(stale.join("\n"), ENABLE),
    }
}

pub(super) fn program(shell: &Shell) -> Option<Row> {
    let program = &shell.job()?.invocation.program;
    Some(program_row(program, verify::version_of(program)))
}

/// Judges the program that the job starts, given the version that it prints.
pub(super) fn program_row(program: &Path, version: Result<Version>) -> Row {
    let path = program.display();
    match version {
        Ok(version) => Row::ok(format!("the job runs '{path}', heph {version}")),
        Err(error) => {
            let reason = error.one_line();
            let detail = format!("the job runs '{path}', which does not work: {reason}");
            Row::problem(detail, ENABLE)
        }
    }
}

pub(super) fn environment(shell: &Shell) -> Option<Row> {
    let place = match shell.scheduler {
        Scheduler::Systemd => "inside a unit of the user's systemd, made like that of the timer",
        Scheduler::Launchd => "with the variables of the launchd job",
        Scheduler::Cron => "with the variables of the cron job",
    };
    Some(environment_row(place, shell.findings.as_ref().err()))
}

/// Judges the way the checks were made; `place` says it in words.
pub(super) fn environment_row(place: &str, failed: Option<&Error>) -> Row {
    match failed {
        None => Row::ok(format!("checked {place}")),
        Some(error) => {
            let detail = format!("cannot run the checks {place}: {}", error.one_line());
            Row::problem(detail, ENABLE)
        }
    }
}

pub(super) fn folders(shell: &Shell) -> Option<Row> {
    let there = &shell.findings.as_ref().ok()?.folders;
    folders_row(&Folders::of(&shell.context.paths), there)
}

/// Judges whether the job uses the folders of this shell.
pub(super) fn folders_row(here: &Folders, there: &Folders) -> Option<Row> {
    let differing: Vec<String> = [
        ("settings file", &here.config, &there.config),
        ("data folder", &here.data, &there.data),
        ("state folder", &here.state, &there.state),
        ("cache folder", &here.cache, &there.cache),
    ]
    .into_iter()
    .filter(|(_, here, there)| here != there)
    .map(|(what, here, there)| {
        let (here, there) = (here.display(), there.display());
        format!("the job's {what} is '{there}', this shell's is '{here}'")
    })
    .collect();
    (!differing.is_empty()).then(|| Row::problem(differing.join("\n"), ENABLE))
}

pub(super) fn lingering(shell: &Shell) -> Option<Row> {
    let brings_hephd = outcome::with_world(shell.context, true, update::brings_hephd);
    (shell.scheduler == Scheduler::Systemd)
        .then(|| lingering_row(systemctl::lingers(), brings_hephd))
}

/// Judges whether the timer runs without a login.
pub(super) fn lingering_row(lingers: Option<bool>, brings_hephd: bool) -> Row {
    let run = match brings_hephd {
        true => "the timer and hephd run",
        false => "the timer runs",
    };
    match lingers {
        Some(true) => Row::ok("the timer runs without a login"),
        Some(false) => Row::warning(
            format!("{run} only while you are logged in"),
            "`loginctl enable-linger` lets them run always",
        ),
        None => Row::warning(
            "cannot tell whether the timer runs while you are not logged in",
            "where logind runs, `loginctl enable-linger` lets it",
        ),
    }
}

pub(super) fn cron(shell: &Shell) -> Option<Row> {
    let applies = shell.scheduler == Scheduler::Cron && cfg!(target_os = "linux");
    applies.then(|| cron_row(runs_cron(Path::new("/proc"))))
}

pub(super) fn cron_row(runs: bool) -> Row {
    if runs {
        return Row::ok("a cron daemon runs");
    }
    Row::problem(
        "the timer needs cron, but no cron daemon runs",
        "start one, for example with `sudo systemctl enable --now cron`",
    )
}

/// Returns whether a cron daemon runs, as far as the process table tells.
fn runs_cron(table: &Path) -> bool {
    let processes = fs::read_dir(table).into_iter().flatten().flatten();
    processes
        .filter_map(|process| fs::read_to_string(process.path().join("comm")).ok())
        .any(|name| CRON_DAEMONS.contains(&name.trim()))
}
