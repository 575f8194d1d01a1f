//! A machine of a user: a home with a plain `cargo install` of heph, a private systemd user manager, and a forge that
//! publishes this repository.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::forge::{Forge, Published};
use crate::support::manager::UserManager;
use crate::support::programs;
use crate::support::releases::{Flaw, Releases};

/// The release that every machine starts with.
pub const OLD: &str = "1.0.0";
/// The next one, which is good.
pub const NEW: &str = "1.0.1";

/// What all machines of one test program share, so that dependencies are compiled once: the forge, cargo's own folder
/// and the build folder.
pub struct Workshop {
    pub forge: Forge,
    releases: Releases,
    tagged: Mutex<Vec<String>>,
    folder: PathBuf,
    /// One machine at a time has the forge.
    turn: Mutex<()>,
}

impl Workshop {
    /// Returns the workshop of this test program, which keeps its builds in `folder`.
    pub fn open() -> &'static Workshop {
        static WORKSHOP: OnceLock<Workshop> = OnceLock::new();
        WORKSHOP.get_or_init(|| {
            let folder = programs::cache().join("workshop");
            // A static is never dropped, so what an earlier program of tests left goes now.
            let scratch = folder.join("scratch");
            drop(fs::remove_dir_all(&scratch));
            // An earlier forge may have had the same port, and cargo does not fetch a tag that it has.
            drop(fs::remove_dir_all(folder.join("cargo-home/git")));
            fs::create_dir_all(scratch.join("git")).unwrap();
            let workshop = Workshop {
                forge: Forge::serving(&scratch.join("git")),
                releases: Releases::new(&scratch.join("work")),
                tagged: Mutex::default(),
                folder,
                turn: Mutex::default(),
            };
            workshop.prepare_cargo();
            workshop
        })
    }

    /// Cargo's folder: with the registry that built these tests, and quick builds.
    fn prepare_cargo(&self) {
        let home = self.cargo_home();
        fs::create_dir_all(&home).unwrap();
        let outer = outer_cargo_home();
        let registry = home.join("registry");
        if outer.join("registry").is_dir() && !registry.exists() {
            drop(fs::remove_file(&registry));
            symlink(outer.join("registry"), &registry).unwrap();
        }
        let settings = fs::read_to_string(outer.join("config.toml")).unwrap_or_default();
        let quick = "[profile.release]\nopt-level = 0\ndebug = false\n[profile.release.package.sha2]\nopt-level = 3\n";
        fs::write(home.join("config.toml"), format!("{settings}\n{quick}")).unwrap();
    }

    pub fn cargo_home(&self) -> PathBuf {
        self.folder.join("cargo-home")
    }

    fn cache(&self) -> PathBuf {
        self.folder.join("cache")
    }

    /// Pushes `version` with `flaw`, once.
    pub fn tag(&self, version: &str, flaw: Flaw) {
        let mut tagged = self
            .tagged
            .lock()
            .unwrap_or_else(|error| error.into_inner());
        if !tagged.iter().any(|known| known == version) {
            self.releases.tag(&self.forge, version, flaw);
            tagged.push(version.to_owned());
        }
    }

    /// Makes `version` the only release that the feed names.
    pub fn publish(&self, version: &str) {
        self.forge.unpublish();
        self.forge.publish(Published::new(&format!("v{version}")));
    }

    /// Returns a folder with what a plain `cargo install` of `version` leaves: `bin/` and cargo's records.
    fn plain_install(&self, version: &str) -> PathBuf {
        let root = self.folder.join("scratch/plain").join(version);
        if !root.join("bin/hephd").exists() {
            let mut cargo = Command::new(cargo());
            cargo.env_clear().envs(self.variables());
            cargo
                .args(["install", "--locked", "--quiet", "heph"])
                .args([
                    "--git",
                    &self.forge.repository(),
                    "--tag",
                    &format!("v{version}"),
                ])
                .arg("--root")
                .arg(&root)
                .env("HOME", &self.folder)
                .env("CARGO_TARGET_DIR", self.cache().join("heph/build"));
            succeed(&mut cargo);
        }
        root
    }

    /// Returns the variables with which cargo works here and keeps its builds.
    fn variables(&self) -> Vec<(String, PathBuf)> {
        let mut variables = vec![
            ("PATH".to_owned(), PathBuf::from(path())),
            ("CARGO_HOME".to_owned(), self.cargo_home()),
            ("XDG_CACHE_HOME".to_owned(), self.cache()),
        ];
        variables.extend(network_variables());
        variables
    }
}

