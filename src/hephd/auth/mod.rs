//! Authentication at the hub: the bearer of a request (RFC 6750). It is the secret of a machine that was invited
//! ([`machines`]), or a token of a provider, verified with the keys that its issuer publishes. Both may be on.
//!
//! The keys are fetched when the hub starts, and every hour, so that a key which the issuer has withdrawn stops working.
//! In between, a token with an unknown key triggers one more fetch, at most once a minute. While the issuer cannot be
//! reached, the keys of before stay in use.

mod issuer;
mod keys;
pub(super) mod machines;
#[cfg(test)]
mod tests;
mod token;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task;
use tokio::time::{Instant, sleep};

use super::log;
use crate::error::{Error, Result};
use crate::login::secret;
use keys::Keys;
use machines::Machines;
pub use token::{Expected, TokenError};

/// How old the keys may be.
const HOURLY: Duration = Duration::from_secs(60 * 60);
/// The wait after a failed fetch, and the least time between two fetches for an unknown key.
const MINUTE: Duration = Duration::from_secs(60);
/// The least time between two fetches while there are no keys at all.
const SOON: Duration = Duration::from_secs(5);

/// Why a request has no user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthError {
    MissingToken,
    BadToken(TokenError),
    /// It is not the secret of a machine that is invited now.
    UnknownMachine,
    /// There are no keys to verify the token with.
    NoKeys(Error),
}

impl AuthError {
    /// Returns one word, for metrics and logs.
    pub fn word(&self) -> &'static str {
        match self {
            AuthError::MissingToken => "missing",
            AuthError::UnknownMachine => "machine",
            AuthError::BadToken(error) => error.word(),
            AuthError::NoKeys(_) => "no-keys",
        }
    }
}

impl AuthError {
    /// Returns what helps.
    pub(super) fn hint(&self) -> &'static str {
        match self {
            AuthError::MissingToken => {
                "`heph sync join LINE`, with a line of `heph hub invite`, or `heph auth login`"
            }
            AuthError::UnknownMachine => {
                "`heph hub invite NAME` on the hub, then `heph sync join LINE` on the machine"
            }
            AuthError::BadToken(error) => error.hint(),
            AuthError::NoKeys(_) => "see the log of the hub",
        }
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AuthError::MissingToken => f.write_str("the request has no bearer token"),
            AuthError::UnknownMachine => {
                f.write_str("the token is not the secret of a machine that is invited")
            }
            AuthError::BadToken(error) => error.fmt(f),
            AuthError::NoKeys(error) => f.write_str(&error.one_line()),
        }
    }
}

/// Whose a request is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The empty string for the hub's owner, else `<iss> <sub>`.
    pub user: String,
    /// The name of the machine, if it was invited.
    pub machine: Option<String>,
}

/// How a hub authenticates its users.
#[derive(Debug)]
pub(super) struct Auth {
    /// The machines of the owner.
    pub(super) machines: Machines,
    /// The tokens of other users, if there is a provider.
    pub(super) tokens: Option<Verifier>,
    pub(super) anonymous: Anonymous,
}

/// Whether a request without a bearer is the owner's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anonymous {
    Always,
    /// On loopback, until the first machine is invited.
    UntilInvited,
    Never,
}

impl Auth {
    /// Returns whose a request with this `Authorization` header is at `now` (seconds since 1970).
    pub(super) async fn caller(
        &self,
        authorization: Option<&[u8]>,
        now: i64,
    ) -> Result<Caller, AuthError> {
        let token = bearer(authorization.unwrap_or_default());
        // A revoked secret is rejected also where none is required.
        if let Some(secret) = token.filter(|token| token.starts_with(secret::PREFIX)) {
            let machine = self.machines.named_by(secret);
            let machine = machine.ok_or(AuthError::UnknownMachine)?;
            return Ok(Caller {
                machine: Some(machine),
                ..Caller::default()
            });
        }
        match &self.tokens {
            Some(verifier) => {
                let token = token.ok_or(AuthError::MissingToken)?;
                let subject = verifier.subject(token, now).await?;
                Ok(Caller {
                    user: format!("{} {subject}", verifier.expected.issuer),
                    machine: None,
                })
            }
            None if self.serves_anonymous() => Ok(Caller::default()),
            None if token.is_some() => Err(AuthError::UnknownMachine),
            None => Err(AuthError::MissingToken),
        }
    }

