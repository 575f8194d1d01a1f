//! `make demo`: a machine whose timer installs a good release and refuses to keep a broken one, while a client adds tasks.
//!
//! Everything is real: a systemd user manager of its own, git over http, cargo, the timer. It all happens in a temporary
//! home on loopback, and nothing is left behind.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    reason = "a demonstration prints, and ends with the first thing that is not as it should be"
)]

#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod support;

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use support::forge::{Forge, Published};
use support::manager::UserManager;
use support::releases::{Flaw, Releases};
use support::workshop::{network_variables, outer_cargo_home, path};

const OLD: &str = "1.0.0";
const NEW: &str = "1.0.1";
const BROKEN: &str = "1.1.0";
const ARCHIVED: &str = "1.1.1";
const FLIPPED: &str = "1.1.2";
/// How long one thing may take: a build with a cold cache on two slow cores.
const PATIENCE: Duration = Duration::from_secs(8 * 60);

fn main() {
    let start = Instant::now();
    let scratch = tempfile::Builder::new()
        .prefix("heph-demo-")
        .tempdir()
        .unwrap();
    let demo = Demo::new(scratch.path(), start);

    demo.title("A forge with heph 1.0.0, installed by a plain `cargo install`");
    demo.forge.publish(Published::new(&format!("v{OLD}")));
    demo.say(&format!("the forge is {}", demo.forge.repository()));
    demo.cargo_install(OLD);
    demo.show(&["daemon", "start"]);

    demo.title("Opting in: the timer asks every minute");
    demo.show(&["self-update", "enable", "--every", "60s"]);
    let client = Client::start(&demo);

    demo.title("1.0.1 is published, and the timer does the rest");
    demo.forge.publish(Published::new(&format!("v{NEW}")));
    demo.follow_until("updated");
    demo.show(&["daemon", "status"]);

    demo.title("1.1.0 is published: its hephd dies after three seconds");
    demo.forge.publish(Published::new(&format!("v{BROKEN}")));
    demo.follow_until("rolled back");
    demo.show(&["self-update", "status"]);
    demo.show(&["self-update", "history"]);
    demo.show(&["self-update", "quarantine", "list"]);

    demo.show(&["self-update", "disable"]);
    demo.title("1.1.1 comes as an archive that its owner signed: nothing is compiled");
    let owner = Owner::new(scratch.path());
    demo.show(&[
        "self-update",
        "trust",
        "add",
        owner.public.to_str().unwrap(),
    ]);
    let archive = owner.pack(&demo);
    owner.publish(&demo, ARCHIVED, &archive, &archive);
    demo.show(&["self-update", "apply"]);
    demo.show(&["self-update", "history", "--last", "1"]);

    demo.title("1.1.2 is signed, too, but one bit of its archive has flipped since");
    demo.releases.tag(&demo.forge, FLIPPED, Flaw::None);
    let mut flipped = archive.clone();
    flipped[archive.len() / 2] ^= 1;
    owner.publish(&demo, FLIPPED, &archive, &flipped);
    demo.refused(&["self-update", "apply"]);
    demo.show(&["self-update", "quarantine", "list"]);
    demo.show(&["daemon", "status"]);

    demo.title("What the client saw");
    let tally = client.stop(&demo);
    demo.show(&["daemon", "uninstall"]);
    demo.say(&format!(
        "requests sent: {}   failed: {}   lost: {}",
        tally.sent, tally.failed, tally.lost
    ));
    assert_eq!(tally.lost, 0, "an acknowledged task was lost");
}

struct Demo {
    start: Instant,
    releases: Releases,
    home: PathBuf,
    manager: UserManager,
    forge: Forge,
}

