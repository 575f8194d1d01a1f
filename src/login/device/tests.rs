use super::super::grant::tests::answered;
use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

type Answer = Result<Granted, EndpointError>;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn refusal(code: &str) -> Answer {
    answered(400, &json!({ "error": code }))
}

fn unreachable() -> Answer {
    answered(503, &json!(null))
}

#[test]
fn each_answer_has_its_consequence() {
    for (answer, expected, interval) in [
        (refusal("authorization_pending"), "again", 5),
        (refusal("slow_down"), "again", 10),
        (unreachable(), "again", 10),
        (refusal("access_denied"), "the request was denied", 5),
        (
            refusal("expired_token"),
            "the code expired before it was confirmed",
            5,
        ),
        (refusal("invalid_grant"), "invalid_grant", 5),
        (answered(200, &json!({ "access_token": "a" })), "granted", 5),
        (
            answered(200, &json!("<html>")),
            "the answer of id.example holds no tokens",
            5,
        ),
    ] {
        let mut wait = Wait::new(secs(5), secs(600), at(0));
        let outcome = match wait.observe(answer) {
            Ok(None) => "again".to_owned(),
            Ok(Some(_)) => "granted".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        assert_eq!(outcome, expected);
        assert_eq!(wait.pause(at(0)), secs(interval), "{expected}");
    }
}

#[test]
fn polling_slows_down_as_requested_and_stays_slow() {
    let mut wait = Wait::new(secs(5), secs(6_000), at(0));
    let mut pauses = Vec::new();
    for answer in [
        refusal("slow_down"),
        refusal("authorization_pending"),
        refusal("slow_down"),
        unreachable(),
        unreachable(),
        refusal("authorization_pending"),
        unreachable(),
        unreachable(),
        unreachable(),
    ] {
        assert!(wait.observe(answer).unwrap().is_none());
        pauses.push(wait.pause(at(0)).as_secs());
    }
    assert_eq!(pauses, [10, 10, 15, 30, 60, 60, 120, 240, 300]);
}

#[test]
fn a_requested_pause_is_kept_once_and_within_bounds() {
    let mut wait = Wait::new(secs(5), secs(6_000), at(0));
    for (asked, pause) in [(60, 60), (1, 20), (86_400, 300)] {
        let busy = Error::unreachable("busy").with_retry_after(secs(asked));
        assert!(wait.observe(Err(busy.into())).unwrap().is_none());
        assert_eq!(wait.pause(at(0)), secs(pause), "{asked}");
    }
    wait.observe(refusal("authorization_pending")).unwrap();
    assert_eq!(wait.pause(at(0)), secs(40));
}

#[test]
fn a_wait_ends_with_the_code_and_says_why() {
    let mut wait = Wait::new(secs(5), secs(12), at(0));
    assert_eq!(
        wait.pause(at(10)),
        secs(2),
        "no longer than the code is valid"
    );
    let ending = |wait: &Wait, now| wait.check(at(now)).err().map(|error| error.to_string());
    let expired = Some("the code expired before it was confirmed".to_owned());
    assert_eq!(ending(&wait, 11), None);
    assert_eq!(ending(&wait, 12), expired);
    wait.observe(unreachable()).unwrap();
    let error = wait.check(at(13)).unwrap_err();
    assert_eq!(error.to_string(), "id.example answers with status 503");
    assert_eq!(error.kind(), Kind::Unreachable);
    assert_eq!(wait.pause(at(13)), secs(0));
    wait.observe(refusal("authorization_pending")).unwrap();
    assert_eq!(ending(&wait, 13), expired, "the issuer was back meanwhile");
}

#[test]
fn the_prompt_is_validated_before_it_is_shown() {
    let complete = json!({
        "device_code": "d", "user_code": "ABCD-EFGH", "verification_uri": "https://id.example/device",
        "expires_in": 600,
    });
    let with = |key: &str, value: Value| {
        let mut changed = complete.clone();
        changed[key] = value;
        match read("https://id.example/realm", changed.to_string().as_bytes()) {
            Ok(_) => "fine".to_owned(),
            Err(error) => format!("{error:#}"),
        }
    };
    for (key, value, expected) in [
        ("interval", json!(7), "fine"),
        ("user_code", json!(""), "no code that a person could enter"),
        (
            "user_code",
            json!("x".repeat(101)),
            "no code that a person could enter",
        ),
        ("device_code", json!(null), "holds no code"),
        ("expires_in", json!("soon"), "holds no code"),
        (
            "verification_uri",
            json!("javascript:alert(1)"),
            "'javascript:alert(1)' is unsafe",
        ),
        (
            "verification_uri",
            json!("http://id.example/"),
            "plain http is for loopback only",
        ),
        (
            "verification_uri_complete",
            json!("file:///x"),
            "'file:///x' is unsafe",
        ),
        (
            "verification_uri_complete",
            json!("https://id.example/device?user_code=A"),
            "fine",
        ),
        (
            "verification_uri",
            json!("http://127.0.0.1/device"),
            "is plain http, but the issuer is https",
        ),
        (
            "verification_uri",
            json!(format!("https://id.example/{}", "x".repeat(60_000))),
            "has 60019 bytes",
        ),
        (
            "verification_uri_complete",
            json!(format!("https://id.example/{}", "x".repeat(60_000))),
            "has 60019 bytes",
        ),
        ("verification_uri", json!(""), "holds no code for a device"),
        ("device_code", json!(""), "holds no code for a device"),
    ] {
        let outcome = with(key, value.clone());
        assert!(outcome.contains(expected), "{key} {value}: {outcome}");
    }
}

#[test]
fn an_offer_that_is_a_little_off_means_what_it_says() {
    let offer = |changes: Value| {
        let mut offer = json!({
            "device_code": "d", "user_code": "ABCD", "verification_uri": "https://id.example/device",
            "expires_in": 900, "interval": 1,
        });
        for (key, value) in changes.as_object().unwrap() {
            match value {
                Value::String(text) if text == "DROP" => {
                    offer.as_object_mut().unwrap().remove(key);
                }
                value => offer[key] = value.clone(),
            }
        }
        read("https://id.example/realm", offer.to_string().as_bytes())
            .unwrap_or_else(|error| panic!("{changes}: {error:#}"))
    };
    for changes in [
        json!({}),
        json!({ "expires_in": "900" }),
        json!({ "expires_in": 900.0 }),
        json!({ "expires_in": "900.0", "interval": "1" }),
        json!({ "interval": 0 }),
        json!({ "interval": -5 }),
        json!({ "interval": 0.2 }),
        json!({ "verification_uri_complete": "" }),
        json!({ "verification_uri_complete": null }),
        json!({ "verification_uri": "/device" }),
        json!({ "verification_url": "https://id.example/elsewhere" }),
        json!({ "verification_uri": "DROP", "verification_url": "https://id.example/device" }),
        json!({ "verification_uri": "", "verification_url": "/device" }),
    ] {
        let code = offer(changes.clone());
        assert_eq!(code.lifetime, secs(900), "{changes}");
        assert_eq!(code.interval, secs(1), "{changes}");
        let prompt = code.prompt;
        assert_eq!(prompt.verification_uri, "https://id.example/device");
        assert_eq!(prompt.verification_uri_complete, None);
    }
    let nothing = offer(json!({ "expires_in": null, "interval": "" }));
    assert_eq!((nothing.lifetime, nothing.interval), (LIFETIME, INTERVAL));
    let complete = offer(json!({ "verification_url_complete": "/device?user_code=ABCD" }));
    assert_eq!(
        complete.prompt.verification_uri_complete.as_deref(),
        Some("https://id.example/device?user_code=ABCD")
    );
    assert_eq!(
        offer(json!({ "expires_in": 1e300 })).lifetime,
        LONGEST_LIFETIME
    );
}

#[test]
fn pending_counts_with_whatever_status_it_comes() {
    for status in [200, 400, 401, 403, 428] {
        let pending = answered(status, &json!({ "error": "authorization_pending" }));
        let mut wait = Wait::new(secs(5), secs(600), at(0));
        assert!(wait.observe(pending).unwrap().is_none(), "{status}");
        assert_eq!(wait.pause(at(0)), secs(5), "{status}");
    }
}

fn any_answer() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["authorization_pending", "slow_down", "unreachable"])
}

proptest! {
    #[test]
    fn whatever_the_answers_a_wait_ends(
        interval in 1u64..400, lifetime in 0u64..100_000, answers in prop::collection::vec(any_answer(), 0..50)
    ) {
        let mut wait = Wait::new(secs(interval).min(LONGEST_INTERVAL), secs(lifetime), at(0));
        let end = i64::try_from(lifetime).unwrap();
        let (mut now, mut before) = (0, 0);
        for answer in answers {
            let pause = i64::try_from(wait.pause(at(now)).as_secs()).unwrap();
            prop_assert!(pause <= 300 && now + pause <= end);
            prop_assert!(pause >= before || now + pause == end, "it never polls faster");
            now += pause;
            before = pause;
            let answer = if answer == "unreachable" { unreachable() } else { refusal(answer) };
            wait.observe(answer).unwrap();
        }
        prop_assert!(wait.check(at(end)).is_err());
    }
}
