//! `heph hub`: the machines that the hub on this machine has invited.

mod invite;
mod machines;
mod revoke;

use clap::Subcommand;

use super::Context;
use crate::error::{Exit, Result};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the line with which another machine joins this hub
    Invite(invite::Args),
    /// List the machines that are invited
    Machines(machines::Args),
    /// Revoke the secret of a machine, which then can no longer sync
    Revoke(revoke::Args),
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    match args.command {
        Command::Invite(args) => invite::run(context, args),
        Command::Machines(args) => machines::run(context, &args),
        Command::Revoke(args) => revoke::run(context, &args),
    }
}
