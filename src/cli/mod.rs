//! What a person types: one file a command, its arguments beside its function.

pub mod ui;

mod add;
mod auth;
mod backup;
pub mod completions;
mod daemon;
mod delete;
mod done;
mod edit;
mod hub;
mod list;
mod next;
mod notice;
mod reopen;
mod self_update;
mod sync;
mod table;
mod task;
mod undelete;

use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand};

use crate::config::Config;
use crate::error::{Exit, Kind, Result};
use crate::os::{files, host};
use crate::paths::Paths;
use crate::platform::service;
use ui::Ui;

/// The version as `--version` prints it.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Keep a list of tasks, and keep the tool that keeps it current
#[derive(Debug, Parser)]
#[command(name = "heph", version = VERSION)]
pub struct Heph {
    /// Settings file to use instead of ~/.config/heph/config.toml
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add a task
    Add(add::Args),
    /// List tasks
    List(list::Args),
    /// Show the task to do next
    Next(next::Args),
    /// Mark a task as done
    Done(done::Args),
    /// Mark a task as open again
    Reopen(reopen::Args),
    /// Change the title of a task
    Edit(edit::Args),
    /// Delete a task; `heph undelete` brings it back
    Delete(delete::Args),
    /// Bring deleted tasks back
    Undelete(undelete::Args),
    /// Write a consistent copy of the store to a file
    Backup(backup::Args),
    /// Show the state of the sync with the hub, or sync now
    Sync(sync::Args),
    /// Invite machines to the hub on this machine, list and revoke them
    Hub(hub::Args),
    /// Manage hephd as a service of the operating system
    Daemon(daemon::Args),
    /// Log in at the OpenID provider that the hub trusts
    Auth(auth::Args),
    /// Keep heph and hephd current
    SelfUpdate(self_update::Args),
    /// Print shell completions
    Completions(completions::Args),
}

impl Command {
    /// Returns whether the command may write files of its own; tasks are hephd's.
    fn writes(&self) -> bool {
        match self {
            Command::Daemon(args) => args.writes(),
            Command::Auth(args) => args.writes(),
            Command::SelfUpdate(args) => args.writes(),
            Command::Sync(args) => args.writes(),
            Command::Add(_)
            | Command::List(_)
            | Command::Next(_)
            | Command::Done(_)
            | Command::Reopen(_)
            | Command::Edit(_)
            | Command::Delete(_)
            | Command::Undelete(_)
            | Command::Backup(_)
            | Command::Hub(_)
            | Command::Completions(_) => false,
        }
    }
}

/// What every command needs.
#[derive(Debug)]
pub(crate) struct Context {
    pub config: Config,
    pub paths: Paths,
    pub ui: Ui,
}

impl Context {
    /// Returns the socket of the hephd that is meant, wherever this command was started.
    pub(crate) fn socket(&self) -> Result<PathBuf> {
        service::reach(self.config.service_manager, &self.paths)
    }
}

/// Returns the command line as clap sees it, for man pages and completions.
pub fn command() -> clap::Command {
    Heph::command()
}

/// Runs the command line; returns how the process ends.
///
/// # Errors
///
/// The command failed; [`ui::report`] prints it.
pub fn run(heph: Heph) -> Result<Exit> {
    files::forbid_writing_by_others();
    let ui = Ui::new();
    if let Command::Completions(args) = &heph.command {
        completions::run(&ui, args)?;
        ui.finish()?;
        return Ok(Exit::Done);
    }
    let paths = Paths::from_env(heph.config.as_deref())?;
    if heph.command.writes() {
        host::check_owner(&paths.home)?;
    }
    let config = if Paths::config_is_named(heph.config.as_deref()) {
        Config::load_named(&paths.config)?
    } else {
        Config::load(&paths.config)?
    };
    let context = Context { config, paths, ui };
    let reported = matches!(&heph.command, Command::SelfUpdate(args) if args.reports_releases());
    let exit = dispatch(&context, heph.command).map_err(|error| match error.kind() {
        Kind::Absent => service::explain(error, context.config.service_manager, &context.paths),
        _ => error,
    })?;
    if !reported && context.ui.has_reader() {
        notice::print(&context);
    }
    context.ui.finish()?;
    Ok(exit)
}

fn dispatch(context: &Context, command: Command) -> Result<Exit> {
    match command {
        Command::Add(args) => add::run(context, args),
        Command::List(args) => list::run(context, args),
        Command::Next(args) => next::run(context, args),
        Command::Done(args) => done::run(context, args),
        Command::Reopen(args) => reopen::run(context, args),
        Command::Edit(args) => edit::run(context, args),
        Command::Delete(args) => delete::run(context, args),
        Command::Undelete(args) => undelete::run(context, args),
        Command::Backup(args) => backup::run(context, args),
        Command::Sync(args) => sync::run(context, args),
        Command::Hub(args) => hub::run(context, args),
        Command::Daemon(args) => daemon::run(context, args),
        Command::Auth(args) => auth::run(context, args),
        Command::SelfUpdate(args) => self_update::run(context, args),
        Command::Completions(args) => completions::run(&context.ui, &args),
    }
}
