//! http(s) GET, bounded in time and size, that never leaves https (except on loopback).
//!
//! Redirects are followed here and not by the http library, because each hop has to pass the same rules as the first:
//! https to https, http to loopback only, no name or password in the address, at most five. A failure says whether trying
//! later may help ([`Failure::Unreachable`]) or whether what answered is not acceptable ([`Failure::Refused`]).
//!
//! Trust comes from the operating system (`rustls-platform-verifier`): its store of certificates, which `SSL_CERT_FILE`
//! and `SSL_CERT_DIR` replace on Linux, so a private certificate authority works. Proxies come from the environment, read
//! the way curl reads it (and with it cargo, which fetches from the same hosts).
//!
//! Architecture invariant: [`get`] sends no cookie, no password and no token. What has to send one (logging in, syncing) takes
//! an [`agent`] for one host, and follows no redirect with it.

use std::fmt;
use std::io::{self, Read};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use ureq::http::{HeaderMap, HeaderName, Response, Uri, header};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body, Proxy, Timeout};

use super::text;

/// Sent with each request.
const USER_AGENT: &str = concat!("heph/", env!("CARGO_PKG_VERSION"));

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

/// A GET to send. Conditional where the server's validators of an earlier answer are given (RFC 9110, section 13).
#[derive(Clone, Copy, Debug, Default)]
pub struct Get<'a> {
    /// Where from.
    pub url: &'a str,
    /// Media types that are understood.
    pub accept: &'a str,
    /// The `ETag` of an earlier answer.
    pub etag: Option<&'a str>,
    /// The `Last-Modified` of an earlier answer.
    pub last_modified: Option<&'a str>,
    /// Headers of special requests.
    pub headers: &'a [(HeaderName, &'a str)],
}

/// What a server answered after redirects.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, decompressed; empty unless the status is 200.
    pub body: Vec<u8>,
}

impl Answer {
    /// Returns the header `name`, where it is there and plain text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Why there is no answer. Each sentence names the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection, no name, no trust, no time, or the answer broke off: later it may work.
    Unreachable(String),
    /// Something answered that is not acceptable: later it will be the same.
    Refused(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Failure::Unreachable(sentence) | Failure::Refused(sentence)) = self;
        f.write_str(sentence)
    }
}

impl std::error::Error for Failure {}

/// Sends `request`, follows redirects, and returns the answer with its body.
///
/// # Errors
///
/// See [`Failure`]. A status such as 404 is an answer, not an error.
pub fn get(request: &Get, limits: &Limits) -> Result<Answer, Failure> {
    let (host, response) = open(request, limits)?;
    let (parts, body) = response.into_parts();
    let body = match parts.status.as_u16() {
        200 => read(body, &parts.headers, &host, limits)?,
        _ => Vec::new(),
    };
    Ok(Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body,
    })
}

/// Sends `request` as [`get`] does, and returns the answer with the first `most` bytes of its body at most; the rest is
/// never fetched. A body that is a part of the file (206) counts.
///
/// # Errors
///
/// As [`get`].
pub fn peek(request: &Get, limits: &Limits, most: u64) -> Result<Answer, Failure> {
    let (host, response) = open(request, limits)?;
    let (parts, body) = response.into_parts();
    let mut start = Vec::new();
    if matches!(parts.status.as_u16(), 200 | 206) {
        body.into_with_config()
            .limit(u64::MAX)
            .reader()
            .take(most)
            .read_to_end(&mut start)
            .map_err(|error| failure(error.into(), &host, &Uri::default(), limits))?;
    }
    Ok(Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: start,
    })
}

/// Checks that `url` may be asked, and returns it parsed.
///
/// # Errors
///
/// A sentence that says what is wrong: neither https nor http on loopback, no host, a name or password in it.
pub fn check(url: &str) -> Result<Uri, String> {
    let uri: Uri = url
        .parse()
        .map_err(|error| format!("it is not an address: {error}"))?;
    let host = uri
        .host()
        .filter(|host| !host.is_empty())
        .ok_or("it names no host")?;
    if uri
        .authority()
        .is_some_and(|all| all.as_str().contains('@'))
    {
        return Err("it carries a user name or password, which heph never sends".to_owned());
    }
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if is_loopback(host) => Ok(uri),
        Some("http") => Err("it is http, and only https is safe".to_owned()),
        _ => Err("it is not an https address".to_owned()),
    }
}

/// Returns whether `host`, as it stands in an address, is this machine: `localhost`, 127.0.0.0/8 or `[::1]`.
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || bare.parse().is_ok_and(|ip: Ipv4Addr| ip.is_loopback())
        || bare.parse().is_ok_and(|ip: Ipv6Addr| ip.is_loopback())
}

