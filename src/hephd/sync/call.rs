//! One call of a hub: a POST, bounded in time and size, that follows nothing.

use std::io::{self, Read, Write};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use ureq::http::{HeaderMap, HeaderName, Response, header};
use ureq::{Agent, Body};

use super::address::Address;
use super::trouble::{Kind, Trouble};
use super::verdict::Head;
use crate::error;
use crate::os::http::{self, Limits};

/// What one call may take. A hub that accepts and never answers costs half a minute of this thread, and nobody else's.
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(10),
    total: Duration::from_secs(30),
    idle: Duration::from_secs(30),
    body: 8 << 20,
    redirects: 0,
};

/// Calls one hub; connections are kept from one call to the next.
#[derive(Debug)]
pub struct Caller {
    address: Address,
    agent: Option<Agent>,
}

/// What came of a call.
#[derive(Debug)]
pub enum Called {
    /// An answer, with its body decompressed.
    Answered(Head, Vec<u8>),
    /// The connection ended before the answer did: as when a hub restarts.
    Interrupted(Trouble),
    /// Nobody listens.
    NobodyThere(Trouble),
    /// Anything else.
    Failed(Trouble),
}

impl Caller {
    /// Returns a caller of the hub at `address`.
    pub fn new(address: Address) -> Caller {
        Caller {
            address,
            agent: None,
        }
    }

    /// Sends `body`, which is gzip of JSON, with `token`.
    pub fn post(&mut self, body: &[u8], token: Option<&str>) -> Called {
        let called = self.send(body, token).and_then(read).map_or_else(
            |error| self.sorted(error),
            |(head, body)| Called::Answered(head, body),
        );
        if !matches!(called, Called::Answered(..)) {
            // With the next agent, certificates and proxies are read afresh.
            self.agent = None;
        }
        called
    }

    fn send(&mut self, body: &[u8], token: Option<&str>) -> Result<Response<Body>, ureq::Error> {
        let uri = self.address.sync();
        let agent = match self.agent.take() {
            Some(agent) => agent,
            None => http::agent(uri, &LIMITS)?,
        };
        let agent = self.agent.insert(agent);
        let mut request = agent
            .post(uri)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONTENT_ENCODING, "gzip")
            .header(header::ACCEPT, "application/json");
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        request.send(body)
    }

    fn sorted(&self, error: ureq::Error) -> Called {
        let sort: fn(Trouble) -> Called = match &error {
            ureq::Error::Io(io) if io.kind() == io::ErrorKind::ConnectionRefused => {
                Called::NobodyThere
            }
            ureq::Error::Io(io) | ureq::Error::Decompress(_, io) if is_broken_off(io) => {
                Called::Interrupted
            }
            _ => Called::Failed,
        };
        let uri = self.address.sync();
        let failure = http::failure(error, http::authority(uri), &LIMITS);
        let kind = match failure.kind() {
            error::Kind::Unreachable => Kind::Unreachable,
            _ => Kind::Wrong,
        };
        sort(Trouble::new(kind, failure.one_line()))
    }
}

fn is_broken_off(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}

/// Reads an answer to its end, within the limits.
fn read(response: Response<Body>) -> Result<(Head, Vec<u8>), ureq::Error> {
    let (parts, body) = response.into_parts();
    // ureq's own limit is on what arrives; what is decompressed has to be counted here.
    let over = LIMITS.body.saturating_add(1);
    let mut bytes = Vec::new();
    body.into_with_config()
        .limit(over)
        .reader()
        .take(over)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LIMITS.body {
        return Err(ureq::Error::BodyExceedsLimit(LIMITS.body));
    }
    let text = |name| text(&parts.headers, name);
    let head = Head {
        status: parts.status.as_u16(),
        content_type: text(header::CONTENT_TYPE),
        location: text(header::LOCATION),
        retry_after: text(header::RETRY_AFTER),
        date: text(header::DATE),
    };
    Ok((head, bytes))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let value = headers.get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Returns `json` compressed.
pub fn compressed(json: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(json)?;
    encoder.finish()
}
