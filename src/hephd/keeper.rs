//! The one way to the store: calls have it one at a time, and an answer means that the disk has it.
//!
//! It has a thread of its own, so that what takes long holds up nobody but those who want the store too. Most calls take no
//! longer than a sync of the disk; handing them to that thread and back would cost a third of their time, so they are
//! done where they come in, unless somebody else has the store or waits for it. Not so on a hub: a disk that hangs, or a
//! program that holds the database, must not keep it from those who do not want the store.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use tokio::sync::{mpsc, oneshot};

use super::store::Store;
use crate::error::{Result, ResultExt};

/// How many calls may wait; more wait on their connections.
const QUEUE: usize = 64;

type Job = Box<dyn FnOnce(&mut Store) + Send>;

/// A way to the store, shared by all connections.
#[derive(Clone, Debug)]
pub struct Keeper {
    jobs: mpsc::Sender<Job>,
    store: Arc<Mutex<Store>>,
    // How many calls wait for the thread, or have the store there.
    waiting: Arc<AtomicUsize>,
    is_hub: bool,
}

/// A way to the store that does not keep it open: for a thread that nobody waits for.
#[derive(Clone, Debug)]
pub struct Distant {
    jobs: mpsc::WeakSender<Job>,
    waiting: Arc<AtomicUsize>,
}

/// The thread; it ends when the last [`Keeper`] is dropped, and closes the store.
#[derive(Debug)]
pub struct Keeping {
    thread: JoinHandle<()>,
    given_up: Arc<AtomicBool>,
}

/// The thread is gone: it panicked, and the daemon had better start anew.
#[derive(Clone, Copy, Debug)]
pub struct Gone;

impl Keeper {
    /// Gives `store` to a thread of its own.
    ///
    /// # Errors
    ///
    /// The operating system refused the thread.
    pub fn start(store: Store, is_hub: bool) -> Result<(Keeper, Keeping)> {
        let (jobs, mut queue) = mpsc::channel::<Job>(QUEUE);
        let store = Arc::new(Mutex::new(store));
        let of_thread = Arc::clone(&store);
        let given_up = Arc::<AtomicBool>::default();
        let is_over = Arc::clone(&given_up);
        let thread = thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                while let Some(job) = queue.blocking_recv() {
                    // Nobody hears the answer any more.
                    if is_over.load(Ordering::Relaxed) {
                        continue;
                    }
                    // Poisoned: a call panicked in the middle of something, and the thread is gone as well.
                    let Ok(mut store) = of_thread.lock() else {
                        return;
                    };
                    job(&mut store);
                }
            })
            .context("cannot start a thread for the store")?;
        let keeper = Keeper {
            jobs,
            store,
            waiting: Arc::default(),
            is_hub,
        };
        Ok((keeper, Keeping { thread, given_up }))
    }

    /// Runs `work`, which takes no longer than a sync of the disk, with the store and returns what it returns: at once, if
    /// nobody else wants the store.
    ///
    /// # Errors
    ///
    /// The thread is gone.
    pub async fn call_at_once<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> T + Send + 'static,
    ) -> Result<T, Gone> {
        if !self.is_hub
            && self.waiting.load(Ordering::Relaxed) == 0
            && let Ok(mut store) = self.store.try_lock()
        {
            return Ok(work(&mut store));
        }
        self.call(work).await
    }

    /// Runs `work` with the store on the thread that is for it, and returns what it returns.
    ///
    /// # Errors
    ///
    /// The thread is gone.
    pub async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> T + Send + 'static,
    ) -> Result<T, Gone> {
        let (answer, answered) = oneshot::channel();
        let _waiting = Waiting::with(&self.waiting);
        let job: Job = Box::new(move |store| drop(answer.send(work(store))));
        self.jobs.send(job).await.map_err(|_| Gone)?;
        answered.await.map_err(|_| Gone)
    }

    /// Returns a way to the store that ends with the last [`Keeper`].
    pub fn distant(&self) -> Distant {
        Distant {
            jobs: self.jobs.downgrade(),
            waiting: Arc::clone(&self.waiting),
        }
    }

    /// Returns once the thread is gone, which is never in a healthy daemon.
    pub async fn gone(&self) {
        self.jobs.closed().await;
    }
}

impl Distant {
    /// Runs `work` with the store and returns what it returns. It blocks: not for use in asynchronous code.
    ///
    /// # Errors
    ///
    /// The daemon is about to end, or the thread is gone.
    pub fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> T + Send + 'static,
    ) -> Result<T, Gone> {
        // Held until the job is in the queue, which the thread still empties; never while a hub is waited for.
        let jobs = self.jobs.upgrade().ok_or(Gone)?;
        let (answer, answered) = oneshot::channel();
        let _waiting = Waiting::with(&self.waiting);
        let job: Job = Box::new(move |store| drop(answer.send(work(store))));
        jobs.blocking_send(job).map_err(|_| Gone)?;
        drop(jobs);
        answered.blocking_recv().map_err(|_| Gone)
    }
}

/// One call that waits for the thread; counted until dropped.
struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    fn with(count: &Arc<AtomicUsize>) -> Waiting {
        count.fetch_add(1, Ordering::Relaxed);
        Waiting(Arc::clone(count))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Keeping {
    /// Waits until the store is closed: until the call that has it is done. Those that still wait are given up. Drop every
    /// [`Keeper`] before.
    ///
    /// # Errors
    ///
    /// The thread panicked.
    pub fn wait(self) -> Result<(), Gone> {
        self.given_up.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| Gone)
    }
}
