//! The thread of a spoke: waits until a round is due, and exchanges its pages.

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use ulid::Ulid;

use super::handle::{Shared, describe};
use super::hub::Hub;
use super::look_ahead::LookAhead;
use super::page_size::PageSize;
use super::round::{Next, Round, Transferred};
use crate::error::{Error, Kind, Result, ResultExt};
use crate::hephd::log;
use crate::hephd::protocol::{Request, Response};
use crate::hephd::store::Store;
use crate::hephd::store_thread::WeakStoreHandle;
use crate::os::clock;
use crate::os::text::printable;

/// How many refused operations of one response are logged singly.
const LOGGED_REFUSALS: usize = 5;

pub(super) struct Spoke {
    exchange: LookAhead,
    store: WeakStoreHandle,
    shared: Arc<Shared>,
    page_size: PageSize,
    /// The last line about the state of the sync; each state is logged once.
    last_logged: Option<String>,
}

/// Ends the wait of clients when the thread ends, even if it panics.
struct StopOnExit(Arc<Shared>);

impl Drop for StopOnExit {
    fn drop(&mut self) {
        if thread::panicking() {
            log::line("the sync thread panicked; `heph daemon restart` starts it again");
        }
        self.0.stop();
    }
}

impl Spoke {
    pub fn new(hub: Hub, store: WeakStoreHandle, shared: Arc<Shared>) -> Spoke {
        Spoke {
            exchange: LookAhead::new(hub),
            store,
            shared,
            page_size: PageSize::default(),
            last_logged: None,
        }
    }

    /// Runs rounds until hephd shuts down.
    pub fn run(mut self) {
        let _stop = StopOnExit(Arc::clone(&self.shared));
        let url = self.exchange.url();
        log::line(format!("syncing with '{}'", url.text));
        if let Some(warning) = self.shared.warning() {
            log::line(warning);
        }
        while self.shared.begin_when_due() {
            let outcome = self.round();
            if outcome.is_err() && self.shared.is_stopped() {
                return;
            }
            self.log(&outcome);
            let difference = self.exchange.clock_difference().map(str::to_owned);
            self.shared.set_clock_difference(difference);
            self.shared.end(outcome, entropy());
        }
    }

    fn round(&mut self) -> Result<Transferred> {
        self.exchange.discard();
        self.with_store(Store::become_spoke)?;
        let mut round = Round::new(self.pending()?);
        // What the hub said when it had no more room: from then on this round only fetches.
        let mut full = None;
        let mut was_restamped = false;
        loop {
            let mut limits = self.page_size.limits();
            if full.is_some() {
                limits.operations = 0;
            }
            let request = Arc::new(self.with_store(move |store| {
                store.watch_deletions(clock::now())?;
                store.next_request(limits)
            })?);
            let start = Instant::now();
            let response = match self.exchange.send(&request) {
                Ok(response) => Arc::new(response),
                Err(error) if error.kind() == Kind::TooLarge && self.page_size.rejected() => {
                    continue;
                }
                Err(error) if error.kind() == Kind::Full && !request.operations.is_empty() => {
                    full = Some(error);
                    continue;
                }
                Err(error) => {
                    self.page_size.failed(start.elapsed());
                    return Err(error);
                }
            };
            let took = start.elapsed();
            let hub = &self.exchange.url().text;
            let next = round.advance(&request, &response).with_context(|| {
                Error::new(format!("the hub '{hub}' violates the protocol"))
                    .with_hint("see the log of the hub")
            })?;
            self.page_size.passed(took, next == Next::Page);
            let applied = self.apply(&request, &response, &mut round.transferred);
            self.shared.note(round.transferred);
            applied?;
            log_refused(&response);
            match next {
                Next::Page => {}
                Next::Resync => {
                    log::line(format!(
                        "the hub '{hub}' was replaced or restored from a backup: resyncing everything"
                    ));
                    round.restart(self.pending()?);
                    full = None;
                }
                Next::Finish => {
                    // Once a round: a hub may reject whatever it is sent.
                    if full.is_none()
                        && !was_restamped
                        && self.with_store(|store| store.restamp(clock::now()))? > 0
                    {
                        was_restamped = true;
                        round.extend(self.pending()?);
                        continue;
                    }
                    let settled = self.settle(&mut round.transferred);
                    self.shared.note(round.transferred);
                    settled?;
                    return full.map_or(Ok(round.transferred), Err);
                }
            }
        }
    }

    /// Applies a response, in parts where others wait for the store.
    fn apply(
        &self,
        request: &Arc<Request>,
        response: &Arc<Response>,
        transferred: &mut Transferred,
    ) -> Result<()> {
        let hub_clock = self.exchange.hub_clock();
        let mut first = Some(0);
        while let Some(number) = first {
            let (request, response) = (Arc::clone(request), Arc::clone(response));
            let waiting = self.store.waiting();
            let applied = self.with_store(move |store| {
                store.set_hub_clock(hub_clock);
                store.apply_slice(&request, &response, number, clock::now(), waiting)
            })?;
            transferred.deleted += applied.deleted;
            first = applied.next;
        }
        Ok(())
    }

    /// Applies the deletions of a round, or leaves them to the user.
    fn settle(&self, transferred: &mut Transferred) -> Result<()> {
        if self.with_store(|store| store.may_delete(clock::now()))? {
            while let Some(deleted) = self.with_store(|store| store.apply_deletions(false))? {
                transferred.deleted += deleted;
            }
        }
        Ok(())
    }

    fn pending(&self) -> Result<u64> {
        self.with_store(|store| store.pending())
    }

    /// Runs `work` on the store's thread.
    fn with_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        match self.store.call(work) {
            // The hub's fault, or that of a full disk.
            Ok(Err(error)) if matches!(error.kind(), Kind::TooLarge | Kind::Full) => Err(error),
            Ok(result) => result.context("the store failed on this machine"),
            Err(_) => Err(Error::unreachable("hephd is shutting down")),
        }
    }

    /// Logs the outcome of a round, unless it is that of the round before.
    fn log(&mut self, outcome: &Result<Transferred>) {
        let held = self.with_store(|store| store.held_deletions());
        let line = match outcome {
            Ok(_) if held.as_ref().is_ok_and(|held| *held > 0) => "in sync with the hub, but for deletions: it deletes more than half of the tasks, and `heph sync now --accept-deletes` has to accept that".to_owned(),
            Ok(_) => "in sync with the hub".to_owned(),
            Err(error) => format!("cannot sync: {}", printable(&describe(error))),
        };
        if self.last_logged.as_ref() != Some(&line) {
            log::line(&line);
            self.last_logged = Some(line);
        }
    }
}

/// Logs the operations that the hub refused, which are not sent again.
fn log_refused(response: &Response) {
    for refused in response.refused.iter().take(LOGGED_REFUSALS) {
        log::line(format!(
            "the hub refused the operation {}: {}",
            printable(&refused.id),
            printable(&refused.reason)
        ));
    }
    if let Some(more @ 1..) = response.refused.len().checked_sub(LOGGED_REFUSALS) {
        log::line(format!("the hub refused {more} more"));
    }
}

/// Returns random bits for the jitter.
fn entropy() -> u64 {
    // A ULID has 80 of them.
    (Ulid::generate().random() >> 8) as u64
}