    fn serves_anonymous(&self) -> bool {
        match self.anonymous {
            Anonymous::Always => true,
            Anonymous::UntilInvited => !self.machines.has_any(),
            Anonymous::Never => false,
        }
    }

    /// Refreshes the keys, for as long as it is polled.
    pub(super) async fn keep_fresh(&self) {
        let Some(verifier) = &self.tokens else {
            return std::future::pending().await;
        };
        loop {
            let fetched = verifier.fetch().await;
            sleep(if fetched { HOURLY } else { MINUTE }).await;
        }
    }
}

/// Returns the token of an `Authorization` header (RFC 6750, section 2.1).
fn bearer(header: &[u8]) -> Option<&str> {
    let header = std::str::from_utf8(header).ok()?;
    let (scheme, token) = header.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Verifies the tokens of one issuer.
#[derive(Debug)]
pub struct Verifier {
    expected: Expected,
    cache: Mutex<Cache>,
    // Held during a fetch: requests that arrive meanwhile wait for its result.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Cache {
    keys: Option<Arc<Keys>>,
    /// Counts the fetches.
    generation: u64,
    /// When a token with an unknown key last triggered a fetch.
    triggered: Option<Instant>,
    /// The error of the last fetch.
    failure: Option<Error>,
}

impl Verifier {
    /// Returns a verifier without keys; [`Auth::keep_fresh`] and the first token fetch them.
    pub fn new(expected: Expected) -> Verifier {
        Verifier {
            expected,
            cache: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
        }
    }

    async fn subject(&self, token: &str, now: i64) -> Result<String, AuthError> {
        let (keys, generation) = self.keys();
        if let Some(keys) = keys {
            match token::verify(token, &keys, &self.expected, now) {
                Err(TokenError::UnknownKey) => {}
                verified => return verified.map_err(AuthError::BadToken),
            }
        }
        self.fetch_for_unknown_key(generation).await;
        let Some(keys) = self.keys().0 else {
            let failure = self.cache().failure.clone();
            let failure = failure.unwrap_or_else(|| Error::new("the first fetch is under way"));
            return Err(AuthError::NoKeys(
                failure.context("cannot fetch the issuer's keys"),
            ));
        };
        token::verify(token, &keys, &self.expected, now).map_err(AuthError::BadToken)
    }

    /// Fetches the keys for a token whose key is not among those of `generation`, unless that was done a moment ago.
    async fn fetch_for_unknown_key(&self, generation: u64) {
        let _fetching = self.fetching.lock().await;
        let due = {
            let mut cache = self.cache();
            let since = cache.triggered.map(|triggered| triggered.elapsed());
            let due = cache.generation == generation && is_due(since, cache.keys.is_some());
            if due {
                cache.triggered = Some(Instant::now());
            }
            due
        };
        if due {
            self.fetch_locked().await;
        }
    }

    /// Fetches the keys; returns whether that worked.
    async fn fetch(&self) -> bool {
        let _fetching = self.fetching.lock().await;
        self.fetch_locked().await
    }

    async fn fetch_locked(&self) -> bool {
        let issuer = self.expected.issuer.clone();
        let fetched = task::spawn_blocking(move || issuer::keys(&issuer)).await;
        let fetched = fetched.unwrap_or_else(|_| Err(Error::new("the fetch was aborted")));
        let issuer = &self.expected.issuer;
        let mut cache = self.cache();
        match fetched {
            Ok(keys) => {
                log::event("keys", &[("issuer", issuer), ("usable", &keys.len())]);
                cache.keys = Some(Arc::new(keys));
                cache.generation += 1;
                cache.failure = None;
                true
            }
            Err(error) => {
                let reason = error.one_line();
                log::event("keys-failed", &[("issuer", issuer), ("reason", &reason)]);
                cache.failure = Some(error);
                false
            }
        }
    }

    fn keys(&self) -> (Option<Arc<Keys>>, u64) {
        let cache = self.cache();
        (cache.keys.clone(), cache.generation)
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        // It is consistent at every moment, also after a panic.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether an unknown key may trigger a fetch, so long after the last one.
fn is_due(since: Option<Duration>, has_keys: bool) -> bool {
    let least = if has_keys { MINUTE } else { SOON };
    since.is_none_or(|since| since >= least)
}
