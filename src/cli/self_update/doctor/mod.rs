//! `heph self-update doctor`: will the timer's run work?
//!
//! That a command works in a shell says little about a job that starts with next to no environment. So the doctor starts
//! itself once more the way the timer starts its job ([`probe`]), runs checks there, and adds what only the shell can tell:
//! whether the timer is on, its files current, and which `heph` the shell finds.
//!
//! A check is a function that returns its row, and a line in one of the lists below. What a fact means is decided by a pure
//! function beside the check.

mod build;
mod facts;
mod feed;
mod installed;
mod newest_tag;
mod permissions;
mod probe;
mod row;
mod sources;
#[cfg(test)]
mod tests;
mod timer;
mod trust;

use std::path::PathBuf;

use serde::Serialize;

use crate::cli::Context;
use crate::error::{Exit, Result};
use crate::os::files;
use facts::{Job, Shell};
use probe::{Findings, Folders};
use row::{NamedRow, Row, Status};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Run the checks of the timer's job here, and write what they find to this file
    #[arg(long, hide = true, value_name = "FILE")]
    inside: Option<PathBuf>,
}

type ShellCheck = fn(&Shell) -> Option<Row>;
type JobCheck = fn(&Job) -> Option<Row>;

/// Of the timer, in the shell.
const TIMER: &[(&str, ShellCheck)] = &[
    ("timer", timer::timer),
    ("generated files", timer::generated_files),
    ("program", timer::program),
    ("environment", timer::environment),
    ("folders", timer::folders),
];
/// In the environment of the timer's job.
const JOB: &[(&str, JobCheck)] = &[
    ("cargo", build::cargo),
    ("linker", build::linker),
    ("temporary folder", build::temporary_folder),
    ("releases folder", build::slots),
    ("free space", build::free_space),
    ("forge", feed::forge),
    ("git", feed::git),
    ("sources", sources::sources),
    ("newest tag", newest_tag::newest_tag),
    ("trusted keys", trust::keys),
    ("clock", trust::clock),
    ("links", installed::links),
    ("permissions", permissions::permissions),
];
/// Of the rest, in the shell.
const MACHINE: &[(&str, ShellCheck)] = &[
    ("lingering", timer::lingering),
    ("cron", timer::cron),
    ("PATH", installed::path),
    ("quarantine", installed::quarantine),
    ("failed build", installed::failed_build),
    ("journal", installed::journal),
    ("hephd", installed::hephd),
];

/// The object that `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    rows: Vec<NamedRow>,
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    if let Some(file) = args.inside {
        let findings = serde_json::to_vec(&in_the_job(context))?;
        files::write_atomic(&file, &findings, files::PRIVATE)?;
        return Ok(Exit::Done);
    }
    let rows = in_the_shell(context);
    let count = |status| {
        rows.iter()
            .filter(|named| named.row.status == status)
            .count()
    };
    let (problems, warnings) = (count(Status::Problem), count(Status::Warning));
    let exit = if problems == 0 {
        Exit::Done
    } else {
        Exit::Failed
    };
    let ui = &context.ui;
    if args.json {
        ui.json(&Report {
            ok: problems == 0,
            rows,
        });
    } else {
        ui.raw(row::table(&rows, ui).as_bytes());
        ui.say("");
        ui.say(conclusion(problems, warnings));
    }
    Ok(exit)
}

fn in_the_shell(context: &Context) -> Vec<NamedRow> {
    let shell = Shell::of(context);
    let named = |(name, check): &(&str, ShellCheck)| Some(check(&shell)?.named(name));
    let mut rows: Vec<NamedRow> = TIMER.iter().filter_map(named).collect();
    if let Ok(findings) = &shell.findings {
        rows.extend(findings.rows.iter().cloned());
    }
    rows.extend(MACHINE.iter().filter_map(named));
    rows
}

fn in_the_job(context: &Context) -> Findings {
    let job = Job::of(context);
    let named = |(name, check): &(&str, JobCheck)| Some(check(&job)?.named(name));
    Findings {
        folders: Folders::of(&context.paths),
        rows: JOB.iter().filter_map(named).collect(),
    }
}

fn conclusion(problems: usize, warnings: usize) -> String {
    let counted = |number, what| match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    };
    match (problems, warnings) {
        (0, 0) => "A run of the timer will work.".to_owned(),
        (0, _) => format!(
            "A run of the timer will work; mind {}.",
            counted(warnings, "warning")
        ),
        _ => format!(
            "A run of the timer will not work: {}.",
            counted(problems, "problem")
        ),
    }
}
