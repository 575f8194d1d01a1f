//! A hub that trusts the provider, and spokes that log in there: real hephds in homes of their own.

use std::net::SocketAddr;
use std::process::Command;

use serde_json::{Value, json};

use super::scene::Waiting;
use crate::support::old::daemon::{Daemon, Home, Wire};
use crate::support::old::home::{Ended, run};
use crate::support::provider::{AUDIENCE, Browser, CLIENT, Provider};

/// A hub; it ends with the value.
pub struct Hub {
    pub home: Home,
    _daemon: Daemon,
    address: SocketAddr,
}

impl Hub {
    pub fn start(provider: &Provider) -> Hub {
        Hub::start_with(provider, &[])
    }

    /// Starts one with these variables in its environment.
    pub fn start_with(provider: &Provider, environment: &[(&str, &str)]) -> Hub {
        let home = Home::new();
        let mut hephd = home.hephd();
        hephd.args(["--mode", "server", "--http-addr", "127.0.0.1:0"]);
        hephd.args([
            "--oidc-issuer",
            &provider.issuer,
            "--oidc-audience",
            AUDIENCE,
        ]);
        hephd.envs(environment.iter().copied());
        let daemon = Daemon::start(hephd, &home.path).until_ready(&home.socket());
        let log = daemon.log();
        let (_, rest) = log
            .split_once(" and http://")
            .unwrap_or_else(|| panic!("{log}"));
        let address = rest.lines().next().unwrap().parse().unwrap();
        Hub {
            home,
            _daemon: daemon,
            address,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns status, headers and body of the answer to a sync with nothing in it but `operations`.
    pub fn post(&self, token: Option<&str>, operations: &[Value]) -> (u16, String, Value) {
        let request = json!({
            "schema": 1, "version": "9.9.9", "spoke": "01HF7Z00000000000000000000",
            "epoch": null, "cursor": null, "sent": null, "operations": operations,
        });
        let mut curl = self.home.command("curl");
        curl.args(["--silent", "--show-error", "--include", "--max-time", "60"]);
        curl.args(["--header", "Content-Type: application/json"]);
        curl.args(["--data", &request.to_string()]);
        if let Some(token) = token {
            curl.args(["--header", &format!("Authorization: Bearer {token}")]);
        }
        curl.arg(format!("{}/v1/sync", self.url()));
        let answer = run(curl).exits(0).out;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (
            status,
            head.to_ascii_lowercase(),
            serde_json::from_str(body).unwrap(),
        )
    }
}

/// A machine of somebody, which syncs with a hub; it ends with the value.
pub struct Spoke {
    pub home: Home,
    _daemon: Daemon,
}

impl Spoke {
    pub fn start(hub: &Hub, provider: &Provider) -> Spoke {
        let home = Home::new();
        let mut hephd = home.hephd();
        hephd.args(["--hub-url", &hub.url(), "--oidc-issuer", &provider.issuer]);
        hephd.args(["--oidc-client-id", CLIENT]);
        let daemon = Daemon::start(hephd, &home.path).until_ready(&home.socket());
        Spoke {
            home,
            _daemon: daemon,
        }
    }

    /// The same, with `user` logged in.
    pub fn of(user: &str, hub: &Hub, provider: &Provider) -> Spoke {
        let spoke = Spoke::start(hub, provider);
        spoke.log_in(user);
        spoke
    }

    /// Logs `user` in. Issuer and client are those that hephd names.
    #[track_caller]
    pub fn log_in(&self, user: &str) {
        let mut login = Waiting::start(self.command(&["auth", "login"]));
        Browser::of(user).confirm(&login.line("user_code="));
        login
            .ends()
            .exits(0)
            .says(&format!("as {user}"))
            .says("`heph sync now`");
    }

    pub fn heph(&self, arguments: &[&str]) -> Ended {
        run(self.command(arguments))
    }

    #[track_caller]
    pub fn sync(&self) {
        self.heph(&["sync", "now"]).exits(0).says("in sync");
    }

    pub fn add(&self, title: &str) {
        self.heph(&["add", title]).exits(0);
    }

    pub fn titles(&self) -> Vec<String> {
        titles(&self.home)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.home.heph();
        command.args(arguments);
        command
    }
}

/// Returns the titles that the hephd of `home` serves on its socket, sorted.
pub fn titles(home: &Home) -> Vec<String> {
    let list = Wire::open(&home.socket()).call("task.list", json!({}));
    let tasks = list["tasks"].as_array().unwrap().iter();
    let mut titles: Vec<String> = tasks
        .map(|task| task["title"].as_str().unwrap().to_owned())
        .collect();
    titles.sort();
    titles
}
