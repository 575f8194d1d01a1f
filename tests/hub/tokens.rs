//! Who may sync, and what each one sees.

use std::thread;

use ring::hmac;
use serde_json::{Value, json};

use super::issuer::{Issuer, now};
use super::signer::{Signer, base64url, message};
use super::{Hub, add, request, titles};
use crate::support::node::free_address;
use crate::support::tls::TlsServer;
use crate::support::wait::eventually;

#[test]
fn each_user_sees_only_their_own_tasks_whatever_they_send() {
    let signer = Signer::ec();
    let issuer = Issuer::start(&[signer.jwk("k")]);
    let hub = Hub::start(&issuer.flags());
    let token = |subject| signer.token("k", &issuer.claims(subject, json!({})));
    let (alice, bob) = (token("alice"), token("bob"));
    hub.sync(Some(&alice), &request("01A", &[add(1, "alice's")]));

    // The very same operation, one of bob's own on alice's task, and one that says it is hers.
    let mut on_hers = add(2, "taken over");
    on_hers["task"] = add(1, "")["task"].clone();
    let mut as_hers = add(3, "slipped in");
    as_hers["body"]["user"] = format!("{} alice", issuer.url).into();
    let crossed = [add(1, "alice's"), on_hers, as_hers];
    // The spoke's id is no secret either.
    let answer = hub.sync(Some(&bob), &request("01A", &crossed));
    assert_eq!(titles(&answer), [""; 0]);
    // Nothing tells him that hers is there: what he sends is his own.
    assert_eq!(answer["refused"], json!([]), "{answer}");

    let seen = |token| {
        let answer = hub.sync(Some(token), &request("01Z", &[]));
        let mut titles = titles(&answer);
        titles.sort();
        assert!(!answer.to_string().contains("\"user\""), "{answer}");
        titles
    };
    assert_eq!(seen(&alice), ["alice's"]);
    assert_eq!(seen(&bob), ["alice's", "slipped in", "taken over"]);
    // Where the other one is in the log helps nobody.
    hub.sync(Some(&alice), &request("01A", &[add(9, "hers alone")]));
    let mut borrowed = request("01Z", &[]);
    let hers = hub.sync(Some(&alice), &borrowed);
    for member in ["epoch", "cursor"] {
        borrowed[member] = hers[member].clone();
    }
    assert_eq!(hub.sync(Some(&bob), &borrowed)["reset"], true);
    // The owner of the machine is a third one.
    let own = hub.wire().call("task.list", json!({}));
    assert_eq!(own["tasks"], json!([]));
    let page = hub.get("/metrics");
    assert!(!page.text().contains("alice"), "{}", page.text());
}

