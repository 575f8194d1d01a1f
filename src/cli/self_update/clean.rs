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
    let (ui, slots, freed) = (&context.ui, cleaned.slots, cleaned.freed);
    if args.json {
        ui.json(&json!({ "slots": slots, "freed": freed }));
        return Ok(Exit::Done);
    }
    for slot in &slots {
        ui.say(format!("removed {slot}"));
    }
    ui.say(format!("freed {}", super::size(freed)));
    Ok(Exit::Done)
}
