//! `heph self-update doctor`: will the timer's run work?
//!
//! That a command works in a shell says little about a job that starts with next to no environment. So the doctor starts
//! itself once more the way the timer starts its job ([`job`]), looks around there ([`inside`]), and adds what can only be
//! told from the shell ([`outside`]): whether the timer is on, its files current, and which `heph` the shell finds. What a
//! fact means is decided by pure functions ([`rows`]).

mod inside;
mod job;
mod outside;
mod row;
mod rows;
mod trust;

use std::path::PathBuf;

use serde::Serialize;

use crate::cli::Context;
use crate::error::{Exit, Result};
use row::{Row, Status};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Look around here, and write what was found to this file
    #[arg(long, hide = true, value_name = "FILE")]
    inside: Option<PathBuf>,
}

/// The object that `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    schema: u32,
    ok: bool,
    rows: Vec<Row>,
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    if let Some(file) = args.inside {
        inside::write(context, &file)?;
        return Ok(Exit::Done);
    }
    let rows = outside::look(context);
    let problems = count(&rows, Status::Problem);
    let exit = if problems == 0 {
        Exit::Done
    } else {
        Exit::Failed
    };
    if args.json {
        context.ui.json(&Report {
            schema: 1,
            ok: problems == 0,
            rows,
        });
        return Ok(exit);
    }
    context.ui.raw(row::table(&rows, &context.ui).as_bytes());
    context.ui.say("");
    context
        .ui
        .say(verdict(problems, count(&rows, Status::Warning)));
    Ok(exit)
}

fn count(rows: &[Row], status: Status) -> usize {
    rows.iter().filter(|row| row.status == status).count()
}

fn verdict(problems: usize, warnings: usize) -> String {
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