/// Sends `request` and follows redirects; returns the host that answered and its answer, the body unread.
pub(super) fn open(request: &Get, limits: &Limits) -> Result<(String, Response<Body>), Failure> {
    let start = Instant::now();
    let mut uri = check(request.url)
        .map_err(|wrong| Failure::Refused(format!("'{}' is not asked: {wrong}", request.url)))?;
    for _ in 0..=limits.redirects {
        let host = uri.authority().map_or("", |all| all.as_str()).to_owned();
        let left = limits.total.saturating_sub(start.elapsed());
        let response = send(request, &uri, limits, left)
            .map_err(|error| failure(error, &host, &uri, limits))?;
        if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Ok((host, response));
        }
        uri = redirect(&uri, response.headers())
            .map_err(|wrong| Failure::Refused(format!("{host} redirects, but {wrong}")))?;
    }
    Err(Failure::Refused(format!(
        "{} redirects more than {} times",
        uri.authority().map_or("the server", |all| all.as_str()),
        limits.redirects
    )))
}

/// Returns what sends requests to the host of `uri`, each within `limits`: it trusts what the operating system trusts, uses
/// the proxy of the environment, follows nothing, and takes every status for an answer.
///
/// # Errors
///
/// The environment names a proxy that is none.
pub fn agent(uri: &Uri, limits: &Limits) -> Result<Agent, ureq::Error> {
    let trust = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .build();
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(proxy_for(uri, |name| std::env::var(name).ok())?)
        .timeout_resolve(Some(limits.connect))
        .timeout_connect(Some(limits.connect))
        .timeout_global(Some(limits.total))
        .timeout_per_read(Some(limits.idle))
        .user_agent(USER_AGENT)
        .tls_config(trust)
        .build();
    Ok(Agent::new_with_config(config))
}

/// Sends one request, without following anything.
fn send(
    request: &Get,
    uri: &Uri,
    limits: &Limits,
    left: Duration,
) -> Result<Response<Body>, ureq::Error> {
    let within = Limits {
        total: left,
        ..*limits
    };
    let mut builder = agent(uri, &within)?
        .get(uri)
        .header(header::ACCEPT, request.accept);
    if let Some(etag) = request.etag {
        builder = builder.header(header::IF_NONE_MATCH, etag);
    }
    if let Some(since) = request.last_modified {
        builder = builder.header(header::IF_MODIFIED_SINCE, since);
    }
    for (name, value) in request.headers {
        builder = builder.header(name, *value);
    }
    builder.call()
}

/// Reads the body of what `host` answered to its end, decompressed, within `limits`.
///
/// # Errors
///
/// See [`Failure`].
pub fn read(
    body: Body,
    headers: &HeaderMap,
    host: &str,
    limits: &Limits,
) -> Result<Vec<u8>, Failure> {
    // What is decompressed has lost this header already.
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
        && encoding != "identity"
    {
        return Err(Failure::Refused(format!(
            "{host} answers in the encoding {encoding:?}, which was not asked for"
        )));
    }
    // ureq's own limit is on what arrives and fails when it is reached; what is decompressed has to be counted here.
    let over = limits.body.saturating_add(1);
    let mut bytes = Vec::new();
    body.into_with_config()
        .limit(over)
        .reader()
        .take(over)
        .read_to_end(&mut bytes)
        .map_err(|error| failure(error.into(), host, &Uri::default(), limits))?;
    if bytes.len() as u64 > limits.body {
        return Err(too_large(host, limits));
    }
    Ok(bytes)
}

/// Returns where a redirect leads.
fn redirect(from: &Uri, headers: &HeaderMap) -> Result<Uri, String> {
    let location = headers
        .get(header::LOCATION)
        .ok_or("says not where to")?
        .to_str()
        .map_err(|_| "its target is not an address")?;
    let to =
        check(&join(from, location)).map_err(|wrong| format!("its target will not do: {wrong}"))?;
    if from.scheme_str() == Some("https") && to.scheme_str() != Some("https") {
        return Err("its target will not do: it leaves https for http".to_owned());
    }
    Ok(to)
}

