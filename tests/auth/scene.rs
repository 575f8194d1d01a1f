//! A home, and `heph auth login` in it while it waits for a person.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use heph::login::{self, Tokens};
use serde_json::Value;

use crate::support::old::home::{Ended, Home, run};
use crate::support::provider::{Browser, CLIENT, Provider};

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
    pub fn login(&self, more: &[&str]) -> Waiting {
        let issuer = &self.provider.issuer;
        let arguments = ["auth", "login", "--issuer", issuer, "--client-id", CLIENT];
        Waiting::start(self.home.heph(&[&arguments, more].concat()))
    }

    /// Logs `user` in, from beginning to end.
    #[track_caller]
    pub fn logged_in(&self, user: &str) -> Ended {
        let mut login = self.login(&[]);
        Browser::of(user).confirm(&login.line("user_code="));
        login.ends().exits(0)
    }

    #[track_caller]
    pub fn heph(&self, arguments: &[&str]) -> Ended {
        run(self.home.heph(arguments))
    }

    #[track_caller]
    pub fn status(&self) -> Value {
        self.heph(&["auth", "status", "--json"]).exits(0).json()
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

/// `heph auth login`, which waits; it ends with the value.
pub struct Waiting {
    child: Child,
    out: BufReader<ChildStdout>,
    err: BufReader<ChildStderr>,
    read: String,
}

impl Waiting {
    pub fn start(mut command: Command) -> Waiting {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        Waiting {
            out: BufReader::new(child.stdout.take().unwrap()),
            err: BufReader::new(child.stderr.take().unwrap()),
            child,
            read: String::new(),
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the next line on standard output that holds `text`, without the spaces around it.
    #[track_caller]
    pub fn line(&mut self, text: &str) -> String {
        next_line(&mut self.out, text, &mut self.read)
    }

    /// The same on standard error.
    #[track_caller]
    pub fn note(&mut self, text: &str) -> String {
        next_line(&mut self.err, text, &mut String::new())
    }

    /// Waits for its end.
    pub fn ends(mut self) -> Ended {
        let mut out = std::mem::take(&mut self.read);
        self.out.read_to_string(&mut out).unwrap();
        let mut err = String::new();
        self.err.read_to_string(&mut err).unwrap();
        let status = self.child.wait().unwrap();
        Ended {
            code: status.code().unwrap_or(-1),
            out,
            err,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[track_caller]
fn next_line(stream: &mut impl BufRead, text: &str, read: &mut String) -> String {
    loop {
        let mut line = String::new();
        let length = stream.read_line(&mut line).unwrap();
        assert_ne!(length, 0, "no {text:?} in: {read}");
        read.push_str(&line);
        if line.contains(text) {
            return line.trim().to_owned();
        }
    }
}
