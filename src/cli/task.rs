//! What the commands that change one task have in common.

use std::path::Path;

use super::Context;
use crate::client::{Task, wire::OneTask};
use crate::error::{Exit, Result};
use crate::os::text::printable;

/// The arguments of a command that needs nothing but the task.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Id of the task, or an unambiguous prefix of it
    pub(super) id: String,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

/// Changes the task by `change`, and prints it after the verb `done`, or after `already` if it was so before.
pub fn run(
    context: &Context,
    args: &Args,
    done: &str,
    already: &str,
    change: fn(&Path, &str) -> Result<OneTask>,
) -> Result<Exit> {
    let changed = change(&context.socket()?, &args.id)?;
    Ok(print(context, done, already, changed, args.json))
}

/// Prints a task: one object with `json`, otherwise a line that begins with the verb `done`, or with `already` if nothing was
/// changed.
pub fn print(context: &Context, done: &str, already: &str, task: OneTask, json: bool) -> Exit {
    if json {
        context.ui.json(&task);
    } else {
        let verb = if task.changed { done } else { already };
        line(context, verb, &task.task);
    }
    Exit::Done
}

/// Prints a line about `task` that begins with `verb`.
pub fn line(context: &Context, verb: &str, task: &Task) {
    let title = printable(&task.title);
    context.ui.say(format!("{verb} {}  {title}", task.id));
}