/// Resolves a `Location` against the address it came from (RFC 3986, section 5.2, but for dot segments, which the server
/// resolves itself).
fn join(from: &Uri, location: &str) -> String {
    let location = location.split('#').next().unwrap_or_default();
    let scheme = from.scheme_str().unwrap_or("https");
    let authority = from.authority().map_or("", |all| all.as_str());
    if location.contains("://") {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else if location.starts_with('?') {
        format!("{scheme}://{authority}{}{location}", from.path())
    } else {
        let folder = from
            .path()
            .rsplit_once('/')
            .map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    }
}

/// Returns the proxy that the environment names for `uri`, as curl(1) reads it: never for loopback, never for a host in
/// `NO_PROXY`. Plain http is asked on loopback only, so `http_proxy` has no say.
fn proxy_for(
    uri: &Uri,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Proxy>, ureq::Error> {
    let first = |names: &[&str]| {
        names
            .iter()
            .find_map(|name| variable(name).filter(|value| !value.is_empty()))
    };
    let host = uri.host().unwrap_or_default();
    if is_loopback(host)
        || first(&["no_proxy", "NO_PROXY"]).is_some_and(|list| is_listed(&list, host))
    {
        return Ok(None);
    }
    first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
        .map(|value| {
            let proxy = Proxy::new(&value)?;
            match proxy.protocol() {
                ureq::ProxyProtocol::Http | ureq::ProxyProtocol::Https => Ok(proxy),
                _ => Err(ureq::Error::InvalidProxyUrl),
            }
        })
        .transpose()
}

/// Returns whether a `NO_PROXY` list covers `host`: `*`, the host itself, or a domain that it is below.
fn is_listed(list: &str, host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    list.split([',', ' ']).any(|entry| {
        let entry = entry
            .trim()
            .trim_start_matches("*.")
            .trim_start_matches('.');
        let entry = entry.to_ascii_lowercase();
        entry == "*"
            || entry == host
            || (!entry.is_empty()
                && host
                    .strip_suffix(&entry)
                    .is_some_and(|above| above.ends_with('.')))
    })
}

fn too_large(host: &str, limits: &Limits) -> Failure {
    Failure::Refused(format!(
        "the answer of {host} is larger than {} bytes",
        limits.body
    ))
}

/// Sorts an error of the library into [`Failure`], in words that name the host and the cause.
pub fn failure(error: ureq::Error, host: &str, uri: &Uri, limits: &Limits) -> Failure {
    use Failure::{Refused, Unreachable};
    use ureq::Error;
    let untrusted = |why: String| {
        Unreachable(format!(
            "cannot trust {host}: {why} (for a private certificate authority, let SSL_CERT_FILE name its PEM file)"
        ))
    };
    match error {
        Error::Timeout(Timeout::Resolve | Timeout::Connect) => Unreachable(format!(
            "cannot connect to {host} within {} s",
            limits.connect.as_secs_f32()
        )),
        Error::Timeout(Timeout::PerRead) => Unreachable(format!(
            "{host} sent nothing for {} s",
            limits.idle.as_secs_f32()
        )),
        Error::Timeout(_) => Unreachable(format!(
            "{host} took longer than {} s to answer",
            limits.total.as_secs_f32()
        )),
        Error::Io(io) => match io.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Unreachable(format!("the answer of {host} was cut off")),
            // The TLS library wraps its errors so; plain connections have no such kind.
            io::ErrorKind::InvalidData => untrusted(io.to_string()),
            _ => Unreachable(format!("cannot reach {host}: {io}")),
        },
        Error::Rustls(tls) => untrusted(tls.to_string()),
        Error::Tls(tls) => untrusted(tls.to_owned()),
        Error::Pem(pem) => untrusted(pem.to_string()),
        Error::HostNotFound => Unreachable(format!("cannot find the address of {host}")),
        Error::ConnectionFailed => Unreachable(format!("cannot connect to {host}")),
        Error::ConnectProxyFailed(why) => Unreachable(format!(
            "cannot reach {host}: the proxy refused: {}",
            text::excerpt(&why, 200)
        )),
        Error::InvalidProxyUrl => Refused(format!(
            "cannot reach {host}: the proxy in HTTPS_PROXY or ALL_PROXY is not an http(s) address"
        )),
        Error::Decompress(_, io) if io.kind() == io::ErrorKind::UnexpectedEof => {
            Unreachable(format!("the answer of {host} was cut off"))
        }
        Error::Decompress(kind, io) => {
            Refused(format!("the answer of {host} is damaged {kind}: {io}"))
        }
        Error::BodyExceedsLimit(_) => too_large(host, limits),
        Error::LargeResponseHeader(..) => Refused(format!("the headers of {host} are too large")),
        Error::Protocol(why) => Refused(format!(
            "{host} does not speak proper http: {}",
            text::excerpt(&why.to_string(), 200)
        )),
        other => Refused(format!("cannot ask {host} for '{}': {other}", uri.path())),
    }
}

#[cfg(test)]
mod tests;
