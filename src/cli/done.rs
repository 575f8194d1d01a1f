//! `heph done`: a task is done.

use anyhow::Result;
use serde::Serialize;

use super::Context;
use crate::client::{self, Task, printable};
use crate::error::Exit;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Id of the task, or a beginning that only it has
    id: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Output<'a> {
    schema: u32,
    task: &'a Task,
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    let task = client::done(&context.paths.socket, &args.id)?;
    if args.json {
        context.ui.json(&Output {
            schema: 1,
            task: &task,
        });
    } else {
        let title = printable(&task.title);
        context.ui.say(format!("done {}  {title}", task.id));
    }
    Ok(Exit::Done)
}