/// Returns what reaches the registry and finds the toolchain: proxies, certificates, rustup's folder.
pub fn network_variables() -> Vec<(String, PathBuf)> {
    let mut variables: Vec<_> = std::env::vars()
        .filter(|(name, _)| {
            let name = name.to_lowercase();
            name.ends_with("_proxy")
                || ["ssl_cert_file", "ssl_cert_dir", "cargo_http_cainfo"].contains(&name.as_str())
        })
        .map(|(name, value)| (name, PathBuf::from(value)))
        .collect();
    let rustup =
        std::env::var_os("RUSTUP_HOME").map_or_else(|| outer_home().join(".rustup"), PathBuf::from);
    variables.push(("RUSTUP_HOME".to_owned(), rustup));
    if let Some(toolchain) = std::env::var_os("RUSTUP_TOOLCHAIN") {
        variables.push(("RUSTUP_TOOLCHAIN".to_owned(), PathBuf::from(toolchain)));
    }
    variables
}

fn outer_home() -> PathBuf {
    PathBuf::from(std::env::var_os("HOME").expect("HOME is set"))
}

fn outer_cargo_home() -> PathBuf {
    std::env::var_os("CARGO_HOME").map_or_else(|| outer_home().join(".cargo"), PathBuf::from)
}

/// Returns the cargo that runs these tests.
fn cargo() -> PathBuf {
    which::which("cargo").expect("cargo is on PATH")
}

