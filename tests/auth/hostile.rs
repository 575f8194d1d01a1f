//! Issuers that are away, not what they say, or up to no good.

use heph::login;
use heph::os::clock;
use serde_json::json;

use super::fake::Fake;
use super::scene::Scene;
use crate::support::call::Ended;
use crate::support::home::Home;
use crate::support::node::free_address;
use crate::support::provider::Browser;
use crate::support::wait::eventually;

const METADATA: &str = "/.well-known/openid-configuration";

/// Tries to log in at `issuer` in a new home, which must fail and leave nothing.
#[track_caller]
fn login(issuer: &str) -> Ended {
    let home = Home::new();
    let login = format!("auth login --issuer {issuer} --client-id heph");
    let ended = home.heph(&login).ends();
    assert!(!home.data().join("tokens.json").exists());
    assert_ne!(ended.code, 0);
    let shown = format!("{}{}", ended.out, ended.err);
    assert!(shown.len() < 5_000, "an issuer fills the terminal");
    assert!(
        !shown.contains(['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}']),
        "{shown:?}"
    );
    assert!(!shown.contains("device-secret"), "{shown}");
    ended
}

#[test]
fn an_issuer_that_is_away_is_told_as_such() {
    login(&format!("http://{}", free_address()))
        .exits(75)
        .complains("cannot discover the issuer");
    let fake = Fake::start();
    fake.answer(METADATA, 503, &[], "");
    login(&fake.issuer)
        .exits(75)
        .complains("answers with status 503");
}

#[test]
fn an_issuer_is_asked_over_https_only_but_on_loopback() {
    login("http://id.example.org")
        .exits(2)
        .complains("plain http is for loopback only");
    login("id.example.org")
        .exits(2)
        .complains("is not an issuer");
}

#[test]
fn an_issuer_that_calls_itself_something_else_is_not_used() {
    let fake = Fake::start();
    let mut metadata = fake.metadata();
    metadata["issuer"] = json!("https://id.example.org\u{1b}[2J");
    fake.json(METADATA, 200, &metadata);
    login(&fake.issuer)
        .exits(1)
        .complains("another issuer, 'https://id.example.org\\u{1b}[2J'");
    // The same host under another name is another issuer.
    let slash = format!("{}/", fake.issuer);
    fake.json(METADATA, 200, &fake.metadata());
    login(&slash).exits(1).complains("another issuer");
    assert!(fake.asked().iter().all(|asked| asked.starts_with(METADATA)));
}

#[test]
fn endpoints_that_are_not_safe_are_not_asked() {
    let fake = Fake::start();
    for endpoint in [
        "http://id.example.org/token",
        "file:///etc/passwd",
        "--output",
    ] {
        let mut metadata = fake.metadata();
        metadata["token_endpoint"] = json!(endpoint);
        fake.json(METADATA, 200, &metadata);
        login(&fake.issuer)
            .exits(1)
            .complains(&format!("the endpoint '{endpoint}' is unsafe"));
    }
}

#[test]
fn an_issuer_without_a_login_for_devices_says_so() {
    let fake = Fake::start();
    let mut metadata = fake.metadata();
    metadata["device_authorization_endpoint"] = json!(null);
    fake.json(METADATA, 200, &metadata);
    login(&fake.issuer)
        .exits(1)
        .complains("does not support the device authorization grant")
        .complains("hint: ");
}

#[test]
fn what_is_no_answer_of_an_issuer_is_refused() {
    let html = b"<html><script>alert(1)</script>\x1b[2J</html>".to_vec();
    // Larger than what is read, and without an end that would have to be waited for.
    let huge = vec![b'x'; 8 << 20];
    for path in [METADATA, "/device", "/token"] {
        for (body, why) in [
            (html.clone(), "answer"),
            (huge.clone(), "larger than 1048576 bytes"),
        ] {
            let fake = Fake::start();
            fake.answer(path, 200, &[("Content-Type", "text/html")], body);
            login(&fake.issuer).exits(1).complains(why);
        }
    }
}

#[test]
fn a_compressed_answer_is_bounded_by_what_comes_out_of_it() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut gzip, &vec![b' '; 64 << 20]).unwrap();
    let fake = Fake::start();
    fake.answer(
        "/token",
        200,
        &[("Content-Encoding", "gzip")],
        gzip.finish().unwrap(),
    );
    login(&fake.issuer)
        .exits(1)
        .complains("larger than 1048576 bytes");
}

#[test]
fn a_code_that_would_steer_the_terminal_is_shown_harmless() {
    let fake = Fake::start();
    let mut device = fake.device();
    device["user_code"] = json!("AB\u{1b}]0;pwned\u{7}\u{202e}\r\nCD");
    fake.json("/device", 200, &device);
    fake.json(
        "/token",
        400,
        &json!({ "error": "access_denied", "error_description": "\u{1b}[2J" }),
    );
    login(&fake.issuer)
        .exits(1)
        .says("AB\\u{1b}]0;pwned\\u{7}\\u{202e}\\r\\nCD");
    fake.json(
        "/token",
        400,
        &json!({ "error": "\u{9b}2J", "error_description": "x".repeat(100_000) }),
    );
    login(&fake.issuer).exits(1).complains("\\u{9b}2J (xxx");
}