impl Demo {
    fn new(scratch: &Path, start: Instant) -> Demo {
        let home = scratch.join("home");
        fs::create_dir_all(home.join(".cargo")).unwrap();
        let forge = Forge::start();
        let releases = Releases::new(&scratch.join("work"));
        for (version, flaw) in [
            (OLD, Flaw::None),
            (NEW, Flaw::None),
            (BROKEN, Flaw::DiesAfterThreeSeconds),
        ] {
            releases.tag(&forge, version, flaw);
        }
        // What is downloaded already need not be downloaded again.
        let outer = outer_cargo_home();
        if outer.join("registry").is_dir() {
            symlink(outer.join("registry"), home.join(".cargo/registry")).unwrap();
        }
        // Optimised less than releases are, so that nobody waits ten minutes for two builds from nothing.
        let settings = fs::read_to_string(outer.join("config.toml")).unwrap_or_default();
        let quick = format!("{settings}\n[profile.release]\nopt-level = 1\n");
        fs::write(home.join(".cargo/config.toml"), quick).unwrap();
        let settings = home.join(".config/heph/config.toml");
        fs::create_dir_all(settings.parent().unwrap()).unwrap();
        fs::write(
            settings,
            format!("[self-update]\nrepository = \"{}\"\n", forge.repository()),
        )
        .unwrap();
        Demo {
            start,
            releases,
            manager: UserManager::start(&home),
            home,
            forge,
        }
    }

    fn say(&self, text: &str) {
        let seconds = self.start.elapsed().as_secs();
        for line in text.lines() {
            println!("{:02}:{:02}  {line}", seconds / 60, seconds % 60);
        }
    }

    fn title(&self, text: &str) {
        println!();
        self.say(&format!("── {text}"));
    }

    /// Returns a command in this user's shell.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let bin = self.home.join(".cargo/bin");
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs(self.manager.environment())
            .envs(network_variables())
            .env("PATH", format!("{}:{}", bin.display(), path()))
            .env("CARGO_HOME", self.home.join(".cargo"))
            .current_dir(&self.home);
        command
    }

    fn heph(&self, arguments: &[&str]) -> Command {
        let mut heph = self.command(self.home.join(".cargo/bin/heph"));
        heph.args(arguments);
        heph
    }

    /// Runs `heph` and shows what it prints.
    fn show(&self, arguments: &[&str]) {
        self.say(&format!("$ heph {}", arguments.join(" ")));
        let output = self.heph(arguments).output().unwrap();
        self.say(&String::from_utf8_lossy(&output.stdout));
        self.say(&String::from_utf8_lossy(&output.stderr));
        assert!(
            output.status.success(),
            "heph {} failed",
            arguments.join(" ")
        );
    }

    /// Runs `heph`, which must fail, and shows what it says.
    fn refused(&self, arguments: &[&str]) {
        self.say(&format!("$ heph {}", arguments.join(" ")));
        let output = self.heph(arguments).output().unwrap();
        self.say(&String::from_utf8_lossy(&output.stdout));
        self.say(&String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(1), "it should have been refused");
    }

    fn cargo_install(&self, version: &str) {
        let url = self.forge.repository();
        let tag = format!("v{version}");
        let arguments = [
            "install", "--locked", "--quiet", "--git", &url, "--tag", &tag, "heph",
        ];
        self.say(&format!("$ cargo {}", arguments.join(" ")));
        let output = self.command("cargo").args(arguments).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        self.say("installed");
    }

    /// Shows what the timer's runs print until one line contains `last`.
    fn follow_until(&self, last: &str) {
        let log = self.home.join(".local/state/heph/self-update.log");
        let mut shown = fs::read_to_string(&log).unwrap_or_default().len();
        let until = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < until, "the timer never got to {last:?}");
            thread::sleep(Duration::from_millis(200));
            let text = fs::read_to_string(&log).unwrap_or_default();
            let end = text.rfind('\n').map_or(0, |end| end + 1);
            let new = text.get(shown..end).unwrap_or_default();
            for line in new.lines().filter(|line| !line.contains("up to date")) {
                self.say(&format!("timer │ {line}"));
            }
            if new.contains(last) {
                return;
            }
            shown = end.max(shown);
        }
    }
}

/// Whoever releases heph: somebody with a key.
struct Owner {
    public: PathBuf,
    secret: PathBuf,
}

impl Owner {
    fn new(scratch: &Path) -> Owner {
        let (public, secret) = (scratch.join("heph.pub"), scratch.join("heph.key"));
        let mut minisign = Command::new("minisign");
        minisign
            .args(["-G", "-W", "-f", "-p"])
            .arg(&public)
            .arg("-s")
            .arg(&secret);
        assert!(minisign.output().unwrap().status.success());
        Owner { public, secret }
    }

