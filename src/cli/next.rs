//! `heph next`: the oldest open task.

use serde::Serialize;

use super::Context;
use crate::client::{self, Task};
use crate::error::{Exit, Result};
use crate::os::text::printable;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Output<'a> {
    schema: u32,
    task: Option<&'a Task>,
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    let task = client::next(&context.paths.hephd.socket)?;
    if args.json {
        context.ui.json(&Output {
            schema: 1,
            task: task.as_ref(),
        });
        return Ok(Exit::Done);
    }
    match task {
        Some(task) => {
            let title = printable(&task.title);
            context.ui.say(format!("{}  {title}", task.id));
        }
        None => context.ui.say("nothing to do"),
    }
    Ok(Exit::Done)
}
