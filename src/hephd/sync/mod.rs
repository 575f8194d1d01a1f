//! The spoke: a thread that exchanges operations with a hub, while hephd serves its clients.
//!
//! Nothing waits for this thread. The socket's connections notify it of writes ([`Handle::wrote`]) and go on; the thread
//! asks the store's thread for one page at a time; and its access to the store does not keep the store open
//! ([`WeakStoreHandle`](super::store_thread::WeakStoreHandle)), so that a hub that hangs does not delay the shutdown.
//!
//! A round takes as many pages as it needs until neither side lacks anything. All of it may be repeated: the hub knows each
//! operation by its id, and a response is applied in one transaction with the cursor behind it. So a round that breaks off
//! anywhere simply begins again.
//!
//! | module | what it holds |
//! |---|---|
//! | `hub`, `hub_url` | the hub that the flags of hephd name, and the login there |
//! | `schedule` | when the next round is due; pure |
//! | `round` | whether another page follows; pure |
//! | `page_size` | how large the next page is; pure |
//! | `response` | what a response means; pure |
//! | `connection` | one POST |
//! | `exchange` | one page: its token, and its repetition where it was interrupted |
//! | `look_ahead` | the next page, fetched while the last one is applied |
//! | `spoke` | the thread, round by round |
//! | `handle` | what the socket's connections see of it |

mod connection;
mod exchange;
mod handle;
mod hub;
mod hub_url;
mod look_ahead;
mod page_size;
mod response;
mod round;
mod schedule;
mod spoke;

use std::sync::Arc;
use std::thread;

use super::store_thread::StoreHandle;
use crate::error::{Result, ResultExt};
pub(crate) use handle::Handle;
use handle::Shared;
pub(crate) use hub::Hub;
pub(crate) use hub_url::{HubUrl, Network};
use spoke::Spoke;

/// Starts the thread that syncs with `hub`, if there is one.
///
/// # Errors
///
/// The operating system could not start the thread.
pub(crate) fn start(hub: Option<Hub>, store: &StoreHandle) -> Result<Handle> {
    let Some(hub) = hub else {
        return Ok(Handle(None));
    };
    let shared = Arc::new(Shared::new(hub.clone()));
    let spoke = Spoke::new(hub, store.downgrade(), Arc::clone(&shared));
    // It is never joined: at shutdown it may be in a request that takes half a minute.
    thread::Builder::new()
        .name("sync".to_owned())
        .spawn(move || spoke.run())
        .context("cannot start the sync thread")?;
    Ok(Handle(Some(shared)))
}
