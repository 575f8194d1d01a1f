//! What the doctor looks at from the shell, and the way to the inside.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::inside::{Findings, Folders};
use super::job::{self, Start};
use super::row::Row;
use super::rows;
use crate::cli::Context;
use crate::cli::self_update::enable;
use crate::error::Result;
use crate::install::verify;
use crate::paths::Paths;
use crate::platform::launchd::launchctl::Agent;
use crate::platform::schedule::job::{Environment, Job};
use crate::platform::schedule::{self, Scheduler, launchd};
use crate::platform::service;
use crate::platform::systemd::{syntax, systemctl};
use crate::update;
use crate::update::journal::Journal;
use crate::update::quarantine::Quarantine;

/// The variables that launchd gives each of its jobs.
const OF_LAUNCHD: [&str; 5] = ["HOME", "LOGNAME", "SHELL", "TMPDIR", "USER"];
/// How cron daemons are called, at most 15 bytes of it (proc_pid_comm(5)).
const CRON_DAEMONS: [&str; 6] = [
    "cron",
    "crond",
    "fcron",
    "cronie",
    "anacron",
    "systemd-cron",
];

/// Returns all rows.
pub fn look(context: &Context) -> Vec<Row> {
    let (config, paths) = (&context.config, &context.paths);
    let mut rows = Vec::new();
    let job = match schedule::job(config.service_manager, paths) {
        Ok(job) => {
            rows.push(rows::timer(timer(context, job.as_ref())));
            job
        }
        Err(error) => {
            rows.push(rows::timer(Err(error.one_line())));
            None
        }
    };
    if let Some((scheduler, job)) = &job {
        rows.push(match schedule::stale(*scheduler, job, paths) {
            Ok(stale) => rows::generated(&stale),
            Err(error) => rows::generated(&[error.one_line()]),
        });
        let says = verify::says(&job.invocation.program).map_err(|error| error.one_line());
        rows.push(rows::program(&job.invocation.program, says));
    }
    let scheduler = job.as_ref().map_or_else(
        || Scheduler::choose(config.service_manager),
        |(scheduler, _)| *scheduler,
    );
    let job = job.map(|(_, job)| job);
    match inside(scheduler, job.as_ref(), paths) {
        Ok(findings) => {
            rows.push(rows::environment(place(scheduler), Ok(())));
            rows.extend(folders(&findings.folders, &Folders::of(paths)));
            rows.extend(findings.rows);
        }
        Err(error) => rows.push(rows::environment(place(scheduler), Err(error.one_line()))),
    }
    match scheduler {
        Scheduler::Systemd => rows.push(rows::lingering(systemctl::lingers())),
        Scheduler::Cron if cfg!(target_os = "linux") => rows.push(rows::cron(cron_runs())),
        Scheduler::Cron | Scheduler::Launchd => {}
    }
    rows.extend(shadow(context));
    rows.push(match Quarantine::load(paths) {
        Ok(quarantine) => rows::quarantine(&quarantine.versions()),
        Err(error) => Row::problem(
            "quarantine",
            error.one_line(),
            "move that file away; what it forbids may be tried again then",
        ),
    });
    rows.push(journal(paths));
    let state = service::state(config.service_manager, paths).map_err(|error| error.one_line());
    let program = state
        .as_ref()
        .ok()
        .and_then(|state| state.as_ref()?.program.clone());
    let bin_dir = update::bin_dir(&config.self_update, paths);
    let ours =
        matches!((bin_dir, program), (Ok(bin_dir), Some(program)) if bin_dir.holds(&program));
    rows.push(rows::daemon(state, ours));
    rows
}

/// Returns the row about what an interrupted run may have left.
fn journal(paths: &Paths) -> Row {
    match Journal::load(paths) {
        Ok(None) => Row::ok("journal", "no run is unfinished"),
        Ok(Some(journal)) => Row::warning(
            "journal",
            format!(
                "an update to {} is under way or was interrupted",
                journal.to.version
            ),
            "the next run ends it; so does `heph self-update apply`",
        ),
        Err(error) => Row::problem(
            "journal",
            error.one_line(),
            error.hint().unwrap_or("`heph self-update apply`"),
        ),
    }
}

