//! `heph list`: list tasks, the oldest first.

use super::Context;
use crate::client::{self, State, Task, Which, wire::Tasks};
use crate::error::{Exit, Result};
use crate::os::text::printable;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Include the tasks that are done
    #[arg(long, conflicts_with = "done")]
    all: bool,
    /// List only the tasks that are done
    #[arg(long)]
    done: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    let which = match (args.all, args.done) {
        (true, _) => Which::All,
        (_, true) => Which::Done,
        _ => Which::Open,
    };
    let tasks = client::list(&context.socket()?, which)?;
    if args.json {
        context.ui.json(&Tasks { tasks });
        return Ok(Exit::Done);
    }
    for task in &tasks {
        context.ui.say(line(task, which));
    }
    Ok(Exit::Done)
}

/// Returns the line for `task`, with its state where tasks of both states are listed.
fn line(task: &Task, which: Which) -> String {
    let title = printable(&task.title);
    match (which, task.state) {
        (Which::All, State::Open) => format!("{}  open  {title}", task.id),
        (Which::All, State::Done) => format!("{}  done  {title}", task.id),
        _ => format!("{}  {title}", task.id),
    }
}
