//! The command line of `hephd`.

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

use super::role::{self, Data, Role};
use super::{log, store};
use crate::error::{Error, Exit, Result};
use crate::flags::Flags;
use crate::login::secret::HubSecret;
use crate::os::{clock, host};
use crate::paths::{self, HephdPaths};

/// Keep the tasks and serve them on a unix socket
#[derive(Debug, Parser)]
#[command(name = "hephd", version)]
pub struct Hephd {
    #[command(flatten)]
    flags: Flags,
    /// Store to use instead of HEPH_DB or ~/.local/share/heph/heph.db
    #[arg(long, global = true, value_name = "FILE")]
    db: Option<PathBuf>,
    /// Socket to listen on instead of HEPH_SOCKET or the one in the runtime folder
    #[arg(long, value_name = "FILE")]
    socket: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check or restore the store while no daemon runs
    #[command(subcommand)]
    Store(StoreCommand),
}

#[derive(Debug, Subcommand)]
enum StoreCommand {
    /// Tell whether this release can read the store, and whether it is damaged
    Check {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Replace a store that is damaged, or that this release cannot read, by a backup
    ///
    /// Operations that the backup lacks are carried over from the store, whose file is kept beside.
    Restore {
        /// Backup to restore from
        #[arg(long, value_name = "FILE")]
        backup: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// Runs hephd until it shuts down.
///
/// # Errors
///
/// It could not start, or has lost its store; or the store cannot be read or restored.
pub fn run(hephd: Hephd) -> Result<Exit> {
    let places = HephdPaths::from_env()?;
    if hephd.command.is_none() {
        log::keep_bounded(places.log());
    }
    let (tokens, secret, machines) = (places.tokens(), places.hub_secret(), places.machines());
    let store = match hephd.db {
        Some(path) => std::path::absolute(path)?,
        None => places.store,
    };
    let reads = matches!(
        &hephd.command,
        Some(Command::Store(StoreCommand::Check { .. }))
    );
    // In a place of its own, such as a volume of a container, the store may belong to whom it likes.
    if !reads && store.starts_with(&places.data) {
        host::check_owner(&paths::home()?)?;
    }
    match hephd.command {
        Some(Command::Store(StoreCommand::Check { json })) => check(&store, json),
        Some(Command::Store(StoreCommand::Restore { backup, json })) => {
            let restored = store::restore(&store, &backup, clock::now())?;
            if json {
                log::json(&restored)?;
            } else {
                report(&restored);
            }
            Ok(Exit::Done)
        }
        None => {
            let data = Data {
                tokens,
                secret: HubSecret::load(&secret)?,
                machines,
            };
            let role = Role::new(&hephd.flags, data)?;
            for name in role::ignored(&hephd.flags) {
                log::line(format!("{name} has no effect without --mode server"));
            }
            let socket = match hephd.socket {
                Some(path) => std::path::absolute(path)?,
                None => places.socket,
            };
            super::daemon(&store, &socket, role)
        }
    }
}

fn check(store: &Path, json: bool) -> Result<Exit> {
    let check = store::check(store)?;
    if json {
        log::json(&check)?;
        return Ok(if check.readable && check.damage.is_none() {
            Exit::Done
        } else {
            Exit::Failed
        });
    }
    match (check.reason, check.store_schema) {
        (Some(reason), _) => {
            let error = Error::new(format!("cannot read the store '{}': {reason}", check.store));
            return Err(error.with_hint(
                "install a newer heph, or restore a backup: `hephd store restore --backup FILE`",
            ));
        }
        (None, _) if check.damage.is_some() => {
            let damage = check.damage.unwrap_or_default();
            let error = Error::new(format!("the store '{}' is damaged: {damage}", check.store));
            return Err(error.with_hint(
                "stop hephd and restore a backup, which keeps what can be read: `hephd store restore --backup FILE`",
            ));
        }
        (None, Some(schema)) => log::say(format!(
            "'{}' has schema {schema} is readable by this release (schema {}), and has no damage",
            check.store, check.reads
        )),
        (None, None) => log::say(format!("there is no store at '{}' yet", check.store)),
    }
    Ok(Exit::Done)
}

fn report(restored: &store::Restored) {
    log::say(format!("restored from '{}'", restored.restored_from));
    if let Some(kept) = &restored.kept_as {
        log::say(format!("kept the replaced file as '{kept}'"));
    }
    log::say(format!(
        "carried over {} operations that the backup lacked",
        restored.operations_carried
    ));
    if let Some(reason) = &restored.operations_unread {
        log::say(format!(
            "some operations may be missing: the log could not be read to its end ({reason})"
        ));
    }
}