#[test]
fn tokens_that_are_not_good_are_refused_with_the_reason() {
    let (rsa, ec, stranger) = (Signer::rsa(), Signer::ec(), Signer::ec());
    let jwk = rsa.jwk("rsa");
    let issuer = Issuer::start(&[jwk.clone(), ec.jwk("ec")]);
    let hub = Hub::start(&issuer.flags());
    let claims = |changes| issuer.claims("alice", changes);
    let good = rsa.token("rsa", &claims(json!({})));
    hub.sync(Some(&good), &request("01A", &[]));
    hub.sync(
        Some(&ec.token("ec", &claims(json!({"aud": ["x", "heph"]})))),
        &request("01A", &[]),
    );

    let parts: Vec<&str> = good.split('.').collect();
    let mallory = base64url(issuer.claims("mallory", json!({})).to_string());
    let hs256 = {
        let message = message(&json!({"alg": "HS256", "kid": "rsa"}), &claims(json!({})));
        let key = hmac::Key::new(hmac::HMAC_SHA256, jwk.to_string().as_bytes());
        let tag = hmac::sign(&key, message.as_bytes());
        format!("{message}.{}", base64url(tag))
    };
    let signed = |changes: Value| rsa.token("rsa", &claims(changes));
    let table = [
        ("expired", signed(json!({"exp": now() - 3600}))),
        ("not-yet", signed(json!({"nbf": now() + 3600}))),
        ("audience", signed(json!({"aud": "another"}))),
        ("issuer", signed(json!({"iss": "https://evil.example"}))),
        ("subject", signed(json!({"sub": null}))),
        ("malformed", signed(json!({"exp": "9999999999"}))),
        (
            "algorithm",
            format!("{}.", message(&json!({"alg": "none"}), &claims(json!({})))),
        ),
        ("algorithm", hs256),
        ("signature", format!("{}.{mallory}.{}", parts[0], parts[2])),
        ("signature", stranger.token("ec", &claims(json!({})))),
        (
            "unknown-key",
            stranger.token("stranger", &claims(json!({}))),
        ),
        (
            "wrong-key",
            rsa.sign(&json!({"alg": "ES256", "kid": "rsa"}), &claims(json!({}))),
        ),
        ("malformed", "garbage".to_owned()),
    ];
    for (word, token) in &table {
        let answer = hub.post(Some(token), &request("01A", &[add(1, "never")]));
        assert_eq!(answer.status, 401, "{word}");
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
        assert!(challenge.contains(&answer.error()), "{challenge}");
        let log = hub.log();
        assert!(
            log.contains(&format!("event=denied reason={word}")),
            "{word}: {log}"
        );
    }
    let missing = hub.post(None, &request("01A", &[]));
    assert_eq!(missing.status, 401);
    assert_eq!(
        missing.header("www-authenticate"),
        Some("Bearer realm=\"heph\"")
    );
    assert!(missing.error().contains("no bearer token"));

    let log = hub.log();
    for (_, token) in &table {
        let secret = token
            .rsplit('.')
            .find(|part| part.len() > 20)
            .unwrap_or("\0");
        assert!(!log.contains(secret), "no token in the log: {log}");
    }
    assert_eq!(
        titles(&hub.sync(Some(&good), &request("01A", &[]))),
        [""; 0]
    );
    let page = hub.get("/metrics");
    let counted = "heph_hub_denied_total{reason=\"signature\"} 2";
    assert!(page.text().contains(counted), "{}", page.text());
}

#[test]
fn a_new_key_is_fetched_once_and_a_withdrawn_one_stops_working() {
    let (old, new, third) = (Signer::ed(), Signer::ed(), Signer::ed());
    let issuer = Issuer::start(&[old.jwk("old")]);
    let hub = Hub::start(&issuer.flags());
    let status = |signer: &Signer, kid| {
        let token = signer.token(kid, &issuer.claims("alice", json!({})));
        hub.post(Some(&token), &request("01A", &[])).status
    };
    assert_eq!(status(&old, "old"), 200);
    let before = issuer.asked();

    issuer.rotate(&[new.jwk("new")]);
    // Many at once who bring the new key make the hub ask once.
    thread::scope(|scope| {
        let many: Vec<_> = (0..20)
            .map(|_| scope.spawn(|| status(&new, "new")))
            .collect();
        for one in many {
            assert_eq!(one.join().unwrap(), 200);
        }
    });
    assert_eq!(issuer.asked(), before + 1);
    assert_eq!(status(&old, "old"), 401);
    // The minute is not over: an unknown key does not make it ask again, and what it knows works.
    issuer.rotate(&[new.jwk("new"), third.jwk("third")]);
    assert_eq!(status(&third, "third"), 401);
    assert_eq!(status(&new, "new"), 200);
    assert_eq!(issuer.asked(), before + 1);
}

