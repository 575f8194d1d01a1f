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

/// Changes the task by `change`, and prints it after the verb `done`.
pub fn run(
    context: &Context,
    args: &Args,
    done: &str,
    change: fn(&Path, &str) -> Result<Task>,
) -> Result<Exit> {
    let task = change(&context.socket()?, &args.id)?;
    Ok(print(context, done, task, args.json))
}

/// Prints `task`: one object with `json`, otherwise a line that begins with the verb `done`.
pub fn print(context: &Context, done: &str, task: Task, json: bool) -> Exit {
    if json {
        context.ui.json(&OneTask { task });
    } else {
        let title = printable(&task.title);
        context.ui.say(format!("{done} {}  {title}", task.id));
    }
    Exit::Done
}