#[test]
fn a_place_to_go_that_is_no_web_address_is_not_shown() {
    let fake = Fake::start();
    for address in [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "http://id.example.org/",
    ] {
        let mut device = fake.device();
        device["verification_uri"] = json!(address);
        fake.json("/device", 200, &device);
        let ended = login(&fake.issuer)
            .exits(1)
            .complains(&format!("the verification URL '{address}' is unsafe"));
        assert_eq!(ended.out, "");
    }
}

#[test]
fn a_redirection_does_not_carry_the_code_away() {
    let (fake, thief) = (Fake::start(), Fake::start());
    let elsewhere = format!("{}/token", thief.issuer);
    for (path, status) in [("/token", 307), ("/device", 308), ("/token", 302)] {
        let fake = Fake::start();
        fake.answer(path, status, &[("Location", &elsewhere)], "");
        login(&fake.issuer).exits(1).complains("redirects");
    }
    drop(fake);
    assert_eq!(thief.asked(), Vec::<String>::new());
}

#[test]
fn a_client_that_the_issuer_does_not_know_is_named() {
    let scene = Scene::new();
    let issuer = &scene.provider.issuer;
    let arguments = [
        "auth",
        "login",
        "--issuer",
        issuer,
        "--client-id",
        "stranger",
    ];
    scene
        .home
        .heph(&arguments)
        .exits(1)
        .complains("invalid_client")
        .complains("register 'stranger' at the issuer as a public client");
}

#[test]
fn an_issuer_that_goes_away_while_a_person_confirms_is_waited_for() {
    let scene = Scene::new();
    let mut login = scene.login("");
    let address = login.line("user_code=");
    // Until it was missed once.
    scene.provider.set(json!({ "down": true }));
    scene.provider.counts();
    eventually("it was missed", || {
        !scene.provider.counts()["/token"].is_null()
    });
    scene.provider.set(json!({ "down": false }));
    Browser::of("alice").confirm(&address);
    login.ends().exits(0).says("as alice");
}

#[test]
fn an_issuer_that_wants_it_slower_is_obeyed() {
    let fake = Fake::start();
    let mut device = fake.device();
    device["expires_in"] = json!(8);
    fake.json("/device", 200, &device);
    fake.json("/token", 400, &json!({ "error": "slow_down" }));
    login(&fake.issuer)
        .exits(1)
        .complains("the code expired before it was confirmed");
    let asked = fake.asked();
    let polls = asked
        .iter()
        .filter(|asked| asked.starts_with("/token"))
        .count();
    assert!(polls <= 2, "once a second, it would have been 7: {asked:?}");
}

#[test]
fn without_pkce_in_the_metadata_none_is_sent_and_with_it_both_halves_are() {
    for offered in [false, true] {
        let fake = Fake::start();
        let mut metadata = fake.metadata();
        if offered {
            metadata["code_challenge_methods_supported"] = json!(["plain", "S256"]);
        }
        fake.json(METADATA, 200, &metadata);
        fake.json("/token", 400, &json!({ "error": "access_denied" }));
        login(&fake.issuer).exits(1);
        let asked = fake.asked();
        let sent = |path: &str, field: &str| {
            let request = asked.iter().find(|asked| asked.starts_with(path)).unwrap();
            request.contains(&format!("{field}="))
        };
        assert_eq!(sent("/device", "code_challenge"), offered);
        assert_eq!(sent("/token", "code_verifier"), offered);
    }
}

#[test]
fn a_token_that_could_not_travel_in_a_header_is_refused() {
    for token in ["a\r\nX-Evil: 1", "a b", "", &"x".repeat(20_000)] {
        let fake = Fake::start();
        fake.json(
            "/token",
            200,
            &json!({ "access_token": token, "token_type": "Bearer" }),
        );
        login(&fake.issuer).exits(1).complains("sent a token");
    }
}

#[test]
fn a_login_without_a_refresh_token_says_when_it_ends() {
    let (home, fake) = (Home::new(), Fake::start());
    fake.json(
        "/token",
        200,
        &json!({ "access_token": "opaque", "token_type": "Bearer", "expires_in": 90 }),
    );
    let arguments = [
        "auth",
        "login",
        "--issuer",
        &fake.issuer,
        "--client-id",
        "heph",
    ];
    home.heph(&arguments)
        .start()
        .ends()
        .exits(0)
        .complains("issued no refresh token");
    home.heph("auth status")
        .exits(0)
        .says("subject  unknown")
        .says("not renewable");
    let file = home.data().join("tokens.json");
    assert_eq!(
        login::bearer(&file, &fake.issuer, "heph", clock::now()).unwrap(),
        "opaque"
    );
}
