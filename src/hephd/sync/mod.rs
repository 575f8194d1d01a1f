//! The spoke: a thread of its own that exchanges operations with a hub, while hephd serves and takes writes.
//!
//! Nothing waits for this thread. The socket's connections leave it a word ([`Handle::wrote`]) and go on; the thread
//! asks the store's thread for one page at a time; and it holds no way to the store that would keep that open
//! ([`Distant`](super::keeper::Distant)), so that a stop does not wait for a hub that hangs.
//!
//! A round is as many pages as it takes until neither side lacks anything. Everything in it may be repeated: the hub
//! knows each operation by its id, and what it sent is applied in one transaction with the cursor behind it. So a round
//! that breaks off anywhere is simply begun anew.
//!
//! | module | what it holds |
//! |---|---|
//! | `address` | the address of a hub, checked once; pure |
//! | `schedule` | when the next round is due; pure |
//! | `verdict` | what an answer means; pure |
//! | `trouble` | why a round failed, in words |
//! | `call` | one POST |
//! | `login` | the token that is sent |
//! | `exchange` | one page: its token, and its repetition where it was interrupted |
//! | `spoke` | the thread, round by round |

mod address;
mod call;
mod exchange;
mod login;
mod schedule;
mod spoke;
mod trouble;
mod verdict;

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::timeout;

use super::keeper::Keeper;
use super::store::Store;
use crate::client::wire::SyncStatus;
use crate::error::{self, Error, Result, ResultExt};
use crate::os::clock;
use address::Address;
use login::Login;
use schedule::{Moment, Schedule};
use trouble::{Kind, Trouble};

/// How long `sync.now` waits for its round.
const PATIENCE: Duration = Duration::from_secs(60);

/// The hub of a spoke, and how to log in there.
#[derive(Clone, Debug)]
pub struct Hub {
    address: Address,
    login: Option<Login>,
}

/// What the flags of hephd say of a hub.
#[derive(Clone, Copy, Debug)]
pub struct Flags<'a> {
    /// `--hub-url`.
    pub hub_url: Option<&'a str>,
    /// `--oidc-issuer`.
    pub issuer: Option<&'a str>,
    /// `--oidc-client-id`.
    pub client_id: Option<&'a str>,
}

/// Checks flags of hephd in local mode before they are baked into a service that would end at once, again and again.
///
/// # Errors
///
/// hephd would refuse them; see `Hub::from_flags`.
pub fn check_spoke(
    hub_url: Option<&str>,
    issuer: Option<&str>,
    client_id: Option<&str>,
) -> Result<(), Error> {
    let flags = Flags {
        hub_url,
        issuer,
        client_id,
    };
    Hub::from_flags(flags, PathBuf::new()).map(drop)
}

impl Hub {
    /// Returns the hub that `flags` name; `None` where they name none. Its tokens are in the file `tokens`.
    ///
    /// # Errors
    ///
    /// The address cannot be that of a hub, or only one of the two flags of a login is given.
    pub fn from_flags(flags: Flags, tokens: PathBuf) -> Result<Option<Hub>, Error> {
        let Some(url) = flags.hub_url else {
            return Ok(None);
        };
        let login = match (flags.issuer, flags.client_id) {
            (Some(issuer), Some(client_id)) => Some(Login {
                issuer: issuer.to_owned(),
                client_id: client_id.to_owned(),
                tokens,
            }),
            (None, None) => None,
            (Some(_), None) => return Err(half_a_login("--oidc-issuer", "--oidc-client-id")),
            (None, Some(_)) => return Err(half_a_login("--oidc-client-id", "--oidc-issuer")),
        };
        let address = Address::parse(url, login.is_some())?;
        Ok(Some(Hub { address, login }))
    }
}

fn half_a_login(given: &str, missing: &str) -> Error {
    Error::usage(format!("{given} is of no use without {missing}")).with_hint(format!(
        "pass {missing} as well; the provider's administrator knows its value"
    ))
}

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// How many operations the hub took.
    pub sent: u64,
    /// How many the hub sent.
    pub received: u64,
    /// How many the hub refused.
    pub refused: u64,
}

/// A way to talk of the spoke with those who serve: for a hephd without a hub as well.
#[derive(Clone, Debug)]
pub struct Handle(Option<Arc<Shared>>);

/// What the thread shares with those who serve.
#[derive(Debug)]
struct Shared {
    hub: String,
    login: Option<(String, String)>,
    started: Instant,
    state: Mutex<State>,
    /// Woken when the next round may be due earlier than it was.
    earlier: Condvar,
    /// Told when a round ended, or hephd is about to.
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    schedule: Schedule,
    /// How many rounds began, and how many of them ended.
    begun: u64,
    ended: u64,
    /// What came of the last one that ended.
    outcome: Option<Result<Done, Trouble>>,
    last_success: Option<Timestamp>,
    /// Whether no round will begin any more.
    stopped: bool,
}

/// Starts the thread that syncs with `hub`, if there is one.
///
/// # Errors
///
/// The operating system refused the thread.
pub fn start(hub: Option<Hub>, keeper: &Keeper) -> Result<Handle> {
    let Some(hub) = hub else {
        return Ok(Handle(None));
    };
    let shared = Arc::new(Shared {
        hub: hub.address.text().to_owned(),
        login: hub
            .login
            .as_ref()
            .map(|login| (login.issuer.clone(), login.client_id.clone())),
        started: Instant::now(),
        state: Mutex::default(),
        earlier: Condvar::new(),
        changed: watch::Sender::new(()),
    });
    let spoke = spoke::Spoke::new(hub, keeper.distant(), Arc::clone(&shared));
    // Nobody joins it: it may be in the middle of a call that takes half a minute when hephd ends.
    thread::Builder::new()
        .name("sync".to_owned())
        .spawn(move || spoke.run())
        .context("cannot start a thread for the sync")?;
    Ok(Handle(Some(shared)))
}

