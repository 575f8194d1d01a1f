//! Issuers whose answers are a little off, each known from a provider in the wild, and none of them unsafe.

use std::thread;

use serde_json::{Value, json};

use super::fake::Fake;
use crate::support::call::Ended;
use crate::support::home::Home;

/// Returns `object` with `changes` in it; "DROP" takes a member out.
fn changed(mut object: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().into_iter().flatten() {
        match value {
            Value::String(text) if text == "DROP" => {
                object.as_object_mut().unwrap().remove(name);
            }
            value => object[name] = value.clone(),
        }
    }
    object
}

/// An issuer that grants at the first question, with changes in its metadata, its code and its tokens.
fn granting(metadata: &Value, device: &Value, tokens: &Value) -> Fake {
    let fake = Fake::start();
    let granted = json!({ "access_token": "opaque", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "r" });
    let documents = [
        (
            "/.well-known/openid-configuration",
            changed(fake.metadata(), metadata),
        ),
        ("/device", changed(fake.device(), device)),
        ("/token", changed(granted, tokens)),
    ];
    for (path, document) in documents {
        fake.json(path, 200, &document);
    }
    fake
}

fn login(fake: &Fake, more: &str) -> (Home, Ended) {
    let home = Home::new();
    let login = format!(
        "auth login --issuer {} --client-id heph {more}",
        fake.issuer
    );
    let ended = home.heph(&login).ends();
    (home, ended)
}

#[test]
fn answers_that_are_a_little_off_log_in() {
    let none = json!({});
    let metadata = |changes: Value| (changes, none.clone(), none.clone());
    let device = |changes: Value| (none.clone(), changes, none.clone());
    let tokens = |changes: Value| (none.clone(), none.clone(), changes);
    let table = [
        // Numbers as text, or with a fraction.
        tokens(json!({ "expires_in": "3600" })),
        device(json!({ "expires_in": "900", "interval": "1" })),
        device(json!({ "expires_in": 900.0, "interval": 1.0 })),
        // What is absent, as null or as the empty text.
        metadata(json!({ "revocation_endpoint": "" })),
        metadata(json!({ "revocation_endpoint": null })),
        metadata(json!({ "code_challenge_methods_supported": null, "scopes_supported": null })),
        device(json!({ "verification_uri_complete": "" })),
        device(json!({ "verification_uri_complete": null })),
        tokens(json!({ "id_token": "" })),
        tokens(json!({ "refresh_token": "" })),
        tokens(json!({ "token_type": null, "expires_in": null, "id_token": null })),
        // The older name of the address, alone and beside the present one.
        device(json!({ "verification_url": "https://id.example.org/go" })),
        device(json!({ "verification_uri": "DROP", "verification_url": "/go" })),
        device(json!({ "verification_uri": "/go" })),
        metadata(json!({ "token_endpoint": "/token" })),
    ];
    // Each waits a second for its answer.
    thread::scope(|scope| {
        for (metadata, device, tokens) in table {
            scope.spawn(move || {
                let fake = granting(&metadata, &device, &tokens);
                let (home, ended) = login(&fake, "");
                assert_eq!(ended.code, 0, "{metadata} {device} {tokens}: {ended}");
                assert!(home.data().join("tokens.json").exists());
            });
        }
    });
}

#[test]
fn pending_is_pending_with_whatever_status() {
    thread::scope(|scope| {
        for status in [200, 400, 401, 403, 428] {
            scope.spawn(move || {
                let none = json!({});
                let fake = granting(&none, &json!({ "expires_in": 4 }), &none);
                fake.json(
                    "/token",
                    status,
                    &json!({ "error": "authorization_pending" }),
                );
                let (_, ended) = login(&fake, "");
                ended
                    .exits(1)
                    .complains("the code expired before it was confirmed");
            });
        }
    });
}

#[test]
fn what_has_no_meaning_is_still_refused() {
    let none = json!({});
    for (device, tokens, words) in [
        (json!({ "expires_in": "soon" }), json!({}), "holds no code"),
        (json!({ "user_code": "" }), json!({}), "holds no code"),
        (none.clone(), json!({ "expires_in": [] }), "holds no tokens"),
        (none.clone(), json!({ "access_token": "" }), "sent a token"),
    ] {
        let fake = granting(&none, &device, &tokens);
        login(&fake, "").1.exits(1).complains(words);
    }
}

#[test]
fn an_address_that_fills_the_terminal_is_not_shown() {
    let long = format!("http://127.0.0.1/{}", "x".repeat(60_000));
    for member in ["verification_uri", "verification_uri_complete"] {
        let none = json!({});
        let mut device = json!({});
        device[member] = long.clone().into();
        let fake = granting(&none, &device, &none);
        let (_, ended) = login(&fake, "");
        assert!(ended.out.len() + ended.err.len() < 2_000);
        ended.exits(1).complains("has 60017 bytes");
    }
}

/// Returns the scopes that were requested.
fn scopes(fake: &Fake) -> Vec<String> {
    let asked = fake.asked().into_iter();
    asked
        .filter_map(|asked| {
            let form = asked.strip_prefix("/device ")?.to_owned();
            let scope = form
                .split('&')
                .find_map(|field| field.strip_prefix("scope="))?;
            Some(scope.replace("%20", " ").replace('+', " "))
        })
        .collect()
}

#[test]
fn the_scopes_are_those_that_the_issuer_supports() {
    let none = json!({});
    for (supported, requested) in [
        (json!(null), "openid offline_access"),
        (
            json!(["openid", "offline_access", "email"]),
            "openid offline_access",
        ),
        // GitLab, Google.
        (json!(["openid", "profile", "email"]), "openid"),
    ] {
        let fake = granting(&json!({ "scopes_supported": supported }), &none, &none);
        login(&fake, "").1.exits(0);
        assert_eq!(scopes(&fake), [requested]);
    }
}

#[test]
fn scopes_that_the_client_may_not_have_are_left_out() {
    let none = json!({});
    let fake = granting(&none, &none, &none);
    // Keycloak lists what the realm has, and refuses what the client lacks.
    fake.json("/device", 400, &json!({ "error": "invalid_scope" }));
    login(&fake, "")
        .1
        .exits(1)
        .complains("invalid_scope")
        .complains("--oidc-scopes");
    assert_eq!(scopes(&fake), ["openid offline_access", "openid"]);
}

#[test]
fn scopes_that_are_named_are_requested_as_they_are() {
    let none = json!({});
    let fake = granting(&json!({ "scopes_supported": ["openid"] }), &none, &none);
    login(
        &fake,
        "--oidc-scopes 'openid offline_access api://heph/.default'",
    )
    .1
    .exits(0);
    assert_eq!(scopes(&fake).len(), 1);
    assert!(scopes(&fake)[0].starts_with("openid offline_access api"));
    login(&fake, "--oidc-scopes ' '").1.exits(2);
}
