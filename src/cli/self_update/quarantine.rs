//! `heph self-update quarantine`: the releases that proved bad here.

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

impl Args {
    /// Returns whether the command may write files.
    pub(super) fn writes(&self) -> bool {
        !matches!(self.command, Command::List { .. })
    }
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
        let releases: Vec<_> = quarantine.entries().collect();
        context.ui.json(&json!({ "releases": releases }));
        return Ok(Exit::Done);
    }
    if quarantine.entries().next().is_none() {
        context.ui.say("no release is in quarantine");
    }
    for entry in quarantine.entries() {
        let (version, reason) = (entry.version.to_string(), &entry.reason);
        let at = entry.at.strftime("%Y-%m-%d %H:%MZ");
        context.ui.say(format!("{version}  {at}  {reason}"));
        if let Some(repository) = &entry.repository {
            let commit = entry.commit.iter();
            let commit: String = commit.map(|commit| format!(", commit {commit}")).collect();
            let indent = version.len();
            let line = format!("{:indent$}  from {repository}{commit}", "");
            context.ui.say(line);
        }
    }
    Ok(Exit::Done)
}

fn clear(context: &Context, version: &Version) -> Result<Exit> {
    let _lock = update::exclusive(&context.paths)?;
    if !quarantine::clear(&context.paths, version)? {
        return Err(
            Error::new(format!("{version} is not in quarantine")).with_hint(
                "`heph self-update quarantine list`; `heph self-update apply` tries a build that failed",
            ),
        );
    }
    context.ui.say(format!("{version} may be tried again"));
    Ok(Exit::Done)
}