#[test]
fn an_issuer_that_is_away_keeps_nobody_out_who_was_let_in() {
    let signer = Signer::ec();
    let issuer = Issuer::start(&[signer.jwk("k")]);
    let hub = Hub::start(&issuer.flags());
    let token = signer.token("k", &issuer.claims("alice", json!({})));
    let unknown = Signer::ec().token("x", &issuer.claims("alice", json!({})));
    hub.sync(Some(&token), &request("01A", &[]));
    drop(issuer);
    assert_eq!(hub.post(Some(&unknown), &request("01A", &[])).status, 401);
    hub.sync(Some(&token), &request("01A", &[]));
    assert!(hub.log().contains("event=keys-failed"));
}

#[test]
fn a_hub_that_starts_before_its_issuer_asks_for_patience() {
    let signer = Signer::ec();
    let address = free_address();
    let url = format!("http://{address}/realm");
    let hub = Hub::start(&["--oidc-issuer", &url, "--oidc-audience", "heph"]);
    assert_eq!(hub.get("/readyz").status, 200, "it can say what is wrong");
    let claims = json!({"iss": url, "sub": "alice", "aud": "heph", "exp": now() + 3600});
    let token = signer.token("k", &claims);
    let answer = hub.post(Some(&token), &request("01A", &[]));
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some());
    assert!(
        answer.error().contains("cannot fetch the issuer's keys"),
        "{}",
        answer.error()
    );

    let _issuer = Issuer::start_on(&address, &[signer.jwk("k")]);
    eventually("the hub takes the token", || {
        hub.post(Some(&token), &request("01A", &[])).status == 200
    });
}

#[test]
fn a_document_of_another_issuer_is_not_believed() {
    let signer = Signer::ec();
    let issuer = Issuer::start(&[signer.jwk("k")]);
    issuer.claim_to_be("https://evil.example");
    let hub = Hub::start(&issuer.flags());
    let token = signer.token("k", &issuer.claims("alice", json!({})));
    let answer = hub.post(Some(&token), &request("01A", &[]));
    assert_eq!(answer.status, 503);
    assert!(
        answer.error().contains("another issuer"),
        "{}",
        answer.error()
    );
}

#[test]
fn an_https_issuer_whose_keys_are_at_plain_http_is_rejected() {
    let signer = Signer::ec();
    // Where the issuer is plain http on loopback as well, its keys are used.
    let plain = Issuer::start(&[signer.jwk("k")]);
    let hub = Hub::start(&plain.flags());
    let token = signer.token("k", &plain.claims("alice", json!({})));
    hub.sync(Some(&token), &request("01A", &[]));
    let before = plain.asked();

    let server = TlsServer::start();
    let url = format!("https://localhost:{}", server.port);
    let document = json!({"issuer": url, "jwks_uri": format!("{}/keys", plain.url)}).to_string();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{document}",
        document.len()
    );
    let server = server.serves(".well-known/openid-configuration", &answer);
    let flags = ["--oidc-issuer", &url, "--oidc-audience", "heph"];
    let hub = Hub::trusting(Some(&server.authority()), &flags);
    let token = signer.token("k", &plain.claims("alice", json!({"iss": url})));
    let answer = hub.post(Some(&token), &request("01A", &[]));
    assert_eq!(answer.status, 503);
    let error = answer.error();
    assert!(
        error.contains("plain http, but the issuer is https"),
        "{error}"
    );
    assert_eq!(plain.asked(), before, "the keys were never fetched");
}

#[test]
fn keys_that_are_no_safe_url_are_not_fetched() {
    for jwks_uri in ["http://id.example.org/keys", "file:///etc/passwd"] {
        let issuer = Issuer::start(&[]);
        issuer.publish_keys_at(jwks_uri);
        let hub = Hub::start(&issuer.flags());
        let token = Signer::ec().token("k", &issuer.claims("alice", json!({})));
        let answer = hub.post(Some(&token), &request("01A", &[]));
        assert_eq!(answer.status, 503);
        let expected = format!("the endpoint '{jwks_uri}' is unsafe");
        assert!(answer.error().contains(&expected), "{}", answer.error());
    }
}
