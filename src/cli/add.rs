//! `heph add`: add a task.

use super::{Context, task};
use crate::client;
use crate::client::wire::OneTask;
use crate::error::{Exit, Result};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do; several words are joined
    #[arg(required = true)]
    title: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    let task = client::add(&context.socket()?, &args.title.join(" "))?;
    let added = OneTask {
        task,
        changed: true,
    };
    Ok(task::print(context, "added", "added", added, args.json))
}
