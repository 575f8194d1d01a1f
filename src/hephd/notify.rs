//! What hephd tells the service manager (sd_notify(3)); without one, nobody hears it.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use super::print;

/// How often a long migration asks for more time, and for how much.
const EVERY: Duration = Duration::from_secs(5);
const MORE: Duration = Duration::from_secs(30);
/// After this long, a migration counts as hanging and gets no more time.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// Says that clients are served.
pub fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Says that hephd is about to end.
pub fn stopping() {
    send(&[NotifyState::Stopping, NotifyState::Status("finishing")]);
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        print::log(format!("cannot tell the service manager: {error}"));
    }
}

/// Says what takes long before hephd is ready, and asks for more time, until dropped.
#[must_use]
#[derive(Debug)]
pub struct Busy {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Busy {
    /// Begins to say `status`.
    pub fn with(status: String) -> Busy {
        let (end, ended) = mpsc::channel();
        let more = u32::try_from(MORE.as_micros()).unwrap_or(u32::MAX);
        let say = move || {
            send(&[
                NotifyState::Status(&status),
                NotifyState::ExtendTimeoutUsec(more),
            ]);
        };
        say();
        let since = Instant::now();
        let thread = thread::spawn(move || {
            while ended.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout)
                && since.elapsed() < PATIENCE
            {
                say();
            }
        });
        Busy {
            end: Some(end),
            thread: Some(thread),
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
