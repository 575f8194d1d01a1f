//! One exchange of a page: with a token, and repeated where the connection broke.

use std::thread;
use std::time::{Duration, Instant};

use super::connection::{self, HubConnection, RequestError};
use super::hub::{Hub, Login};
use super::hub_url::HubUrl;
use super::response::{self, RequestContext};
use crate::error::{Kind, Result};
use crate::hephd::log;
use crate::hephd::protocol::{Request, Response};
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
    login: Option<Login>,
    connection: HubConnection,
    /// The clock difference that the log last mentioned.
    clock_difference: Option<String>,
}

impl Exchange {
    pub fn new(hub: Hub) -> Exchange {
        Exchange {
            login: hub.login,
            connection: HubConnection::new(hub.url),
            clock_difference: None,
        }
    }

    pub fn url(&self) -> &HubUrl {
        &self.connection.url
    }

    /// Sends `request` and returns the hub's response. Renews a token that the hub rejects, once.
    ///
    /// # Errors
    ///
    /// Besides [`Kind::Unreachable`]: [`Kind::Unauthorized`] where the login is missing or rejected, [`Kind::TooLarge`]
    /// where a smaller page may pass, and anything that does not pass by itself.
    pub fn send(&mut self, request: &Request) -> Result<Response> {
        let body = connection::gzip(&serde_json::to_vec(request)?)?;
        let token = self.token(None)?;
        match self.send_repeatedly(&body, token.as_deref()) {
            Err(error) if error.kind() == Kind::Unauthorized && token.is_some() => {
                let renewed = self.token(token.as_deref())?;
                self.send_repeatedly(&body, renewed.as_deref())
            }
            result => result,
        }
    }

    /// Returns the token to send, another one than `rejected`; `None` where hephd has no login.
    fn token(&self, rejected: Option<&str>) -> Result<Option<String>> {
        let login = self.login.as_ref();
        login.map(|login| login.token(rejected)).transpose()
    }

    /// Sends `body` until a whole response arrives. It may be repeated because the hub applies each operation once, so a
    /// restart of the hub is not a failure.
    fn send_repeatedly(&mut self, body: &[u8], token: Option<&str>) -> Result<Response> {
        let mut deadline = None;
        let mut failures = 0;
        loop {
            let error = match self.send_once(body, token) {
                Ok(response) => return Ok(response),
                Err(RequestError::Other(error)) => return Err(error),
                // The hub was down before, so this is not a restart.
                Err(RequestError::NotListening(error)) if deadline.is_none() => return Err(error),
                Err(RequestError::Interrupted(error) | RequestError::NotListening(error)) => error,
            };
            if Instant::now() >= *deadline.get_or_insert_with(|| Instant::now() + RESTART) {
                return Err(error);
            }
            failures += 1;
            thread::sleep(BACKOFF.wait(failures));
        }
    }

    fn send_once(&mut self, body: &[u8], token: Option<&str>) -> Result<Response, RequestError> {
        let answer = self.connection.post(body, token)?;
        let context = RequestContext {
            hub: &self.connection.url.text,
            with_token: token.is_some(),
            now: clock::now(),
        };
        let response = response::interpret(&answer, &context)?;
        self.log_clock_difference(response::clock_difference(&answer, context.now));
        Ok(response)
    }

    /// Logs the difference when it changes. It does not affect syncing, but the lifetime of tokens and the times shown.
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
