//! The thread that owns the store: calls have the store one at a time, and an answer means that the data is on disk.
//!
//! Long calls run on that thread, so that they delay only the clients that need the store as well. Most calls take no longer
//! than a sync of the disk; handing them to the thread and back would cost a third of their time, so they run where they
//! arrive unless another call has the store or waits for it. On a hub they do not: a disk that hangs, or a program that
//! locks the database, must not delay requests that do not need the store.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use tokio::sync::{mpsc, oneshot};

use super::store::Store;
use crate::error::{Result, ResultExt};

/// How many calls may wait; more wait on their connections.
const QUEUE: usize = 64;

type Job = Box<dyn FnOnce(&mut Store) + Send>;

/// Access to the store. The thread ends when the last handle is dropped.
#[derive(Clone, Debug)]
pub(super) struct StoreHandle {
    jobs: mpsc::Sender<Job>,
    store: Arc<Mutex<Store>>,
    /// How many calls wait for the thread, or have the store there.
    pending: Arc<AtomicUsize>,
    is_hub: bool,
}

/// Access to the store that does not keep it open, for a thread that is never joined.
#[derive(Clone, Debug)]
pub(super) struct WeakStoreHandle {
    jobs: mpsc::WeakSender<Job>,
    pending: Arc<AtomicUsize>,
}

#[derive(Debug)]
pub(super) struct StoreThread {
    thread: JoinHandle<()>,
    is_shutdown: Arc<AtomicBool>,
}

/// The thread panicked, or, for a [`WeakStoreHandle`], hephd is shutting down.
#[derive(Clone, Copy, Debug)]
pub(super) struct StoreGone;

impl fmt::Display for StoreGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hephd has lost its store and is shutting down")
    }
}

impl std::error::Error for StoreGone {}

impl StoreThread {
    pub(super) fn start(store: Store, is_hub: bool) -> Result<(StoreHandle, StoreThread)> {
        let (jobs, mut queue) = mpsc::channel::<Job>(QUEUE);
        let store = Arc::new(Mutex::new(store));
        let of_thread = Arc::clone(&store);
        let is_shutdown = Arc::<AtomicBool>::default();
        let discard = Arc::clone(&is_shutdown);
        let thread = thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                while let Some(job) = queue.blocking_recv() {
                    // Its connection is gone.
                    if discard.load(Ordering::Relaxed) {
                        continue;
                    }
                    // Poisoned: a call panicked halfway, and the store cannot be trusted any more.
                    let Ok(mut store) = of_thread.lock() else {
                        return;
                    };
                    job(&mut store);
                }
            })
            .context("cannot start the store's thread")?;
        let handle = StoreHandle {
            jobs,
            store,
            pending: Arc::default(),
            is_hub,
        };
        Ok((
            handle,
            StoreThread {
                thread,
                is_shutdown,
            },
        ))
    }

    /// Waits until the current call is done and the store is closed. Calls that still wait are discarded. Drop every
    /// [`StoreHandle`] before.
    pub(super) fn join(self) -> Result<(), StoreGone> {
        self.is_shutdown.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| StoreGone)
    }
}

impl StoreHandle {
    /// Runs `work`, which must take no longer than a sync of the disk: at once, if no other call needs the store.
    pub(super) async fn call_at_once<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> T + Send + 'static,
    ) -> Result<T, StoreGone> {
        if !self.is_hub
            && self.pending.load(Ordering::Relaxed) == 0
            && let Ok(mut store) = self.store.try_lock()
        {
            return Ok(work(&mut store));
        }
        self.call(work).await
    }

    /// Runs `work` on the store's thread.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> T + Send + 'static,
    ) -> Result<T, StoreGone> {
        let (answer, answered) = oneshot::channel();
        let _pending = Pending::count(&self.pending);
        let job: Job = Box::new(move |store| drop(answer.send(work(store))));
        self.jobs.send(job).await.map_err(|_| StoreGone)?;
        answered.await.map_err(|_| StoreGone)
    }

    pub(super) fn downgrade(&self) -> WeakStoreHandle {
        WeakStoreHandle {
            jobs: self.jobs.downgrade(),
            pending: Arc::clone(&self.pending),
        }
    }

    /// Returns once the thread has panicked.
    pub(super) async fn closed(&self) {
        self.jobs.closed().await;
    }
}

impl WeakStoreHandle {
    /// Runs `work` on the store's thread. Blocks: not for asynchronous code.
    pub(super) fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> T + Send + 'static,
    ) -> Result<T, StoreGone> {
        // Held only until the job is in the queue, which the thread always empties.
        let jobs = self.jobs.upgrade().ok_or(StoreGone)?;
        let (answer, answered) = oneshot::channel();
        let _pending = Pending::count(&self.pending);
        let job: Job = Box::new(move |store| drop(answer.send(work(store))));
        jobs.blocking_send(job).map_err(|_| StoreGone)?;
        drop(jobs);
        answered.blocking_recv().map_err(|_| StoreGone)
    }
}

/// One call that waits for the thread, counted until dropped.
struct Pending(Arc<AtomicUsize>);

impl Pending {
    fn count(pending: &Arc<AtomicUsize>) -> Pending {
        pending.fetch_add(1, Ordering::Relaxed);
        Pending(Arc::clone(pending))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
