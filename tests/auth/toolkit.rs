//! The real `heph auth login` at a second real provider, django-oauth-toolkit: login, sync, renewal, and the end of the login.

use heph::error::Kind;
use heph::login;
use heph::os::clock;
use serde_json::json;

use super::bearer::hub;
use crate::support::home::Home;
use crate::support::node::Node;
use crate::support::provider::{AUDIENCE, CLIENT};
use crate::support::running::Running;
use crate::support::toolkit::Toolkit;

/// Logs `user` in with `heph auth login` as a person does who reads the code from the terminal.
#[track_caller]
fn log_in(home: &Home, toolkit: &Toolkit, user: &str) {
    let login = format!(
        "auth login --issuer {} --client-id {CLIENT}",
        toolkit.issuer
    );
    let mut login = home.heph(&login).start();
    let code = code(&mut login);
    toolkit.decide(user, &code, "accept");
    login.ends().exits(0).says("logged in");
}

/// Returns the code that `heph auth login` shows.
fn code(login: &mut Running) -> String {
    login.line("enter the code");
    login.line("")
}

fn spoke(hub: &Node, toolkit: &Toolkit) -> Node {
    let (hub, issuer) = (hub.url(), &toolkit.issuer);
    Node::with(&format!(
        "--hub-url {hub} --oidc-issuer {issuer} --oidc-client-id {CLIENT}"
    ))
}

fn tokens(home: &Home) -> login::Tokens {
    login::load(&home.data().join("tokens.json"))
        .unwrap()
        .expect("logged in")
}

/// Asks for a bearer as hephd does, in so many hours: a token lasts one.
fn bearer_in(hours: u64, home: &Home, toolkit: &Toolkit) -> heph::error::Result<String> {
    let later = clock::now() + std::time::Duration::from_secs(hours * 3600);
    let file = home.data().join("tokens.json");
    login::bearer(&file, &toolkit.issuer, CLIENT, later)
}

#[test]
fn machines_of_two_users_of_a_second_provider_sync_each_with_its_own() {
    let toolkit = Toolkit::start();
    let hub = hub(&toolkit.issuer, AUDIENCE);
    let spokes = [(); 3].map(|()| spoke(&hub, &toolkit));
    for (spoke, user) in spokes.iter().zip(["alice", "alice", "bob"]) {
        log_in(spoke, &toolkit, user);
    }
    spokes[0].add("of alice");
    spokes[2].add("of bob");
    spokes.iter().for_each(|spoke| drop(spoke.sync()));
    assert_eq!(spokes[1].titles(), ["of alice"]);
    assert_eq!(spokes[2].titles(), ["of bob"]);
    let status = spokes[0].heph("auth status --json").json();
    assert_eq!(status["issuer"], json!(toolkit.issuer));
}

#[test]
fn a_login_at_a_second_provider_is_renewed_and_its_end_is_explained() {
    let toolkit = Toolkit::start();
    let hub = hub(&toolkit.issuer, AUDIENCE);
    let spoke = spoke(&hub, &toolkit);
    log_in(&spoke, &toolkit, "alice");
    let first = tokens(&spoke);
    let renewed = bearer_in(2, &spoke, &toolkit).unwrap();
    let second = tokens(&spoke);
    assert_ne!(renewed, first.access_token);
    assert_ne!(second.refresh_token, first.refresh_token, "rotated");
    spoke.add("with the renewed token");
    spoke.sync();

    toolkit.revoke(second.refresh_token.as_deref().unwrap());
    let error = bearer_in(4, &spoke, &toolkit).unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthorized);
    let words = error.one_line();
    assert!(
        words.contains("has ended") && words.contains("log in again"),
        "{words}"
    );
    log_in(&spoke, &toolkit, "alice");
    spoke.sync();
}

#[test]
fn a_login_that_is_denied_at_a_second_provider_says_so_and_logout_revokes() {
    let toolkit = Toolkit::start();
    let home = Home::new();
    let login = format!(
        "auth login --issuer {} --client-id {CLIENT}",
        toolkit.issuer
    );
    let mut denied = home.heph(&login).start();
    let shown = code(&mut denied);
    toolkit.decide("alice", &shown, "deny");
    denied.ends().exits(1).complains("denied");

    log_in(&home, &toolkit, "alice");
    let file = home.data().join("tokens.json");
    let kept = std::fs::read(&file).unwrap();
    home.heph("auth logout").exits(0);
    // A thief who copied the tokens before.
    std::fs::write(&file, kept).unwrap();
    let error = bearer_in(2, &home, &toolkit).unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthorized);
}
