//! A user with a launchctl for tests that is as awkward as the real one.

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

use super::files;
use super::home::Home;

/// The labels of hephd and of the timer, as the fake launchctl names their folders.
const JOBS: [&str; 4] = ["gui", "user", "gui-timer", "user-timer"];

/// A home with the programs under test; jobs of its launchd end with the value.
pub struct Mac {
    home: Home,
}

impl Deref for Mac {
    type Target = Home;

    fn deref(&self) -> &Home {
        &self.home
    }
}

impl Mac {
    pub fn new() -> Mac {
        Mac::of(Home::named("home").with_commands())
    }

    pub fn of(mut home: Home) -> Mac {
        home.configure("service-manager = \"launchd\"\n");
        let tools = home.path.join("tools");
        let fake = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/launchctl");
        fs::create_dir_all(&tools).unwrap();
        files::copy(&fake, &tools.join("launchctl"));
        home.set("PATH", format!("{}:/usr/bin:/bin", tools.display()));
        home.unset("XDG_RUNTIME_DIR");
        Mac { home }
    }

    /// The folder in which the fake keeps its jobs.
    pub fn launchd(&self) -> PathBuf {
        self.path.join(".fake-launchd")
    }

    /// Nobody is logged in on the screen.
    pub fn without_a_screen(self) -> Mac {
        self.write(".fake-launchd/no-gui", "");
        self
    }

    pub fn agent(&self, label: &str) -> PathBuf {
        let agents = self.path.join("Library/LaunchAgents");
        agents.join(format!("org.hephaestus.{label}.plist"))
    }

    /// Returns the verbs that launchctl was asked since the last call, without what only prints.
    pub fn asked(&self) -> Vec<String> {
        let calls = self.launchd().join("calls");
        let text = fs::read_to_string(&calls).unwrap_or_default();
        drop(fs::remove_file(calls));
        let verbs = text.lines().filter_map(|line| line.split(' ').next());
        let verbs = verbs.filter(|verb| !verb.starts_with("print"));
        verbs.map(str::to_owned).collect()
    }
}

impl Drop for Mac {
    fn drop(&mut self) {
        for job in JOBS {
            let job = self.launchd().join(job);
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
