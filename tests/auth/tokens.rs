//! What the hub thinks of tokens of the real provider, and of what can be made of them.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::{Value, json};

use super::machines::{Hub, served};
use crate::support::call::Call;
use crate::support::faketime;
use crate::support::provider::Provider;

fn decoded(part: &str) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Returns header, claims and signature of a token.
fn apart(token: &str) -> [&str; 3] {
    let parts: Vec<&str> = token.split('.').collect();
    parts.try_into().unwrap()
}

/// Returns `part` of a token with one member replaced.
fn with(part: &str, member: &str, value: impl Into<Value>) -> String {
    let mut object: Value = serde_json::from_slice(&decoded(part)).unwrap();
    object[member] = value.into();
    encoded(object.to_string())
}

/// An operation that would leave a trace.
fn trace() -> Value {
    json!({
        "id": "01HF7Z00000000000000000001", "kind": "task.add", "task": "01HF7Z00000000000000000002",
        "body": { "title": "slipped in", "clock": [1_700_000_000_000_i64, 0] },
        "created_at": 1_700_000_000_000_i64,
    })
}

/// Sends `token` with an operation, which the hub must refuse with these words, and leave no trace of.
#[track_caller]
fn refused(hub: &Hub, token: Option<&str>, words: &str) {
    let (status, head, body) = hub.post(token, &[trace()]);
    assert_eq!(status, 401, "{body}");
    // RFC 6750, section 3.
    assert!(head.contains("www-authenticate: bearer"), "{head}");
    let error = body["error"].as_str().unwrap();
    assert!(error.contains(words), "no {words:?} in {body}");
}

/// Returns how many operations the hub has for the user of `token`.
fn operations(hub: &Hub, token: &str) -> usize {
    let (status, _, answer) = hub.post(Some(token), &[]);
    assert_eq!(status, 200, "{answer}");
    answer["operations"].as_array().unwrap().len()
}

#[test]
fn tokens_of_the_provider_are_taken_whichever_way_it_signs() {
    let provider = Provider::start();
    let hub = Hub::start(&provider);
    for algorithm in ["RS256", "ES256", "EdDSA"] {
        provider.set(json!({ "algorithm": algorithm }));
        let token = provider.access_token("alice");
        let header: Value = serde_json::from_slice(&decoded(apart(&token)[0])).unwrap();
        assert_eq!(header["alg"], algorithm);
        assert_eq!(operations(&hub, &token), 0);
    }
}

#[test]
fn no_token_that_was_tampered_with_is_taken() {
    let provider = Provider::start();
    let hub = Hub::start(&provider);
    let good = provider.access_token("alice");
    let [header, claims, signature] = apart(&good);

    refused(&hub, None, "no bearer token");
    refused(&hub, Some("opaque"), "not a JWT");

    let none = with(header, "alg", "none");
    refused(&hub, Some(&format!("{none}.{claims}.")), "not signed with");
    refused(
        &hub,
        Some(&format!("{none}.{claims}.{signature}")),
        "not signed with",
    );

    // The key is public: whoever takes it for a shared secret lets everybody in.
    let hs256 = with(header, "alg", "HS256");
    let message = format!("{hs256}.{claims}");
    let keys = provider.keys();
    let named: Value = serde_json::from_slice(&decoded(header)).unwrap();
    let jwk = keys["keys"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["kid"] == named["kid"])
        .unwrap();
    let modulus = decoded(jwk["n"].as_str().unwrap());
    for secret in [modulus, jwk.to_string().into_bytes(), pem(jwk)] {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let forged = encoded(hmac::sign(&secret, message.as_bytes()));
        refused(
            &hub,
            Some(&format!("{message}.{forged}")),
            "not signed with",
        );
        // The same under the name that the key goes with.
        refused(
            &hub,
            Some(&format!("{header}.{claims}.{forged}")),
            "signature is wrong",
        );
    }

    let bob = with(claims, "sub", "bob");
    refused(
        &hub,
        Some(&format!("{header}.{bob}.{signature}")),
        "signature is wrong",
    );
    let forever = with(claims, "exp", json!(4_000_000_000_i64));
    refused(
        &hub,
        Some(&format!("{header}.{forever}.{signature}")),
        "signature is wrong",
    );
    let mut bytes = decoded(signature);
    bytes[7] ^= 1;
    refused(
        &hub,
        Some(&format!("{header}.{claims}.{}", encoded(&bytes))),
        "signature is wrong",
    );
    refused(
        &hub,
        Some(&format!("{header}.{claims}.")),
        "signature is wrong",
    );
    let unknown = with(header, "kid", "nobody's");
    refused(
        &hub,
        Some(&format!("{unknown}.{claims}.{signature}")),
        "does not publish",
    );

    assert_eq!(operations(&hub, &good), 0, "nothing of all that was stored");
    assert_eq!(served(&hub), [""; 0]);
}

