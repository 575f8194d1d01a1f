//! What an answer of a hub, or of whatever is at its address, means. Pure.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::error::Category;

use super::trouble::{Kind, Trouble};
use crate::hephd::protocol::{Response, SCHEMA};
use crate::os::http;
use crate::os::text::excerpt;

/// How far two clocks may be apart before it is worth a word.
const APART: Duration = Duration::from_secs(2 * 60);
/// How much of a stranger's words is repeated, in characters.
const LONGEST_QUOTE: usize = 300;

/// What came over the wire, beside the body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Location`.
    pub location: Option<String>,
    /// `Retry-After`.
    pub retry_after: Option<String>,
    /// `Date`.
    pub date: Option<String>,
}

/// What an answer means.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The hub took what was sent, and this is what it sent back.
    Answer(Response),
    /// The answer ends in the middle.
    CutOff,
    /// It did not.
    Trouble(Trouble),
}

/// Who is asked, and how: what the words are made of.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The address of the hub.
    pub hub: &'a str,
    /// Whether a token was sent.
    pub with_token: bool,
    /// When.
    pub now: Timestamp,
}

/// The body of an answer that is an error.
#[derive(Debug, Default, Deserialize)]
struct Words {
    error: String,
    hint: Option<String>,
}

/// Returns what the answer `head` with `body` means.
pub fn judge(head: &Head, body: &[u8], asked: &Asked) -> Verdict {
    if head.status == 200 {
        return read(head, body, asked);
    }
    let mut trouble = refused(head, body, asked);
    if trouble.kind != Kind::Unreachable
        && let Some(clock) = clocks_apart(head, asked.now)
    {
        trouble.words = format!("{} ({clock})", trouble.words);
    }
    trouble.retry_after = head
        .retry_after
        .as_deref()
        .and_then(|value| http::retry_after(value, head.date.as_deref(), asked.now));
    Verdict::Trouble(trouble)
}

/// Reads an answer that claims to be well.
fn read(head: &Head, body: &[u8], asked: &Asked) -> Verdict {
    #[derive(Deserialize)]
    struct Schema {
        schema: u32,
    }
    if !is_json(head) {
        return Verdict::Trouble(no_hub(head, asked));
    }
    match serde_json::from_slice::<Schema>(body) {
        Ok(Schema { schema: SCHEMA }) => {}
        Ok(Schema { schema }) => {
            let words = format!(
                "the hub '{}' speaks schema {schema} of the protocol, and this hephd schema {SCHEMA}",
                asked.hub
            );
            let hint = "bring the older of the two up to date: `heph self-update apply`";
            return Verdict::Trouble(Trouble::new(Kind::Wrong, words).with_hint(hint));
        }
        Err(error) if error.classify() == Category::Eof => return Verdict::CutOff,
        Err(_) => return Verdict::Trouble(no_hub(head, asked)),
    }
    match serde_json::from_slice(body) {
        Ok(answer) => Verdict::Answer(answer),
        Err(error) => {
            let words = format!("cannot understand the answer of '{}': {error}", asked.hub);
            Verdict::Trouble(Trouble::new(Kind::Wrong, words))
        }
    }
}

/// Returns the trouble of an answer with a status other than 200.
fn refused(head: &Head, body: &[u8], asked: &Asked) -> Trouble {
    let hub = asked.hub;
    let said = words(head, body);
    let because = match said.error.as_str() {
        "" => String::new(),
        error => format!(": {error}"),
    };
    let trouble = |kind, words: String| {
        let trouble = Trouble::new(kind, format!("{words}{because}"));
        match &said.hint {
            Some(hint) => trouble.with_hint(hint),
            None => trouble,
        }
    };
    match head.status {
        300..=399 => {
            let target = head.location.as_deref().map(quoted).unwrap_or_default();
            let words = format!(
                "'{hub}' redirects to '{target}', and redirects are not followed: tasks and tokens go nowhere else"
            );
            Trouble::new(Kind::Wrong, words).with_hint(
                "`heph daemon restart --hub-url URL`, with the address of the hub itself",
            )
        }
        401 if asked.with_token => trouble(
            Kind::Login,
            format!("the hub '{hub}' does not take the login"),
        )
        .with_hint("log in: `heph auth login`"),
        401 => trouble(Kind::Login, format!("the hub '{hub}' wants a login")).with_hint(
            "`heph daemon restart --oidc-issuer URL --oidc-client-id ID`, then `heph auth login`",
        ),
        403 => trouble(Kind::Wrong, format!("the hub '{hub}' does not allow it")),
        404 | 405 => no_hub(head, asked),
        408 => trouble(
            Kind::Unreachable,
            format!("the request did not reach the hub '{hub}' in time"),
        ),
        413 => trouble(
            Kind::TooLarge,
            format!("the hub '{hub}', or a proxy before it, takes no request of this size"),
        )
        .with_hint("let the proxy take 4 MiB (nginx: client_max_body_size 4m)"),
        415 => trouble(
            Kind::Wrong,
            format!("the hub '{hub}', or a proxy before it, does not understand gzip or JSON"),
        ),
        429 => trouble(
            Kind::Unreachable,
            format!("the hub '{hub}' asks to be left alone for a while"),
        ),
        502 | 504 => trouble(
            Kind::Unreachable,
            format!("the proxy before '{hub}' does not reach the hub"),
        ),
        503 => trouble(Kind::Unreachable, format!("the hub '{hub}' is not ready")),
        status @ 500..=599 => trouble(
            Kind::Unreachable,
            format!("the hub '{hub}' failed (status {status})"),
        ),
        status => trouble(
            Kind::Wrong,
            format!("the hub '{hub}' answers with status {status}"),
        ),
    }
}

