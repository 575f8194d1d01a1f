//! HTTP(S) requests, bounded in time and size, that never downgrade from https (plain http is for loopback only).
//!
//! Redirects are followed here and not by the HTTP library, because each hop has to pass the same checks as the first:
//! https to https, http to loopback only, no user name or password in the URL, no address that only this machine can reach
//! ([`reach`]), at most five. An error of [`Kind::Unreachable`] may pass by itself; any other would be the same at the next
//! attempt.
//!
//! Trust comes from the operating system (`rustls-platform-verifier`): its store of certificates, which `SSL_CERT_FILE`
//! and `SSL_CERT_DIR` replace on Linux, so a private certificate authority works. Proxies come from the environment, read
//! the way curl reads it (and with it cargo, which fetches from the same hosts).
//!
//! Architecture invariant: [`get`] sends no cookie, no password and no token. Code that has to send one (login, sync) takes
//! an [`agent`] for one host, and follows no redirect with it.
//!
//! [`Kind::Unreachable`]: crate::error::Kind::Unreachable

mod failure;
mod proxy;
mod reach;
mod url;

use std::cell::RefCell;
use std::io::{self, Read};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use ureq::http::{self, HeaderMap, HeaderName, Method, Response, Uri, header};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, AsSendBody, Body};

use super::clock;
use super::text::excerpt;
use crate::error::{Error, Kind, Result, ResultExt, bail};
pub(crate) use failure::{LONGEST_RETRY_AFTER, failure, is_cut_off, retry_after};
pub(crate) use url::{authority, check, is_loopback};

const USER_AGENT: &str = concat!("heph/", env!("CARGO_PKG_VERSION"));
/// How much of a URL, a header or an error of the other side a message quotes, in characters.
const LONGEST_QUOTE: usize = 200;
/// How much of a body is read at a time.
const PIECE: usize = 64 << 10;

/// How much one request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Until a connection stands, TLS included.
    pub connect: Duration,
    /// From the start to the last byte, redirects included.
    pub total: Duration,
    /// Without a byte.
    pub idle: Duration,
    /// Bytes of body, after decompression.
    pub body: u64,
    /// Redirects followed.
    pub redirects: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connect: Duration::from_secs(10),
            total: Duration::from_secs(30),
            idle: Duration::from_secs(30),
            body: 4 << 20,
            redirects: 5,
        }
    }
}

/// A request to send: conditional where it has validators of an earlier answer (RFC 9110, section 13).
#[derive(Clone, Copy, Debug, Default)]
pub struct Get<'a> {
    /// Where from.
    pub url: &'a str,
    /// The address that the user chose, such as the repository, if `url` is from an answer or from a release: it bounds what
    /// may be reached.
    pub base: Option<&'a str>,
    /// Accepted media types.
    pub accept: &'a str,
    /// The `ETag` of an earlier answer.
    pub etag: Option<&'a str>,
    /// The `Last-Modified` of an earlier answer.
    pub last_modified: Option<&'a str>,
    /// Further headers.
    pub headers: &'a [(HeaderName, &'a str)],
    /// What to send as the body of a POST; `None`: it is a GET.
    pub post: Option<&'a [u8]>,
}

/// What a server answered, after redirects.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The host that answered, with its port.
    pub host: String,
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, decompressed; empty where it was not read.
    pub body: Vec<u8>,
}

impl Answer {
    /// Returns the header `name`, where it is present and plain text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns how long the server asks to wait before the next request.
    pub(crate) fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        retry_after(self.header("retry-after")?, self.header("date"), now)
    }

    /// Returns the error for a status that the caller has no use for.
    pub(crate) fn failure(&self) -> Error {
        failure::of_status(&self.host, self.status, self.retry_after(clock::now()))
    }
}

/// Sends `request`, follows redirects, and returns the answer, also one with a status such as 404; its body is read where the
/// status is 200.
pub fn get(request: &Get, limits: &Limits) -> Result<Answer> {
    let (host, response) = open(request, limits)?;
    match response.status().as_u16() {
        200 => read(response, host, limits),
        _ => Ok(answer(host, response).0),
    }
}