impl Handle {
    /// Notes that the store was written to: the next round is due soon.
    pub fn wrote(&self) {
        if let Some(shared) = &self.0 {
            let now = shared.now();
            shared.lock().schedule.wrote(now);
            shared.earlier.notify_one();
        }
    }

    /// Has no round begin any more; whoever waits for one is told.
    pub fn stop(&self) {
        if let Some(shared) = &self.0 {
            shared.stop();
        }
    }

    /// Returns how the sync stands; `store` knows what is pending.
    ///
    /// # Errors
    ///
    /// The store failed.
    pub fn status(&self, store: &Store) -> Result<SyncStatus> {
        let Some(shared) = &self.0 else {
            return Ok(SyncStatus::default());
        };
        let (pending, refused) = (store.pending()?, store.refused()?);
        let (issuer, client_id) = shared.login.clone().unzip();
        let state = shared.lock();
        Ok(SyncStatus {
            hub: Some(shared.hub.clone()),
            last_success: state.last_success,
            pending,
            refused,
            last_error: match &state.outcome {
                Some(Err(trouble)) => Some(trouble.sentence()),
                _ => None,
            },
            next_attempt: shared.next_attempt(&state),
            issuer,
            client_id,
        })
    }

    /// Has a round begin now, and returns what it did. A round that is under way counts only where it fails: what was
    /// written just now may have come too late for it.
    ///
    /// # Errors
    ///
    /// There is no hub, the round failed, or it takes longer than a minute.
    pub async fn now(&self) -> Result<Done> {
        let Some(shared) = &self.0 else {
            return Err(Error::usage("hephd syncs with no hub")
                .with_hint("`heph daemon restart --hub-url URL` names one"));
        };
        let mut changed = shared.changed.subscribe();
        let (first, wanted) = {
            let mut state = shared.lock();
            state.schedule.ask();
            let wait = state.schedule.next().saturating_sub(shared.now());
            if let Some(Err(trouble)) = &state.outcome
                && wait > PATIENCE
            {
                // The hub asked to be left alone for longer.
                return Err(failure(trouble.clone()));
            }
            // The same, where none is under way.
            (state.ended + 1, state.begun + 1)
        };
        shared.earlier.notify_one();
        let round = async {
            loop {
                if let Some(outcome) = shared.lock().outcome_for(first, wanted) {
                    return outcome;
                }
                // Its sender lives in `shared`.
                let _ = changed.changed().await;
            }
        };
        match timeout(PATIENCE, round).await {
            Ok(outcome) => outcome.map_err(failure),
            Err(_) => {
                let words = format!("the sync is still under way after {PATIENCE:?}");
                Err(Error::unreachable(words).with_hint("`heph sync status` tells when it is done"))
            }
        }
    }
}

fn failure(trouble: Trouble) -> Error {
    let kind = match trouble.kind {
        Kind::Unreachable | Kind::Ending => error::Kind::Unreachable,
        Kind::Login => error::Kind::Unauthorized,
        Kind::TooLarge => error::Kind::TooLarge,
        Kind::Wrong => error::Kind::Failed,
    };
    let error = Error::new(trouble.words).with_kind(kind);
    match trouble.hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

impl State {
    /// Returns what to tell who waits for the round number `wanted`: what came of it, or of one from `first` on that
    /// failed before; `None` while that is open.
    fn outcome_for(&self, first: u64, wanted: u64) -> Option<Result<Done, Trouble>> {
        if self.stopped {
            return Some(Err(Trouble::new(Kind::Ending, "hephd ends")));
        }
        match &self.outcome {
            Some(outcome) if self.ended >= wanted => Some(outcome.clone()),
            Some(Err(trouble)) if self.ended >= first => Some(Err(trouble.clone())),
            _ => None,
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Whoever panicked while holding it left nothing half done: each change is one statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the time since the start.
    fn now(&self) -> Moment {
        self.started.elapsed()
    }

    /// Returns when the next round is due by the clock; `None` while one is under way.
    fn next_attempt(&self, state: &State) -> Option<Timestamp> {
        if state.begun > state.ended {
            return None;
        }
        let wait = state.schedule.next().saturating_sub(self.now());
        clock::now().checked_add(wait).ok()
    }

    /// Waits until a round is due, and notes that it begins; returns `false` where none will.
    fn begin_when_due(&self) -> bool {
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

    /// Notes what came of the round that began last.
    fn end(&self, outcome: Result<Done, Trouble>, entropy: u64) {
        let now = self.now();
        let mut state = self.lock();
        match &outcome {
            Ok(_) => {
                state.schedule.succeed(now);
                state.last_success = Some(clock::now());
            }
            Err(trouble) => state.schedule.fail(now, trouble.retry_after, entropy),
        }
        state.outcome = Some(outcome);
        state.ended = state.begun;
        drop(state);
        self.changed.send_replace(());
    }

    fn stop(&self) {
        self.lock().stopped = true;
        self.earlier.notify_one();
        self.changed.send_replace(());
    }
}
