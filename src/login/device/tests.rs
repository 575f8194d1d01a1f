use super::super::answer::tests::hears;
use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn secs(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

fn refusal(code: &str) -> Heard {
    hears(400, &json!({ "error": code }))
}

fn away() -> Heard {
    hears(503, &json!(null))
}

#[test]
fn each_answer_has_its_consequence() {
    let told = |next: Next| match next {
        Next::Again => "again".to_owned(),
        Next::Done(_) => "done".to_owned(),
        Next::Ended(ending) => format!("{ending:?}"),
    };
    for (heard, expected, interval) in [
        (refusal("authorization_pending"), "again", 5),
        (refusal("slow_down"), "again", 10),
        (away(), "again", 10),
        (refusal("access_denied"), "Denied", 5),
        (refusal("expired_token"), "Expired", 5),
        (refusal("invalid_grant"), "Refused(\"invalid_grant\")", 5),
        (hears(200, &json!({ "access_token": "a" })), "done", 5),
        (
            hears(200, &json!("<html>")),
            "Refused(\"id.example answers with something that holds no tokens\")",
            5,
        ),
    ] {
        let mut wait = Wait::new(secs(5), secs(600), at(0));
        assert_eq!(told(wait.heard(heard)), expected);
        assert_eq!(wait.pause(at(0)), secs(interval), "{expected}");
    }
}

#[test]
fn a_wait_grows_slower_as_told_and_stays_so() {
    let mut wait = Wait::new(secs(5), secs(6_000), at(0));
    let mut pauses = Vec::new();
    for heard in [
        refusal("slow_down"),
        refusal("authorization_pending"),
        refusal("slow_down"),
        away(),
        away(),
        refusal("authorization_pending"),
        away(),
        away(),
        away(),
    ] {
        assert!(wait.heard(heard) == Next::Again);
        pauses.push(wait.pause(at(0)).as_secs());
    }
    assert_eq!(pauses, [10, 10, 15, 30, 60, 60, 120, 240, 300]);
}

#[test]
fn a_wait_ends_with_the_code_and_says_why() {
    let mut wait = Wait::new(secs(5), secs(12), at(0));
    assert_eq!(
        wait.pause(at(10)),
        secs(2),
        "no longer than the code is good"
    );
    assert_eq!(wait.over(at(11)), None);
    assert_eq!(wait.over(at(12)), Some(Ending::Expired));
    wait.heard(away());
    assert_eq!(
        wait.over(at(13)),
        Some(Ending::Away("id.example answers 503".to_owned()))
    );
    assert_eq!(wait.pause(at(13)), secs(0));
    wait.heard(refusal("authorization_pending"));
    assert_eq!(
        wait.over(at(13)),
        Some(Ending::Expired),
        "it was back meanwhile"
    );
}

#[test]
fn what_is_to_be_shown_is_looked_at_first() {
    let complete = json!({
        "device_code": "d", "user_code": "ABCD-EFGH", "verification_uri": "https://id.example/device",
        "expires_in": 600,
    });
    let with = |key: &str, value: Value| {
        let mut changed = complete.clone();
        changed[key] = value;
        match read(changed.to_string().as_bytes()) {
            Ok(_) => "fine".to_owned(),
            Err(error) => error.to_string(),
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
            "wants 'javascript:alert(1)' to be opened",
        ),
        (
            "verification_uri",
            json!("http://id.example/"),
            "plain http is for loopback only",
        ),
        (
            "verification_uri_complete",
            json!("file:///x"),
            "wants 'file:///x' to be opened",
        ),
        (
            "verification_uri_complete",
            json!("https://id.example/device?user_code=A"),
            "fine",
        ),
    ] {
        let heard = with(key, value.clone());
        assert!(heard.contains(expected), "{key} {value}: {heard}");
    }
}

fn any_heard() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["authorization_pending", "slow_down", "away"])
}

proptest! {
    #[test]
    fn whatever_is_heard_a_wait_comes_to_its_end(
        interval in 1i64..400, lasts in 0i64..100_000, heard in prop::collection::vec(any_heard(), 0..50)
    ) {
        let mut wait = Wait::new(secs(interval).min(LONGEST_INTERVAL), secs(lasts), at(0));
        let (mut now, mut before) = (0, 0);
        for heard in heard {
            let pause = wait.pause(at(now)).as_secs();
            prop_assert!(pause <= 300 && now + pause <= lasts);
            prop_assert!(pause >= before || now + pause == lasts, "it never grows faster");
            now += pause;
            before = pause;
            wait.heard(if heard == "away" { away() } else { refusal(heard) });
        }
        prop_assert!(wait.over(at(lasts)).is_some());
    }
}
