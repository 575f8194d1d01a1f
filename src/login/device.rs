//! The device authorization grant (RFC 8628): a code to show, and the wait until a person has confirmed it.
//!
//! How to wait is a pure function of the answers ([`Wait::observe`]); only [`Login::wait`] sleeps and polls.

use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use super::discovery::{self, Metadata, discover};
use super::endpoint::{self, EndpointError};
use super::grant::{self, Granted};
use super::{LOG_IN, Tokens, lenient, pkce, quoted, scopes};
use crate::error::{Error, Kind, Result, ResultExt, bail, ensure};
use crate::os::backoff::Backoff;
use crate::os::http;

/// How long to wait between two polls where the issuer does not say (section 3.2).
const INTERVAL: Duration = Duration::from_secs(5);
const LONGEST_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// How much longer to wait once the issuer says `slow_down` (section 3.5).
const SLOWER: Duration = Duration::from_secs(5);
/// The longest lifetime of a code that is waited for.
const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a code is assumed to be valid where the issuer does not say.
const LIFETIME: Duration = Duration::from_secs(10 * 60);
/// The longest code that a person could enter, in bytes.
const LONGEST_USER_CODE: usize = 100;
/// The longest URL that is shown to a person, in bytes.
const LONGEST_ADDRESS: usize = 2_000;
/// The longest code that is sent back with each poll, in bytes.
const LONGEST_DEVICE_CODE: usize = 16 * 1024;

/// A login that has begun.
#[derive(Clone)]
pub(crate) struct Login {
    metadata: Metadata,
    client_id: String,
    /// The verifier of PKCE, where the issuer offers it.
    verifier: Option<String>,
    device_code: String,
    pub(crate) prompt: Prompt,
    /// How long the code is valid.
    pub(crate) lifetime: Duration,
    interval: Duration,
}

/// What to show to the person, as the issuer sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prompt {
    pub(crate) verification_uri: String,
    pub(crate) user_code: String,
    /// A URL that includes the code.
    pub(crate) verification_uri_complete: Option<String>,
}

/// The response of the device authorization endpoint (section 3.2). The addresses have older names, too, which some issuers
/// send alone or beside the present ones.
#[derive(Deserialize)]
struct Offer {
    device_code: String,
    user_code: String,
    #[serde(default, deserialize_with = "lenient::text")]
    verification_uri: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    verification_url: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    verification_uri_complete: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    verification_url_complete: Option<String>,
    #[serde(default, deserialize_with = "lenient::seconds")]
    expires_in: Option<f64>,
    #[serde(default, deserialize_with = "lenient::seconds")]
    interval: Option<f64>,
}

/// A code, as the device authorization endpoint issued it.
struct Code {
    device_code: String,
    prompt: Prompt,
    lifetime: Duration,
    interval: Duration,
}

/// Requests a code from the issuer, for `scopes` if the user named some.
pub(crate) fn begin(issuer: &str, client_id: &str, scopes: Option<&str>) -> Result<Login> {
    let metadata = discover(issuer, &endpoint::LIMITS)?;
    let endpoint = metadata.device_authorization_endpoint.clone();
    let url = endpoint.with_context(|| {
        Error::new(format!(
            "the issuer '{issuer}' does not support the device authorization grant (RFC 8628)"
        ))
        .with_hint("enable the device authorization grant at the issuer")
    })?;
    metadata.token_endpoint()?;
    let verifier = metadata.has_pkce().then(pkce::verifier).transpose()?;
    let challenge = verifier.as_deref().map(pkce::challenge);
    let request = |scope: &str| {
        let mut form = vec![("client_id", client_id), ("scope", scope)];
        if let Some(challenge) = &challenge {
            form.extend([
                ("code_challenge", challenge.as_str()),
                ("code_challenge_method", pkce::METHOD),
            ]);
        }
        endpoint::post(&url, &form)
    };
    let scopes = scopes::choose(scopes, &metadata.scopes_supported);
    let answer = match (request(&scopes.requested), scopes.fallback) {
        (Err(error), Some(fewer)) if error.code() == Some("invalid_scope") => request(fewer),
        (answer, _) => answer,
    };
    let code = answer
        .map_err(|error| with_client_hint(error, client_id))
        .and_then(|answer| read(issuer, &answer.body))
        .with_context(|| format!("cannot begin to log in at '{issuer}'"))?;
    Ok(Login {
        metadata,
        client_id: client_id.to_owned(),
        verifier,
        lifetime: code.lifetime,
        interval: code.interval,
        device_code: code.device_code,
        prompt: code.prompt,
    })
}

impl Login {
    /// Waits until the person has confirmed, and returns the tokens, which are not stored yet.
    pub(crate) fn wait(&self, clock: impl Fn() -> Timestamp) -> Result<Tokens> {
        let issuer = &self.metadata.issuer;
        let granted = self.poll(&clock);
        let granted = granted.with_context(|| format!("cannot log in at '{issuer}'"))?;
        Ok(granted.tokens(issuer, &self.client_id, None, clock()))
    }

    fn poll(&self, clock: impl Fn() -> Timestamp) -> Result<Granted> {
        let mut wait = Wait::new(self.interval, self.lifetime, clock());
        let url = self.metadata.token_endpoint()?;
        let mut form = vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", &self.device_code),
            ("client_id", &self.client_id),
        ];
        let verifier = self.verifier.as_deref();
        form.extend(verifier.map(|verifier| ("code_verifier", verifier)));
        loop {
            thread::sleep(wait.pause(clock()));
            wait.check(clock())?;
            if let Some(granted) = wait.observe(grant::request(url, &form))? {
                return Ok(granted);
            }
        }
    }
}

