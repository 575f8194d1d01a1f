//! `heph edit`: change the title of a task.

use super::{Context, task};
use crate::client;
use crate::error::{Exit, Result};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Id of the task, or an unambiguous prefix of it
    id: String,
    /// New title; several words are joined
    #[arg(required = true)]
    title: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    let task = client::edit(&context.socket()?, &args.id, &args.title.join(" "))?;
    Ok(task::print(context, "edited", "unchanged", task, args.json))
}
