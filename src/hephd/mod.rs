//! hephd: a small task store that runs alone, as a spoke, or as a hub.
//!
//! Architecture invariant: nothing here knows that updates exist. It imports nothing of the update side, and no dependency
//! that only the update side needs.
//!
//! | module | what it holds |
//! |---|---|
//! | `command` | the command line |
//! | `role` | alone, a spoke or a hub, by the flags |
//! | `connections`, `eviction` | the accept, evict and drain loop of the socket and of the hub's port |
//! | `room` | the memory for what clients send and do not read, shared by user |
//! | `server` | the socket's connections |
//! | `socket`, `activation` | the socket's path; listeners that the service manager holds |
//! | `about` | the facts about this hephd |
//! | `rpc`, `methods` | JSON-RPC 2.0, pure; the methods |
//! | `store`, `store_thread` | the log of operations and the tasks derived from it; the thread that owns it |
//! | `protocol` | what a spoke and its hub exchange |
//! | `sync` | the spoke: a thread that exchanges operations with a hub |
//! | `hub`, `auth` | the store over HTTP, for spokes; whose a request is: an invited machine's or a user's |
//! | `notify`, `log` | messages to the service manager, and output |

mod about;
mod activation;
mod auth;
mod command;
mod connections;
mod eviction;
mod hub;
mod log;
mod methods;
mod notify;
mod protocol;
mod role;
mod room;
mod rpc;
mod server;
mod socket;
mod store;
mod store_thread;
mod sync;

use std::path::Path;

use rustix::fs::Mode;
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::error::{Error, Exit, Result, ResultExt};
use crate::os::clock;
use crate::os::text::printable;
use about::About;
use activation::Inherited;
pub use command::{Hephd, run};
use methods::Methods;
use notify::SlowStartup;
use role::Role;
pub(crate) use role::{Way, validate, warning, way};
use store::Store;
use store_thread::{StoreHandle, StoreThread};

/// The size of the blocking pool: a backup, the fetching of an issuer's keys, and large bodies.
const BLOCKING: usize = 6;

/// Runs the daemon until SIGTERM, or SIGINT or SIGHUP unless it was started with these ignored. Fails if the files of the
/// store became unusable, which the log explains.
fn daemon(store: &Path, socket: &Path, role: Role) -> Result<Exit> {
    let inherited = Inherited::take();
    // What SQLite or the kernel creates is private from the first instant.
    rustix::process::umask(Mode::from_raw_mode(0o077));
    let started_at = clock::now();
    let mut store = open(store)?;
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
    store.set_quota(hub.as_ref().and_then(hub::Settings::quota));
    if let Some(hub) = &hub {
        store.set_max_drift(hub.max_clock_drift(), clock::now());
    }
    if let Some(hub) = &spoke {
        store.set_allowance(hub.allowance);
    }
    let (store, thread) = StoreThread::start(store, hub.is_some())?;
    let lost = store.lost();
    let sync = sync::start(spoke, &store)?;
    let served = runtime.block_on(serve(socket, inherited, hub.as_ref(), about, store, sync));
    // A backup that takes longer than the shutdown is abandoned; its file has not appeared yet.
    runtime.shutdown_background();
    let closed = thread.join();
    served?;
    closed.map_err(|_| Error::new("the store's thread panicked"))?;
    if lost.borrow().is_some() {
        return Ok(Exit::Failed);
    }
    log::line("hephd has shut down");
    Ok(Exit::Done)
}

/// Opens the store. If that takes long, the service manager is notified.
fn open(path: &Path) -> Result<Store> {
    let mut startup = None;
    let store = Store::open(path, |from, to| {
        let status = match from {
            0 => format!("creating the store with schema {to}"),
            _ => format!("migrating the store from schema {from} to {to}"),
        };
        log::line(&status);
        startup = Some(SlowStartup::begin(status));
    })?;
    if let Some(warning) = store.warning() {
        log::line(format!("warning: {warning}"));
    }
    Ok(store)
}

async fn serve(
    path: &Path,
    mut inherited: Inherited,
    settings: Option<&hub::Settings>,
    about: About,
    store: StoreHandle,
    sync: sync::Handle,
) -> Result<()> {
    // Before hephd reports that it is ready: from then on, SIGTERM drains.
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for signals")?;
    let mut interrupt = unless_ignored(SignalKind::interrupt())?;
    let mut hangup = unless_ignored(SignalKind::hangup())?;
    let socket = socket::listen(path, &mut inherited)?;
    let passed = settings.and_then(|settings| inherited.tcp(settings.address));
    inherited.close_unused();
    let (stopping, stopped) = watch::channel(false);
    let hub = match settings {
        None => None,
        Some(settings) => Some(hub::start(
            settings,
            passed,
            &about,
            &store,
            stopped.clone(),
        )?),
    };
    let mut ready = format!(
        "hephd {} serves '{}' on '{}'",
        env!("CARGO_PKG_VERSION"),
        about.store.display(),
        path.display()
    );
    if let Some(hub) = &hub {
        ready.push_str(&format!(" and http://{}", hub.address));
    }
    // A newline in a path would begin another line of the log, and another variable of the notification.
    let ready = printable(&ready);
    log::line(&ready);
    notify::ready(&ready);

    let stop = {
        let (store, sync) = (store.clone(), sync.clone());
        async move {
            tokio::select! {
                _ = terminate.recv() => {}
                () = caught(&mut interrupt) => {}
                () = caught(&mut hangup) => {}
                () = store.closed() => {}
            }
            notify::stopping();
            // Clients that wait for a sync are answered now: a hub that hangs must not delay the shutdown.
            sync.stop();
            stopping.send_replace(true);
        }
    };
    let hub_handle = hub.as_ref().map(hub::Bound::handle).unwrap_or_default();
    let serve_hub = async {
        if let Some(hub) = hub {
            hub.serve().await;
        }
    };
    let methods = Methods::new(about, store, sync, hub_handle);
    tokio::join!(server::serve(socket, methods, stopped), serve_hub, stop);
    Ok(())
}

/// Watches for a signal, unless hephd was started with it ignored, as by `nohup` and by `&` in a script: then it stays so.
fn unless_ignored(kind: SignalKind) -> Result<Option<Signal>> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if is_ignored(&status, kind.as_raw_value()) {
        return Ok(None);
    }
    signal(kind).map(Some).context("cannot watch for signals")
}

/// Returns whether `number` is in the mask of ignored signals of `/proc/self/status` (proc(5)). Pure.
fn is_ignored(status: &str, number: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.unwrap_or(0) >> (number - 1) & 1 == 1
}

async fn caught(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::is_ignored;

    #[test]
    fn ignored_signals_are_read_from_their_mask() {
        let status =
            |mask: &str| format!("Name:\thephd\nSigBlk:\tffffffffffffffff\nSigIgn:\t{mask}\n");
        assert!(is_ignored(&status("0000000000001001"), 1), "SIGHUP");
        assert!(!is_ignored(&status("0000000000001001"), 2));
        assert!(is_ignored(&status("0000000000000006"), 2), "SIGINT");
        assert!(!is_ignored(&status("0000000000000006"), 1));
        for status in ["", "SigIgn:", "SigIgn:\tx\n"] {
            assert!(!is_ignored(status, 1), "{status:?}");
        }
    }
}