/// Returns the trouble of something that answers and is no hub.
fn no_hub(head: &Head, asked: &Asked) -> Trouble {
    let sent = match (head.status, &head.content_type) {
        (200, Some(kind)) => quoted(kind.split(';').next().unwrap_or_default()),
        (200, None) => "something unknown".to_owned(),
        (status, _) => format!("status {status}"),
    };
    let words = format!(
        "what answers at '{}' is no hub of heph: it sent {sent}",
        asked.hub
    );
    Trouble::new(Kind::Wrong, words)
        .with_hint("`heph daemon restart --hub-url URL`, with the address of the hub")
}

fn is_json(head: &Head) -> bool {
    let kind = head.content_type.as_deref().unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

/// Returns the words of the hub; nothing where the body has none, as that of a proxy's error page.
fn words(head: &Head, body: &[u8]) -> Words {
    if !is_json(head) {
        return Words::default();
    }
    let words: Words = serde_json::from_slice(body).unwrap_or_default();
    Words {
        error: quoted(&words.error),
        hint: words.hint.as_deref().map(quoted),
    }
}

/// Returns the beginning of a stranger's words, fit for a log and a terminal.
fn quoted(text: &str) -> String {
    excerpt(text.trim(), LONGEST_QUOTE)
}

fn date(head: &Head) -> Option<SystemTime> {
    httpdate::parse_http_date(head.date.as_deref()?).ok()
}

/// Returns, in words, how far this machine's clock is from the hub's at `now`, where that is far. It is rounded, so that it
/// reads the same a while later.
pub fn clocks_apart(head: &Head, now: Timestamp) -> Option<String> {
    let here = SystemTime::from(now);
    let there = date(head)?;
    let (apart, which) = match here.duration_since(there) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    let minutes = (apart.as_secs() + 30) / 60;
    (apart >= APART).then(|| {
        let length = match minutes {
            0..120 => format!("{minutes} minutes"),
            120..2880 => format!("{} hours", (minutes + 30) / 60),
            _ => format!("{} days", (minutes + 720) / 1440),
        };
        format!("the clock of this machine is {length} {which} the hub's")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ASKED: Asked<'_> = Asked {
        hub: "https://h",
        with_token: true,
        now: Timestamp::UNIX_EPOCH,
    };

    fn head(status: u16, kind: &str) -> Head {
        Head {
            status,
            content_type: Some(kind.to_owned()),
            ..Head::default()
        }
    }

    fn trouble(head: &Head, body: &str) -> Trouble {
        match judge(head, body.as_bytes(), &ASKED) {
            Verdict::Trouble(trouble) => trouble,
            other => panic!("{other:?}"),
        }
    }

    const WELL: &str = r#"{"schema":1,"version":"1.2.3","epoch":"E","reset":false,"refused":[],
        "sent":null,"operations":[],"cursor":{"seq":7,"id":"O"},"more":true,"new":"ignored"}"#;

    #[test]
    fn an_answer_of_a_hub_is_read_and_what_a_newer_one_adds_is_passed_over() {
        let json = head(200, "Application/JSON; charset=utf-8");
        match judge(&json, WELL.as_bytes(), &ASKED) {
            Verdict::Answer(answer) => {
                assert_eq!((answer.epoch.as_str(), answer.more), ("E", true))
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_answer_that_ends_in_the_middle_is_cut_off_wherever_it_ends() {
        let json = head(200, "application/json");
        for end in 0..WELL.len() {
            let verdict = judge(&json, &WELL.as_bytes()[..end], &ASKED);
            assert_eq!(verdict, Verdict::CutOff, "{end}");
        }
    }

    #[test]
    fn what_is_no_hub_is_called_so() {
        for (status, kind, body) in [
            (200, "text/html; charset=utf-8", "<html>"),
            (200, "text/html", WELL),
            (200, "application/json", "{\"hello\":1}"),
            (200, "application/json", "[]"),
            (200, "application/json", "<html>"),
            (404, "text/plain", "not found"),
            (405, "text/html", ""),
        ] {
            let trouble = trouble(&head(status, kind), body);
            assert_eq!(trouble.kind, Kind::Wrong);
            assert!(trouble.words.contains("is no hub of heph"), "{trouble:?}");
            assert!(trouble.hint.unwrap().contains("--hub-url"));
        }
    }

    #[test]
    fn another_schema_says_which() {
        let trouble = trouble(&head(200, "application/json"), r#"{"schema":2}"#);
        assert!(trouble.words.contains("speaks schema 2"), "{trouble:?}");
    }

    #[test]
    fn statuses_have_words_and_say_whose_move_it_is() {
        for (status, kind, words) in [
            (301, Kind::Wrong, "redirects"),
            (304, Kind::Wrong, "redirects"),
            (308, Kind::Wrong, "redirects"),
            (400, Kind::Wrong, "answers with status 400"),
            (401, Kind::Login, "does not take the login: why"),
            (403, Kind::Wrong, "does not allow it: why"),
            (408, Kind::Unreachable, "in time"),
            (413, Kind::TooLarge, "of this size: why"),
            (415, Kind::Wrong, "gzip"),
            (429, Kind::Unreachable, "left alone"),
            (500, Kind::Unreachable, "failed (status 500): why"),
            (502, Kind::Unreachable, "the proxy before"),
            (503, Kind::Unreachable, "is not ready: why"),
            (504, Kind::Unreachable, "the proxy before"),
            (201, Kind::Wrong, "answers with status 201"),
        ] {
            let trouble = trouble(&head(status, "application/json"), r#"{"error":"why"}"#);
            assert_eq!(trouble.kind, kind, "{status}");
            assert!(trouble.words.contains(words), "{status}: {}", trouble.words);
        }
    }

    #[test]
    fn a_hub_that_wants_a_login_of_one_who_has_none_names_the_flags() {
        let asked = Asked {
            with_token: false,
            ..ASKED
        };
        let Verdict::Trouble(trouble) = judge(&head(401, "text/plain"), b"", &asked) else {
            panic!("no trouble");
        };
        assert!(trouble.sentence().contains("--oidc-issuer"), "{trouble:?}");
    }

    #[test]
    fn a_strangers_words_are_short_and_cannot_steer_a_terminal() {
        let body = format!(
            r#"{{"error":"\u001b[2J{}","hint":"a\nb"}}"#,
            "x".repeat(10_000)
        );
        let trouble = trouble(&head(403, "application/json"), &body);
        assert!(trouble.words.len() < 500, "{}", trouble.words.len());
        assert!(!trouble.sentence().contains(char::is_control));
        assert_eq!(trouble.hint.as_deref(), Some("a\\nb"));
    }

    #[test]
    fn clocks_far_apart_are_named_where_they_may_be_the_cause() {
        let words = |status: u16, date: &str| {
            let head = Head {
                date: Some(date.to_owned()),
                ..head(status, "text/plain")
            };
            trouble(&head, "").words
        };
        let at = |time: &str| format!("Thu, 01 Jan 1970 {time} GMT");
        assert!(words(401, &at("00:05:00")).contains("is 5 minutes behind the hub's"));
        assert!(words(400, &at("03:00:10")).contains("is 3 hours behind the hub's"));
        let later = Asked {
            now: Timestamp::constant(3 * 86_400, 0),
            ..ASKED
        };
        let head = Head {
            date: Some(at("00:00:00")),
            ..head(403, "text/plain")
        };
        let Verdict::Trouble(trouble) = judge(&head, b"", &later) else {
            panic!("no trouble");
        };
        assert!(trouble.words.contains("is 3 days ahead of the hub's"));
        assert!(!words(401, &at("00:01:59")).contains("clock"));
        assert!(!words(503, &at("03:00:10")).contains("clock"));
    }

    proptest! {
        #[test]
        fn no_answer_panics_and_every_trouble_has_words(
            status in 100u16..600,
            texts in proptest::array::uniform4(proptest::option::of(".{0,60}")),
            body in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let [content_type, location, retry_after, date] = texts;
            let head = Head { status, content_type, location, retry_after, date };
            if let Verdict::Trouble(trouble) = judge(&head, &body, &ASKED) {
                prop_assert!(!trouble.words.is_empty());
                prop_assert!(!trouble.sentence().contains(char::is_control));
            }
        }
    }
}
