//! Messages to the service manager (sd_notify(3)). Without one, they go nowhere.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use super::log;

/// How often a slow startup asks for more time, and for how much.
const INTERVAL: Duration = Duration::from_secs(5);
const EXTENSION: Duration = Duration::from_secs(30);
/// A startup that takes longer counts as hanging, and gets no more time.
const LIMIT: Duration = Duration::from_secs(30 * 60);

pub(super) fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
}

pub(super) fn stopping() {
    send(&[NotifyState::Stopping, NotifyState::Status("shutting down")]);
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::line(format!("cannot notify the service manager: {error}"));
    }
}

/// Asks the service manager for more time until dropped.
#[must_use]
#[derive(Debug)]
pub(super) struct SlowStartup {
    done: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl SlowStartup {
    pub(super) fn begin(status: String) -> SlowStartup {
        let (done, until_done) = mpsc::channel();
        let extension = u32::try_from(EXTENSION.as_micros()).unwrap_or(u32::MAX);
        let extend = move || {
            send(&[
                NotifyState::Status(&status),
                NotifyState::ExtendTimeoutUsec(extension),
            ]);
        };
        extend();
        let since = Instant::now();
        let thread = thread::spawn(move || {
            while until_done.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout)
                && since.elapsed() < LIMIT
            {
                extend();
            }
        });
        SlowStartup {
            done: Some(done),
            thread: Some(thread),
        }
    }
}

impl Drop for SlowStartup {
    fn drop(&mut self) {
        drop(self.done.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
