//! A small issuer on loopback: a discovery document, keys that can be rotated, and tokens of all kinds.

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::http::{Reply, Request, Server};

pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap().as_secs()
}

#[derive(Default)]
struct Published {
    keys: Mutex<Vec<Value>>,
    /// What the discovery document says instead of the truth.
    claims_to_be: Mutex<Option<String>>,
    keys_at: Mutex<Option<String>>,
}

const KEYS: &str = "/realm/keys";

/// The issuer; it ends when it is dropped.
pub struct Issuer {
    pub url: String,
    server: Server,
    published: Arc<Published>,
}

impl Issuer {
    pub fn start(keys: &[Value]) -> Issuer {
        Issuer::start_on("127.0.0.1:0", keys)
    }

    pub fn start_on(address: &str, keys: &[Value]) -> Issuer {
        let published = Arc::new(Published::default());
        *published.keys.lock().unwrap() = keys.to_vec();
        let known = Arc::clone(&published);
        let server = Server::start_on(address, move |request| answer(request, &known));
        Issuer {
            url: format!("{}/realm", server.url()),
            server,
            published,
        }
    }

    /// Publishes these keys from now on.
    pub fn rotate(&self, keys: &[Value]) {
        *self.published.keys.lock().unwrap() = keys.to_vec();
    }

    /// Has the discovery document name another issuer.
    pub fn claim_to_be(&self, issuer: &str) {
        *self.published.claims_to_be.lock().unwrap() = Some(issuer.to_owned());
    }

    /// Has the discovery document name this URL for the keys.
    pub fn publish_keys_at(&self, url: &str) {
        *self.published.keys_at.lock().unwrap() = Some(url.to_owned());
    }

    /// Returns how often the keys were fetched.
    pub fn asked(&self) -> usize {
        let seen = self.server.seen().into_iter();
        seen.filter(|request| request.path == KEYS).count()
    }

    /// Returns the claims of a good token, with `changes`; null takes one out.
    pub fn claims(&self, subject: &str, changes: Value) -> Value {
        let mut claims = json!({
            "iss": self.url, "sub": subject, "aud": "heph", "exp": now() + 3600, "iat": now(),
        });
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        claims
    }

    /// Returns the flags of a hub that takes this issuer's tokens.
    pub fn flags(&self) -> [&str; 4] {
        ["--oidc-issuer", &self.url, "--oidc-audience", "heph"]
    }
}

fn answer(request: &Request, published: &Published) -> Reply {
    let url = format!("http://{}/realm", request.header("host").unwrap());
    let body = match request.path.as_str() {
        "/realm/.well-known/openid-configuration" => {
            let claimed = published.claims_to_be.lock().unwrap().clone();
            let keys = published.keys_at.lock().unwrap().clone();
            json!({
                "issuer": claimed.unwrap_or(url.clone()),
                "jwks_uri": keys.unwrap_or(format!("{url}/keys")),
            })
        }
        KEYS => json!({"keys": *published.keys.lock().unwrap()}),
        _ => return Reply::with(404, &[], ""),
    };
    Reply::json(200, &body)
}
