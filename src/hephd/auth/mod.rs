//! Who asks: the bearer token of a request (RFC 6750), held against what its issuer publishes.
//!
//! The keys are fetched when the hub starts, and every hour, so that a key which the issuer has withdrawn stops working.
//! In between, a token with an unknown key makes the hub ask once more, at most once a minute. An issuer that cannot be
//! reached changes nothing: the keys that were there go on working.

mod issuer;
mod keys;
#[cfg(test)]
mod tests;
mod token;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task;
use tokio::time::{Instant, sleep};

use super::print;
pub use issuer::check as check_issuer;
use keys::Keys;
pub use token::{Expected, Why};

/// How old the keys may be.
const HOURLY: Duration = Duration::from_secs(60 * 60);
/// How long after a failure the keys are asked for again, and the least time between two questions for an unknown key.
const MINUTE: Duration = Duration::from_secs(60);
/// The least time between two questions while there are no keys at all.
const SOON: Duration = Duration::from_secs(5);

/// Why a request has no user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// It carries no token.
    Missing,
    /// Its token is refused.
    Refused(Why),
    /// There are no keys to hold the token against; why.
    Unavailable(String),
}

impl Denied {
    /// Returns one word, for metrics and logs.
    pub fn word(&self) -> &'static str {
        match self {
            Denied::Missing => "missing",
            Denied::Refused(why) => why.word(),
            Denied::Unavailable(_) => "no-keys",
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Denied::Missing => f.write_str("the request carries no bearer token"),
            Denied::Refused(why) => why.fmt(f),
            Denied::Unavailable(why) => write!(f, "the issuer's keys cannot be had: {why}"),
        }
    }
}

/// How a hub knows its users.
#[derive(Debug)]
pub enum Auth {
    /// It does not: whoever can connect is the owner.
    Nobody,
    /// By the tokens of an issuer.
    Tokens(Verifier),
}

impl Auth {
    /// Returns the user of a request with this `Authorization` header at `now` (seconds since 1970): the empty one
    /// without tokens, else `<iss> <sub>`.
    ///
    /// # Errors
    ///
    /// See [`Denied`].
    pub async fn user(&self, authorization: Option<&[u8]>, now: i64) -> Result<String, Denied> {
        match self {
            Auth::Nobody => Ok(String::new()),
            Auth::Tokens(verifier) => {
                let token = bearer(authorization.unwrap_or_default()).ok_or(Denied::Missing)?;
                let subject = verifier.subject(token, now).await?;
                Ok(format!("{} {subject}", verifier.expected.issuer))
            }
        }
    }

    /// Keeps the keys fresh, for as long as it is polled.
    pub async fn keep_fresh(&self) {
        match self {
            Auth::Nobody => std::future::pending().await,
            Auth::Tokens(verifier) => loop {
                let fetched = verifier.fetch().await;
                sleep(if fetched { HOURLY } else { MINUTE }).await;
            },
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

/// Tokens of one issuer, held against its keys.
#[derive(Debug)]
pub struct Verifier {
    expected: Expected,
    cache: Mutex<Cache>,
    // Held while the issuer is asked: whoever comes meanwhile waits for the one answer.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Cache {
    keys: Option<Arc<Keys>>,
    /// How often keys were fetched.
    generation: u64,
    /// When a token with an unknown key last made the hub ask.
    asked: Option<Instant>,
    /// Why the last attempt failed, if it did.
    failure: Option<String>,
}

impl Verifier {
    /// Returns one without keys; [`Auth::keep_fresh`] and the first token fetch them.
    pub fn new(expected: Expected) -> Verifier {
        Verifier {
            expected,
            cache: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        }
    }

    async fn subject(&self, token: &str, now: i64) -> Result<String, Denied> {
        let (keys, generation) = self.keys();
        if let Some(keys) = keys {
            match token::judge(token, &keys, &self.expected, now) {
                Err(Why::UnknownKey) => {}
                judged => return judged.map_err(Denied::Refused),
            }
        }
        self.ask(generation).await;
        let Some(keys) = self.keys().0 else {
            let failure = self.cache().failure.clone();
            let failure = failure.unwrap_or_else(|| "they are on their way".to_owned());
            return Err(Denied::Unavailable(failure));
        };
        token::judge(token, &keys, &self.expected, now).map_err(Denied::Refused)
    }

    /// Fetches the keys for a token that those of `generation` do not fit, unless that was done a moment ago.
    async fn ask(&self, generation: u64) {
        let asking = self.asking.lock().await;
        let due = {
            let mut cache = self.cache();
            let since = cache.asked.map(|asked| asked.elapsed());
            let due = cache.generation == generation && is_due(since, cache.keys.is_some());
            if due {
                cache.asked = Some(Instant::now());
            }
            due
        };
        if due {
            self.fetch_alone().await;
        }
        drop(asking);
    }

    /// Fetches the keys; returns whether that worked.
    async fn fetch(&self) -> bool {
        let _asking = self.asking.lock().await;
        self.fetch_alone().await
    }

    async fn fetch_alone(&self) -> bool {
        let issuer = self.expected.issuer.clone();
        let fetched = task::spawn_blocking(move || issuer::fetch(&issuer)).await;
        let fetched = fetched.unwrap_or_else(|_| Err("it was given up".to_owned()));
        let issuer = &self.expected.issuer;
        let mut cache = self.cache();
        match fetched {
            Ok(keys) => {
                print::event("keys", &[("issuer", issuer), ("usable", &keys.len())]);
                cache.keys = Some(Arc::new(keys));
                cache.generation += 1;
                cache.failure = None;
                true
            }
            Err(why) => {
                print::event("keys-failed", &[("issuer", issuer), ("reason", &why)]);
                cache.failure = Some(why);
                false
            }
        }
    }

    fn keys(&self) -> (Option<Arc<Keys>>, u64) {
        let cache = self.cache();
        (cache.keys.clone(), cache.generation)
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        // What is in it is whole at every moment, also after a panic.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether the issuer may be asked for a token's sake, so long after it was last asked for one's sake.
fn is_due(since: Option<Duration>, has_keys: bool) -> bool {
    let least = if has_keys { MINUTE } else { SOON };
    since.is_none_or(|since| since >= least)
}
