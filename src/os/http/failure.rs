//! Why a request failed, and whether and when a later attempt may succeed.

use std::io;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use ureq::Timeout;
use ureq::http::Uri;

use super::{LONGEST_QUOTE, Limits};
use crate::error::{Error, Kind};
use crate::os::text::excerpt;

/// The longest wait that a server may ask for.
pub(crate) const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Returns how long a server asks to wait by `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date by its own clock,
/// which is `date`. At most [`LONGEST_RETRY_AFTER`]; `None` for anything else.
pub(crate) fn retry_after(value: &str, date: Option<&str>, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    let wait = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number too large for a u64 still asks to wait.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let until = httpdate::parse_http_date(value).ok()?;
        let server = date.and_then(|date| httpdate::parse_http_date(date).ok());
        let from = server.unwrap_or_else(|| SystemTime::from(now));
        until.duration_since(from).unwrap_or_default()
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

/// Returns the error for an answer with a `status` that the caller has no use for.
pub(super) fn of_status(host: &str, status: u16, retry_after: Option<Duration>) -> Error {
    let message = format!("{host} answers with status {status}");
    let kind = match status {
        // What the server cannot do today it cannot do tomorrow.
        501 | 505 => Kind::Failed,
        404 | 410 => Kind::NotFound,
        408 | 429 | 500..=599 => Kind::Unreachable,
        _ => Kind::Failed,
    };
    Error::new(message)
        .with_kind(kind)
        .with_retry_after(retry_after)
}

/// Returns whether the connection broke before the whole answer had arrived.
pub(crate) fn is_cut_off(error: &ureq::Error) -> bool {
    let (ureq::Error::Io(io) | ureq::Error::Decompress(_, io)) = error else {
        return false;
    };
    matches!(
        io.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}

/// How the TLS library calls a server whose certificate is that of an authority. `openssl req -x509` makes such ones by
/// default.
const CA_AS_SERVER: &str = "CaUsedAsEndEntity";

/// Returns the command that makes a certificate for `host` which needs no authority. Pure.
fn self_signed(host: &str) -> String {
    let uri: Option<Uri> = host.parse().ok();
    let name = uri.as_ref().and_then(Uri::host).unwrap_or(host);
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let kind = match name.parse::<IpAddr>() {
        Ok(_) => "IP",
        Err(_) => "DNS",
    };
    format!(
        "openssl req -x509 -newkey rsa:2048 -nodes -days 825 -subj /CN={name} -addext subjectAltName={kind}:{name} \
         -addext basicConstraints=critical,CA:FALSE -keyout key.pem -out cert.pem"
    )
}

/// Returns the error for one of the HTTP library, in words that name `host` and the cause.
pub(crate) fn failure(error: ureq::Error, host: &str, limits: &Limits) -> Error {
    use ureq::Error as Library;
    let later = Error::unreachable;
    if is_cut_off(&error) {
        return later(format!("the answer of {host} was cut off"));
    }
    let untrusted = |why: &str| {
        if why.contains(CA_AS_SERVER) {
            let message = "its certificate is one of an authority, which no server may use itself";
            return later(format!("cannot trust {host}: {message}"))
                .with_hint(format!("make another: {}", self_signed(host)));
        }
        later(format!(
            "cannot trust {host}: {why} (for a private certificate authority, let SSL_CERT_FILE name its PEM file)"
        ))
    };
    let seconds = |limit: Duration| limit.as_secs_f32();
    match error {
        Library::Timeout(Timeout::Resolve | Timeout::Connect) => later(format!(
            "cannot connect to {host} within {} s",
            seconds(limits.connect)
        )),
        Library::Timeout(Timeout::PerRead) => later(format!(
            "{host} sent nothing for {} s",
            seconds(limits.idle)
        )),
        Library::Timeout(_) => later(format!(
            "{host} timed out after {} s",
            seconds(limits.total)
        )),
        Library::Io(io) => match io.kind() {
            // The TLS library wraps its errors so; plain connections have no such kind.
            io::ErrorKind::InvalidData => untrusted(&io.to_string()),
            _ => later(format!("cannot reach {host}: {io}")),
        },
        Library::Rustls(tls) => untrusted(&tls.to_string()),
        Library::Tls(tls) => untrusted(tls),
        Library::Pem(pem) => untrusted(&pem.to_string()),
        Library::HostNotFound => later(format!("cannot resolve {host}")),
        Library::ConnectionFailed => later(format!("cannot connect to {host}")),
        Library::ConnectProxyFailed(why) => later(format!(
            "cannot reach {host}: the proxy refused: {}",
            excerpt(&why, LONGEST_QUOTE)
        )),
        Library::InvalidProxyUrl => Error::new(format!(
            "cannot reach {host}: the proxy in HTTPS_PROXY or ALL_PROXY is not a URL of http, https, socks4 or socks5"
        )),
        Library::Decompress(kind, io) => {
            Error::new(format!("the answer of {host} is damaged {kind}: {io}"))
        }
        Library::BodyExceedsLimit(_) => Error::new(format!(
            "the answer of {host} is larger than {} bytes",
            limits.body
        )),
        Library::LargeResponseHeader(..) => {
            Error::new(format!("the headers of {host} are too large"))
        }
        Library::Protocol(why) => Error::new(format!(
            "the answer of {host} is not valid HTTP: {}",
            excerpt(&why.to_string(), LONGEST_QUOTE)
        )),
        Library::Other(why) => Error::new(format!("refusing to connect to {host}: {why}")),
        other => Error::new(format!("cannot send a request to {host}: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_by_the_servers_clock() {
        let now = Timestamp::UNIX_EPOCH;
        let wait = |value, date| retry_after(value, date, now).map(|wait| wait.as_secs());
        let date = Some("Thu, 01 Jan 1970 10:00:00 GMT");
        assert_eq!(wait("17", None), Some(17));
        assert_eq!(wait(" 0 ", None), Some(0));
        assert_eq!(wait("Thu, 01 Jan 1970 00:01:00 GMT", None), Some(60));
        assert_eq!(wait("Thu, 01 Jan 1970 10:00:05 GMT", date), Some(5));
        assert_eq!(wait("Thu, 01 Jan 1970 09:00:00 GMT", date), Some(0));
        for far in [
            "99999999",
            "99999999999999999999999",
            "Fri, 31 Dec 9999 23:59:59 GMT",
        ] {
            assert_eq!(wait(far, None), Some(24 * 60 * 60), "{far}");
        }
        for nonsense in ["", "-1", "+1", "1.5", "soon"] {
            assert_eq!(wait(nonsense, date), None, "{nonsense:?}");
        }
    }

    #[test]
    fn a_status_says_whether_a_later_attempt_may_succeed() {
        for (status, kind) in [
            (404, Kind::NotFound),
            (410, Kind::NotFound),
            (403, Kind::Failed),
            (408, Kind::Unreachable),
            (429, Kind::Unreachable),
            (500, Kind::Unreachable),
            (501, Kind::Failed),
            (503, Kind::Unreachable),
            (505, Kind::Failed),
            (599, Kind::Unreachable),
        ] {
            assert_eq!(of_status("a", status, None).kind(), kind, "{status}");
        }
        let wait = Some(Duration::from_secs(7));
        assert_eq!(of_status("a", 429, wait).retry_after(), wait);
    }

    #[test]
    fn the_command_for_a_certificate_names_the_host_by_its_kind() {
        for (host, name) in [
            ("hub.example.org", "DNS:hub.example.org"),
            ("hub.example.org:8443", "DNS:hub.example.org"),
            ("192.168.1.5:8443", "IP:192.168.1.5"),
            ("[fd7a::1]:8443", "IP:fd7a::1"),
        ] {
            let command = self_signed(host);
            assert!(
                command.contains(&format!("subjectAltName={name} ")),
                "{command}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_header_panics_or_asks_for_more_than_a_day(value in "[ -~]{0,40}", date in "[ -~]{0,40}") {
            let wait = retry_after(&value, Some(&date), Timestamp::UNIX_EPOCH);
            prop_assert!(wait.is_none_or(|wait| wait <= LONGEST_RETRY_AFTER));
        }
    }
}
