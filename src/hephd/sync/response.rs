//! What the answer of a hub, or of whatever else is at its URL, means. Pure.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::error::Category;
use ureq::http::{HeaderValue, header};

use super::connection::{Remedy, RequestError};
use crate::error::{Error, Kind};
use crate::hephd::protocol::{Response, SCHEMA};
use crate::hephd::store::HubClock;
use crate::os::clock::roughly;
use crate::os::http::Answer;
use crate::os::text::excerpt;

/// The smallest clock difference that is mentioned.
const CLOCK_DIFFERENCE: Duration = Duration::from_secs(2 * 60);
/// How much of the hub's words is repeated, in characters.
const LONGEST_QUOTE: usize = 300;
/// How much of an error page is read, in bytes.
const LONGEST_PAGE: usize = 4096;

/// The request that was answered, as far as messages mention it.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestContext<'a> {
    /// The URL of the hub.
    pub hub: &'a str,
    pub sent: Sent,
    pub now: Timestamp,
}

/// How a request identified itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Nothing,
    /// With a token of the login.
    Token,
    /// With the secret of this machine.
    Secret,
}

/// Returns the response in `answer`.
///
/// # Errors
///
/// The messages contain nothing that differs from one attempt to the next, so that a lasting failure is logged once.
pub(super) fn interpret(
    answer: &Answer,
    context: &RequestContext,
) -> Result<Response, RequestError> {
    match answer.status {
        200 => parse(answer, context.hub),
        401 if context.sent == Sent::Token && !is_of_a_proxy(answer) => {
            let remedy = remedy(reason(answer).as_deref());
            Err(RequestError::Rejected(failure(answer, context), remedy))
        }
        _ => Err(failure(answer, context).into()),
    }
}

/// Returns what may help against a rejection for `reason`, in the hub's word. Release 0.1.0 sends none.
fn remedy(reason: Option<&str>) -> Remedy {
    match reason {
        Some(
            "malformed" | "algorithm" | "kind" | "issuer" | "audience" | "subject" | "no-key-named"
            | "wrong-key",
        ) => Remedy::AnotherKind,
        _ => Remedy::Renewal,
    }
}

fn parse(answer: &Answer, hub: &str) -> Result<Response, RequestError> {
    #[derive(Deserialize)]
    struct Schema {
        schema: u32,
    }
    if !is_json(answer) {
        return Err(not_a_hub(answer, hub).into());
    }
    match serde_json::from_slice::<Schema>(&answer.body) {
        Ok(Schema { schema: SCHEMA }) => {}
        Ok(Schema { schema }) => {
            let message = format!(
                "the hub '{hub}' speaks schema {schema} of the protocol, and this hephd schema {SCHEMA}"
            );
            return Err(Error::new(message)
                .with_hint("update the older of the two: `heph self-update apply`")
                .into());
        }
        Err(error) if error.classify() == Category::Eof => {
            let message = format!("the answer of '{hub}' was cut off");
            return Err(RequestError::Interrupted(Error::unreachable(message)));
        }
        Err(_) => return Err(not_a_hub(answer, hub).into()),
    }
    serde_json::from_slice(&answer.body).map_err(|error| {
        let message = format!("cannot parse the response of the hub '{hub}'");
        Error::from(error).context(message).into()
    })
}

/// Returns the error for a status other than 200. The hub's own words and a clock difference become its causes.
fn failure(answer: &Answer, context: &RequestContext) -> Error {
    let hub = format!("the hub '{}'", context.hub);
    let failed = |kind, how: &str| Error::new(format!("{hub}{how}")).with_kind(kind);
    let error = match answer.status {
        300..=399 => {
            let target = excerpt(answer.header("location").unwrap_or_default(), LONGEST_QUOTE);
            return Error::new(format!(
                "{hub} redirects to '{target}', and heph follows no redirect with tasks or a token"
            ))
            .with_hint(SET_URL);
        }
        404 | 405 => return not_a_hub(answer, context.hub),
        401 | 407 if is_of_a_proxy(answer) => {
            let message = format!("a proxy before {hub} asks for a password of its own");
            Error::new(message).with_hint(PASS)
        }
        401 => unauthorized(answer, context, &hub),
        400 if says(answer, &["header", "too large"]) => headers_too_large(&hub),
        431 => headers_too_large(&hub),
        400 if says(answer, &["plain http", "https port"]) => {
            let message = format!("{hub} expects https, and the URL is plain http");
            Error::new(message).with_hint("`heph daemon restart --hub-url URL`, with https://")
        }
        400 if is_json(answer) => failed(Kind::Failed, " rejects the request"),
        400 => Error::new(format!(
            "a proxy before {hub} rejects the request (status 400)"
        )),
        403 if is_json(answer) => failed(Kind::Failed, " denies access"),
        403 => Error::new(format!("a proxy before {hub} denies access")).with_hint(PASS),
        408 => Error::unreachable(format!("the request did not reach {hub} in time")),
        413 => failed(
            Kind::TooLarge,
            ", or a proxy before it, rejects requests of this size",
        )
        .with_hint("let the proxy pass 4 MiB (nginx: client_max_body_size 4m)"),
        415 => failed(
            Kind::Failed,
            ", or a proxy before it, does not accept gzip or JSON",
        ),
        429 => failed(Kind::Unreachable, " receives too many requests"),
        507 => failed(Kind::Full, " takes no more changes"),
        502 | 504 => Error::unreachable(format!("a proxy cannot reach {hub}")),
        503 => failed(Kind::Unreachable, " is not ready"),
        status @ 500..=599 => Error::unreachable(format!("{hub} failed (status {status})")),
        status => Error::new(format!("{hub} answers with status {status}")),
    };
    let mut causes = Vec::new();
    if error.kind() != Kind::Unreachable {
        causes.extend(clock_difference(answer, context.now).map(Error::new));
    }
    causes.extend(own_words(answer));
    let cause = causes
        .into_iter()
        .reduce(|cause, words| cause.context(words));
    let error = match cause {
        Some(cause) => cause.context(error),
        None => error,
    };
    error.with_retry_after(answer.retry_after(context.now))
}