    /// Builds 1.1.1 and packs it as `make dist` does, with the parts that are compiled already.
    fn pack(&self, demo: &Demo) -> Vec<u8> {
        demo.releases.tag(&demo.forge, ARCHIVED, Flaw::None);
        let tree = &demo.home.with_file_name("work");
        let build = demo.home.join(".cache/heph/build");
        demo.say("$ make dist");
        let mut cargo = demo.command("cargo");
        cargo.args(["build", "--locked", "--release", "--bins", "--quiet"]);
        let built = cargo
            .current_dir(tree)
            .env("CARGO_TARGET_DIR", &build)
            .output()
            .unwrap();
        assert!(
            built.status.success(),
            "{}",
            String::from_utf8_lossy(&built.stderr)
        );
        let mut dist = demo.command("./dist.sh");
        dist.current_dir(tree)
            .env("BINARIES", build.join("release"));
        let packed = dist.env("MINISIGN_KEY", &self.secret).output().unwrap();
        assert!(
            packed.status.success(),
            "{}",
            String::from_utf8_lossy(&packed.stderr)
        );
        demo.say(&String::from_utf8_lossy(&packed.stdout));
        let archive = fs::read_dir(tree.join("dist"))
            .unwrap()
            .flatten()
            .map(|entry| entry.path());
        let archive = archive
            .into_iter()
            .find(|path| path.extension().is_some_and(|ending| ending == "gz"));
        fs::read(archive.unwrap()).unwrap()
    }

    /// Publishes `version` with a signed checksum of the archive `signed`, and the archive `served`.
    fn publish(&self, demo: &Demo, version: &str, signed: &[u8], served: &[u8]) {
        let target = heph::release::asset::targets().into_iter().next().unwrap();
        let name = format!("heph-v{version}-{target}.tar.gz");
        let folder = self.secret.parent().unwrap().join(version);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(&name), signed).unwrap();
        let sums = Command::new("sha256sum")
            .arg(&name)
            .current_dir(&folder)
            .output()
            .unwrap();
        fs::write(folder.join("SHA256SUMS"), &sums.stdout).unwrap();
        let mut minisign = Command::new("minisign");
        minisign
            .args(["-S", "-m", "SHA256SUMS", "-s"])
            .arg(&self.secret)
            .current_dir(&folder);
        assert!(minisign.output().unwrap().status.success());
        let tag = format!("v{version}");
        demo.forge.publish(Published::new(&tag));
        demo.forge.attach(&tag, &name, served);
        for file in ["SHA256SUMS", "SHA256SUMS.minisig"] {
            demo.forge
                .attach(&tag, file, &fs::read(folder.join(file)).unwrap());
        }
    }
}

/// Somebody who adds a task every tenth of a second and remembers which were acknowledged.
struct Client {
    stopped: Arc<AtomicBool>,
    adding: thread::JoinHandle<(usize, Vec<String>)>,
}

struct Tally {
    sent: usize,
    failed: usize,
    lost: usize,
}

impl Client {
    fn start(demo: &Demo) -> Client {
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopped);
        let environment: Vec<_> = demo.manager.environment();
        let heph = demo.home.join(".cargo/bin/heph");
        let adding = thread::spawn(move || {
            let mut sent = 0;
            let mut acknowledged = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let title = format!("task {sent:05}");
                let added = Command::new(&heph)
                    .args(["add", &title])
                    .env_clear()
                    .envs(environment.clone())
                    .output();
                sent += 1;
                if added.is_ok_and(|output| output.status.success()) {
                    acknowledged.push(title);
                }
                thread::sleep(Duration::from_millis(100));
            }
            (sent, acknowledged)
        });
        Client { stopped, adding }
    }

    fn stop(self, demo: &Demo) -> Tally {
        self.stopped.store(true, Ordering::Relaxed);
        let (sent, acknowledged) = self.adding.join().unwrap();
        let listed = demo.heph(&["list", "--all", "--json"]).output().unwrap();
        let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
        let there: HashSet<&str> = listed["tasks"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|task| task["title"].as_str())
            .collect();
        let lost = acknowledged
            .iter()
            .filter(|title| !there.contains(title.as_str()))
            .count();
        Tally {
            sent,
            failed: sent - acknowledged.len(),
            lost,
        }
    }
}
