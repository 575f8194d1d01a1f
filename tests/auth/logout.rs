//! `heph auth logout`.

use heph::login;
use serde_json::json;

use super::scene::Scene;

#[test]
fn logging_out_revokes_the_refresh_token_and_removes_the_file() {
    let scene = Scene::new();
    scene.logged_in("alice");
    let tokens = scene.tokens();
    let issuer = &scene.provider.issuer;
    scene
        .home
        .heph("auth logout")
        .exits(0)
        .says(&format!("logged out at {issuer}"));
    assert!(!scene.file().exists());
    assert_eq!(scene.status()["logged_in"], false);
    scene
        .home
        .heph("auth status")
        .exits(0)
        .says("not logged in");
    scene
        .home
        .heph("auth logout")
        .exits(0)
        .says("not logged in");

    // A copy of the file buys nothing any more.
    login::save(&scene.file(), &tokens).unwrap();
    let error = login::bearer(&scene.file(), issuer, "heph", tokens.expires_at).unwrap_err();
    assert!(error.to_string().contains("invalid_grant"), "{error:#}");
}

#[test]
fn the_file_goes_even_if_the_provider_cannot_be_asked() {
    let scene = Scene::new();
    scene.logged_in("alice");
    scene.provider.set(json!({ "down": true }));
    scene
        .home
        .heph("auth logout")
        .exits(1)
        .complains("but the login is still valid at its issuer")
        .complains("because: ")
        .complains("hint: ");
    assert!(!scene.file().exists());
}

#[test]
fn a_provider_without_revocation_is_told_of() {
    let scene = Scene::new();
    scene.logged_in("alice");
    scene.provider.set(json!({ "revocation": false }));
    scene
        .home
        .heph("auth logout")
        .exits(0)
        .says("does not support revocation");
    assert!(!scene.file().exists());
}

#[test]
fn a_damaged_file_can_be_removed() {
    let scene = Scene::new();
    scene.logged_in("alice");
    std::fs::write(scene.file(), "{ hush").unwrap();
    scene
        .home
        .heph("auth status")
        .exits(1)
        .complains("cannot use the tokens")
        .complains("heph auth logout");
    scene
        .home
        .heph("auth logout")
        .exits(1)
        .complains("removed '");
    assert!(!scene.file().exists());
}
