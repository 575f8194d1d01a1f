//! The thread that owns the store: calls have the store one at a time, and an answer means that the data is on disk.
//!
//! hephd ends where SQLite reports that the open files are unusable (`Kind::Lost`): a new process opens them anew. It goes on
//! where their content is damaged (`Kind::Damaged`), which no restart changes: what can be read is still served.
//!
//! Long calls run on that thread, so that they delay only the clients that need the store as well. Most calls take no longer
//! than a sync of the disk; handing them to the thread and back would cost a third of their time, so they run where they
//! arrive unless another call has the store or waits for it. On a hub they do not: a disk that hangs, or a program that
//! locks the database, must not delay requests that do not need the store.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use tokio::sync::{mpsc, oneshot, watch};

use super::log;
use super::store::{self, Store};
use crate::error::{Error, Kind, Result, ResultExt};

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
    lost: Lost,
    is_hub: bool,
}

/// Access to the store that does not keep it open, for a thread that is never joined.
#[derive(Clone, Debug)]
pub(super) struct WeakStoreHandle {
    jobs: mpsc::WeakSender<Job>,
    pending: Arc<AtomicUsize>,
    lost: Lost,
}

#[derive(Debug)]
pub(super) struct StoreThread {
    thread: JoinHandle<()>,
    is_shutdown: Arc<AtomicBool>,
}

/// Why the open files of the store are unusable, once they are. hephd then ends, and its service manager starts it again.
type Lost = watch::Sender<Option<Error>>;

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
            lost: watch::Sender::new(None),
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
        work: impl FnOnce(&mut Store) -> Result<T> + Send + 'static,
    ) -> Result<Result<T>, StoreGone> {
        if !self.is_hub
            && self.pending.load(Ordering::Relaxed) == 0
            && let Ok(mut store) = self.store.try_lock()
        {
            return Ok(run(&mut store, &self.lost, work));
        }
        self.call(work).await
    }

    /// Runs `work` on the store's thread.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> Result<T> + Send + 'static,
    ) -> Result<Result<T>, StoreGone> {
        let (answer, answered) = oneshot::channel();
        let _pending = Pending::count(&self.pending);
        let lost = self.lost.clone();
        let job: Job = Box::new(move |store| drop(answer.send(run(store, &lost, work))));
        self.jobs.send(job).await.map_err(|_| StoreGone)?;
        answered.await.map_err(|_| StoreGone)
    }

    pub(super) fn downgrade(&self) -> WeakStoreHandle {
        WeakStoreHandle {
            jobs: self.jobs.downgrade(),
            pending: Arc::clone(&self.pending),
            lost: self.lost.clone(),
        }
    }

    /// Returns once the thread has panicked, or the files of the store are unusable.
    pub(super) async fn closed(&self) {
        let mut lost = self.lost.subscribe();
        tokio::select! {
            () = self.jobs.closed() => {}
            _ = lost.wait_for(Option::is_some) => {}
        }
    }

    /// Returns where the reason appears once the files of the store are unusable.
    pub(super) fn lost(&self) -> watch::Receiver<Option<Error>> {
        self.lost.subscribe()
    }
}

impl WeakStoreHandle {
    /// Returns a function for the call that has the store: whether others wait for it.
    pub(super) fn waiting(&self) -> impl Fn() -> bool + Send + use<> {
        let pending = Arc::clone(&self.pending);
        move || pending.load(Ordering::Relaxed) > 1
    }

    /// Runs `work` on the store's thread. Blocks: not for asynchronous code.
    pub(super) fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> Result<T> + Send + 'static,
    ) -> Result<Result<T>, StoreGone> {
        // Held only until the job is in the queue, which the thread always empties.
        let jobs = self.jobs.upgrade().ok_or(StoreGone)?;
        let (answer, answered) = oneshot::channel();
        let _pending = Pending::count(&self.pending);
        let lost = self.lost.clone();
        let job: Job = Box::new(move |store| drop(answer.send(run(store, &lost, work))));
        jobs.blocking_send(job).map_err(|_| StoreGone)?;
        drop(jobs);
        answered.blocking_recv().map_err(|_| StoreGone)
    }
}

/// Runs `work`, unless the files of the store are unusable, and records it if they are afterwards.
fn run<T>(store: &mut Store, lost: &Lost, work: impl FnOnce(&mut Store) -> Result<T>) -> Result<T> {
    if let Some(error) = lost.borrow().clone() {
        return Err(error);
    }
    let done = store.check_files().and_then(|()| work(store));
    store.raise_high_water();
    let done = done.map_err(|error| match error.kind() {
        Kind::Damaged => store.explain(error),
        _ => error,
    });
    done.map_err(|error| match error.kind() {
        Kind::Lost => {
            let error = error.context(
                Error::new("the files of the store are unusable, so hephd ends and its service manager starts it again")
                    .with_hint("see with `heph list` what was stored before you repeat a change; if it happens again, check the disk, and the store with `hephd store check`"),
            );
            log::line(in_one_line(&error));
            lost.send_replace(Some(error.clone()));
            error
        }
        Kind::Damaged => {
            let error = error.context(Error::new("the store is damaged").with_hint(store::DAMAGED));
            let line = in_one_line(&error);
            if store.warn(line.clone()) {
                log::line(line);
            }
            error
        }
        _ => error,
    })
}

fn in_one_line(error: &Error) -> String {
    let hint = error.hint().map(|hint| format!("; hint: {hint}"));
    format!("{}{}", error.one_line(), hint.unwrap_or_default())
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
