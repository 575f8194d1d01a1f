//! What answers like an OpenID provider as far as a test wants it to, and no further.

use serde_json::{Value, json};

use crate::support::http::{Reply, Server};

/// A server on loopback.
pub struct Fake {
    pub issuer: String,
    server: Server,
}

impl Fake {
    /// Starts one that offers a device flow whose code is never confirmed.
    pub fn start() -> Fake {
        let server = Server::start(|_| Reply::with(404, &[], ""));
        let fake = Fake {
            issuer: server.url(),
            server,
        };
        fake.json("/.well-known/openid-configuration", 200, &fake.metadata());
        fake.json("/device", 200, &fake.device());
        fake.json("/token", 400, &json!({ "error": "authorization_pending" }));
        fake
    }

    /// Returns well-formed metadata.
    pub fn metadata(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.issuer);
        json!({
            "issuer": self.issuer, "device_authorization_endpoint": at("/device"),
            "token_endpoint": at("/token"), "revocation_endpoint": at("/revoke"),
        })
    }

    /// Returns a well-formed code.
    pub fn device(&self) -> Value {
        json!({
            "device_code": "device-secret", "user_code": "ABCD", "expires_in": 60, "interval": 1,
            "verification_uri": format!("{}/confirm", self.issuer),
        })
    }

    pub fn json(&self, path: &str, status: u16, body: &Value) {
        self.answer(path, status, &[], body.to_string());
    }

    pub fn answer(
        &self,
        path: &str,
        status: u16,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) {
        let reply = Reply::with(status, headers, body);
        self.server.script(path, reply);
    }

    /// Returns path and body of each request so far.
    pub fn asked(&self) -> Vec<String> {
        let seen = self.server.seen().into_iter();
        seen.map(|request| format!("{} {}", request.path, request.text()))
            .collect()
    }
}
