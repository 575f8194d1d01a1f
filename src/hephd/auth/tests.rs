#[path = "../../../tests/hub/signer.rs"]
#[allow(dead_code, reason = "the hub's issuer uses the rest")]
mod signer;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::{Value, json};

use super::keys::Keys;
use super::token::{Expected, LEEWAY, TokenError, verify};
use super::*;
use signer::{Signer, base64url, message};

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://id.example/realm";

/// Returns the claims of a valid token, with `changes`; null removes a claim.
fn claims(changes: Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "sub": "alice", "aud": "heph", "exp": NOW + 300, "nbf": NOW - 10,
    });
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

fn keys(jwks: &[Value]) -> Keys {
    Keys::read(json!({ "keys": jwks }).to_string().as_bytes()).unwrap()
}

fn verified(token: &str, keys: &Keys) -> Result<String, TokenError> {
    let expected = Expected {
        issuer: ISSUER.to_owned(),
        audience: "heph".to_owned(),
    };
    verify(token, keys, &expected, NOW)
}

#[test]
fn tokens_of_every_accepted_algorithm_are_valid() {
    for signer in [Signer::rsa(), Signer::ec(), Signer::ed()] {
        let keys = keys(&[signer.jwk("k")]);
        for typ in [
            json!(null),
            json!("JWT"),
            json!("at+jwt"),
            json!("application/AT+JWT"),
        ] {
            let mut header = json!({"alg": signer.alg(), "kid": "k"});
            if !typ.is_null() {
                header["typ"] = typ;
            }
            let token = signer.sign(&header, &claims(json!({})));
            assert_eq!(verified(&token, &keys), Ok("alice".to_owned()), "{header}");
        }
    }
}

#[test]
fn claims_are_required_and_judged() {
    let signer = Signer::ed();
    let keys = keys(&[signer.jwk("k")]);
    let exp = TokenError::Malformed("the token does not say when it expires");
    let types = TokenError::Malformed("the token's claims are of wrong types");
    let table = [
        (json!({"exp": NOW - LEEWAY + 1}), None),
        (json!({"exp": NOW - LEEWAY}), Some(TokenError::Expired)),
        (json!({"exp": 0}), Some(TokenError::Expired)),
        (json!({"exp": -1e300}), Some(TokenError::Expired)),
        (json!({"exp": i64::MAX}), None),
        (json!({"exp": NOW as f64 + 0.5}), None),
        (json!({"exp": null}), Some(exp)),
        (json!({"exp": "9999999999"}), Some(types)),
        (json!({"exp": {}}), Some(types)),
        (json!({"nbf": NOW + LEEWAY}), None),
        (json!({"nbf": NOW + LEEWAY + 1}), Some(TokenError::NotYet)),
        (json!({"nbf": u64::MAX}), Some(TokenError::NotYet)),
        (json!({"nbf": i64::MIN}), None),
        (json!({"nbf": "9999999999"}), Some(types)),
        (json!({"nbf": null}), None),
        (json!({"aud": ["x", "heph"]}), None),
        (json!({"aud": "Heph"}), Some(TokenError::Audience)),
        (json!({"aud": ["x"]}), Some(TokenError::Audience)),
        (json!({"aud": []}), Some(TokenError::Audience)),
        (json!({"aud": null}), Some(TokenError::Audience)),
        (json!({"aud": {"heph": 1}}), Some(types)),
        (
            json!({"iss": "https://id.example/realm/"}),
            Some(TokenError::Issuer),
        ),
        (
            json!({"iss": "https://evil.example"}),
            Some(TokenError::Issuer),
        ),
        (json!({"iss": null}), Some(TokenError::Issuer)),
        (json!({"iss": [ISSUER]}), Some(types)),
        (json!({"sub": null}), Some(TokenError::Subject)),
        (json!({"sub": ""}), Some(TokenError::Subject)),
        (json!({"sub": " "}), Some(TokenError::Subject)),
        (json!({"sub": "a\nb"}), Some(TokenError::Subject)),
        (json!({"sub": "x".repeat(256)}), Some(TokenError::Subject)),
        (json!({"sub": 7}), Some(types)),
    ];
    let header = json!({"alg": "EdDSA", "kid": "k"});
    for (changes, refused) in table {
        let token = signer.sign(&header, &claims(changes.clone()));
        assert_eq!(verified(&token, &keys).err(), refused, "{changes}");
    }
}

