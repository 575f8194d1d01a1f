//! `heph next`: show the oldest open task.

use super::Context;
use crate::client::{self, wire::NextTask};
use crate::error::{Exit, Result};
use crate::os::text::printable;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    let task = client::next(&context.socket()?)?;
    if args.json {
        context.ui.json(&NextTask { task });
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
