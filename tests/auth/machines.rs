//! A hub that trusts the provider, and spokes that log in there: real hephds in homes of their own.

use std::ops::Deref;

use serde_json::{Value, json};

use crate::support::home::titles;
use crate::support::node::Node;
use crate::support::provider::{AUDIENCE, Browser, CLIENT, Provider};

/// A hub; it ends with the value.
pub struct Hub(Node);

impl Deref for Hub {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.0
    }
}

impl Hub {
    pub fn start(provider: &Provider) -> Hub {
        Hub::start_with(provider, &[])
    }

    /// Starts one with these variables in its environment.
    pub fn start_with(provider: &Provider, environment: &[(&str, &str)]) -> Hub {
        let mut hub = Node::hub_down();
        let issuer = &provider.issuer;
        hub.add_flags(&format!(
            "--oidc-issuer {issuer} --oidc-audience {AUDIENCE}"
        ));
        for (name, value) in environment {
            hub.home.set(name, value);
        }
        Hub(hub.up())
    }

    /// Returns status, headers and body of the answer to a sync with nothing in it but `operations`.
    pub fn post(&self, token: Option<&str>, operations: &[Value]) -> (u16, String, Value) {
        let request = json!({
            "schema": 1, "version": "9.9.9", "spoke": "01HF7Z00000000000000000000",
            "epoch": null, "cursor": null, "sent": null, "operations": operations,
        });
        let mut curl = self.command("curl");
        curl = curl.args("--silent --show-error --include --max-time 60");
        curl = curl.args("--header 'Content-Type: application/json'");
        curl = curl.args(&["--data", &request.to_string()]);
        if let Some(token) = token {
            curl = curl.args(&["--header", &format!("Authorization: Bearer {token}")]);
        }
        let answer = curl.args(&[format!("{}/v1/sync", self.url())]).prints();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let head = head.to_ascii_lowercase();
        (status, head, serde_json::from_str(body).unwrap())
    }
}

/// A machine of somebody, which syncs with a hub; it ends with the value.
pub struct Spoke(Node);

impl Deref for Spoke {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.0
    }
}

impl Spoke {
    pub fn start(hub: &Hub, provider: &Provider) -> Spoke {
        let (hub, issuer) = (hub.url(), &provider.issuer);
        let flags = format!("--hub-url {hub} --oidc-issuer {issuer} --oidc-client-id {CLIENT}");
        Spoke(Node::with(&flags))
    }

    /// Starts one with these flags.
    pub fn with(flags: &str) -> Spoke {
        Spoke(Node::with(flags))
    }

    /// The same as [`Spoke::start`], with `user` logged in.
    pub fn of(user: &str, hub: &Hub, provider: &Provider) -> Spoke {
        let spoke = Spoke::start(hub, provider);
        spoke.log_in(user);
        spoke
    }

    /// Logs `user` in. Issuer and client are those that hephd names.
    #[track_caller]
    pub fn log_in(&self, user: &str) {
        let mut login = self.heph("auth login").start();
        Browser::of(user).confirm(&login.line("user_code="));
        login
            .ends()
            .exits(0)
            .says(&format!("as {user}"))
            .says("`heph sync now`");
    }

    #[track_caller]
    pub fn sync(&self) {
        self.heph("sync now").exits(0).says("in sync");
    }
}

/// Returns the titles that the hephd of `node` serves on its socket, sorted.
pub fn served(node: &Node) -> Vec<String> {
    titles(&node.call("task.list", json!({}))["tasks"])
}