#[test]
fn forged_and_malformed_tokens_are_rejected() {
    let (signer, other) = (
        Signer::rsa(),
        Signer::rsa_of(include_bytes!("../../../tests/hub/rsa-2.pk8")),
    );
    let stranger = Signer::ec();
    let jwk = signer.jwk("k");
    let set = keys(&[jwk.clone(), Signer::ec().jwk("ec")]);
    let good = signer.sign(&json!({"alg": "RS256", "kid": "k"}), &claims(json!({})));
    assert_eq!(verified(&good, &set), Ok("alice".to_owned()));

    let none = message(&json!({"alg": "none"}), &claims(json!({})));
    let hs256 = |secret: &[u8]| {
        let message = message(&json!({"alg": "HS256", "kid": "k"}), &claims(json!({})));
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let tag = hmac::sign(&key, message.as_bytes());
        format!("{message}.{}", base64url(tag))
    };
    let parts: Vec<&str> = good.split('.').collect();
    let mallory = base64url(claims(json!({"sub": "mallory"})).to_string());
    let signed = |header: Value| signer.sign(&header, &claims(json!({})));
    let no_jwt = TokenError::Malformed("the token is not a JWT");
    let no_header = TokenError::Malformed("the token's header is not JSON");
    let no_base64 = TokenError::Malformed("the token's signature is not base64url");
    let doubled = format!("{}.{}.x", parts[0], base64url(r#"{"iss":"a","iss":"b"}"#));
    let table = [
        ("alg none", format!("{none}."), TokenError::Algorithm),
        (
            "alg none, signed",
            format!("{none}.{}", parts[2]),
            TokenError::Algorithm,
        ),
        (
            "alg NONE",
            format!("{}.", message(&json!({"alg": "nOnE"}), &claims(json!({})))),
            TokenError::Algorithm,
        ),
        (
            "HS256, modulus",
            hs256(&URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap()),
            TokenError::Algorithm,
        ),
        (
            "HS256, JWK",
            hs256(jwk.to_string().as_bytes()),
            TokenError::Algorithm,
        ),
        (
            "RS512",
            signed(json!({"alg": "RS512", "kid": "k"})),
            TokenError::Algorithm,
        ),
        (
            "tampered claims",
            format!("{}.{mallory}.{}", parts[0], parts[2]),
            TokenError::Signature,
        ),
        (
            "tampered header",
            format!(
                "{}.{}.{}",
                base64url(json!({"alg": "RS256", "kid": "k", "x": 1}).to_string()),
                parts[1],
                parts[2]
            ),
            TokenError::Signature,
        ),
        (
            "empty signature",
            format!("{}.{}.", parts[0], parts[1]),
            TokenError::Signature,
        ),
        (
            "signature of another RSA key",
            other.sign(&json!({"alg": "RS256", "kid": "k"}), &claims(json!({}))),
            TokenError::Signature,
        ),
        (
            "signature of another key",
            stranger.sign(&json!({"alg": "ES256", "kid": "ec"}), &claims(json!({}))),
            TokenError::Signature,
        ),
        (
            "unknown kid",
            signed(json!({"alg": "RS256", "kid": "K"})),
            TokenError::UnknownKey,
        ),
        (
            "RSA key as ES256",
            signed(json!({"alg": "ES256", "kid": "k"})),
            TokenError::WrongKey,
        ),
        (
            "EC key as RS256",
            signed(json!({"alg": "RS256", "kid": "ec"})),
            TokenError::WrongKey,
        ),
        (
            "logout token",
            signed(json!({"alg": "RS256", "kid": "k", "typ": "logout+jwt"})),
            TokenError::Kind,
        ),
        (
            "crit",
            signed(json!({"alg": "RS256", "kid": "k", "crit": ["b64"]})),
            TokenError::Malformed("the token asks for an unknown extension"),
        ),
        (
            "own key",
            stranger.sign(
                &json!({"alg": "ES256", "kid": "x", "jwk": stranger.jwk("x")}),
                &claims(json!({})),
            ),
            TokenError::UnknownKey,
        ),
        ("one part", "abc".to_owned(), no_jwt),
        ("two parts", format!("{}.{}", parts[0], parts[1]), no_jwt),
        (
            "four parts",
            format!("{good}.x"),
            TokenError::Malformed("the token's claims are of wrong types"),
        ),
        ("padded", format!("{good}="), no_base64),
        (
            "array as header",
            format!("{}.{}.{}", base64url(r#"["RS256"]"#), parts[1], parts[2]),
            no_header,
        ),
        (
            "claim twice",
            doubled,
            TokenError::Malformed("the token's claims are of wrong types"),
        ),
        ("empty", String::new(), no_jwt),
        (
            "too long",
            format!("{}.{}", "a".repeat(20_000), good),
            TokenError::Malformed("the token is too long"),
        ),
    ];
    for (name, token, why) in table {
        assert_eq!(verified(&token, &set), Err(why), "{name}");
    }
}

#[test]
fn a_key_is_chosen_by_name_and_algorithm() {
    let (one, two) = (Signer::ed(), Signer::ed());
    let rsa = Signer::rsa();
    let signed = |signer: &Signer, kid: Option<&str>| {
        let mut header = json!({"alg": signer.alg()});
        if let Some(kid) = kid {
            header["kid"] = kid.into();
        }
        signer.sign(&header, &claims(json!({})))
    };
    let with = |signer: &Signer, name: &str, value: Value| {
        let mut jwk = signer.jwk("k");
        jwk[name] = value;
        jwk
    };
    let ok = Ok("alice".to_owned());
    // No key named: any of a few that fit the algorithm.
    assert_eq!(
        verified(&signed(&one, None), &keys(&[one.jwk("a"), rsa.jwk("b")])),
        ok
    );
    let several = keys(&[two.jwk("b"), one.jwk("a")]);
    assert_eq!(verified(&signed(&one, None), &several), ok);
    assert_eq!(verified(&signed(&one, Some("")), &several), ok);
    let many: Vec<_> = (0..9).map(|n| two.jwk(&n.to_string())).collect();
    assert_eq!(
        verified(&signed(&one, None), &keys(&many)),
        Err(TokenError::NoKeyNamed)
    );
    // One that is not among them may be new.
    assert_eq!(
        verified(&signed(&one, None), &keys(&[two.jwk("a")])),
        Err(TokenError::UnknownKey)
    );
    // Keys without names, and a token that names one.
    let nameless = |signer: &Signer| {
        let mut jwk = signer.jwk("k");
        jwk.as_object_mut().unwrap().remove("kid");
        jwk
    };
    let unnamed = keys(&[nameless(&two), nameless(&one)]);
    assert_eq!(verified(&signed(&one, Some("k")), &unnamed), ok);
    assert_eq!(verified(&signed(&one, None), &unnamed), ok);
    assert_eq!(
        verified(&signed(&one, Some("k")), &keys(&[nameless(&two)])),
        Err(TokenError::UnknownKey)
    );
    // A name that another key has decides.
    assert_eq!(
        verified(
            &signed(&one, Some("k")),
            &keys(&[two.jwk("k"), nameless(&one)])
        ),
        Err(TokenError::Signature)
    );
    assert_eq!(
        verified(&signed(&one, None), &keys(&[])),
        Err(TokenError::UnknownKey)
    );
    // Two keys of one name: either.
    let doubled = keys(&[two.jwk("k"), one.jwk("k"), rsa.jwk("k")]);
    assert_eq!(verified(&signed(&one, Some("k")), &doubled), ok);
    assert_eq!(verified(&signed(&rsa, Some("k")), &doubled), ok);
    // Keys that are for something else.
    for (name, value, why) in [
        ("use", json!("sig"), None),
        ("use", json!("enc"), Some(TokenError::UnknownKey)),
        ("use", json!(""), None),
        ("use", json!(null), None),
        ("key_ops", json!(["verify"]), None),
        ("key_ops", json!([]), None),
        ("key_ops", json!(null), None),
        ("alg", json!(""), None),
        ("alg", json!(null), None),
        ("crv", json!(""), None),
        ("key_ops", json!(["encrypt"]), Some(TokenError::UnknownKey)),
        ("alg", json!("RS256"), None),
        ("alg", json!("RS512"), Some(TokenError::WrongKey)),
        ("alg", json!("RSA-OAEP"), Some(TokenError::WrongKey)),
    ] {
        let set = keys(&[with(&rsa, name, value.clone())]);
        assert_eq!(
            verified(&signed(&rsa, Some("k")), &set).err(),
            why,
            "{name} {value}"
        );
    }
}

#[test]
fn the_newer_name_of_an_algorithm_is_the_same_algorithm() {
    let signer = Signer::ed();
    for (in_key, in_token) in [
        (json!("EdDSA"), "Ed25519"),
        (json!("Ed25519"), "EdDSA"),
        (json!("Ed25519"), "Ed25519"),
        (json!(null), "Ed25519"),
    ] {
        let mut jwk = signer.jwk("k");
        jwk["alg"] = in_key;
        let token = signer.sign(&json!({ "alg": in_token, "kid": "k" }), &claims(json!({})));
        assert_eq!(verified(&token, &keys(&[jwk])), Ok("alice".to_owned()));
    }
    // Another curve stays another algorithm.
    let token = signer.sign(&json!({ "alg": "Ed448", "kid": "k" }), &claims(json!({})));
    assert_eq!(
        verified(&token, &keys(&[signer.jwk("k")])),
        Err(TokenError::Algorithm)
    );
}

#[test]
fn the_numbers_of_a_key_may_be_padded() {
    for signer in [Signer::rsa(), Signer::ec(), Signer::ed()] {
        let mut jwk = signer.jwk("k");
        for member in ["n", "e", "x", "y"] {
            if let Some(number) = jwk[member].as_str() {
                let padding = "=".repeat((4 - number.len() % 4) % 4);
                jwk[member] = format!("{number}{padding}").into();
            }
        }
        let header = json!({ "alg": signer.alg(), "kid": "k" });
        let token = signer.sign(&header, &claims(json!({})));
        assert_eq!(verified(&token, &keys(&[jwk])), Ok("alice".to_owned()));
    }
}

#[test]
fn only_faults_that_a_login_mends_ask_for_one() {
    for (error, helps) in [
        (TokenError::Expired, true),
        (TokenError::NotYet, true),
        (TokenError::UnknownKey, true),
        (TokenError::Signature, true),
        (TokenError::Audience, false),
        (TokenError::Issuer, false),
        (TokenError::Algorithm, false),
        (TokenError::Kind, false),
        (TokenError::Malformed("x"), false),
        (TokenError::Subject, false),
        (TokenError::NoKeyNamed, false),
        (TokenError::WrongKey, false),
    ] {
        let hint = error.hint();
        assert_eq!(hint.contains("heph auth login"), helps, "{error:?}: {hint}");
    }
}

#[test]
fn unusable_keys_are_ignored() {
    let ec = Signer::ec();
    let mut short = ec.jwk("short");
    short["x"] = base64url([1; 31]).into();
    let mut p384 = ec.jwk("p384");
    p384["crv"] = "P-384".into();
    let mut zeros = Signer::rsa().jwk("zeros");
    let n = URL_SAFE_NO_PAD
        .decode(zeros["n"].as_str().unwrap())
        .unwrap();
    zeros["n"] = base64url([&[0, 0], &n[..]].concat()).into();
    let secret = json!({"kty": "oct", "kid": "secret", "k": "AAAA"});
    let set = keys(&[short, p384, secret, json!(7), json!({}), zeros]);
    assert_eq!(set.len(), 1);
    let header = json!({"alg": "RS256", "kid": "zeros"});
    let token = Signer::rsa().sign(&header, &claims(json!({})));
    assert_eq!(verified(&token, &set), Ok("alice".to_owned()));

    for bad in ["", "[]", "{}", r#"{"keys": {}}"#, "<html>"] {
        let why = Keys::read(bad.as_bytes()).unwrap_err();
        assert!(why.to_string().contains("not a JWK set"), "{bad}: {why}");
    }
}

#[test]
fn a_bearer_token_is_read_from_its_header() {
    for (header, token) in [
        ("Bearer a.b.c", Some("a.b.c")),
        ("bearer   a.b.c ", Some("a.b.c")),
        ("Bearer", None),
        ("Bearer ", None),
        ("Basic a.b.c", None),
        ("", None),
    ] {
        assert_eq!(bearer(header.as_bytes()), token, "{header}");
    }
    assert_eq!(bearer(b"Bearer \xff"), None);
}

#[test]
fn a_machine_that_was_invited_is_the_owner_whatever_else_is_on() {
    let folder = tempfile::tempdir().unwrap();
    let machines = || Machines::load(&folder.path().join("machines.json")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let caller = |auth: &Auth, header: Option<String>| {
        runtime.block_on(auth.caller(header.as_deref().map(str::as_bytes), NOW))
    };
    let auth = |anonymous| Auth {
        machines: machines(),
        tokens: None,
        anonymous,
    };
    let owner = Ok(Caller::default());
    let alone = auth(Anonymous::UntilInvited);
    assert_eq!(caller(&alone, None), owner);
    assert_eq!(
        caller(&auth(Anonymous::Never), None),
        Err(AuthError::MissingToken)
    );

    let now = jiff::Timestamp::UNIX_EPOCH;
    let invited = alone.machines.invite(Some("laptop"), None, now).unwrap();
    let bearer = Some(format!("Bearer {}", invited.secret.text()));
    let laptop = Ok(Caller {
        user: String::new(),
        machine: Some("laptop".to_owned()),
    });
    let provider = Auth {
        tokens: Some(Verifier::new(Expected {
            issuer: ISSUER.to_owned(),
            audience: "heph".to_owned(),
        })),
        ..auth(Anonymous::Never)
    };
    for auth in [&alone, &auth(Anonymous::Always), &provider] {
        assert_eq!(caller(auth, bearer.clone()), laptop);
    }
    // Since then nobody else is the owner, but where the user said so.
    assert_eq!(caller(&alone, None), Err(AuthError::MissingToken));
    let other = Some("Bearer a.b.c".to_owned());
    assert_eq!(caller(&alone, other), Err(AuthError::UnknownMachine));
    assert_eq!(caller(&auth(Anonymous::Always), None), owner);

    alone.machines.revoke("laptop").unwrap();
    for auth in [&alone, &auth(Anonymous::Always)] {
        assert_eq!(caller(auth, bearer.clone()), Err(AuthError::UnknownMachine));
    }
    assert_eq!(caller(&alone, None), Err(AuthError::MissingToken));
}

#[test]
fn unknown_keys_trigger_fetches_at_most_so_often() {
    let seconds = Duration::from_secs;
    for (since, has_keys, due) in [
        (None, true, true),
        (None, false, true),
        (Some(seconds(59)), true, false),
        (Some(seconds(60)), true, true),
        (Some(seconds(4)), false, false),
        (Some(seconds(5)), false, true),
    ] {
        assert_eq!(is_due(since, has_keys), due, "{since:?} {has_keys}");
    }
}

proptest::proptest! {
    #[test]
    fn no_token_panics(token in "[A-Za-z0-9_.-]{0,200}|.{0,100}") {
        proptest::prop_assert!(verified(&token, &Keys::default()).is_err());
    }

    #[test]
    fn one_flipped_bit_anywhere_is_noticed(place in 0usize..1000, bit in 0u8..6) {
        let signer = Signer::ed();
        let keys = keys(&[signer.jwk("k")]);
        let token = signer.sign(&json!({"alg": "EdDSA", "kid": "k"}), &claims(json!({})));
        let mut bytes = token.clone().into_bytes();
        let place = place % bytes.len();
        bytes[place] ^= 1 << bit;
        let flipped = String::from_utf8_lossy(&bytes).into_owned();
        proptest::prop_assert!(verified(&flipped, &keys).is_err());
    }
}
