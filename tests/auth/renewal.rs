//! Staying logged in: rotation of refresh tokens, and what happens when it fails.

use std::thread;

use heph::error::Exit;
use heph::login;
use heph::os::clock;
use serde_json::json;

use super::scene::Scene;
use crate::support::provider::CLIENT;

/// A scene whose access tokens are about to end as soon as they are made.
fn short() -> Scene {
    let scene = Scene::new();
    scene.provider.set(json!({ "accessTokenSeconds": 55 }));
    scene.logged_in("alice");
    scene.provider.counts();
    scene
}

#[test]
fn a_bearer_that_is_about_to_end_is_renewed_and_the_refresh_token_rotated() {
    let scene = short();
    let before = scene.tokens();
    let bearer = scene.bearer().unwrap();
    let after = scene.tokens();
    assert_ne!(bearer, before.access_token);
    assert_eq!(bearer, after.access_token, "what is used is what is stored");
    assert_ne!(after.refresh_token, before.refresh_token, "rotated");
    assert!(after.refresh_token.is_some());
    // And once more, which only the new refresh token can buy.
    scene.bearer().unwrap();
    assert_eq!(scene.provider.counts()["/token"], 2);
    assert_eq!(scene.status()["subject"], "alice");
}

#[test]
fn a_bearer_that_lasts_is_used_without_a_question() {
    let scene = Scene::new();
    scene.logged_in("alice");
    scene.provider.counts();
    let bearer = scene.bearer().unwrap();
    assert_eq!(scene.bearer().unwrap(), bearer);
    assert_eq!(scene.provider.counts(), json!({}));
}

#[test]
fn a_bearer_that_the_hub_refused_is_renewed_once_for_all() {
    let scene = Scene::new();
    scene.logged_in("alice");
    scene.provider.counts();
    let refused = scene.bearer().unwrap();
    let renew = || {
        let (file, issuer) = (scene.file(), &scene.provider.issuer);
        login::renewed(&file, issuer, CLIENT, &refused, clock::now()).unwrap()
    };
    // Several processes that got the same refusal: a refresh token used twice would end the login.
    let renewed: Vec<String> = thread::scope(|scope| {
        let all: Vec<_> = (0..8).map(|_| scope.spawn(renew)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(
        renewed
            .iter()
            .all(|one| *one == renewed[0] && *one != refused)
    );
    assert_eq!(scene.provider.counts()["/token"], 1);
}

#[test]
fn a_refresh_token_that_was_used_already_ends_the_login() {
    let scene = short();
    let stolen = scene.tokens();
    scene.bearer().unwrap();
    // Somebody else's copy of the file from before.
    login::save(&scene.file(), &stolen).unwrap();
    let error = scene.bearer().unwrap_err();
    assert!(
        error.to_string().contains("has ended: invalid_grant"),
        "{error:#}"
    );
    assert!(error.to_string().contains("log in again"), "{error:#}");
    assert_eq!(error.hint(), Some("heph auth login"));

    // The provider is not asked again with it.
    scene.provider.counts();
    let again = scene.bearer().unwrap_err();
    assert_eq!(again.hint(), Some("heph auth login"));
    assert_eq!(scene.provider.counts(), json!({}));
    assert_eq!(scene.status()["renewable"], false);
    scene
        .home
        .heph("auth status")
        .exits(0)
        .says("run `heph auth login`");

    scene.logged_in("alice");
    scene.bearer().unwrap();
}

#[test]
fn a_provider_that_is_away_costs_nothing_while_the_bearer_is_good() {
    let scene = short();
    let before = scene.tokens();
    scene.provider.set(json!({ "down": true }));
    assert_eq!(scene.bearer().unwrap(), before.bearer());

    // Once it has ended, there is none, and that is told as something that passes.
    let (file, issuer) = (scene.file(), &scene.provider.issuer);
    let error = login::bearer(&file, issuer, CLIENT, before.expires_at).unwrap_err();
    assert_eq!(error.exit(), Exit::TryLater, "{error:#}");
    assert_eq!(scene.tokens(), before, "nothing is lost by trying");

    scene.provider.set(json!({ "down": false }));
    assert_ne!(scene.bearer().unwrap(), before.bearer());
}
