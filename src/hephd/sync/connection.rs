//! One POST to a hub, bounded in time and size. It follows no redirect.

use std::io::{self, Write};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use ureq::http::{Response, header};
use ureq::{Agent, Body};

use super::hub_url::HubUrl;
use crate::error::Error;
use crate::os::http::{self, Answer, Limits};

/// A hub that accepts connections and never answers blocks only the sync thread, for half a minute.
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(10),
    total: Duration::from_secs(30),
    idle: Duration::from_secs(30),
    body: 8 << 20,
    redirects: 0,
};

/// Why a request has no usable response, as far as the next attempt depends on it.
#[derive(Debug)]
pub(super) enum RequestError {
    /// The connection broke before the whole response arrived, as when a hub restarts.
    Interrupted(Error),
    /// Nothing listens at the address of the hub.
    NotListening(Error),
    /// The hub rejected the token.
    Rejected(Error, Remedy),
    Other(Error),
}

/// Which token the hub may accept instead of one that it rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// A renewed one.
    Renewal,
    /// None of the same kind, unless the provider or the hub is set up differently.
    AnotherKind,
}

impl From<RequestError> for Error {
    fn from(error: RequestError) -> Error {
        match error {
            RequestError::Interrupted(error)
            | RequestError::NotListening(error)
            | RequestError::Rejected(error, _)
            | RequestError::Other(error) => error,
        }
    }
}

impl From<Error> for RequestError {
    fn from(error: Error) -> RequestError {
        RequestError::Other(error)
    }
}

/// Sends requests to a hub, over one HTTP connection as long as that works.
#[derive(Debug)]
pub(super) struct HubConnection {
    pub url: HubUrl,
    agent: Option<Agent>,
}

impl HubConnection {
    pub fn new(url: HubUrl) -> HubConnection {
        HubConnection { url, agent: None }
    }

    /// Sends `body`, which [`gzip`] returned, and reads the whole answer.
    pub fn post(&mut self, body: &[u8], token: Option<&str>) -> Result<Answer, RequestError> {
        let host = http::authority(&self.url.endpoint).to_owned();
        let answer = self
            .send(body, token)
            .and_then(|response| http::read_whole(response, host.clone(), &LIMITS));
        answer.map_err(|error| {
            // The next agent reads certificates and proxies afresh.
            self.agent = None;
            let sort: fn(Error) -> RequestError = match &error {
                ureq::Error::Io(io) if io.kind() == io::ErrorKind::ConnectionRefused => {
                    RequestError::NotListening
                }
                error if http::is_cut_off(error) => RequestError::Interrupted,
                _ => RequestError::Other,
            };
            sort(http::failure(
                error,
                &http::peer(&self.url.endpoint),
                &LIMITS,
            ))
        })
    }

    fn send(&mut self, body: &[u8], token: Option<&str>) -> Result<Response<Body>, ureq::Error> {
        let endpoint = &self.url.endpoint;
        let agent = match self.agent.take() {
            Some(agent) => agent,
            None => http::agent(endpoint, &LIMITS)?,
        };
        let mut request = self
            .agent
            .insert(agent)
            .post(endpoint)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONTENT_ENCODING, "gzip")
            .header(header::ACCEPT, "application/json");
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        request.send(body)
    }
}

/// Returns `json` compressed.
pub(super) fn gzip(json: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(json)?;
    encoder.finish()
}
