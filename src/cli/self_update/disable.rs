//! `heph self-update disable`: remove the timer and its files.

use crate::cli::Context;
use crate::error::{Exit, Result};
use crate::platform::schedule;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Also remove files that were made or edited by hand
    #[arg(long)]
    force: bool,
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    let removed = schedule::disable(&context.paths, args.force)?;
    let names: Vec<_> = removed.iter().map(ToString::to_string).collect();
    context.ui.say(match names.join(" and ") {
        none if none.is_empty() => "self-update is off already".to_owned(),
        names => format!("self-update is off: removed from {names}"),
    });
    Ok(Exit::Done)
}
