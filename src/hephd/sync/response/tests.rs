use super::*;
use proptest::prelude::*;
use ureq::http::{HeaderMap, HeaderValue};

const CONTEXT: RequestContext<'_> = RequestContext {
    hub: "https://h",
    sent: Sent::Token,
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
        Err(RequestError::Other(error) | RequestError::Rejected(error, _)) => error,
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
        (400, Kind::Failed, "rejects the request: why"),
        (401, Kind::Unauthorized, "rejects the login: why"),
        (403, Kind::Failed, "denies access: why"),
        (408, Kind::Unreachable, "in time"),
        (413, Kind::TooLarge, "of this size: why"),
        (415, Kind::Failed, "gzip"),
        (431, Kind::Failed, "rejects headers of this size"),
        (429, Kind::Unreachable, "too many requests"),
        (500, Kind::Unreachable, "failed (status 500): why"),
        (502, Kind::Unreachable, "a proxy cannot reach"),
        (503, Kind::Unreachable, "is not ready: why"),
        (504, Kind::Unreachable, "a proxy cannot reach"),
        (507, Kind::Full, "takes no more changes: why"),
        (201, Kind::Failed, "answers with status 201"),
    ] {
        let error = error(&json(status, r#"{"error":"why"}"#));
        assert_eq!(error.kind(), kind, "{status}");
        let line = error.one_line();
        assert!(line.contains(words), "{status}: {line}");
    }
}

#[test]
fn a_401_asks_for_a_login_only_where_that_helps() {
    let of = |sent, headers: &[(&'static str, &str)], body: &str| {
        let context = RequestContext { sent, ..CONTEXT };
        let answer = answer(401, headers, body);
        match interpret(&answer, &context) {
            Err(RequestError::Rejected(error, remedy)) => (error, Some(remedy)),
            Err(RequestError::Other(error)) => (error, None),
            other => panic!("{other:?}"),
        }
    };
    let json = ("content-type", "application/json");
    let bearer = ("www-authenticate", "Bearer realm=\"heph\"");
    let ours = [json, bearer];
    for (word, remedy) in [
        ("audience", Remedy::AnotherKind),
        ("algorithm", Remedy::AnotherKind),
        ("issuer", Remedy::AnotherKind),
        ("malformed", Remedy::AnotherKind),
        ("expired", Remedy::Renewal),
        ("signature", Remedy::Renewal),
        ("unknown-key", Remedy::Renewal),
        ("a-word-of-a-newer-hub", Remedy::Renewal),
    ] {
        let body = format!(r#"{{"error":"why","hint":"do this","reason":"{word}"}}"#);
        let (error, named) = of(Sent::Token, &ours, &body);
        assert_eq!(named, Some(remedy), "{word}");
        assert_eq!(error.hint(), Some("do this"), "{word}");
        assert_eq!(error.kind(), Kind::Unauthorized, "{word}");
    }
    // Release 0.1.0 names no reason.
    let (error, remedy) = of(Sent::Token, &ours, r#"{"error":"why","hint":"do this"}"#);
    assert_eq!(remedy, Some(Remedy::Renewal));
    assert_eq!(error.hint(), Some("log in: `heph auth login`"));

    let (error, remedy) = of(Sent::Secret, &ours, r#"{"error":"why"}"#);
    assert_eq!(remedy, None);
    assert!(error.to_string().contains("secret of this machine"));
    assert!(error.hint().unwrap().contains("heph hub invite"));

    for challenge in ["Basic realm=\"private\"", "Negotiate", "Digest realm=\"x\""] {
        for sent in [Sent::Token, Sent::Secret, Sent::Nothing] {
            let page = [
                ("www-authenticate", challenge),
                ("content-type", "text/html"),
            ];
            let (error, remedy) = of(sent, &page, "<html>");
            assert_eq!(remedy, None, "no token of heph helps against {challenge}");
            assert!(
                error.to_string().contains("password of its own"),
                "{error:?}"
            );
            assert!(!error.hint().unwrap().contains("log in"), "{error:?}");
        }
    }
}

#[test]
fn a_proxy_before_the_hub_is_named_by_what_it_rejects() {
    let page = |status, body: &str| {
        let html = [("content-type", "text/html")];
        error(&answer(status, &html, body)).one_line()
    };
    let too_large =
        "<html><head><title>400 Request Header Or Cookie Too Large</title></head></html>";
    assert!(page(400, too_large).contains("rejects headers of this size"));
    let not_tls = "<title>400 The plain HTTP request was sent to HTTPS port</title>";
    assert!(page(400, not_tls).contains("expects https"));
    assert!(page(400, "<html>").contains("a proxy before the hub"));
    assert!(page(403, "<html>").contains("a proxy before the hub"));
    assert!(page(407, "").contains("password of its own"));
    // The words of a hub are never taken for those of a proxy.
    let ours = error(&json(400, r#"{"error":"header too large"}"#));
    assert!(ours.to_string().contains("the hub 'https://h' rejects"));
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
        sent: Sent::Nothing,
        ..CONTEXT
    };
    let Err(RequestError::Other(error)) = interpret(&answer(401, &[], ""), &without) else {
        panic!("no error");
    };
    assert!(error.hint().unwrap().contains("--oidc-issuer"), "{error:?}");
    assert!(
        error.hint().unwrap().contains("heph sync join"),
        "{error:?}"
    );
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
    let line = |status, time: &str| error(&answer(status, &[("date", &at(time))], "")).one_line();
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
        if let Err(RequestError::Other(error) | RequestError::Rejected(error, _)) =
            interpret(&answer, &CONTEXT)
        {
            let line = error.one_line();
            prop_assert!(!line.is_empty());
            prop_assert!(!line.contains(char::is_control));
        }
    }
}
