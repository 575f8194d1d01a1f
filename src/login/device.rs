//! The device authorization grant (RFC 8628): a code to show, and the wait until a person has confirmed it.
//!
//! How to wait is a pure function of what was heard ([`Wait::heard`]); only [`Login::wait`] sleeps and asks.

use std::thread;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::answer::{Granted, Heard, Refusal, hear};
use super::{Metadata, SCOPE, Tokens, ask, away, no_answer, pkce, quoted};
use crate::error::{Error, Result, ResultExt, bail};
use crate::os::http;

/// How long to wait between two questions where the issuer does not say (section 3.2).
const INTERVAL: SignedDuration = SignedDuration::from_secs(5);
/// The longest wait between two questions.
const LONGEST_INTERVAL: SignedDuration = SignedDuration::from_mins(5);
/// How much longer to wait once the issuer says `slow_down` (section 3.5).
const SLOWER: SignedDuration = SignedDuration::from_secs(5);
/// The longest that a code is waited for.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(24);

/// What is asked for, and how to ask.
#[derive(Clone)]
pub struct Login {
    metadata: Metadata,
    client_id: String,
    /// The verifier of PKCE, where the issuer offers it.
    verifier: Option<String>,
    device_code: String,
    /// What to show.
    pub shown: Shown,
    /// How long the code is good.
    pub lasts: SignedDuration,
    interval: SignedDuration,
}

/// What to show to a person: as the issuer sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Where to go.
    pub verification_uri: String,
    /// What to enter there.
    pub user_code: String,
    /// Where to go without having to enter it.
    pub verification_uri_complete: Option<String>,
}

/// What the issuer answers (section 3.2).
#[derive(Deserialize)]
struct Offered {
    device_code: String,
    user_code: String,
    // Some issuers had it so before the standard had settled.
    #[serde(alias = "verification_url")]
    verification_uri: String,
    #[serde(default, alias = "verification_url_complete")]
    verification_uri_complete: Option<String>,
    expires_in: u64,
    #[serde(default)]
    interval: Option<u64>,
}

/// Asks the issuer for a code.
///
/// # Errors
///
/// It knows no device authorization grant, refuses this client, or is away.
pub fn begin(metadata: Metadata, client_id: &str) -> Result<Login> {
    let issuer = metadata.issuer.clone();
    let Some(url) = metadata.device_authorization_endpoint.clone() else {
        return Err(Error::new(format!(
            "the issuer '{issuer}' offers no login for devices (RFC 8628)"
        ))
        .with_hint("have the device authorization grant turned on there"));
    };
    metadata.tokens()?;
    let verifier = metadata.has_pkce().then(pkce::verifier).transpose()?;
    let challenge = verifier.as_deref().map(pkce::challenge);
    let mut form = vec![("client_id", client_id), ("scope", SCOPE)];
    if let Some(challenge) = &challenge {
        form.extend([
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", pkce::METHOD),
        ]);
    }
    let failed = || format!("cannot begin to log in at '{issuer}'");
    let said = ask::post(&url, &form).map_err(|failure| no_answer(failed(), &failure))?;
    let offered = match said.status {
        200 => read(&said.body).with_context(failed)?,
        429 | 500.. => {
            return Err(away(format!("{}: it answers {}", failed(), said.status)));
        }
        status => return Err(refused(failed(), status, &said.body, client_id)),
    };
    Ok(Login {
        metadata,
        client_id: client_id.to_owned(),
        verifier,
        lasts: seconds(offered.expires_in).min(LONGEST_WAIT),
        interval: offered
            .interval
            .map_or(INTERVAL, seconds)
            .clamp(SignedDuration::from_secs(1), LONGEST_INTERVAL),
        device_code: offered.device_code,
        shown: Shown {
            verification_uri: offered.verification_uri,
            user_code: offered.user_code,
            verification_uri_complete: offered.verification_uri_complete,
        },
    })
}

impl Login {
    /// Waits until the person has confirmed, and returns the tokens, which are stored nowhere yet.
    ///
    /// # Errors
    ///
    /// The person refused, the code expired, or the issuer will not go on.
    pub fn wait(&self, clock: impl Fn() -> Timestamp) -> Result<Tokens> {
        let mut wait = Wait::new(self.interval, self.lasts, clock());
        let issuer = &self.metadata.issuer;
        let url = self.metadata.tokens()?;
        let mut form = vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", &self.device_code),
            ("client_id", &self.client_id),
        ];
        form.extend(
            self.verifier
                .as_deref()
                .map(|verifier| ("code_verifier", verifier)),
        );
        loop {
            thread::sleep(wait.pause(clock()).unsigned_abs());
            if let Some(ending) = wait.over(clock()) {
                return Err(ending.fault(issuer));
            }
            match wait.heard(hear(ask::post(url, &form))) {
                Next::Again => {}
                Next::Done(granted) => {
                    return Ok(granted.tokens(issuer, &self.client_id, None, clock()));
                }
                Next::Ended(ending) => return Err(ending.fault(issuer)),
            }
        }
    }
}