/// Returns what runs when, in words.
fn timer(context: &Context, job: Option<&(Scheduler, Job)>) -> Result<Option<String>, String> {
    let Some((scheduler, job)) = job else {
        return Ok(None);
    };
    if *scheduler == Scheduler::Systemd {
        let unit = "heph-self-update.timer";
        for (question, remedy) in [
            (
                "is-active",
                "its files are there, but systemd does not run it",
            ),
            (
                "is-enabled",
                "systemd runs it now, but will not after the next login",
            ),
        ] {
            systemctl::call(&[question, unit]).map_err(|error| format!("{remedy}: {error}"))?;
        }
    }
    if *scheduler == Scheduler::Launchd {
        let agent = Agent::new(launchd::LABEL, &context.paths.launch_agents);
        if agent.loaded().map_err(|error| error.one_line())?.is_none() {
            return Err("its file is there, but launchd does not know it".to_owned());
        }
    }
    let state = schedule::state(context.config.service_manager, &context.paths)
        .map_err(|error| error.one_line())?;
    let next = state
        .and_then(|state| state.next)
        .map(|next| format!("; the next run is at {next}"))
        .unwrap_or_default();
    let what = if job.invocation.notify_only {
        "tells of releases"
    } else {
        "installs releases"
    };
    Ok(Some(format!(
        "{scheduler} runs it {}, and it {what}{next}",
        job.cadence
    )))
}

/// Starts a look from inside, the way the timer starts `job`, or would start one if it were turned on now.
fn inside(scheduler: Scheduler, job: Option<&Job>, paths: &Paths) -> Result<Findings> {
    let env = match job {
        Some(job) => job.invocation.environment.clone(),
        None => enable::environment(paths)?,
    };
    let config = match job {
        Some(job) => job.invocation.config.clone(),
        None => enable::named_settings(paths)?,
    };
    let start = match scheduler {
        Scheduler::Systemd => Start::Unit(match job {
            Some(_) => unit_files(paths)?,
            None => vec![unit_of(&env)],
        }),
        Scheduler::Launchd => Start::Variables(with_launchds(env)),
        Scheduler::Cron => Start::Variables(variables(env)),
    };
    job::look(start, config.as_deref(), paths)
}

fn unit_of(env: &Environment) -> String {
    let mut unit = String::from("[Service]\n");
    for (name, value) in env {
        let word = syntax::word(&format!("{name}={value}"));
        unit.push_str(&format!("Environment={word}\n"));
    }
    unit
}

/// Returns the texts of the timer's service and of its drop-ins, in the order in which systemd reads them.
fn unit_files(paths: &Paths) -> Result<Vec<String>> {
    let service = paths.systemd_units.join("heph-self-update.service");
    let mut drop_ins: Vec<PathBuf> = fs::read_dir(service.with_extension("service.d"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "conf")
        })
        .collect();
    drop_ins.sort();
    std::iter::once(service)
        .chain(drop_ins)
        .map(|path| Ok(fs::read_to_string(path)?))
        .collect()
}

fn variables(env: Environment) -> Vec<(OsString, OsString)> {
    env.into_iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

fn with_launchds(env: Environment) -> Vec<(OsString, OsString)> {
    OF_LAUNCHD
        .iter()
        .filter_map(|name| Some(((*name).into(), std::env::var_os(name)?)))
        .chain(variables(env))
        .collect()
}

fn place(scheduler: Scheduler) -> &'static str {
    match scheduler {
        Scheduler::Systemd => "inside a unit of the user's systemd, made like that of the timer",
        Scheduler::Launchd => "with the variables of the launchd job",
        Scheduler::Cron => "with the variables of the cron job",
    }
}

fn folders(there: &Folders, here: &Folders) -> Option<Row> {
    rows::folders(&[
        ("settings file", &here.config, &there.config),
        ("data folder", &here.data, &there.data),
        ("state folder", &here.state, &there.state),
        ("cache folder", &here.cache, &there.cache),
    ])
}

/// Returns the row about the `heph` that the shell finds; `None` where heph keeps other programs current.
fn shadow(context: &Context) -> Option<Row> {
    let settings = &context.config.self_update;
    if !settings.packages.iter().any(|package| package == "heph") {
        return None;
    }
    // Where bin-dir cannot be told, the look from inside has said why.
    let bin_dir = update::bin_dir(settings, &context.paths).ok()?.path;
    let first = which::which("heph").ok();
    let real = |path: &Path| fs::canonicalize(path).ok();
    let same = first
        .as_deref()
        .and_then(Path::parent)
        .is_some_and(|folder| {
            folder == bin_dir || real(folder).is_some_and(|folder| Some(folder) == real(&bin_dir))
        });
    Some(rows::shadow(first.as_deref(), &bin_dir, same))
}

/// Returns whether a cron daemon runs, as far as the process table tells.
fn cron_runs() -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| fs::read_to_string(process.path().join("comm")).ok())
        .any(|name| CRON_DAEMONS.contains(&name.trim()))
}