/// Sends `request` as [`get`] does, and returns the answer with the first `longest` bytes of its body; the rest is never
/// fetched. The body of a partial answer (206) counts.
pub(crate) fn peek(request: &Get, limits: &Limits, longest: u64) -> Result<Answer> {
    let (host, response) = open(request, limits)?;
    let (mut answer, body) = answer(host, response);
    if matches!(answer.status, 200 | 206) {
        let body = body.into_with_config().limit(u64::MAX).reader();
        body.take(longest)
            .read_to_end(&mut answer.body)
            .map_err(|error| failure(error.into(), &answer.host, limits))?;
    }
    Ok(answer)
}

/// Sends `request` as [`get`] does, and hands the body of an answer with status 200 to `take`, piece by piece, until there is no
/// more or `take` returns false.
pub(crate) fn stream(
    request: &Get,
    limits: &Limits,
    mut take: impl FnMut(&[u8]) -> Result<bool>,
) -> Result<Answer> {
    let (host, response) = open(request, limits)?;
    let (answer, body) = answer(host, response);
    if answer.status != 200 {
        return Ok(answer);
    }
    check_encoding(&answer)?;
    let mut body = body.into_with_config().limit(u64::MAX).reader();
    let mut piece = vec![0; PIECE];
    let mut arrived = 0;
    loop {
        let count = match body.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read.map_err(|error| failure(error.into(), &answer.host, limits))?,
        };
        arrived += count as u64;
        if arrived > limits.body {
            let error = ureq::Error::BodyExceedsLimit(limits.body);
            return Err(failure(error, &answer.host, limits));
        }
        if count == 0 || !take(&piece[..count])? {
            return Ok(answer);
        }
    }
}

/// Sends `request` and follows redirects; returns the host that answered and its answer, the body unread.
pub(super) fn open(request: &Get, limits: &Limits) -> Result<(String, Response<Body>)> {
    let start = Instant::now();
    let mut uri = check(request.url).with_context(|| refusing(request.url))?;
    // Only tests have a repository on disk; its files are then requested for their own sake.
    let base = request.base.filter(|base| !base.starts_with("file://"));
    let base = base.map_or_else(|| Ok(uri.clone()), check)?;
    reach::check(&base, &uri).with_context(|| refusing(request.url))?;
    for _ in 0..=limits.redirects {
        let host = authority(&uri).to_owned();
        let within = Limits {
            total: limits.total.saturating_sub(start.elapsed()),
            ..*limits
        };
        let response = send(request, &uri, &base, &within)
            .map_err(|error| failure(error, &peer(&uri), limits))?;
        if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Ok((host, response));
        }
        uri = url::redirect(&uri, response.headers())
            .and_then(|to| reach::check(&base, &to).map(|()| to))
            .with_context(|| format!("cannot follow a redirect of {host}"))?;
    }
    bail!(
        "{} redirects more than {} times",
        authority(&uri),
        limits.redirects
    )
}

/// Returns what sends requests to the host of `uri`, each within `limits`: it trusts what the operating system trusts, uses
/// the proxy of the environment, follows no redirect, and accepts every status.
pub(crate) fn agent(uri: &Uri, limits: &Limits) -> Result<Agent, ureq::Error> {
    agent_for(uri, uri, limits)
}