/// Returns the error for a request that the hub itself does not accept as anybody's.
fn unauthorized(answer: &Answer, context: &RequestContext, hub: &str) -> Error {
    let (how, hint) = match context.sent {
        Sent::Nothing => (
            "requires a login",
            Some(
                "`heph sync join LINE`, with a line that `heph hub invite` printed on the hub; or for a provider \
                 `heph daemon restart --oidc-issuer URL --oidc-client-id ID`, then `heph auth login`",
            ),
        ),
        Sent::Secret => (
            "rejects the secret of this machine",
            Some("`heph hub invite NAME` on the hub, then `heph sync join LINE` here"),
        ),
        Sent::Token => (
            "rejects the login",
            // A hub that names its reason knows what helps against it.
            reason(answer)
                .is_none()
                .then_some("log in: `heph auth login`"),
        ),
    };
    let error = Error::new(format!("{hub} {how}")).with_kind(Kind::Unauthorized);
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

fn headers_too_large(hub: &str) -> Error {
    let message = format!("{hub}, or a proxy before it, rejects headers of this size");
    Error::new(message).with_hint(
        "let the proxy pass headers of 32 KiB (nginx: large_client_header_buffers 4 32k), or have the provider issue smaller tokens",
    )
}

const PASS: &str = "let requests to /v1/ pass the proxy without it: the hub checks its own tokens";
const SET_URL: &str = "`heph daemon restart --hub-url URL`, with the URL of the hub itself";

fn not_a_hub(answer: &Answer, hub: &str) -> Error {
    let sent = match (answer.status, answer.header("content-type")) {
        (200, Some(kind)) => excerpt(media_type(kind), LONGEST_QUOTE),
        (200, None) => "an unknown type".to_owned(),
        (status, _) => format!("status {status}"),
    };
    Error::new(format!(
        "what answers at '{hub}' is not a hub: it sent {sent}"
    ))
    .with_hint(SET_URL)
}

fn is_json(answer: &Answer) -> bool {
    let kind = answer.header("content-type").unwrap_or_default();
    media_type(kind).eq_ignore_ascii_case("application/json")
}

fn media_type(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// Returns whether a 401 asks for something else than the token of a hub (RFC 9110, section 11.6.1).
fn is_of_a_proxy(answer: &Answer) -> bool {
    let challenges = answer.headers.get_all(header::WWW_AUTHENTICATE);
    let mut challenges = challenges.iter().peekable();
    let is_bearer = |challenge: &HeaderValue| {
        let challenge = String::from_utf8_lossy(challenge.as_bytes()).to_ascii_lowercase();
        challenge.contains("bearer")
    };
    answer.status == 407 || challenges.peek().is_some() && !challenges.any(is_bearer)
}

/// Returns whether the page of a proxy contains all `words`, which are in lower case.
fn says(answer: &Answer, words: &[&str]) -> bool {
    let start = &answer.body[..answer.body.len().min(LONGEST_PAGE)];
    let page = String::from_utf8_lossy(start).to_ascii_lowercase();
    !is_json(answer) && words.iter().all(|word| page.contains(word))
}

/// Returns the word for which the hub rejected a token.
fn reason(answer: &Answer) -> Option<String> {
    #[derive(Deserialize)]
    struct Reason {
        reason: String,
    }
    if !is_json(answer) {
        return None;
    }
    let reason: Reason = serde_json::from_slice(&answer.body).ok()?;
    Some(reason.reason)
}

/// Returns the hub's own error; `None` for any other body, such as the error page of a proxy.
fn own_words(answer: &Answer) -> Option<Error> {
    #[derive(Deserialize)]
    struct Words {
        error: String,
        hint: Option<String>,
        #[serde(default)]
        kind: Kind,
    }
    if !is_json(answer) {
        return None;
    }
    let words: Words = serde_json::from_slice(&answer.body).ok()?;
    let quote = |text: &str| excerpt(text.trim(), LONGEST_QUOTE);
    // Usage would be that of the client on this machine.
    let kind = match words.kind {
        Kind::Usage => Kind::Failed,
        kind => kind,
    };
    let error = Error::new(quote(&words.error)).with_kind(kind);
    Some(match words.hint {
        Some(hint) => error.with_hint(quote(&hint)),
        None => error,
    })
}

/// Returns, in words, how much this machine's clock differs from the hub's at `now`, if it is much. It is rounded, so that
/// it reads the same a while later.
pub(super) fn clock_difference(answer: &Answer, now: Timestamp) -> Option<String> {
    let here = SystemTime::from(now);
    let there = httpdate::parse_http_date(answer.header("date")?).ok()?;
    let (difference, direction) = match here.duration_since(there) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    (difference >= CLOCK_DIFFERENCE).then(|| {
        let length = roughly(difference);
        format!("the clock of this machine is {length} {direction} the hub's")
    })
}

/// Returns how much the hub's clock differs from this machine's at `now`.
pub(super) fn hub_clock(answer: &Answer, now: Timestamp) -> HubClock {
    let there = answer
        .header("date")
        .and_then(|date| httpdate::parse_http_date(date).ok())
        .and_then(|there| Timestamp::try_from(there).ok());
    HubClock(there.map(|there| there.as_millisecond().saturating_sub(now.as_millisecond())))
}

#[cfg(test)]
mod tests;
