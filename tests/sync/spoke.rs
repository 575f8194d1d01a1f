//! A home with a hephd that is a spoke.

use std::time::Instant;

use serde_json::Value;

use crate::support::old::daemon::{Daemon, Home, PATIENCE, Wire};

pub struct Spoke {
    pub home: Home,
    pub daemon: Daemon,
}

/// How a command ended.
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Spoke {
    pub fn of(hub: &str) -> Spoke {
        Spoke::with(&[&format!("--hub-url={hub}")])
    }

    pub fn with(flags: &[&str]) -> Spoke {
        let home = Home::new();
        let daemon = start(&home, flags);
        Spoke { home, daemon }
    }

    /// Starts a hephd in a home that had one before.
    pub fn in_home(home: Home, flags: &[&str]) -> Spoke {
        let daemon = start(&home, flags);
        Spoke { home, daemon }
    }

    /// Ends hephd; its home stays.
    pub fn stop(self) -> Home {
        self.daemon.stop();
        self.home
    }

    pub fn heph(&self, arguments: &[&str]) -> Ended {
        heph(&self.home, arguments)
    }

    /// Returns the result of a call that must succeed.
    #[track_caller]
    pub fn call(&self, method: &str, params: Value) -> Value {
        Wire::open(&self.home.socket()).call(method, params)
    }

    /// Adds a task and returns its id.
    #[track_caller]
    pub fn add(&self, title: &str) -> String {
        let added = self.heph(&["add", "--json", title]).well().json();
        added["task"]["id"].as_str().unwrap().to_owned()
    }

    /// Returns what `heph list` shows of all tasks.
    #[track_caller]
    pub fn list(&self) -> Value {
        self.heph(&["list", "--all", "--json"]).well().json()["tasks"].clone()
    }

    /// Returns the titles of the open tasks, the oldest first.
    #[track_caller]
    pub fn titles(&self) -> Vec<String> {
        let listed = self.heph(&["list", "--json"]).well().json();
        let tasks = listed["tasks"].as_array().unwrap().iter();
        tasks
            .map(|task| task["title"].as_str().unwrap().to_owned())
            .collect()
    }

    #[track_caller]
    pub fn status(&self) -> Value {
        self.heph(&["sync", "status", "--json"]).well().json()
    }

    /// Waits until the status is as `wanted` says.
    #[track_caller]
    pub fn wait_until(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + 2 * PATIENCE;
        loop {
            let status = self.status();
            if wanted(&status) {
                return status;
            }
            assert!(Instant::now() < until, "{status}\n{}", self.daemon.log());
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
}

fn start(home: &Home, flags: &[&str]) -> Daemon {
    let mut hephd = home.hephd();
    hephd.args(flags);
    Daemon::start(hephd, &home.path).until_ready(&home.socket())
}

pub fn heph(home: &Home, arguments: &[&str]) -> Ended {
    let output = home.heph().args(arguments).output().unwrap();
    Ended {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Ended {
    #[track_caller]
    pub fn exits(self, code: i32) -> Ended {
        assert_eq!(
            self.code,
            Some(code),
            "out: {}\nerr: {}",
            self.out,
            self.err
        );
        self
    }

    #[track_caller]
    pub fn well(self) -> Ended {
        let ended = self.exits(0);
        assert_eq!(ended.err, "", "nothing on standard error");
        ended
    }

    #[track_caller]
    pub fn complains(self, text: &str) -> Ended {
        assert!(self.err.contains(text), "no {text:?} in: {}", self.err);
        self
    }

    #[track_caller]
    pub fn says(self, text: &str) -> Ended {
        assert!(self.out.contains(text), "no {text:?} in: {}", self.out);
        self
    }

    #[track_caller]
    pub fn json(self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}