/// Returns the public key in the form that libraries take for a secret, in the attack that this is.
fn pem(jwk: &Value) -> Vec<u8> {
    let program = "const { createPublicKey } = require('node:crypto'); \
         const key = createPublicKey({ key: JSON.parse(process.argv[1]), format: 'jwk' }); \
         process.stdout.write(key.export({ type: 'spki', format: 'pem' }));";
    let node = Call::of("node").args(&["-e", program, &jwk.to_string()]);
    node.bytes()
}

#[test]
fn a_token_for_another_audience_is_refused() {
    let provider = Provider::start();
    let hub = Hub::start(&provider);
    provider.set(json!({ "audience": "urn:another:service" }));
    refused(
        &hub,
        Some(&provider.access_token("alice")),
        "another audience",
    );
}

#[test]
fn a_token_of_another_issuer_is_refused_also_if_it_claims_to_be_ours() {
    let (provider, other) = (Provider::start(), Provider::start());
    let hub = Hub::start(&provider);
    let foreign = other.access_token("alice");
    refused(&hub, Some(&foreign), "another issuer");
    let [header, claims, signature] = apart(&foreign);
    let claims = with(claims, "iss", json!(provider.issuer));
    refused(
        &hub,
        Some(&format!("{header}.{claims}.{signature}")),
        "does not publish",
    );
}

#[test]
fn a_token_whose_time_is_over_or_has_not_come_is_refused() {
    let provider = Provider::start();
    let token = provider.access_token("alice");
    let later = Hub::start_with(&provider, &faketime::off_by("+2h"));
    refused(&later, Some(&token), "expired");
    let [header, claims, signature] = apart(&token);
    let begins = with(claims, "nbf", json!(4_000_000_000_i64));
    let hub = Hub::start(&provider);
    refused(
        &hub,
        Some(&format!("{header}.{begins}.{signature}")),
        "not valid yet",
    );
    assert_eq!(operations(&hub, &token), 0);
}

#[test]
fn a_user_cannot_reach_the_tasks_of_another() {
    let provider = Provider::start();
    let hub = Hub::start(&provider);
    let (alice, bob) = (provider.access_token("alice"), provider.access_token("bob"));
    let (_, _, answer) = hub.post(Some(&alice), &[trace()]);
    assert_eq!(answer["refused"], json!([]), "{answer}");

    // Bob knows every id, and says that he is her.
    let user = format!("{} alice", provider.issuer);
    let mut ended = trace();
    ended["id"] = json!("01HF7Z00000000000000000003");
    ended["kind"] = json!("task.delete");
    ended["body"] = json!({ "clock": [1_700_000_000_001_i64, 0], "user": user });
    let (status, _, answer) = hub.post(Some(&bob), &[ended]);
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        answer["operations"],
        json!([]),
        "nothing of hers is sent to him"
    );
    assert_eq!(operations(&hub, &alice), 1, "nothing of his is sent to her");
}