fn path() -> String {
    let cargo = cargo();
    let folder = cargo.parent().unwrap().display();
    format!("{folder}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
}

/// One user's machine.
pub struct Machine {
    pub home: PathBuf,
    pub manager: UserManager,
    pub workshop: &'static Workshop,
    _folder: tempfile::TempDir,
    /// None where another one of the same test has it.
    _turn: Option<MutexGuard<'static, ()>>,
}

impl Machine {
    /// Returns a machine on which [`OLD`] was installed by a plain `cargo install`; hephd does not run yet.
    pub fn new(workshop: &'static Workshop) -> Machine {
        let turn = workshop
            .turn
            .lock()
            .unwrap_or_else(|error| error.into_inner());
        Machine::make(workshop, Some(turn))
    }

    /// Returns another such machine, for the same test.
    pub fn beside(first: &Machine) -> Machine {
        Machine::make(first.workshop, None)
    }

    fn make(workshop: &'static Workshop, turn: Option<MutexGuard<'static, ()>>) -> Machine {
        workshop.tag(OLD, Flaw::None);
        workshop.publish(OLD);
        let plain = workshop.plain_install(OLD);
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("a home & 100%");
        fs::create_dir_all(&home).unwrap();
        copy_tree(&plain, &home.join(".cargo"));
        let machine = Machine {
            manager: UserManager::start(&home),
            home,
            workshop,
            _folder: folder,
            _turn: turn,
        };
        machine.configure("");
        machine
    }

    /// Returns such a machine with hephd running as a service.
    pub fn serving(workshop: &'static Workshop) -> Machine {
        let machine = Machine::new(workshop);
        machine.heph(&["daemon", "start"]).exits(0);
        machine
    }

    /// Writes the settings: quick ones, with `more` lines in `[self-update]`.
    pub fn configure(&self, more: &str) {
        let repository = self.workshop.forge.repository();
        let settle = if more.contains("settle") {
            ""
        } else {
            "settle = \"5s\"\n"
        };
        let quick = format!("{settle}health-timeout = \"8s\"\n");
        let text = format!("[self-update]\nrepository = \"{repository}\"\n{quick}{more}\n");
        let file = self.home.join(".config/heph/config.toml");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    pub fn bin_dir(&self) -> PathBuf {
        self.home.join(".cargo/bin")
    }

    pub fn data(&self) -> PathBuf {
        self.home.join(".local/share/heph")
    }

    pub fn state(&self) -> PathBuf {
        self.home.join(".local/state/heph")
    }

    pub fn socket(&self) -> PathBuf {
        self.manager.runtime_dir().join("heph/hephd.sock")
    }

    pub fn slot(&self, version: &str) -> PathBuf {
        self.data().join("versions").join(version)
    }

    /// Returns the command `program` in this user's shell.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = self.manager.command(program);
        command.envs(self.workshop.variables());
        command.env("PATH", format!("{}:{}", self.bin_dir().display(), path()));
        command
    }

    /// Runs `heph`, as found in bin-dir, to its end.
    pub fn heph(&self, arguments: &[&str]) -> Ended {
        run(self.command(self.bin_dir().join("heph")).args(arguments))
    }

    /// Adds a task, which hephd must acknowledge.
    pub fn add(&self, title: &str) {
        self.heph(&["add", title]).exits(0);
    }

    /// Returns the titles of all tasks, sorted.
    pub fn titles(&self) -> Vec<String> {
        let listed = self.heph(&["list", "--all", "--json"]).exits(0).json();
        let tasks = listed["tasks"].as_array().unwrap();
        let mut titles: Vec<_> = tasks
            .iter()
            .map(|task| task["title"].as_str().unwrap().to_owned())
            .collect();
        titles.sort();
        titles
    }

    /// Returns the version that hephd answers with; `None` where it does not answer.
    pub fn running(&self) -> Option<String> {
        let status = self.heph(&["daemon", "status", "--json"]).exits(0).json();
        status["version"].as_str().map(str::to_owned)
    }

    /// Returns the version that each command in bin-dir says.
    pub fn commands_say(&self) -> Vec<(String, String)> {
        let mut said: Vec<_> = fs::read_dir(self.bin_dir())
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
            .map(|entry| {
                let output = run(self.command(entry.path()).arg("--version")).exits(0);
                let version = output
                    .stdout
                    .split_whitespace()
                    .nth(1)
                    .unwrap_or_default()
                    .to_owned();
                (entry.file_name().to_string_lossy().into_owned(), version)
            })
            .collect();
        said.sort();
        said
    }

    /// I1: both commands are there, work, and are of one release, which is returned.
    pub fn one_release(&self) -> String {
        let said = self.commands_say();
        let names: Vec<_> = said.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["heph", "hephd"], "every command is there");
        assert_eq!(said[0].1, said[1].1, "the commands are of one release");
        said[0].1.clone()
    }

    /// Asserts that `version` is installed and served, with exactly the tasks `titles`, and nothing is left unfinished.
    pub fn assert_serves(&self, version: &str, titles: &[&str]) {
        assert_eq!(self.one_release(), version);
        let until = Instant::now() + Duration::from_secs(10);
        while self.running().is_none() && Instant::now() < until {
            thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(self.running().as_deref(), Some(version));
        assert_eq!(
            self.titles(),
            titles,
            "every acknowledged task is there, once"
        );
        assert!(
            !self.state().join("journal.json").exists(),
            "no run is unfinished"
        );
    }

    /// Returns the quarantined versions.
    pub fn quarantined(&self) -> Vec<String> {
        let listed = self
            .heph(&["self-update", "quarantine", "list", "--json"])
            .exits(0)
            .json();
        let releases = listed["releases"].as_array().unwrap();
        releases
            .iter()
            .map(|release| release["version"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// How a command ended.
pub struct Ended {
    pub shown: String,
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `command` to its end.
pub fn run(command: &mut Command) -> Ended {
    let shown = format!("{:?}", command.get_args().collect::<Vec<_>>());
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    Ended {
        shown,
        code: status.code(),
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    }
}

fn succeed(command: &mut Command) {
    run(command).exits(0);
}

impl Ended {
    #[track_caller]
    pub fn exits(self, code: i32) -> Ended {
        assert_eq!(
            self.code,
            Some(code),
            "{} ended otherwise\nstdout: {}\nstderr: {}",
            self.shown,
            self.stdout,
            self.stderr
        );
        self
    }

    /// Asserts that the text is in what it printed, to either stream.
    #[track_caller]
    pub fn says(self, text: &str) -> Ended {
        let all = format!("{}{}", self.stdout, self.stderr);
        assert!(
            all.contains(text),
            "{} does not say {text:?}: {all}",
            self.shown
        );
        self
    }

    /// Returns its standard output as one JSON object of schema 1.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        let value: serde_json::Value = serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{}: {error}: {}", self.shown, self.stdout));
        assert_eq!(value["schema"], 1);
        value
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
