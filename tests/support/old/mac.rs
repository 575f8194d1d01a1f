//! A user with a launchctl for tests that is as awkward as the real one.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use super::home::Home;
use super::managed::Machine;

pub struct Mac {
    pub home: Home,
}

impl Mac {
    pub fn new() -> Mac {
        Mac::named("home")
    }

    pub fn named(name: &str) -> Mac {
        let home = Home::named(name);
        home.configure("service-manager = \"launchd\"\n");
        let tools = home.path.join("tools");
        fs::create_dir_all(&tools).unwrap();
        let fake = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/launchctl");
        fs::copy(fake, tools.join("launchctl")).unwrap();
        Mac { home }
    }

    pub fn state(&self) -> PathBuf {
        self.home.path.join(".fake-launchd")
    }

    pub fn without_a_screen(self) -> Mac {
        fs::create_dir_all(self.state()).unwrap();
        fs::write(self.state().join("no-gui"), "").unwrap();
        self
    }

    pub fn agent(&self) -> PathBuf {
        let agents = self.home.path.join("Library/LaunchAgents");
        agents.join("org.hephaestus.hephd.plist")
    }

    pub fn agent_text(&self) -> String {
        fs::read_to_string(self.agent()).unwrap()
    }

    /// Returns the verbs that launchctl was asked, without `print`.
    pub fn asked(&self) -> Vec<String> {
        let calls = self.state().join("calls");
        let text = fs::read_to_string(&calls).unwrap_or_default();
        drop(fs::remove_file(calls));
        let verbs = text.lines().filter_map(|line| line.split(' ').next());
        let verbs = verbs.filter(|verb| *verb != "print");
        verbs.map(ToOwned::to_owned).collect()
    }
}

impl Machine for Mac {
    fn command(&self, arguments: &[&str]) -> Command {
        let tools = self.home.path.join("tools").display().to_string();
        let mut command = self.home.heph(arguments);
        command.env("PATH", format!("{tools}:/usr/bin:/bin"));
        command
    }
}

impl Drop for Mac {
    fn drop(&mut self) {
        for domain in ["gui", "user"] {
            let job = self.state().join(domain);
            drop(fs::remove_file(job.join("loaded")));
            for name in ["supervisor", "pid"] {
                let pid = fs::read_to_string(job.join(name)).ok();
                let pid = pid.and_then(|pid| pid.trim().parse().ok());
                if let Some(pid) = pid.and_then(Pid::from_raw) {
                    let _ = kill_process(pid, Signal::KILL);
                }
            }
        }
    }
}