/// The state of polling. Pure.
#[derive(Clone, Debug)]
struct Wait {
    interval: Duration,
    until: Timestamp,
    /// Why the last poll got no answer.
    unreachable: Option<Error>,
}

impl Wait {
    fn new(interval: Duration, lifetime: Duration, now: Timestamp) -> Wait {
        Wait {
            interval,
            until: now.saturating_add(lifetime).unwrap_or(Timestamp::MAX),
            unreachable: None,
        }
    }

    /// Returns how long to sleep before the next poll, or the end.
    fn pause(&self, now: Timestamp) -> Duration {
        let asked = self.unreachable.as_ref().and_then(Error::retry_after);
        let asked = asked.unwrap_or_default().min(LONGEST_INTERVAL);
        let left = Duration::try_from(self.until.duration_since(now)).unwrap_or_default();
        self.interval.max(asked).min(left)
    }

    /// Fails once the code has expired.
    fn check(&self, now: Timestamp) -> Result<()> {
        match &self.unreachable {
            _ if now < self.until => Ok(()),
            Some(error) => Err(error.clone().with_hint(LOG_IN)),
            None => Err(expired()),
        }
    }

    /// Takes the answer to a poll (section 3.5): the grant, or `None` to poll again.
    fn observe(&mut self, answer: Result<Granted, EndpointError>) -> Result<Option<Granted>> {
        self.unreachable = None;
        let error = match answer {
            Ok(granted) => return Ok(Some(granted)),
            Err(error) => error,
        };
        match error.code() {
            Some("authorization_pending") => {}
            Some("slow_down") => self.interval = (self.interval + SLOWER).min(LONGEST_INTERVAL),
            Some("access_denied") => bail!("the request was denied"),
            Some("expired_token") => return Err(expired()),
            _ => {
                let error = Error::from(error);
                if error.kind() != Kind::Unreachable {
                    return Err(error);
                }
                // The standard wants an exponential back-off.
                let backoff = Backoff {
                    first: self.interval,
                    longest: LONGEST_INTERVAL,
                };
                self.interval = backoff.wait(2);
                self.unreachable = Some(error);
            }
        }
        Ok(None)
    }
}

fn expired() -> Error {
    Error::new("the code expired before it was confirmed").with_hint(LOG_IN)
}

/// Reads the answer of the device authorization endpoint of `issuer`. Pure.
fn read(issuer: &str, body: &[u8]) -> Result<Code> {
    let no_code = || Error::new("the answer holds no code for a device");
    // Without the words of the parser, which could quote the code.
    let offer: Offer = serde_json::from_slice(body).map_err(|_| no_code())?;
    let address = |url: String| -> Result<String> {
        let url = discovery::absolute(issuer, &url);
        let uri = http::check(&url)
            .with_context(|| format!("the verification URL '{}' is unsafe", quoted(&url)))?;
        ensure!(
            url.len() <= LONGEST_ADDRESS,
            "the verification URL has {} bytes, which no person could open",
            url.len()
        );
        if issuer.starts_with("https:") && uri.scheme_str() != Some("https") {
            bail!(
                "the verification URL '{}' is plain http, but the issuer is https",
                quoted(&url)
            );
        }
        Ok(url)
    };
    let verification_uri = offer.verification_uri.or(offer.verification_url);
    let complete = offer
        .verification_uri_complete
        .or(offer.verification_url_complete);
    ensure!(
        (1..=LONGEST_USER_CODE).contains(&offer.user_code.len()),
        "the answer holds no code that a person could enter"
    );
    ensure!(
        (1..=LONGEST_DEVICE_CODE).contains(&offer.device_code.len()),
        "the answer holds no code for a device"
    );
    let prompt = Prompt {
        verification_uri: address(verification_uri.with_context(no_code)?)?,
        user_code: offer.user_code,
        verification_uri_complete: complete.map(address).transpose()?,
    };
    let length = |seconds: f64, longest: Duration| {
        // `as` saturates, and a negative number becomes zero.
        Duration::from_secs(seconds as u64).min(longest)
    };
    let lifetime = offer
        .expires_in
        .map_or(LIFETIME, |seconds| length(seconds, LONGEST_LIFETIME));
    let interval = offer
        .interval
        .map_or(INTERVAL, |seconds| length(seconds.ceil(), LONGEST_INTERVAL));
    Ok(Code {
        device_code: offer.device_code,
        prompt,
        lifetime,
        interval: interval.max(Duration::from_secs(1)),
    })
}

/// Adds what helps against a refusal of the device authorization endpoint.
fn with_client_hint(error: EndpointError, client_id: &str) -> Error {
    let hint = match error.code() {
        Some("invalid_client" | "unauthorized_client") => format!(
            "register '{client_id}' at the issuer as a public client with the grants device_code and refresh_token"
        ),
        Some("unsupported_grant_type") => {
            format!("enable the device authorization grant for the client '{client_id}' at the issuer")
        }
        Some("invalid_scope") => "name scopes that the issuer accepts for this client: `heph auth login --oidc-scopes SCOPES`, or for good `heph daemon restart --oidc-scopes SCOPES`".to_owned(),
        _ => return error.into(),
    };
    Error::from(error).with_hint(hint)
}

#[cfg(test)]
mod tests;
