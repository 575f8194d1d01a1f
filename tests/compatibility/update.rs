//! An installation of release 0.1.0, set up by its own commands, updates to this tree and goes back, with everything kept.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::crontab;
use crate::support::daemon::Daemon;
use crate::support::files;
use crate::support::machine::Machine;
use crate::support::releases::Flaw;
use crate::support::workshop::{OLD as THIS, Workshop, path};

const FIRST: &str = "0.1.0";
/// Whose tree is that release.
const COMMIT: &str = "60fb2f69ffa6c479f2293f4add988d608f6cbef5";
const BROKEN: &str = "0.2.0";
const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDvZw0XjI5f8q5tSFKH7yRtT0mW9pJbIVaZq1yOHtKzB";

/// A machine of release 0.1.0, and what runs its hephd and its timer.
struct Scene {
    machine: Machine,
    manager: &'static str,
    /// Where no service manager runs it.
    hephd: Option<Daemon>,
}

impl Scene {
    fn new(manager: &'static str) -> Scene {
        Workshop::open().tag_commit(FIRST, COMMIT);
        let machine = Machine::with_release(FIRST);
        machine.home.configure(&format!(
            "service-manager = \"{manager}\"\n[self-update]\nrepository = \"{}\"\nkeep = 3\n\
             settle = \"2s\"\nhealth-timeout = \"1m\"\non-failed = [\"true\"]\n\
             [self-update.trust]\nrequire = \"checksum\"\n",
            machine.forge.repository()
        ));
        Scene {
            machine,
            manager,
            hephd: None,
        }
    }

    fn is_managed(&self) -> bool {
        self.manager != "none"
    }

    /// Uses the programs in `tools` before all others.
    fn use_tools(&mut self, tools: &Path) {
        let bin = self.machine.bin();
        let path = format!("{}:{}:{}", tools.display(), bin.display(), path());
        self.machine.home.set("PATH", path);
    }

    /// Starts hephd afresh, as its user does after an update.
    fn restart(&mut self) {
        if self.is_managed() {
            self.machine.heph("daemon restart").exits(0);
        } else {
            drop(self.hephd.take());
            self.hephd = Some(self.machine.start(""));
        }
    }

    /// Has tasks, a key and a release in quarantine.
    fn is_lived_in(&self) {
        let machine = &self.machine;
        let done = machine.add("done");
        machine.heph(&["done", &done]).exits(0);
        machine.add("open, with \"quotes\"");
        machine.heph(&["self-update", "trust", "add", KEY]).exits(0);
        machine.publish(BROKEN, Flaw::DoesNotCompile);
        machine.apply().exits(1);
        assert_eq!(machine.quarantined(), [BROKEN]);
    }

    /// Returns all that has to stay as it is.
    fn kept(&self) -> Value {
        let machine = &self.machine;
        let pick = |command: &str, keys: &[&str]| {
            let said = machine.heph(command).json();
            let picked = keys
                .iter()
                .map(|key| ((*key).to_owned(), said[*key].clone()));
            Value::Object(picked.collect())
        };
        let timer = ["enabled", "scheduler", "cadence", "notify_only"];
        let service = [
            "flags", "mode", "socket", "store", "log", "program", "managed",
        ];
        json!({
            "tasks": machine.list(),
            "service": pick("daemon status --json", &service),
            "timer": pick("self-update status --json", &timer),
            "trust": pick("self-update trust show --json", &["require", "tag_signers"]),
            "settings": fs::read_to_string(machine.path.join(".config/heph/config.toml")).unwrap(),
        })
    }

    /// `version` is installed and served, with all that there was.
    fn assert_is(&self, version: &str, kept: &Value) {
        self.machine.assert_serves(version);
        assert_eq!(self.kept(), *kept, "{version}");
    }

    fn assert_files_are_current(&self) {
        let status = self.machine.heph("daemon status --json").json();
        let socket = match self.manager {
            "systemd" => json!("current"),
            _ => Value::Null,
        };
        assert_eq!(status["file_state"], "current");
        assert_eq!(status["socket_file_state"], socket);
    }

