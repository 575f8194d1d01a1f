//! `heph hub revoke`: a machine can no longer sync.

use super::Context;
use crate::client;
use crate::error::{Exit, Result};
use crate::os::text::printable;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the machine, as `heph hub machines` lists it
    name: String,
}

pub fn run(context: &Context, args: &Args) -> Result<Exit> {
    let name = client::revoke(&context.socket()?, &args.name)?;
    context.ui.say(format!(
        "revoked '{}': it can no longer sync, and keeps the tasks that it has",
        printable(&name)
    ));
    Ok(Exit::Done)
}
