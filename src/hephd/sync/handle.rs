//! How the socket's connections see the spoke: its status, a round on request, and the end.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::timeout;

use super::hub::Hub;
use super::round::Transferred;
use super::schedule::{Moment, Schedule};
use crate::client::wire::SyncStatus;
use crate::error::{Error, Result};
use crate::hephd::store::Store;
use crate::os::clock;

/// How long `sync.now` waits for its round.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The connections' view of the spoke, if there is one.
#[derive(Clone, Debug)]
pub(crate) struct Handle(pub(super) Option<Arc<Shared>>);

/// What the thread shares with the connections.
#[derive(Debug)]
pub(super) struct Shared {
    hub: Hub,
    started: Instant,
    state: Mutex<State>,
    /// Notified when the next round may be due earlier than before.
    earlier: Condvar,
    /// Notified when a round has ended, and at the shutdown.
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    schedule: Schedule,
    /// How many rounds have begun and ended.
    begun: u64,
    ended: u64,
    /// The outcome of the last round that ended.
    outcome: Option<Result<Transferred>>,
    /// What the latest round has exchanged so far.
    transferred: Transferred,
    last_success: Option<Timestamp>,
    /// In words, how much the clock of this machine differs from the hub's, if it is much.
    clock_difference: Option<String>,
    /// Whether no round will begin any more.
    stopped: bool,
}

impl Handle {
    /// Notes that the store was written to: the next round is due soon.
    pub fn wrote(&self) {
        if let Some(shared) = &self.0 {
            let now = shared.now();
            shared.lock().schedule.note_write(now);
            shared.earlier.notify_one();
        }
    }

    /// Keeps further rounds from beginning, and ends the wait of clients.
    pub fn stop(&self) {
        if let Some(shared) = &self.0 {
            shared.stop();
        }
    }

    /// Returns the state of the sync; what is pending comes from `store`.
    pub fn status(&self, store: &Store) -> Result<SyncStatus> {
        let Some(shared) = &self.0 else {
            return Ok(SyncStatus::default());
        };
        let (pending, refused) = (store.pending()?, store.refused()?);
        let held_deletes = store.held_deletions()?;
        let login = shared.hub.login();
        let state = shared.lock();
        Ok(SyncStatus {
            hub: Some(shared.hub.url.text.clone()),
            last_success: state.last_success,
            pending,
            refused,
            last_error: match &state.outcome {
                Some(Err(error)) => Some(describe(error)),
                _ => None,
            },
            next_attempt: shared.next_attempt(&state),
            issuer: login.map(|login| login.issuer.clone()),
            client_id: login.map(|login| login.client_id.clone()),
            scopes: login.and_then(|login| login.scopes.clone()),
            warning: shared.hub.warning(),
            clock_difference: state.clock_difference.clone(),
            spokes: None,
            last_received: state.transferred.received,
            last_deleted: state.transferred.deleted,
            held_deletes,
        })
    }

    /// Requests a round now, and returns how many operations it exchanged. A round that is under way counts only if it
    /// fails: it may have begun before the latest write.
    ///
    /// # Errors
    ///
    /// [`Kind::Usage`](crate::error::Kind::Usage) without a hub; the round failed, or takes longer than a minute.
    pub async fn now(&self) -> Result<Transferred> {
        let Some(shared) = &self.0 else {
            return Err(Error::usage("hephd has no hub to sync with")
                .with_hint("set one with `heph daemon restart --hub-url URL`"));
        };
        let mut changed = shared.changed.subscribe();
        let (first, wanted) = {
            let mut state = shared.lock();
            state.schedule.request();
            let wait = state.schedule.next().saturating_sub(shared.now());
            if let Some(Err(error)) = &state.outcome
                && wait > TIMEOUT
            {
                // The hub asked for a longer pause.
                return Err(error.clone());
            }
            // The same number unless a round is under way.
            (state.ended + 1, state.begun + 1)
        };
        shared.earlier.notify_one();
        let round = async {
            loop {
                if let Some(outcome) = shared.lock().outcome_for(first, wanted) {
                    return outcome;
                }
                // Fails only without a sender, which `shared` has.
                let _ = changed.changed().await;
            }
        };
        timeout(TIMEOUT, round).await.unwrap_or_else(|_| {
            let message = format!("the sync is still under way after {TIMEOUT:?}");
            Err(Error::unreachable(message).with_hint("`heph sync status` shows when it is done"))
        })
    }
}

/// Returns an error in one line, with what helps.
pub(super) fn describe(error: &Error) -> String {
    match error.hint() {
        Some(hint) => format!("{} (hint: {hint})", error.one_line()),
        None => error.one_line(),
    }
}

impl State {
    /// Returns the outcome of the round number `wanted`, or of one since `first` that failed before it; `None` while
    /// neither has ended.
    fn outcome_for(&self, first: u64, wanted: u64) -> Option<Result<Transferred>> {
        if self.stopped {
            return Some(Err(Error::unreachable("hephd is shutting down")));
        }
        match &self.outcome {
            Some(outcome) if self.ended >= wanted => Some(outcome.clone()),
            Some(Err(error)) if self.ended >= first => Some(Err(error.clone())),
            _ => None,
        }
    }
}

impl Shared {
    pub fn new(hub: Hub) -> Shared {
        Shared {
            hub,
            started: Instant::now(),
            state: Mutex::default(),
            earlier: Condvar::new(),
            changed: watch::Sender::new(()),
        }
    }

    /// Returns what is unsafe about the way to the hub.
    pub fn warning(&self) -> Option<String> {
        self.hub.warning()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while it was held left nothing half done: each change is one statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Moment {
        self.started.elapsed()
    }

    /// Returns when the next round is due by the wall clock; `None` while one is under way.
    fn next_attempt(&self, state: &State) -> Option<Timestamp> {
        if state.begun > state.ended {
            return None;
        }
        let wait = state.schedule.next().saturating_sub(self.now());
        clock::now().checked_add(wait).ok()
    }

    /// Waits until a round is due, and notes that it begins; returns `false` if hephd shuts down.
    pub fn begin_when_due(&self) -> bool {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return false;
            }
            let wait = state.schedule.next().saturating_sub(self.now());
            if wait.is_zero() {
                state.schedule.begin();
                state.begun += 1;
                return true;
            }
            let waited = self.earlier.wait_timeout(state, wait);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Notes how much the clock of this machine differs from the hub's, in words.
    pub fn set_clock_difference(&self, difference: Option<String>) {
        self.lock().clock_difference = difference;
    }

    /// Notes what the round under way has exchanged so far.
    pub fn note(&self, transferred: Transferred) {
        self.lock().transferred = transferred;
    }

    /// Notes the outcome of the round that began last.
    pub fn end(&self, outcome: Result<Transferred>, entropy: u64) {
        let now = self.now();
        let mut state = self.lock();
        match &outcome {
            Ok(_) => {
                state.schedule.succeed(now);
                state.last_success = Some(clock::now());
            }
            Err(error) => state.schedule.fail(now, error.retry_after(), entropy),
        }
        state.outcome = Some(outcome);
        state.ended = state.begun;
        drop(state);
        self.changed.send_replace(());
    }

    pub fn stop(&self) {
        self.lock().stopped = true;
        self.earlier.notify_one();
        self.changed.send_replace(());
    }

    pub fn is_stopped(&self) -> bool {
        self.lock().stopped
    }
}
