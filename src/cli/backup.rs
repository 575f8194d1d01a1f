//! `heph backup`: write a consistent copy of the store while hephd runs.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::Context;
use crate::client;
use crate::error::{Exit, Result};

/// How long a backup may take.
const LIMIT: Duration = Duration::from_secs(10 * 60);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// File to write; it must not exist
    file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    // hephd has another working folder.
    let file = std::path::absolute(args.file)?;
    client::backup(&context.socket()?, &file, LIMIT)?;
    let file = file.display().to_string();
    if args.json {
        context.ui.json(&json!({ "file": file }));
    } else {
        context.ui.say(format!("wrote '{file}'"));
    }
    Ok(Exit::Done)
}
