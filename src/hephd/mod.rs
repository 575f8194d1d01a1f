//! hephd: a small task store that runs alone, as a spoke, or as a hub.
//!
//! Architecture invariant: nothing here knows that updates exist. It imports neither `release`, `install`, `update`,
//! `schedule` nor `service`, and no dependency that only they need.
//!
//! | module | what it holds |
//! |---|---|
//! | `command` | what a person or a service manager types |
//! | `connections` | the accept, evict and drain loop of the socket and of the hub's port |
//! | `eviction` | which connection to evict at the limit |
//! | `server` | the socket's connections |
//! | `socket` | the socket's name in the file system |
//! | `activation` | listeners that the service manager holds |
//! | `role` | alone, a spoke or a hub: what the flags make of it |
//! | `rpc` | JSON-RPC 2.0, pure |
//! | `methods` | what the methods of the socket do |
//! | `keeper` | the thread that has the store |
//! | `store` | the log of operations and the tasks derived from it |
//! | `protocol` | what a spoke and its hub exchange |
//! | `sync` | the spoke: a thread that exchanges operations with a hub |
//! | `hub` | the store over HTTP, for spokes |
//! | `auth` | whose a request to the hub is |
//! | `notify`, `print` | what the service manager and the log hear |

mod activation;
mod auth;
mod command;
mod connections;
mod eviction;
mod hub;
mod keeper;
mod methods;
mod notify;
mod print;
mod protocol;
mod role;
mod rpc;
mod server;
mod socket;
mod store;
mod sync;

use std::path::Path;

use rustix::fs::Mode;
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::error::{Error, Result, ResultExt};
use crate::os::clock;
use crate::os::text::printable;
use activation::Inherited;
pub use command::{Hephd, run};
use keeper::Keeper;
use methods::{About, Methods};
use notify::Busy;
use role::Role;
pub use role::validate;
use server::Socket;
use store::Store;

/// How many things that block are done at a time: a backup, the fetching of an issuer's keys, and what is heavy in syncs.
const BLOCKING: usize = 6;

/// Runs the daemon on the store and the socket given, until SIGTERM, SIGINT or SIGHUP.
fn daemon(store: &Path, socket: &Path, role: Role) -> Result<()> {
    let inherited = Inherited::take();
    // Whatever SQLite or the kernel makes here, nobody else reads, not even for an instant.
    rustix::process::umask(Mode::from_raw_mode(0o077));
    let started_at = clock::now();
    let store = open(store)?;
    let about = About {
        mode: role.mode(),
        store: store.path().to_owned(),
        schema: store.schema(),
        started_at,
    };
    let runtime = runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(BLOCKING)
        .build()
        .context("cannot start the runtime")?;
    let (hub, spoke) = match role {
        Role::Alone => (None, None),
        Role::Spoke(spoke) => (None, Some(spoke)),
        Role::Hub(hub) => (Some(hub), None),
    };
    let (keeper, keeping) = Keeper::start(store, hub.is_some())?;
    let sync = sync::start(spoke, &keeper)?;
    let served = runtime.block_on(serve(socket, inherited, hub.as_ref(), about, keeper, sync));
    // A backup that outlasts the draining is given up; it has not appeared under its name.
    runtime.shutdown_background();
    let closed = keeping.wait();
    served?;
    closed.map_err(|_| Error::new("the store's thread ended by itself"))?;
    print::log("hephd ends");
    Ok(())
}

/// Opens the store; while that takes long, the service manager hears why.
fn open(path: &Path) -> Result<Store> {
    let mut busy = None;
    Store::open(path, |from, to| {
        let status = match from {
            0 => format!("making the store with schema {to}"),
            _ => format!("migrating the store from schema {from} to {to}"),
        };
        print::log(&status);
        busy = Some(Busy::with(status));
    })
}

async fn serve(
    socket: &Path,
    mut inherited: Inherited,
    settings: Option<&hub::Settings>,
    about: About,
    keeper: Keeper,
    sync: sync::Handle,
) -> Result<()> {
    // Watched before anybody is told that hephd is ready: from then on, SIGTERM drains.
    let mut signals = Vec::new();
    for kind in [
        SignalKind::terminate(),
        SignalKind::interrupt(),
        SignalKind::hangup(),
    ] {
        signals.push(signal(kind).context("cannot watch for signals")?);
    }
    let (listener, name) = socket::listen(socket, &mut inherited)?;
    let passed = settings.and_then(|settings| inherited.tcp(settings.address));
    inherited.leave();
    let listener = tokio::net::UnixListener::from_std(listener)
        .with_context(|| format!("cannot listen on the socket '{}'", socket.display()))?;
    let (stopping, stopped) = watch::channel(false);
    let hub = match settings {
        None => None,
        Some(settings) => Some(hub::start(
            settings,
            passed,
            &about,
            &keeper,
            stopped.clone(),
        )?),
    };
    let mut ready = format!(
        "hephd {} serves '{}' on '{}'",
        env!("CARGO_PKG_VERSION"),
        about.store.display(),
        socket.display()
    );
    if let Some(hub) = &hub {
        ready.push_str(&format!(" and http://{}", hub.address));
    }
    // A path may hold a newline, which would begin another line of the log or of the notification.
    let ready = printable(&ready);
    print::log(&ready);
    notify::ready(&ready);

    let watched = keeper.clone();
    let of_stop = sync.clone();
    let stop = async {
        let [terminate, interrupt, hangup] = &mut signals[..] else {
            return;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
            () = watched.gone() => {}
        }
        notify::stopping();
        // Clients that wait for a sync are answered now: a hub that hangs must not delay the shutdown.
        of_stop.stop();
        stopping.send_replace(true);
    };
    let serve_hub = async {
        if let Some(hub) = hub {
            hub.serve().await;
        }
    };
    let socket = Socket { listener, name };
    tokio::join!(
        server::serve(socket, Methods::new(about, keeper, sync), stopped),
        serve_hub,
        stop
    );
    Ok(())
}
