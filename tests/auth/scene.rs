//! A home, and `heph auth login` in it while it waits for a person.

use std::path::PathBuf;

use heph::login::{self, Tokens};
use serde_json::Value;

use crate::support::call::Ended;
use crate::support::home::Home;
use crate::support::provider::{Browser, CLIENT, Provider};
use crate::support::running::Running;

/// A home with the commands, and the provider that it logs in at.
pub struct Scene {
    pub home: Home,
    pub provider: Provider,
}

impl Scene {
    pub fn new() -> Scene {
        Scene {
            home: Home::new(),
            provider: Provider::start(),
        }
    }

    /// Starts to log in, with more arguments.
    pub fn login(&self, more: &str) -> Running {
        let issuer = &self.provider.issuer;
        let login = format!("auth login --issuer {issuer} --client-id {CLIENT} {more}");
        self.home.heph(&login).start()
    }

    /// Logs `user` in, from beginning to end.
    #[track_caller]
    pub fn logged_in(&self, user: &str) -> Ended {
        let mut login = self.login("");
        Browser::of(user).confirm(&login.line("user_code="));
        login.ends().exits(0)
    }

    #[track_caller]
    pub fn status(&self) -> Value {
        self.home.heph("auth status --json").json()
    }

    pub fn file(&self) -> PathBuf {
        self.home.data().join("tokens.json")
    }

    pub fn tokens(&self) -> Tokens {
        login::load(&self.file()).unwrap().expect("logged in")
    }

    /// Asks for a bearer as hephd does.
    pub fn bearer(&self) -> heph::error::Result<String> {
        login::bearer(
            &self.file(),
            &self.provider.issuer,
            CLIENT,
            heph::os::clock::now(),
        )
    }
}