/// Returns the host of `uri` for an error, with the proxy that leads to it, if any.
pub(crate) fn peer(uri: &Uri) -> String {
    let host = authority(uri);
    match proxy::named(uri, environment) {
        Some(proxy) => format!("{host} through the proxy {proxy}"),
        None => host.to_owned(),
    }
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// As [`agent`], on behalf of `base`.
fn agent_for(uri: &Uri, base: &Uri, limits: &Limits) -> Result<Agent, ureq::Error> {
    let trust = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .build();
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(proxy::of(uri, environment)?)
        .timeout_resolve(Some(limits.connect))
        .timeout_connect(Some(limits.connect))
        .timeout_global(Some(limits.total))
        .timeout_per_read(Some(limits.idle))
        .user_agent(USER_AGENT)
        .tls_config(trust)
        .build();
    let resolver = reach::GuardedResolver::new(uri, base);
    Ok(Agent::with_parts(
        config,
        DefaultConnector::default(),
        resolver,
    ))
}

/// Sends one request, without following anything.
fn send(
    request: &Get,
    uri: &Uri,
    base: &Uri,
    limits: &Limits,
) -> Result<Response<Body>, ureq::Error> {
    let conditions = [
        (header::IF_NONE_MATCH, request.etag),
        (header::IF_MODIFIED_SINCE, request.last_modified),
    ];
    let conditions = conditions
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    let method = request.post.map_or(Method::GET, |_| Method::POST);
    let mut builder = http::Request::builder()
        .method(method)
        .uri(uri)
        .header(header::ACCEPT, request.accept);
    for (name, value) in conditions.chain(request.headers.iter().cloned()) {
        builder = builder.header(name, value);
    }
    let agent = kept_agent(uri, base, limits)?;
    match request.post {
        Some(body) => run(&agent, builder.body(body)?, limits),
        None => run(&agent, builder.body(())?, limits),
    }
}

fn run(
    agent: &Agent,
    request: http::Request<impl AsSendBody>,
    limits: &Limits,
) -> Result<Response<Body>, ureq::Error> {
    let request = agent
        .configure_request(request)
        .timeout_resolve(Some(limits.connect))
        .timeout_connect(Some(limits.connect))
        .timeout_global(Some(limits.total))
        .timeout_per_read(Some(limits.idle))
        .build();
    agent.run(request)
}

thread_local! {
    /// What sent the last request, to which host and on whose behalf: its connection serves the next one.
    static LAST: RefCell<Option<(String, Agent)>> = const { RefCell::new(None) };
}

/// As [`agent_for`]; the next call for the same hosts returns the same one.
fn kept_agent(uri: &Uri, base: &Uri, limits: &Limits) -> Result<Agent, ureq::Error> {
    let [to, of] =
        [uri, base].map(|uri| format!("{}://{}", uri.scheme_str().unwrap_or(""), authority(uri)));
    let hosts = format!("{to} for {of}");
    LAST.with_borrow_mut(|last| match last {
        Some((kept, agent)) if *kept == hosts => Ok(agent.clone()),
        _ => {
            let agent = agent_for(uri, base, limits)?;
            *last = Some((hosts, agent.clone()));
            Ok(agent)
        }
    })
}

/// Reads the answer of `host` to its end, decompressed, within `limits`. Rejects an encoding that was not requested. The error
/// about a body beyond the limit is of [`Kind::TooLarge`].
pub(crate) fn read(response: Response<Body>, host: String, limits: &Limits) -> Result<Answer> {
    let name = host.clone();
    let answer = read_whole(response, host, limits).map_err(|error| {
        let is_too_large = matches!(error, ureq::Error::BodyExceedsLimit(_));
        let failure = failure(error, &name, limits);
        match is_too_large {
            true => failure.with_kind(Kind::TooLarge),
            false => failure,
        }
    })?;
    check_encoding(&answer)?;
    Ok(answer)
}

fn check_encoding(answer: &Answer) -> Result<()> {
    // Decompression has removed this header already.
    match answer.headers.get(header::CONTENT_ENCODING) {
        Some(encoding) if encoding != "identity" => bail!(
            "{} answers in the encoding {encoding:?}, which heph did not request",
            answer.host
        ),
        _ => Ok(()),
    }
}

/// As [`read`], in any encoding, and with the error of the library.
pub(crate) fn read_whole(
    response: Response<Body>,
    host: String,
    limits: &Limits,
) -> Result<Answer, ureq::Error> {
    let (mut answer, body) = answer(host, response);
    // ureq's own limit is on what arrives and fails when it is reached; what is decompressed has to be counted here.
    let over = limits.body.saturating_add(1);
    let body = body.into_with_config().limit(over).reader();
    body.take(over).read_to_end(&mut answer.body)?;
    if answer.body.len() as u64 > limits.body {
        return Err(ureq::Error::BodyExceedsLimit(limits.body));
    }
    Ok(answer)
}

pub(super) fn answer(host: String, response: Response<Body>) -> (Answer, Body) {
    let (parts, body) = response.into_parts();
    let answer = Answer {
        host,
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: Vec::new(),
    };
    (answer, body)
}

/// Returns the start of a message about a URL that failed [`check`].
pub(crate) fn refusing(url: &str) -> String {
    format!("refusing to request '{}'", excerpt(url, LONGEST_QUOTE))
}

#[cfg(test)]
mod tests;
