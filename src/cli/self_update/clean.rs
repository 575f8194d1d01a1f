//! `heph self-update clean`: remove old releases, and trim the build folder.

use serde_json::json;

use super::outcome;
use crate::cli::Context;
use crate::error::{Exit, Result};
use crate::update;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    let cleaned = outcome::with_world(context, args.json, update::clean)?;
    if args.json {
        context
            .ui
            .json(&json!({ "schema": 1, "slots": cleaned.slots, "freed": cleaned.freed }));
        return Ok(Exit::Done);
    }
    for slot in &cleaned.slots {
        context.ui.say(format!("removed {slot}"));
    }
    context
        .ui
        .say(format!("freed {}", super::size(cleaned.freed)));
    Ok(Exit::Done)
}
