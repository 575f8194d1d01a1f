//! `heph daemon`: hephd as a service of the operating system.

mod change;
mod logs;
mod program;
mod status;
mod stop;
mod uninstall;

use clap::Subcommand;

use super::Context;
use crate::error::{Exit, Result};
pub(super) use change::join;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Install hephd as a service that starts now and at every login
    Start(Box<change::Args>),
    /// Stop hephd until the next login or start
    Stop(stop::Args),
    /// Rewrite the service file and replace hephd by a new process
    Restart(Box<change::Args>),
    /// Show whether hephd is installed and running, and where its files are
    Status(status::Args),
    /// Stop hephd and remove its service; tasks and log are kept
    Uninstall(uninstall::Args),
    /// Print the log of hephd
    Logs(logs::Args),
}

impl Args {
    /// Returns whether the command may write files.
    pub(super) fn writes(&self) -> bool {
        !matches!(self.command, Command::Status(_) | Command::Logs(_))
    }
}

pub(super) fn run(context: &Context, args: Args) -> Result<Exit> {
    match args.command {
        Command::Start(args) => change::run(context, &args, change::Verb::Start),
        Command::Stop(args) => stop::run(context, args),
        Command::Restart(args) => change::run(context, &args, change::Verb::Restart),
        Command::Status(args) => status::run(context, args),
        Command::Uninstall(args) => uninstall::run(context, args),
        Command::Logs(args) => logs::run(context, args),
    }
}
