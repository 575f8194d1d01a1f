//! `heph add`: one new task.

use anyhow::Result;
use serde::Serialize;

use super::Context;
use crate::client::{self, Task, printable};
use crate::error::Exit;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do; several words are joined
    #[arg(required = true)]
    title: Vec<String>,
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
    let task = client::add(&context.paths.socket, &args.title.join(" "))?;
    if args.json {
        context.ui.json(&Output {
            schema: 1,
            task: &task,
        });
    } else {
        let title = printable(&task.title);
        context.ui.say(format!("added {}  {title}", task.id));
    }
    Ok(Exit::Done)
}