/// How a wait stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    interval: SignedDuration,
    until: Timestamp,
    /// Why the last question had no answer.
    trouble: Option<String>,
}

/// What follows from an answer.
#[derive(PartialEq)]
pub enum Next {
    /// Pause, then ask again.
    Again,
    /// The person has confirmed.
    Done(Granted),
    /// It is of no use to ask again.
    Ended(Ending),
}

/// How a wait ends without tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The person refused.
    Denied,
    /// Nobody confirmed in time.
    Expired,
    /// The issuer could not be reached in time; the last reason.
    Away(String),
    /// The issuer refuses, or does not speak the protocol; why.
    Refused(String),
}

impl Wait {
    /// Returns a wait that begins `now`.
    pub fn new(interval: SignedDuration, lasts: SignedDuration, now: Timestamp) -> Wait {
        Wait {
            interval,
            until: now.saturating_add(lasts).unwrap_or(Timestamp::MAX),
            trouble: None,
        }
    }

    /// Returns how long to pause before the next question, or the end.
    pub fn pause(&self, now: Timestamp) -> SignedDuration {
        let left = self.until.duration_since(now).max(SignedDuration::ZERO);
        self.interval.min(left)
    }

    /// Returns how it has ended at `now`, if it has.
    pub fn over(&self, now: Timestamp) -> Option<Ending> {
        (now >= self.until).then(|| match &self.trouble {
            Some(why) => Ending::Away(why.clone()),
            None => Ending::Expired,
        })
    }

    /// Goes on with what was heard (section 3.5). Pure.
    pub fn heard(&mut self, heard: Heard) -> Next {
        self.trouble = None;
        match heard {
            Heard::Granted(granted) => Next::Done(granted),
            Heard::Refused(Refusal { error, .. }) if error == "authorization_pending" => {
                Next::Again
            }
            Heard::Refused(Refusal { error, .. }) if error == "slow_down" => {
                self.slower(self.interval.saturating_add(SLOWER));
                Next::Again
            }
            Heard::Refused(Refusal { error, .. }) if error == "access_denied" => {
                Next::Ended(Ending::Denied)
            }
            Heard::Refused(Refusal { error, .. }) if error == "expired_token" => {
                Next::Ended(Ending::Expired)
            }
            Heard::Refused(refusal) => Next::Ended(Ending::Refused(refusal.words())),
            // An exponential back-off is what the standard wants.
            Heard::Away(why) => {
                self.slower(self.interval.saturating_mul(2));
                self.trouble = Some(why);
                Next::Again
            }
            Heard::Nonsense(why) => Next::Ended(Ending::Refused(why)),
        }
    }

    fn slower(&mut self, interval: SignedDuration) {
        self.interval = interval.min(LONGEST_INTERVAL);
    }
}

impl Ending {
    fn fault(self, issuer: &str) -> Error {
        let again = "heph auth login";
        let message = |why: String| format!("not logged in at '{issuer}': {why}");
        match self {
            Ending::Denied => Error::new(message("the request was denied there".to_owned())),
            Ending::Expired => Error::new(message(
                "the code has expired before anybody confirmed it".to_owned(),
            ))
            .with_hint(again),
            Ending::Away(why) => away(message(why)).with_hint(again),
            Ending::Refused(why) => Error::new(message(why)),
        }
    }
}

/// Reads what the device authorization endpoint answered. Pure.
fn read(body: &[u8]) -> Result<Offered> {
    // The words of the parser could quote the code.
    let offered: Offered = serde_json::from_slice(body)
        .map_err(|_| Error::new("its answer holds no code for a device"))?;
    let addresses = [
        Some(&offered.verification_uri),
        offered.verification_uri_complete.as_ref(),
    ];
    for address in addresses.into_iter().flatten() {
        http::check(address).map_err(|wrong| {
            Error::new(format!(
                "it wants '{}' to be opened, but {wrong}",
                quoted(address)
            ))
        })?;
    }
    if offered.user_code.is_empty() || offered.user_code.len() > 100 {
        bail!("its answer holds no code that a person could enter");
    }
    Ok(offered)
}

fn refused(failed: String, status: u16, body: &[u8], client_id: &str) -> Error {
    let Ok(refusal) = serde_json::from_slice::<Refusal>(body) else {
        return Error::new(format!("{failed}: it answers {status}"));
    };
    let fault = Error::new(format!("{failed}: {}", refusal.words()));
    match refusal.error.as_str() {
        "invalid_client" | "unauthorized_client" => fault.with_hint(format!(
            "is '{client_id}' a public client there, with the grants device_code and refresh_token?"
        )),
        _ => fault,
    }
}

fn seconds(seconds: u64) -> SignedDuration {
    SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
