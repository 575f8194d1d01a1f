//! The command line of `hephd`.

use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand, ValueEnum};

use super::{hub, print, store, sync};
use crate::error::{Error, Exit, Result};
use crate::os::clock;
use crate::paths::HephdPaths;

/// Keep the tasks and serve them on a unix socket
#[derive(Debug, Parser)]
#[command(name = "hephd", version)]
pub struct Hephd {
    /// Run alone, or as a hub
    #[arg(long, value_enum, default_value_t)]
    mode: Mode,
    /// Sync with the hub at this URL
    #[arg(long, value_name = "URL")]
    hub_url: Option<String>,
    /// Address the hub listens on
    #[arg(long, value_name = "ADDR")]
    http_addr: Option<String>,
    /// OpenID provider that issues the tokens
    #[arg(long, value_name = "URL")]
    oidc_issuer: Option<String>,
    /// Audience that tokens must name
    #[arg(long, value_name = "NAME")]
    oidc_audience: Option<String>,
    /// Serve every address without asking for tokens: whoever can connect reads and writes every task
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true, hide_possible_values = true)]
    insecure_no_auth: bool,
    /// How many requests a minute one user may send to the hub
    #[arg(long, value_name = "N")]
    sync_rate: Option<u32>,
    /// Client id to log in with
    #[arg(long, value_name = "ID")]
    oidc_client_id: Option<String>,
    /// Store to use instead of HEPH_DB or ~/.local/share/heph/heph.db
    #[arg(long, global = true, value_name = "FILE")]
    db: Option<PathBuf>,
    /// Socket to listen on instead of HEPH_SOCKET or the one in the runtime folder
    #[arg(long, value_name = "FILE")]
    socket: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, ValueEnum)]
enum Mode {
    /// One user's tasks on this machine
    #[default]
    Local,
    /// A hub for many machines
    Server,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look after the store while no daemon runs
    #[command(subcommand)]
    Store(StoreCommand),
}

#[derive(Debug, Subcommand)]
enum StoreCommand {
    /// Tell whether this release can read the store
    Check {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Put a backup in place of a store that this release cannot read
    ///
    /// Every operation that the store has and the backup lacks is carried over; the file that was there is kept beside.
    Restore {
        /// Backup to restore from
        #[arg(long, value_name = "FILE")]
        backup: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// Runs hephd; returns when it has ended.
///
/// # Errors
///
/// It could not start, or ended for want of its store; or the store cannot be read or restored.
pub fn run(hephd: Hephd) -> Result<Exit> {
    let paths = HephdPaths::from_env()?;
    let tokens = paths.tokens();
    let store = match hephd.db {
        Some(path) => std::path::absolute(path)?,
        None => paths.store,
    };
    match hephd.command {
        Some(Command::Store(StoreCommand::Check { json })) => check(&store, json),
        Some(Command::Store(StoreCommand::Restore { backup, json })) => {
            let restored = store::restore(&store, &backup, clock::now())?;
            if json {
                print::json(&restored)?;
            } else {
                tell(&restored);
            }
            Ok(Exit::Done)
        }
        None => {
            let flags = hub::Flags {
                server: hephd.mode == Mode::Server,
                http_addr: hephd.http_addr.as_deref(),
                oidc_issuer: hephd.oidc_issuer.as_deref(),
                oidc_audience: hephd.oidc_audience.as_deref(),
                oidc_client_id: hephd.oidc_client_id.as_deref(),
                hub_url: hephd.hub_url.as_deref(),
                insecure_no_auth: hephd.insecure_no_auth,
                sync_rate: hephd.sync_rate,
            };
            let hub = flags.settings()?;
            for name in flags.idle() {
                print::log(format!("{name} means nothing without --mode server"));
            }
            let spoke = sync::Hub::from_flags(
                sync::Flags {
                    hub_url: hephd.hub_url.as_deref(),
                    issuer: hephd.oidc_issuer.as_deref(),
                    client_id: hephd.oidc_client_id.as_deref(),
                },
                tokens,
            )?;
            let socket = match hephd.socket {
                Some(path) => std::path::absolute(path)?,
                None => paths.socket,
            };
            super::daemon(&store, &socket, hub.as_ref(), spoke)?;
            Ok(Exit::Done)
        }
    }
}

fn check(store: &std::path::Path, json: bool) -> Result<Exit> {
    let check = store::check(store)?;
    if json {
        print::json(&check)?;
        return Ok(if check.readable {
            Exit::Done
        } else {
            Exit::Failed
        });
    }
    match (check.reason, check.store_schema) {
        (Some(reason), _) => {
            let fault = Error::new(format!("cannot read the store '{}': {reason}", check.store));
            return Err(fault.with_hint(
                "install a newer heph, or restore a backup: `hephd store restore --backup FILE`",
            ));
        }
        (None, Some(schema)) => print::say(format!(
            "'{}' has schema {schema} and is readable by this release (schema {})",
            check.store, check.reads
        )),
        (None, None) => print::say(format!("there is no store at '{}' yet", check.store)),
    }
    Ok(Exit::Done)
}

fn tell(restored: &store::Restored) {
    print::say(format!("restored from '{}'", restored.restored_from));
    if let Some(kept) = &restored.kept_as {
        print::say(format!("the file that was there is '{kept}' now"));
    }
    print::say(format!(
        "carried {} operations over that the backup lacked",
        restored.operations_carried
    ));
    if let Some(reason) = &restored.operations_unread {
        print::say(format!(
            "some operations may be missing: the log could not be read to its end ({reason})"
        ));
    }
}
