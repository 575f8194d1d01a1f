//! The one thread that has the store: calls come in one at a time, and an answer means that the disk has it.

use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};
use tokio::sync::{mpsc, oneshot};

use super::store::Store;

/// How many calls may wait; more wait on their connections.
const QUEUE: usize = 64;

type Job = Box<dyn FnOnce(&mut Store) + Send>;

/// A way to the store, shared by all connections.
#[derive(Clone, Debug)]
pub struct Keeper {
    jobs: mpsc::Sender<Job>,
}

/// A way to the store that does not keep it open: for a thread that nobody waits for.
#[derive(Clone, Debug)]
pub struct Distant {
    jobs: mpsc::WeakSender<Job>,
}

/// The thread; it ends when the last [`Keeper`] is dropped, and closes the store.
#[derive(Debug)]
pub struct Keeping {
    thread: JoinHandle<()>,
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
    pub fn start(mut store: Store) -> Result<(Keeper, Keeping)> {
        let (jobs, mut queue) = mpsc::channel::<Job>(QUEUE);
        let thread = thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                while let Some(job) = queue.blocking_recv() {
                    job(&mut store);
                }
            })
            .context("cannot start a thread for the store")?;
        Ok((Keeper { jobs }, Keeping { thread }))
    }

    /// Runs `work` with the store and returns what it returns.
    ///
    /// # Errors
    ///
    /// The thread is gone.
    pub async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> T + Send + 'static,
    ) -> Result<T, Gone> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |store| drop(answer.send(work(store))));
        self.jobs.send(job).await.map_err(|_| Gone)?;
        answered.await.map_err(|_| Gone)
    }

    /// Returns a way to the store that ends with the last [`Keeper`].
    pub fn distant(&self) -> Distant {
        Distant {
            jobs: self.jobs.downgrade(),
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
        let job: Job = Box::new(move |store| drop(answer.send(work(store))));
        jobs.blocking_send(job).map_err(|_| Gone)?;
        drop(jobs);
        answered.blocking_recv().map_err(|_| Gone)
    }
}

impl Keeping {
    /// Waits until the store is closed. Drop every [`Keeper`] before.
    ///
    /// # Errors
    ///
    /// The thread panicked.
    pub fn wait(self) -> Result<(), Gone> {
        self.thread.join().map_err(|_| Gone)
    }
}
