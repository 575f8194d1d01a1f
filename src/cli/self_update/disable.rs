//! `heph self-update disable`: remove the timer and its files.

use crate::cli::Context;
use crate::error::{Exit, Result};
use crate::platform::schedule::{self, Scheduler};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Also remove files that were made or edited by hand
    #[arg(long)]
    force: bool,
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    let removed = schedule::disable(&context.paths, args.force)?;
    if removed.is_empty() {
        context.ui.say("self-update is off already");
    } else {
        let names: Vec<_> = removed.into_iter().map(Scheduler::name).collect();
        let names = names.join(" and ");
        context
            .ui
            .say(format!("self-update is off: removed from {names}"));
    }
    Ok(Exit::Done)
}
