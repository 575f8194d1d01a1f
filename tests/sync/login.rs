//! The token that a spoke sends, and what it does when the hub does not take it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::well;
use crate::support::http::{Reply, Request, Server};
use crate::support::node::Node;
const CLIENT: &str = "heph";

/// Returns a token that looks like a JSON Web Token; the hubs here compare it as text.
fn token(name: &str) -> String {
    use base64::Engine;
    let part =
        |value: Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string());
    let header = part(json!({ "alg": "ES256" }));
    format!("{header}.{}.c2ln", part(json!({ "sub": name })))
}

/// The path at which issuers renew.
const TOKEN: &str = "/token";

/// An issuer that renews.
fn issuer(renewed: &'static str) -> Server {
    Server::start(move |request| {
        if request.path != TOKEN {
            let url = format!("http://{}", request.header("host").unwrap());
            let metadata = json!({ "issuer": url, "token_endpoint": format!("{url}{TOKEN}") });
            return Reply::json(200, &metadata);
        }
        let granted = json!({
            "access_token": token(renewed), "token_type": "Bearer", "expires_in": 3600,
            "refresh_token": "second",
        });
        Reply::json(200, &granted)
    })
}

/// Returns the requests for a renewal.
fn renewals(issuer: &Server) -> Vec<Request> {
    let seen = issuer.seen().into_iter();
    seen.filter(|request| request.path == TOKEN).collect()
}

/// A hub that takes one token only.
fn hub(good: &str) -> Server {
    let good = format!("Bearer {}", token(good));
    Server::start(move |seen| match seen.header("authorization") {
        Some(sent) if sent == good => well(),
        _ => Reply::json(
            401,
            &json!({ "error": "the token has ended", "hint": null }),
        ),
    })
}

/// Starts a spoke in whose home these tokens are stored.
fn spoke(hub: &Server, issuer: &Server, tokens: Option<(&str, SignedDuration)>) -> Node {
    let spoke = Node::down(&format!(
        "--hub-url={} --oidc-issuer={} --oidc-client-id={CLIENT}",
        hub.url(),
        issuer.url()
    ));
    if let Some((name, lasts)) = tokens {
        let tokens = json!({
            "schema": 1, "issuer": issuer.url(), "client_id": CLIENT, "access_token": token(name), "id_token": null,
            "refresh_token": "first", "expires_at": Timestamp::now() + lasts,
        });
        let file = spoke.write(".local/share/heph/tokens.json", tokens.to_string());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    spoke.up()
}

fn tokens(hub: &Server) -> Vec<Option<String>> {
    let seen = hub.seen().into_iter();
    seen.map(|seen| seen.header("authorization").map(str::to_owned))
        .collect()
}

#[test]
fn the_token_of_the_login_is_sent() {
    let issuer = issuer("new");
    let hub = hub("old");
    let spoke = spoke(&hub, &issuer, Some(("old", SignedDuration::from_hours(1))));
    spoke.heph("sync now").succeeds();
    let status = spoke.sync_status();
    assert_eq!(status["issuer"], issuer.url().as_str());
    assert_eq!(status["client_id"], CLIENT);
    assert!(renewals(&issuer).is_empty(), "nothing to renew");
}

#[test]
fn a_token_that_the_hub_does_not_take_is_renewed_once_and_sent_again() {
    let issuer = issuer("new");
    let hub = hub("new");
    let spoke = spoke(&hub, &issuer, Some(("old", SignedDuration::from_hours(1))));
    spoke.heph("sync now").succeeds();
    let sent = tokens(&hub);
    assert_eq!(sent[0], Some(format!("Bearer {}", token("old"))));
    assert!(
        sent[1..]
            .iter()
            .all(|sent| *sent == Some(format!("Bearer {}", token("new"))))
    );
    let asked = renewals(&issuer);
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(asked[0].text().contains("refresh_token=first"), "{asked:?}");
    let log = spoke.log();
    assert!(!log.contains("cannot sync"), "{log}");
}

#[test]
fn a_token_about_to_end_is_renewed_before_it_is_sent() {
    let issuer = issuer("new");
    let hub = hub("new");
    let spoke = spoke(&hub, &issuer, Some(("old", SignedDuration::from_secs(30))));
    spoke.heph("sync now").succeeds();
    let new = Some(format!("Bearer {}", token("new")));
    assert!(tokens(&hub).iter().all(|sent| *sent == new));
}

#[test]
fn a_hub_that_takes_no_token_has_the_person_log_in() {
    let issuer = issuer("new");
    let hub = hub("of somebody else");
    let spoke = spoke(&hub, &issuer, Some(("old", SignedDuration::from_hours(1))));
    let ended = spoke.heph("sync now").exits(1);
    let ended = ended.complains("rejects the login\n  because: the token has ended");
    ended.complains("`heph auth login`");
    // The work goes on, and nothing of a token is told to anybody.
    spoke.add("meanwhile");
    let told = spoke.log() + &spoke.sync_status().to_string();
    for name in ["old", "new"] {
        assert!(!told.contains(&token(name)), "{told}");
    }
}

#[test]
fn who_has_not_logged_in_is_told_so_and_the_hub_is_not_asked() {
    let issuer = issuer("new");
    let hub = hub("new");
    let spoke = spoke(&hub, &issuer, None);
    let ended = spoke.heph("sync now").exits(1);
    ended.complains("heph auth login");
    assert_eq!(hub.seen().len(), 0);
}

#[test]
fn an_issuer_that_is_away_is_waited_for() {
    let away = Server::start(|_| Reply::with(503, &[], ""));
    let hub = hub("new");
    let spoke = spoke(&hub, &away, Some(("old", -SignedDuration::from_hours(1))));
    spoke.heph("sync now").exits(75);
    assert_eq!(hub.seen().len(), 0);
}

#[test]
fn each_rejection_has_its_own_words_and_asks_for_a_login_only_where_that_helps() {
    let issuer = issuer("new");
    let json = ("Content-Type", "application/json");
    let bearer = ("WWW-Authenticate", "Bearer realm=\"heph\"");
    let html = ("Content-Type", "text/html");
    let basic = ("WWW-Authenticate", "Basic realm=\"private\"");
    let audience =
        r#"{"error":"the token is for another audience","hint":"see the hub","reason":"audience"}"#;
    let expired = r#"{"error":"the token has expired","hint":"log in again","reason":"expired"}"#;
    let too_large = "<title>400 Request Header Or Cookie Too Large</title>";
    for (status, headers, body, words, login_helps) in [
        (401, [json, bearer], audience, "another audience", false),
        (401, [json, bearer], expired, "has expired", true),
        (401, [html, basic], "<html>", "a password of its own", false),
        (403, [html, html], "<html>", "denies access", false),
        (400, [html, html], too_large, "headers of this size", false),
        (431, [html, html], "", "headers of this size", false),
    ] {
        let hub = Server::start(move |_| Reply::with(status, &headers, body));
        let spoke = spoke(&hub, &issuer, Some(("old", SignedDuration::from_hours(1))));
        let ended = spoke.heph("sync now").exits(1).complains(words);
        assert_eq!(ended.err.contains("log in"), login_helps, "{ended}");
    }
}
