//! Which token goes to the hub: the one that it accepts, and to its own end.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use heph::login::{self, Bearer};
use serde_json::{Value, json};

use super::machines::Spoke;
use crate::hub::issuer::now;
use crate::hub::signer::Signer;
use crate::support::http::{Reply, Request, Server};
use crate::support::node::Node;
use crate::support::provider::{CLIENT, Provider};

/// Starts a hub that accepts tokens of `issuer` for `audience`.
pub fn hub(issuer: &str, audience: &str) -> Node {
    let mut hub = Node::hub_down();
    hub.add_flags(&format!(
        "--oidc-issuer {issuer} --oidc-audience {audience}"
    ));
    hub.up()
}

/// Returns how often the hub rejected a token for `reason`.
fn rejections(hub: &Node, reason: &str) -> u64 {
    let page = hub.command("curl").args("--silent --show-error");
    let page = page.args(&[format!("{}/metrics", hub.url())]).prints();
    let name = format!("heph_hub_denied_total{{reason=\"{reason}\"}} ");
    let line = page.lines().find_map(|line| line.strip_prefix(&name));
    line.map_or(0, |count| count.parse().unwrap())
}

fn tokens(spoke: &Node) -> login::Tokens {
    let file = spoke.home.data().join("tokens.json");
    login::load(&file).unwrap().expect("logged in")
}

/// Returns the flags of a spoke of `hub`.
fn flags(hub: &Node, issuer: &str) -> String {
    let hub = hub.url();
    format!("--hub-url {hub} --oidc-issuer {issuer} --oidc-client-id {CLIENT}")
}

/// Starts a spoke of `hub` that is not logged in.
fn spoke(hub: &Node, issuer: &str) -> Node {
    Node::with(&flags(hub, issuer))
}

#[test]
fn where_the_hub_takes_only_the_id_token_it_is_sent_from_then_on() {
    let provider = Provider::start();
    // As Keycloak without a mapper and Entra ID without an API: the access token is for somebody else.
    provider.set(json!({ "audience": "urn:account" }));
    let hub = hub(&provider.issuer, CLIENT);
    let spoke = Spoke::with(&flags(&hub, &provider.issuer));
    spoke.log_in("alice");
    spoke.add("by the id token");
    spoke.sync();
    assert_eq!(tokens(&spoke).accepted, Some(Bearer::IdToken));
    assert_eq!(rejections(&hub, "audience"), 1);
    spoke.add("and once more");
    spoke.sync();
    assert_eq!(rejections(&hub, "audience"), 1, "it is remembered");
    assert_eq!(provider.counts()["grant refresh_token"], json!(null));
    spoke
        .heph("auth status")
        .exits(0)
        .says("renewed automatically");
}

#[test]
fn a_hub_that_takes_neither_token_says_for_whom_they_are() {
    let provider = Provider::start();
    provider.set(json!({ "audience": "urn:account" }));
    let hub = hub(&provider.issuer, "urn:third");
    let spoke = Spoke::with(&flags(&hub, &provider.issuer));
    spoke.log_in("alice");
    provider.counts();
    let ended = spoke.heph("sync now").exits(1);
    let ended = ended
        .complains("the token is for another audience")
        .complains("the access token is for 'urn:account', the id token is for 'heph'")
        .complains("--oidc-audience");
    assert!(!ended.err.contains("heph auth login"), "{ended}");
    assert_eq!(
        provider.counts()["grant refresh_token"],
        json!(null),
        "renewing brings the same"
    );
}

/// An issuer that signs what a test wants: quirks are `id_life`, `renews_id`, `opaque`.
pub struct Bent {
    server: Server,
    quirks: Arc<Mutex<Value>>,
}

