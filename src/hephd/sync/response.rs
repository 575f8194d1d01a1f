//! What the answer of a hub, or of whatever else is at its URL, means. Pure.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::error::Category;

use super::connection::RequestError;
use crate::error::{Error, Kind};
use crate::hephd::protocol::{Response, SCHEMA};
use crate::os::http::Answer;
use crate::os::text::excerpt;

/// The smallest clock difference that is mentioned.
const CLOCK_DIFFERENCE: Duration = Duration::from_secs(2 * 60);
/// How much of the hub's words is repeated, in characters.
const LONGEST_QUOTE: usize = 300;

/// The request that was answered, as far as messages mention it.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestContext<'a> {
    /// The URL of the hub.
    pub hub: &'a str,
    pub with_token: bool,
    pub now: Timestamp,
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
        _ => Err(failure(answer, context).into()),
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
        401 if context.with_token => {
            failed(Kind::Unauthorized, " rejects the login").with_hint("log in: `heph auth login`")
        }
        401 => failed(Kind::Unauthorized, " requires a login").with_hint(
            "`heph daemon restart --oidc-issuer URL --oidc-client-id ID`, then `heph auth login`",
        ),
        403 => failed(Kind::Failed, " denies access"),
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
    let minutes = (difference.as_secs() + 30) / 60;
    (difference >= CLOCK_DIFFERENCE).then(|| {
        let length = match minutes {
            0..120 => format!("{minutes} minutes"),
            120..2880 => format!("{} hours", (minutes + 30) / 60),
            _ => format!("{} days", (minutes + 720) / 1440),
        };
        format!("the clock of this machine is {length} {direction} the hub's")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ureq::http::{HeaderMap, HeaderValue};

    const CONTEXT: RequestContext<'_> = RequestContext {
        hub: "https://h",
        with_token: true,
        now: Timestamp::UNIX_EPOCH,
    };

    fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Answer {
        let value = |value: &str| HeaderValue::from_bytes(value.as_bytes()).unwrap();
        let headers = headers.iter();
        Answer {
            host: "h".to_owned(),
            status,
            headers: headers
                .map(|(name, text)| (name.parse().unwrap(), value(text)))
                .collect::<HeaderMap>(),
            body: body.as_bytes().to_vec(),
        }
    }

    fn json(status: u16, body: &str) -> Answer {
        answer(status, &[("content-type", "application/json")], body)
    }

    #[track_caller]
    fn error(answer: &Answer) -> Error {
        match interpret(answer, &CONTEXT) {
            Err(RequestError::Other(error)) => error,
            other => panic!("{other:?}"),
        }
    }

    const PAGE: &str = r#"{"schema":1,"version":"1.2.3","epoch":"E","reset":false,"refused":[],
        "sent":null,"operations":[],"cursor":{"seq":7,"id":"O"},"more":true,"new":"ignored"}"#;

    #[test]
    fn a_response_is_parsed_and_the_additions_of_a_newer_hub_are_ignored() {
        let kind = [("content-type", "Application/JSON; charset=utf-8")];
        let response = interpret(&answer(200, &kind, PAGE), &CONTEXT).unwrap();
        assert_eq!((response.epoch.as_str(), response.more), ("E", true));
    }

    #[test]
    fn a_response_that_ends_in_the_middle_is_interrupted_wherever_it_ends() {
        for end in 0..PAGE.len() {
            let cut = interpret(&json(200, &PAGE[..end]), &CONTEXT);
            assert!(matches!(cut, Err(RequestError::Interrupted(_))), "{end}");
        }
    }

    #[test]
    fn what_is_not_a_hub_is_called_so() {
        for (status, kind, body) in [
            (200, "text/html; charset=utf-8", "<html>"),
            (200, "text/html", PAGE),
            (200, "application/json", "{\"hello\":1}"),
            (200, "application/json", "[]"),
            (200, "application/json", "<html>"),
            (404, "text/plain", "not found"),
            (405, "text/html", ""),
        ] {
            let error = error(&answer(status, &[("content-type", kind)], body));
            assert_eq!(error.kind(), Kind::Failed);
            assert!(error.to_string().contains("is not a hub"), "{error:?}");
            assert!(error.hint().unwrap().contains("--hub-url"));
        }
    }

    #[test]
    fn another_schema_is_named() {
        let error = error(&json(200, r#"{"schema":2}"#));
        assert!(error.to_string().contains("speaks schema 2"), "{error:?}");
    }

    #[test]
    fn each_status_has_a_kind_and_a_message() {
        for (status, kind, words) in [
            (301, Kind::Failed, "redirects"),
            (304, Kind::Failed, "redirects"),
            (308, Kind::Failed, "redirects"),
            (400, Kind::Failed, "answers with status 400: why"),
            (401, Kind::Unauthorized, "rejects the login: why"),
            (403, Kind::Failed, "denies access: why"),
            (408, Kind::Unreachable, "in time"),
            (413, Kind::TooLarge, "of this size: why"),
            (415, Kind::Failed, "gzip"),
            (429, Kind::Unreachable, "too many requests"),
            (500, Kind::Unreachable, "failed (status 500): why"),
            (502, Kind::Unreachable, "a proxy cannot reach"),
            (503, Kind::Unreachable, "is not ready: why"),
            (504, Kind::Unreachable, "a proxy cannot reach"),
            (201, Kind::Failed, "answers with status 201"),
        ] {
            let error = error(&json(status, r#"{"error":"why"}"#));
            assert_eq!(error.kind(), kind, "{status}");
            let line = error.one_line();
            assert!(line.contains(words), "{status}: {line}");
        }
    }

    #[test]
    fn the_hubs_error_comes_out_as_the_same_kind() {
        let kind = |body| error(&json(403, body)).kind();
        assert_eq!(kind(r#"{"error":"no","kind":"denied"}"#), Kind::Denied);
        assert_eq!(kind(r#"{"error":"no","kind":"usage"}"#), Kind::Failed);
        assert_eq!(
            kind(r#"{"error":"no","kind":"of-a-newer-hub"}"#),
            Kind::Failed
        );
    }

    #[test]
    fn a_hub_that_requires_a_login_names_the_flags() {
        let without = RequestContext {
            with_token: false,
            ..CONTEXT
        };
        let Err(RequestError::Other(error)) = interpret(&answer(401, &[], ""), &without) else {
            panic!("no error");
        };
        assert!(error.hint().unwrap().contains("--oidc-issuer"), "{error:?}");
    }

    #[test]
    fn the_hubs_words_are_short_and_cannot_steer_a_terminal() {
        let body = format!(
            r#"{{"error":"\u001b[2J{}","hint":"a\nb"}}"#,
            "x".repeat(10_000)
        );
        let error = error(&json(403, &body));
        let line = error.one_line();
        assert!(line.len() < 500, "{}", line.len());
        assert!(!line.contains(char::is_control));
        assert_eq!(error.hint(), Some("a\\nb"));
    }

    #[test]
    fn retry_after_is_kept() {
        let headers = [("retry-after", "17")];
        let wait = error(&answer(503, &headers, "")).retry_after();
        assert_eq!(wait, Some(Duration::from_secs(17)));
        assert_eq!(error(&answer(503, &[], "")).retry_after(), None);
    }

    #[test]
    fn a_clock_difference_is_named_where_it_may_be_the_cause() {
        let at = |time: &str| format!("Thu, 01 Jan 1970 {time} GMT");
        let line =
            |status, time: &str| error(&answer(status, &[("date", &at(time))], "")).one_line();
        assert!(line(401, "00:05:00").contains("is 5 minutes behind the hub's"));
        assert!(line(400, "03:00:10").contains("is 3 hours behind the hub's"));
        assert!(!line(401, "00:01:59").contains("clock"));
        assert!(!line(503, "03:00:10").contains("clock"));
        let later = Timestamp::constant(3 * 86_400, 0);
        let difference = clock_difference(&answer(200, &[("date", &at("00:00:00"))], ""), later);
        assert!(difference.unwrap().contains("is 3 days ahead of the hub's"));
    }

    proptest! {
        #[test]
        fn no_answer_panics_and_every_error_has_a_message(
            status in 100u16..600,
            texts in proptest::array::uniform4(proptest::option::of("[^\\x00-\\x1f\\x7f]{0,60}")),
            body in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let names = ["content-type", "location", "retry-after", "date"];
            let headers: Vec<_> = names.into_iter().zip(&texts).filter_map(|(name, text)| Some((name, text.as_deref()?))).collect();
            let answer = Answer { body, ..answer(status, &headers, "") };
            if let Err(RequestError::Other(error)) = interpret(&answer, &CONTEXT) {
                let line = error.one_line();
                prop_assert!(!line.is_empty());
                prop_assert!(!line.contains(char::is_control));
            }
        }
    }
}
