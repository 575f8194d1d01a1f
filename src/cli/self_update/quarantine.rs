//! `heph self-update quarantine`: the releases that failed here.

use clap::Subcommand;
use semver::Version;
use serde_json::json;

use crate::cli::Context;
use crate::error::{Error, Exit, Result};
use crate::update;
use crate::update::quarantine::{self, Quarantine};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the releases that failed here and are not tried again
    List {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Allow a release to be tried again
    Clear {
        /// The release to try again
        #[arg(value_name = "VERSION", value_parser = super::version)]
        version: Version,
    },
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    match args.command {
        Command::List { json } => list(context, json),
        Command::Clear { version } => clear(context, &version),
    }
}

fn list(context: &Context, json: bool) -> Result<Exit> {
    let quarantine = Quarantine::load(&context.paths)?;
    if json {
        context.ui.json(&json!({ "releases": quarantine.releases }));
        return Ok(Exit::Done);
    }
    if quarantine.releases.is_empty() {
        context.ui.say("no release is in quarantine");
    }
    for entry in quarantine.releases {
        context.ui.say(format!(
            "{}  {}  {}",
            entry.version,
            entry.at.strftime("%Y-%m-%d %H:%MZ"),
            entry.reason
        ));
    }
    Ok(Exit::Done)
}

fn clear(context: &Context, version: &Version) -> Result<Exit> {
    let _lock = update::exclusive(&context.paths)?;
    if !quarantine::release(&context.paths, version)? {
        return Err(Error::new(format!("{version} is not in quarantine"))
            .with_hint("`heph self-update quarantine list`"));
    }
    context.ui.say(format!("{version} may be tried again"));
    Ok(Exit::Done)
}
