//! `heph auth login` against the real provider.

use std::fs;
use std::path::Path;

use heph::login::{jwt, pkce};
use heph::platform::service::arguments::ServiceFlags;
use heph::platform::service::definition::{Definition, Environment};
use heph::platform::service::systemd::unit;
use rustix::process::Signal;
use serde_json::json;

use super::scene::Scene;
use crate::support::files::mode;
use crate::support::home::Home;
use crate::support::provider::{Browser, CLIENT};

#[test]
fn a_code_that_is_confirmed_logs_in() {
    let scene = Scene::new();
    let mut login = scene.login("");
    let place = login.line("/device");
    assert_eq!(login.line("and enter"), "and enter the code");
    let code = login.line("-");
    Browser::of("alice").enter(&place, &code);
    let issuer = &scene.provider.issuer;
    login
        .ends()
        .exits(0)
        .says(&format!("logged in at {issuer} as alice"));

    assert_eq!(mode(&scene.file()), 0o600, "nobody else reads the tokens");
    let status = scene.status();
    assert_eq!(status["schema"], 1);
    assert_eq!(status["logged_in"], true);
    assert_eq!(status["issuer"], issuer.as_str());
    assert_eq!(status["client_id"], CLIENT);
    assert_eq!(status["subject"], "alice");
    assert_eq!(status["renewable"], true);
    let tokens = scene.tokens();
    let told = scene
        .home
        .heph("auth status")
        .exits(0)
        .says("subject  alice")
        .out;
    for secret in [
        tokens.access_token,
        tokens.refresh_token.unwrap(),
        tokens.id_token.unwrap(),
    ] {
        assert!(!told.contains(&secret) && !status.to_string().contains(&secret));
    }
}

#[test]
fn with_json_the_object_is_alone_on_standard_output() {
    let scene = Scene::new();
    let mut login = scene.login("--json");
    Browser::of("alice").confirm(&login.note("user_code="));
    let object = login.ends().json();
    assert_eq!(object["schema"], 1);
    assert_eq!(object["subject"], "alice");
    assert_eq!(object, scene.status());
}

#[test]
fn the_bearer_is_an_access_token_for_the_hub_or_else_the_id_token() {
    let scene = Scene::new();
    scene.logged_in("alice");
    let tokens = scene.tokens();
    assert_eq!(scene.bearer().unwrap(), tokens.access_token);
    assert_eq!(
        jwt::claims(&tokens.access_token).unwrap().sub.unwrap(),
        "alice"
    );

    scene.provider.set(json!({ "opaque": true }));
    scene.logged_in("alice");
    let tokens = scene.tokens();
    assert_eq!(jwt::claims(&tokens.access_token), None);
    assert_eq!(Some(scene.bearer().unwrap()), tokens.id_token);
}

#[test]
fn where_the_provider_offers_pkce_the_code_is_bound_to_who_asked() {
    let scene = Scene::new();
    // The provider then refuses a device code without its verifier.
    scene.provider.set(json!({ "pkce": true }));
    scene.logged_in("alice");
    assert_eq!(scene.status()["subject"], "alice");
}

#[test]
fn the_provider_of_these_tests_does_demand_pkce() {
    let scene = Scene::new();
    scene.provider.set(json!({ "pkce": true }));
    let issuer = &scene.provider.issuer;
    let ask = |path: &str, fields: &[&str]| {
        let url = format!("{issuer}{path}");
        let mut curl = scene.home.command("curl").args(&["--silent", &url]);
        for field in [&[&format!("client_id={CLIENT}")[..]], fields].concat() {
            curl = curl.args(&["--data-urlencode", field]);
        }
        curl.json()
    };
    let challenge = format!("code_challenge={}", pkce::challenge("right"));
    let asked = ask(
        "/device/auth",
        &["scope=openid", &challenge, "code_challenge_method=S256"],
    );
    Browser::of("alice").confirm(asked["verification_uri_complete"].as_str().unwrap());
    let grant = "grant_type=urn:ietf:params:oauth:grant-type:device_code";
    let code = format!("device_code={}", asked["device_code"].as_str().unwrap());
    let refused = ask("/token", &[grant, &code, "code_verifier=wrong"]);
    assert_eq!(refused["error"], "invalid_grant", "{refused}");
    let granted = ask("/token", &[grant, &code, "code_verifier=right"]);
    assert!(granted["access_token"].is_string(), "{granted}");
}

#[test]
fn a_code_that_is_denied_leaves_nothing_behind() {
    let scene = Scene::new();
    let mut login = scene.login("");
    Browser::of("alice").deny(&login.line("user_code="));
    login.ends().exits(1).complains("the request was denied");
    assert!(!scene.file().exists());
    assert_eq!(scene.status()["logged_in"], false);
}

#[test]
fn a_code_that_nobody_confirms_expires() {
    let scene = Scene::new();
    scene.provider.set(json!({ "deviceCodeSeconds": 2 }));
    let login = scene.login("");
    login
        .ends()
        .exits(1)
        .complains("the code expired before it was confirmed")
        .complains("hint: heph auth login");
    assert!(!scene.file().exists());
}

#[test]
fn interrupting_leaves_nothing_behind() {
    let scene = Scene::new();
    let mut login = scene.login("");
    login.line("for you to confirm");
    login.signal(Signal::INT);
    assert_ne!(login.ends().code, 0);
    assert!(!scene.home.data().exists(), "not even a folder");
}

#[test]
fn a_second_login_takes_the_place_of_the_first() {
    let scene = Scene::new();
    scene.logged_in("alice");
    scene.logged_in("bob").says("as bob");
    assert_eq!(scene.status()["subject"], "bob");
}

#[test]
fn issuer_and_client_come_from_the_service_of_hephd() {
    let scene = Scene::new();
    let units = scene.home.path.join(".config/systemd/user");
    fs::create_dir_all(&units).unwrap();
    let data = scene.home.path.join("elsewhere");
    let service = |arguments: &[String]| {
        let (flags, _) = ServiceFlags::from_arguments(arguments).unwrap();
        let variables = [("XDG_DATA_HOME".into(), data.clone().into())];
        let environment = Environment::from_variables(variables).unwrap();
        let hephd = Path::new("/bin/hephd");
        let log = Path::new("/log");
        let definition = Definition::new(hephd, flags, environment, log).unwrap();
        fs::write(
            units.join("heph.service"),
            unit::render(&definition).unwrap(),
        )
        .unwrap();
    };
    let issuer = format!("--oidc-issuer={}", scene.provider.issuer);
    service(std::slice::from_ref(&issuer));
    let refused = scene.home.heph("auth login").exits(2);
    refused
        .complains("no --oidc-client-id")
        .complains("hint: heph auth login --issuer URL --client-id ID");

    service(&[issuer, format!("--oidc-client-id={CLIENT}")]);
    let mut login = scene.home.heph("auth login").start();
    Browser::of("alice").confirm(&login.line("user_code="));
    login.ends().exits(0).says("as alice");
    assert!(
        data.join("heph/tokens.json").exists(),
        "where that hephd looks"
    );
    assert_eq!(scene.status()["subject"], "alice");
}

#[test]
fn without_a_service_the_issuer_has_to_be_named() {
    let home = Home::new();
    home.heph("auth login")
        .exits(2)
        .complains("no issuer")
        .complains("hint: heph auth login --issuer URL --client-id ID");
    home.heph("auth login --issuer https://id.example")
        .exits(2)
        .complains("--client-id");
}
