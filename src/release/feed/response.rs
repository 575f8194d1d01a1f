//! What the status and headers of an answer mean: a pure function.

use jiff::Timestamp;

use crate::os::http::{Answer, LONGEST_RETRY_AFTER};

/// What an answer means before its body is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ResponseClass {
    Body,
    /// What was cached is still valid.
    NotModified,
    /// Try later, after the given time if there is one. The text continues a sentence about the server.
    Later(String, Option<Timestamp>),
    /// It does not exist, by this status.
    Missing(u16),
    /// It is unusable, for this reason.
    Wrong(String),
}

pub(crate) fn classify(answer: &Answer, now: Timestamp) -> ResponseClass {
    let until = wait(answer, now);
    let limited = answer.header("retry-after").is_some()
        || answer.header("x-ratelimit-remaining") == Some("0");
    match answer.status {
        200 => ResponseClass::Body,
        304 => ResponseClass::NotModified,
        204 => ResponseClass::Wrong("it is empty (204)".to_owned()),
        401 => ResponseClass::Wrong(
            "it asks for a login (401): there is no such public repository".to_owned(),
        ),
        // GitHub says 403 where others say 429.
        403 if limited => {
            ResponseClass::Later("limits the rate of requests (403)".to_owned(), until)
        }
        403 => ResponseClass::Wrong("it is forbidden (403)".to_owned()),
        404 | 410 => ResponseClass::Missing(answer.status),
        429 => ResponseClass::Later("limits the rate of requests (429)".to_owned(), until),
        408 => ResponseClass::Later("timed out waiting for the request (408)".to_owned(), until),
        501 | 505 => ResponseClass::Wrong(format!(
            "it does not support the request ({})",
            answer.status
        )),
        500..=599 => ResponseClass::Later(format!("failed ({})", answer.status), until),
        status => ResponseClass::Wrong(format!("its status is {status}")),
    }
}

/// Returns when the next request makes sense, if the headers say so: by `Retry-After`, else when a used up rate limit resets.
fn wait(answer: &Answer, now: Timestamp) -> Option<Timestamp> {
    let wait = answer.retry_after(now).filter(|wait| !wait.is_zero());
    wait.and_then(|wait| now.checked_add(wait).ok())
        .or_else(|| used_up(answer, now))
}

/// Returns when a rate limit resets, if the headers say that it is used up (docs.github.com/rest, rate limits).
pub(crate) fn used_up(answer: &Answer, now: Timestamp) -> Option<Timestamp> {
    if answer.header("x-ratelimit-remaining")?.trim() != "0" {
        return None;
    }
    let second = answer.header("x-ratelimit-reset")?.trim().parse().ok()?;
    let reset = Timestamp::from_second(second).ok()?;
    let longest = now.checked_add(LONGEST_RETRY_AFTER).unwrap_or(now);
    (reset > now).then(|| reset.min(longest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ureq::http::{HeaderMap, HeaderName};

    const NOW: &str = "2026-01-01T00:00:00Z";

    fn class(status: u16, headers: &[(&str, &str)]) -> ResponseClass {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
            .collect();
        let answer = Answer {
            host: String::new(),
            status,
            headers,
            body: Vec::new(),
        };
        classify(&answer, NOW.parse().unwrap())
    }

    fn until(status: u16, headers: &[(&str, &str)]) -> Option<String> {
        match class(status, headers) {
            ResponseClass::Later(_, until) => until.map(|until| until.to_string()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_forge_says_when_to_come_back_in_seconds_as_a_date_or_by_its_rate_limit() {
        let minute = Some("2026-01-01T00:01:00Z".to_owned());
        assert_eq!(until(429, &[("Retry-After", "60")]), minute);
        assert_eq!(
            until(503, &[("Retry-After", "Thu, 01 Jan 2026 00:01:00 GMT")]),
            minute
        );
        let reset = ("X-RateLimit-Reset", "1767225660");
        assert_eq!(until(403, &[("X-RateLimit-Remaining", "0"), reset]), minute);
        assert_eq!(until(429, &[("X-RateLimit-Remaining", "0"), reset]), minute);
        assert_eq!(until(429, &[("X-RateLimit-Remaining", "7"), reset]), None);
        assert_eq!(until(403, &[("Retry-After", "60"), reset]), minute);
        assert_eq!(until(403, &[("Retry-After", "0")]), None);
        assert_eq!(until(403, &[("X-RateLimit-Remaining", "0")]), None);
    }

    #[test]
    fn nonsense_about_when_to_come_back_is_bounded_or_ignored() {
        let day = Some("2026-01-02T00:00:00Z".to_owned());
        assert_eq!(until(429, &[("Retry-After", "99999999")]), day);
        assert_eq!(
            until(429, &[("Retry-After", "99999999999999999999999")]),
            day
        );
        assert_eq!(
            until(429, &[("Retry-After", "Fri, 31 Dec 9999 23:59:59 GMT")]),
            day
        );
        for value in [
            "-5",
            "soon",
            "",
            "0",
            "1.5",
            "Thu, 01 Jan 1970 00:00:00 GMT",
        ] {
            assert_eq!(until(429, &[("Retry-After", value)]), None, "{value}");
        }
        let used_up = ("X-RateLimit-Remaining", "0");
        for value in ["-1", "x", "0", "99999999999999999999"] {
            assert_eq!(
                until(429, &[used_up, ("X-RateLimit-Reset", value)]),
                None,
                "{value}"
            );
        }
    }

    #[test]
    fn statuses_are_told_apart() {
        assert_eq!(class(200, &[]), ResponseClass::Body);
        assert_eq!(class(304, &[]), ResponseClass::NotModified);
        for status in [404, 410] {
            assert_eq!(class(status, &[]), ResponseClass::Missing(status));
        }
        for status in [408, 429, 500, 502, 503, 504, 520] {
            assert_eq!(until(status, &[]), None, "{status}");
        }
        for status in [201, 204, 206, 300, 400, 401, 403, 406, 418, 451, 501, 505] {
            assert!(
                matches!(class(status, &[]), ResponseClass::Wrong(_)),
                "{status}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_header_panics_or_asks_for_more_than_a_day(text in "[ -~]{0,40}", status in 100u16..600) {
            let now: Timestamp = NOW.parse().unwrap();
            for name in ["retry-after", "x-ratelimit-reset"] {
                if let ResponseClass::Later(_, Some(until)) =
                    class(status, &[("x-ratelimit-remaining", "0"), (name, &text)])
                {
                    prop_assert!(until > now && until <= now + LONGEST_RETRY_AFTER);
                }
            }
        }
    }
}
