//! `heph list`: the tasks, the oldest first.

use serde::Serialize;

use super::Context;
use crate::client::{self, State, Task, Which};
use crate::error::{Exit, Result};
use crate::os::text::printable;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// List the tasks that are done as well
    #[arg(long, conflicts_with = "done")]
    all: bool,
    /// List only the tasks that are done
    #[arg(long)]
    done: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Output<'a> {
    schema: u32,
    tasks: &'a [Task],
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    let which = match (args.all, args.done) {
        (true, _) => Which::All,
        (_, true) => Which::Done,
        _ => Which::Open,
    };
    let tasks = client::list(&context.paths.hephd.socket, which)?;
    if args.json {
        context.ui.json(&Output {
            schema: 1,
            tasks: &tasks,
        });
        return Ok(Exit::Done);
    }
    for task in &tasks {
        context.ui.say(line(task, which));
    }
    Ok(Exit::Done)
}

/// Returns the line for `task`; where there are open and done ones, it says which this one is.
fn line(task: &Task, which: Which) -> String {
    let title = printable(&task.title);
    match (which, task.state) {
        (Which::All, State::Open) => format!("{}  open  {title}", task.id),
        (Which::All, State::Done) => format!("{}  done  {title}", task.id),
        _ => format!("{}  {title}", task.id),
    }
}
