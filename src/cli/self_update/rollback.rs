//! `heph self-update rollback`: go back to a release that is still on disk.

use semver::Version;

use super::outcome;
use crate::cli::Context;
use crate::error::{Exit, Result};
use crate::os::interrupt;
use crate::update;
use crate::update::report::Outcome;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Go back to this release instead of the one before
    #[arg(long, value_name = "VERSION", value_parser = super::version)]
    to: Option<Version>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    interrupt::watch()?;
    let report = outcome::with_world(context, args.json, |world| {
        update::rollback(world, args.to.as_ref())
    });
    let exit = outcome::print(context, args.json, &report);
    // Exit code 3 is for a roll-back that was not asked for.
    Ok(if report.summary.outcome == Outcome::RolledBack {
        Exit::Done
    } else {
        exit
    })
}