    /// Updates, lives with the new release, goes back, and lives with the old one.
    fn goes_there_and_back(mut self) {
        self.is_lived_in();
        let kept = self.kept();
        self.machine.publish(THIS, Flaw::None);
        let report = self.machine.heph("self-update apply --json").json();
        assert_eq!(report["outcome"], "updated", "{report}");
        if !self.is_managed() {
            self.restart();
        }
        self.assert_is(THIS, &kept);
        // That release blamed 0.2.0 for its build. This one does not, and keeps the entry for the way back.
        assert!(self.machine.quarantined().is_empty());
        self.is_in_use(&kept);

        self.machine.add("added by the new one");
        let kept = self.kept();
        let report = self.machine.heph("self-update rollback --json").json();
        assert_eq!(report["outcome"], "rolled-back", "{report}");
        if !self.is_managed() {
            self.restart();
        }
        self.assert_is(FIRST, &kept);
        assert_eq!(self.machine.quarantined(), [BROKEN, THIS]);
        self.is_in_use(&kept);

        let machine = &self.machine;
        machine.heph("self-update disable").exits(0);
        if self.is_managed() {
            machine.heph("daemon uninstall").exits(0);
        }
        for folder in [".config/systemd/user", "Library/LaunchAgents"] {
            let left = files::entries(&machine.path.join(folder));
            assert!(left.iter().all(|name| !name.contains("heph")), "{left:?}");
        }
        let crontab = fs::read_to_string(machine.path.join("crontab")).unwrap_or_default();
        assert!(!crontab.contains("heph"), "{crontab}");
    }

    /// The commands of a day change nothing and complain of nothing.
    fn is_in_use(&mut self, kept: &Value) {
        self.restart();
        self.machine.heph("self-update enable").exits(0);
        if self.is_managed() {
            self.assert_files_are_current();
        }
        assert_eq!(self.kept(), *kept);
        let doctor = self.machine.heph("self-update doctor --json").ends().json();
        let rows = doctor["rows"].as_array().unwrap();
        for name in ["timer", "service", "installation"] {
            for row in rows.iter().filter(|row| row["name"] == name) {
                assert_ne!(row["status"], "problem", "{row}");
            }
        }
    }
}

impl Drop for Scene {
    /// Ends what the launchd of these tests would go on running.
    fn drop(&mut self) {
        for label in ["hephd", "self-update"] {
            let bootout = format!("bootout gui/0/org.hephaestus.{label}");
            if self.manager == "launchd" {
                let ended = self.machine.command("launchctl").args(&bootout);
                drop(ended.into_command().output());
            }
        }
    }
}

#[test]
fn under_systemd_a_spoke_updates_and_goes_back() {
    let scene = Scene::new("systemd");
    let store = scene.machine.path.join("my $tore's 50%/heph.db");
    fs::create_dir(store.parent().unwrap()).unwrap();
    let start = [
        "daemon",
        "start",
        "--hub-url=http://127.0.0.1:1/--x",
        "--oidc-issuer=http://127.0.0.1:1/a%20$b",
        "--oidc-client-id=heph 'cli' \"x\" -- & <co> \\ $HOME %h",
    ];
    let machine = &scene.machine;
    machine.heph(&start).env("HEPH_DB", &store).exits(0);
    machine.heph("self-update enable --every 7h").exits(0);
    scene.goes_there_and_back();
}

#[test]
fn under_launchd_a_hub_updates_and_goes_back() {
    let mut scene = Scene::new("launchd");
    let tools = scene.machine.path.join("tools");
    fs::create_dir(&tools).unwrap();
    let fake = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/launchctl");
    files::copy(&fake, &tools.join("launchctl"));
    scene.use_tools(&tools);
    // launchd gives hephd none.
    scene.machine.home.unset("XDG_RUNTIME_DIR");
    let machine = &scene.machine;
    let start = [
        "daemon",
        "start",
        "--mode=server",
        "--http-addr=127.0.0.1:0",
        "--oidc-issuer=http://127.0.0.1:1/a%20$b",
        "--oidc-audience=heph -- tasks, \"100%\" & <co>",
        "--sync-rate=9",
    ];
    machine.heph(&start).exits(0);
    let enable = "self-update enable --at 03:30,15:30 --notify-only";
    machine.heph(enable).exits(0);
    scene.goes_there_and_back();
}

#[test]
fn under_cron_a_hephd_of_ones_own_updates_and_goes_back() {
    let mut scene = Scene::new("none");
    let tools = crontab(&scene.machine);
    scene.use_tools(&tools);
    scene.machine.write("crontab", "SHELL=/bin/sh\n");
    scene.restart();
    scene
        .machine
        .heph("self-update enable --every 12h")
        .exits(0);
    scene.goes_there_and_back();
}
