//! One exchange of a page: with a token, and repeated where the connection broke.

use std::thread;
use std::time::{Duration, Instant};

use super::connection::{self, HubConnection, Remedy, RequestError};
use super::hub::{Credential, Hub, Login};
use super::hub_url::HubUrl;
use super::response::{self, RequestContext, Sent};
use crate::error::Result;
use crate::hephd::log;
use crate::hephd::protocol::{Request, Response};
use crate::hephd::store::HubClock;
use crate::os::backoff::Backoff;
use crate::os::clock;

/// How long an interrupted request is repeated before it counts as a failure. A hub restarts in less.
const RESTART: Duration = Duration::from_secs(5);
/// The pauses between the repetitions.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(20),
    longest: Duration::from_millis(500),
};

/// A hub to exchange pages with.
pub(super) struct Exchange {
    credential: Credential,
    connection: HubConnection,
    /// The clock difference that the log last mentioned.
    clock_difference: Option<String>,
    hub_clock: HubClock,
}

impl Exchange {
    pub fn new(hub: Hub) -> Exchange {
        Exchange {
            credential: hub.credential,
            connection: HubConnection::new(hub.url),
            clock_difference: None,
            hub_clock: HubClock::default(),
        }
    }

    pub fn url(&self) -> &HubUrl {
        &self.connection.url
    }

    /// Returns the hub's clock as of its last response.
    pub fn hub_clock(&self) -> HubClock {
        self.hub_clock
    }

    /// Returns, in words, how much this machine's clock differed from the hub's at its last response, if it was much.
    pub fn clock_difference(&self) -> Option<&str> {
        self.clock_difference.as_deref()
    }

    /// Sends `request` and returns the hub's response.
    ///
    /// # Errors
    ///
    /// Besides [`Kind::Unreachable`](crate::error::Kind::Unreachable):
    /// [`Kind::Unauthorized`](crate::error::Kind::Unauthorized) where the login is missing or rejected,
    /// [`Kind::TooLarge`](crate::error::Kind::TooLarge) where a smaller page may pass, and anything that does not pass by
    /// itself.
    pub fn send(&mut self, request: &Request) -> Result<Response> {
        let body = connection::gzip(&serde_json::to_vec(request)?)?;
        match self.credential.clone() {
            Credential::None => Ok(self.send_repeatedly(&body, None, Sent::Nothing)?),
            Credential::Secret(secret) => {
                Ok(self.send_repeatedly(&body, Some(secret.text()), Sent::Secret)?)
            }
            Credential::Login(login) => self.send_with_login(&body, &login),
        }
    }

    /// Sends `body` with a token that the hub accepts: the bearer of the login, else its other token, else, once, those that
    /// renewing brings.
    fn send_with_login(&mut self, body: &[u8], login: &Login) -> Result<Response> {
        let mut token = login.token(None)?;
        let mut was_renewed = false;
        loop {
            let (error, remedy) = match self.send_repeatedly(body, Some(&token), Sent::Token) {
                Err(RequestError::Rejected(error, remedy)) => (error, remedy),
                result => return Ok(result?),
            };
            let other_remedy = match login.other(&token)? {
                Some(other) => match self.send_repeatedly(body, Some(&other), Sent::Token) {
                    Err(RequestError::Rejected(_, remedy)) => Some(remedy),
                    Ok(response) => {
                        login.accept(&other);
                        return Ok(response);
                    }
                    Err(error) => return Err(error.into()),
                },
                // It has expired, and a new one may be what the hub accepts.
                None if login.renews_other()? => Some(Remedy::Renewal),
                None => None,
            };
            let remedies = [Some(remedy), other_remedy];
            if was_renewed || !remedies.contains(&Some(Remedy::Renewal)) {
                return Err(login.explain(error, remedy));
            }
            token = login.token(Some(&token))?;
            was_renewed = true;
        }
    }

    /// Sends `body` until a whole response arrives. It may be repeated because the hub applies each operation once, so a
    /// restart of the hub is not a failure.
    fn send_repeatedly(
        &mut self,
        body: &[u8],
        token: Option<&str>,
        sent: Sent,
    ) -> Result<Response, RequestError> {
        let mut deadline = None;
        let mut failures = 0;
        loop {
            let error = match self.send_once(body, token, sent) {
                // The hub was down before, so this is not a restart.
                Err(RequestError::NotListening(error)) if deadline.is_none() => {
                    return Err(error.into());
                }
                Err(RequestError::Interrupted(error) | RequestError::NotListening(error)) => error,
                result => return result,
            };
            if Instant::now() >= *deadline.get_or_insert_with(|| Instant::now() + RESTART) {
                return Err(error.into());
            }
            failures += 1;
            thread::sleep(BACKOFF.wait(failures));
        }
    }

    fn send_once(
        &mut self,
        body: &[u8],
        token: Option<&str>,
        sent: Sent,
    ) -> Result<Response, RequestError> {
        let answer = self.connection.post(body, token)?;
        let context = RequestContext {
            hub: &self.connection.url.text,
            sent,
            now: clock::now(),
        };
        let response = response::interpret(&answer, &context)?;
        self.hub_clock = response::hub_clock(&answer, context.now);
        self.log_clock_difference(response::clock_difference(&answer, context.now));
        Ok(response)
    }

    /// Logs the difference when it changes. It affects the lifetime of tokens and the times shown.
    fn log_clock_difference(&mut self, difference: Option<String>) {
        if difference != self.clock_difference {
            log::line(match &difference {
                Some(difference) => difference,
                None => "the clocks of this machine and the hub agree again",
            });
            self.clock_difference = difference;
        }
    }
}
