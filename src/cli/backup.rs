//! `heph backup`: a consistent copy of the store, while hephd goes on.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

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

#[derive(Serialize)]
struct Output<'a> {
    schema: u32,
    file: &'a str,
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    // hephd has a working folder of its own.
    let file = std::path::absolute(args.file)?;
    client::backup(&context.paths.hephd.socket, &file, LIMIT)?;
    let file = file.display().to_string();
    if args.json {
        context.ui.json(&Output {
            schema: 1,
            file: &file,
        });
    } else {
        context.ui.say(format!("wrote '{file}'"));
    }
    Ok(Exit::Done)
}