impl Bent {
    pub fn start(quirks: Value) -> Bent {
        let quirks = Arc::new(Mutex::new(quirks));
        let signer = Signer::ed();
        let known = Arc::clone(&quirks);
        let server = Server::start(move |request| answer(request, &signer, &known.lock().unwrap()));
        Bent { server, quirks }
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    fn set(&self, name: &str, value: impl Into<Value>) {
        self.quirks.lock().unwrap()[name] = value.into();
    }

    fn renewals(&self) -> usize {
        let seen = self.server.seen().into_iter();
        seen.filter(|request| {
            request.path == "/token" && request.text().contains("grant_type=refresh_token")
        })
        .count()
    }
}

fn answer(request: &Request, signer: &Signer, quirks: &Value) -> Reply {
    let url = format!("http://{}", request.header("host").unwrap());
    let at = |path: &str| format!("{url}{path}");
    let body = match request.path.as_str() {
        "/.well-known/openid-configuration" => json!({
            "issuer": url, "jwks_uri": at("/keys"), "token_endpoint": at("/token"),
            "device_authorization_endpoint": at("/device"),
        }),
        "/keys" => json!({ "keys": [signer.jwk("k")] }),
        "/device" => json!({
            "device_code": "d", "user_code": "ABCD", "verification_uri": at("/go"), "expires_in": 60, "interval": 1,
        }),
        _ => {
            let token = |audience: &str, life: u64| {
                signer.token(
                    "k",
                    &json!({ "iss": url, "sub": "alice", "aud": audience, "iat": now(), "exp": now() + life }),
                )
            };
            let is_renewal = request.text().contains("grant_type=refresh_token");
            let mut granted =
                json!({ "token_type": "Bearer", "expires_in": 3600, "refresh_token": "r" });
            granted["access_token"] = match quirks["opaque"] == true {
                true => format!("opaque-{}", now()).into(),
                false => token("hub", 3600).into(),
            };
            if !is_renewal || quirks["renews_id"] == true {
                granted["id_token"] = token(CLIENT, quirks["id_life"].as_u64().unwrap()).into();
            }
            granted
        }
    };
    Reply::json(200, &body)
}

#[test]
fn an_id_token_that_is_not_renewed_is_used_to_its_end_and_then_a_login_is_asked_for() {
    let bent = Bent::start(json!({ "opaque": true, "id_life": 4, "renews_id": false }));
    let hub = hub(&bent.url(), CLIENT);
    let spoke = spoke(&hub, &bent.url());
    spoke.heph("auth login").exits(0);
    spoke.add("while it lasts");
    // It ends within a minute, so it is renewed: without an id token.
    spoke.sync();
    assert_eq!(bent.renewals(), 1);
    spoke
        .heph("auth status")
        .exits(0)
        .says("run `heph auth login` by then");
    spoke
        .heph("sync status")
        .exits(0)
        .says("login         ends at");
    let status = spoke.heph("auth status --json").json();
    assert_eq!(status["renewable"], false);

    thread::sleep(Duration::from_secs(5));
    spoke
        .heph("sync now")
        .exits(1)
        .complains("the issuer does not renew")
        .complains("heph auth login");
    spoke.heph("sync status").exits(0).says("log in again");
    let status = spoke.heph("auth status --json").json();
    assert_eq!(status["logged_in"], false);
    assert_eq!(bent.renewals(), 1, "renewing would bring nothing");

    spoke.heph("auth login").exits(0);
    spoke.sync();
}

#[test]
fn an_id_token_that_is_renewed_goes_on() {
    let bent = Bent::start(json!({ "opaque": true, "id_life": 50, "renews_id": true }));
    let hub = hub(&bent.url(), CLIENT);
    let spoke = spoke(&hub, &bent.url());
    spoke.heph("auth login").exits(0);
    for _ in 0..2 {
        spoke.sync();
    }
    assert!(bent.renewals() >= 2);
    spoke
        .heph("auth status")
        .exits(0)
        .says("renewed automatically");
}

#[test]
fn an_access_token_takes_over_where_the_hub_accepts_it() {
    let bent = Bent::start(json!({ "opaque": true, "id_life": 2, "renews_id": false }));
    let mut hub = hub(&bent.url(), CLIENT);
    let spoke = spoke(&hub, &bent.url());
    spoke.heph("auth login").exits(0);
    spoke.sync();
    // From now on access tokens are for the hub.
    bent.set("opaque", false);
    hub.stop();
    let address = hub.address.clone();
    hub.set_flags(&format!(
        "--mode=server --http-addr={address} --oidc-issuer {} --oidc-audience hub",
        bent.url()
    ));
    hub.start();
    spoke.heph("auth login").exits(0);
    thread::sleep(Duration::from_secs(3));
    spoke.add("by the access token");
    spoke.sync();
    spoke
        .heph("auth status")
        .exits(0)
        .says("renewed automatically");
}

#[test]
fn the_scopes_of_the_spoke_are_those_of_its_login() {
    let bent = Bent::start(json!({ "opaque": false, "id_life": 3600, "renews_id": true }));
    let hub = hub(&bent.url(), "hub");
    let flags = format!(
        "--hub-url {} --oidc-issuer {} --oidc-client-id {CLIENT} --oidc-scopes 'openid api'",
        hub.url(),
        bent.url()
    );
    let spoke = Node::with(&flags);
    assert_eq!(spoke.sync_status()["scopes"], "openid api");
    spoke.heph("auth login").exits(0);
    let asked = bent.server.seen();
    let asked = asked
        .iter()
        .find(|request| request.path == "/device")
        .unwrap();
    let form = asked.text().replace("%20", "+");
    assert!(form.contains("scope=openid+api"), "{form}");
    spoke.sync();
}
