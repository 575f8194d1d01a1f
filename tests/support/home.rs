//! A user's home that is gone with the value, and commands that see nothing of the environment the tests run in.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::call::{Call, Ended, Words};
use super::daemon::Daemon;
use super::workshop::toolchain_variables;
use super::{files, programs};

/// A name that takes apart whatever does not quote, split or decode well.
pub const ODD_NAME: &str = "jo's 100% \"$é\" \\ & <co>";

/// A home, so far without commands.
#[derive(Debug)]
pub struct Home {
    pub path: PathBuf,
    /// What a shell of this user has in its environment.
    environment: BTreeMap<OsString, OsString>,
    /// Where cargo puts commands.
    bin: PathBuf,
    /// Where the `heph` and `hephd` of this user are; `None`: in the build folder.
    programs: Option<PathBuf>,
    _folder: Option<tempfile::TempDir>,
}

impl Home {
    /// A home with an odd name, whose user runs the programs under test from the build folder.
    pub fn new() -> Home {
        Home::named("a b%20&'\"ž")
    }

    pub fn named(name: &str) -> Home {
        let folder = tempfile::tempdir().unwrap();
        let mut home = Home::at(folder.path().join(name));
        home._folder = Some(folder);
        home
    }

    /// The home `path`, which somebody else removes.
    pub fn at(path: PathBuf) -> Home {
        let runtime = path.join("run");
        fs::create_dir_all(&runtime).unwrap();
        let environment = [
            ("HOME", path.as_os_str()),
            ("XDG_RUNTIME_DIR", runtime.as_os_str()),
            ("PATH", OsStr::new("/usr/bin:/bin")),
            ("LC_ALL", OsStr::new("C.UTF-8")),
        ];
        Home {
            environment: environment
                .map(|(name, value)| (name.into(), value.into()))
                .into(),
            programs: None,
            bin: path.join(".cargo/bin"),
            path,
            _folder: None,
        }
    }

    /// Puts the programs under test into `.cargo/bin`, as hard links: they may be replaced, and not written into.
    pub fn with_commands(mut self) -> Home {
        files::link_tree(programs::folder(), &self.bin());
        self.use_own_commands();
        self
    }

    /// From now on, `heph` and `hephd` are those in `.cargo/bin`.
    pub fn use_own_commands(&mut self) {
        self.programs = Some(self.bin());
    }

    /// Sets a variable of the user's shell.
    pub fn set(&mut self, name: &str, value: impl AsRef<OsStr>) {
        self.environment.insert(name.into(), value.as_ref().into());
    }

    pub fn unset(&mut self, name: &str) {
        self.environment.remove(OsStr::new(name));
    }

    pub fn bin(&self) -> PathBuf {
        self.bin.clone()
    }

    pub fn set_bin(&mut self, name: &str) {
        self.bin = self.path.join(name);
    }

    pub fn data(&self) -> PathBuf {
        self.path.join(".local/share/heph")
    }

    pub fn state(&self) -> PathBuf {
        self.path.join(".local/state/heph")
    }

    pub fn store(&self) -> PathBuf {
        self.data().join("heph.db")
    }

    pub fn slot(&self, version: &str) -> PathBuf {
        self.data().join("versions").join(version)
    }

    /// Returns where hephd listens.
    pub fn socket(&self) -> PathBuf {
        match self.environment.get(OsStr::new("XDG_RUNTIME_DIR")) {
            Some(runtime) => Path::new(runtime).join("heph/hephd.sock"),
            None => self.data().join("hephd.sock"),
        }
    }

    /// Returns where a unit of systemd is.
    pub fn unit(&self, name: &str) -> PathBuf {
        self.path.join(".config/systemd/user").join(name)
    }

    pub fn unit_text(&self, name: &str) -> String {
        fs::read_to_string(self.unit(name)).unwrap()
    }

    /// Writes a file in the home; its folder is made.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Writes the settings.
    pub fn configure(&self, settings: &str) {
        self.write(".config/heph/config.toml", settings);
    }

    /// Returns `program` in this user's shell.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Call {
        Call::clean(program, &self.environment).current_dir(&self.path)
    }

    /// Returns this user's `heph`.
    pub fn heph(&self, words: &(impl Words + ?Sized)) -> Call {
        self.command(self.programs().join("heph")).args(words)
    }

    /// Returns this user's `hephd`.
    pub fn hephd(&self, words: &(impl Words + ?Sized)) -> Call {
        self.command(self.programs().join("hephd")).args(words)
    }

    fn programs(&self) -> &Path {
        match &self.programs {
            Some(programs) => programs,
            None => programs::folder(),
        }
    }

    /// Returns `heph self-update … --json`.
    pub fn self_update(&self, words: &(impl Words + ?Sized)) -> Call {
        self.heph("self-update").args(words).args("--json")
    }

    /// Lets this user find the toolchain of the machine that runs the tests.
    pub fn with_toolchain(mut self) -> Home {
        for (name, value) in toolchain_variables() {
            self.set(&name, value);
        }
        self.set("PATH", std::env::var_os("PATH").unwrap());
        self
    }

    /// Starts hephd by hand and waits until it answers.
    #[track_caller]
    pub fn start(&self, words: &(impl Words + ?Sized)) -> Daemon {
        Daemon::start(self.hephd(words), &self.path).until_ready(&self.socket())
    }

    /// Returns what hephd said on standard error, or wherever its service manager puts that.
    pub fn log(&self) -> String {
        fs::read_to_string(self.data().join("hephd.log")).unwrap_or_default()
    }

    /// Returns what `heph daemon status` says.
    #[track_caller]
    pub fn status(&self) -> Value {
        self.heph("daemon status --json").json()
    }

    #[track_caller]
    pub fn pid(&self) -> i64 {
        self.status()["pid"].as_i64().expect("hephd runs")
    }

    /// Sends hephd a signal.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Returns the version that hephd answers with; `None` where it does not answer.
    #[track_caller]
    pub fn running(&self) -> Option<String> {
        self.status()["version"].as_str().map(str::to_owned)
    }

    /// Adds a task, which hephd must acknowledge; returns its id.
    #[track_caller]
    pub fn add(&self, title: &str) -> String {
        let added = self.heph(&["add", "--json", "--", title]).json();
        added["task"]["id"].as_str().unwrap().to_owned()
    }

    /// Returns what `heph list` shows of all tasks.
    #[track_caller]
    pub fn list(&self) -> Value {
        self.heph("list --all --json").json()["tasks"].clone()
    }

    /// Returns the titles of all tasks, sorted.
    #[track_caller]
    pub fn titles(&self) -> Vec<String> {
        titles(&self.list())
    }

    #[track_caller]
    pub fn sync(&self) -> Ended {
        self.heph("sync now").succeeds()
    }

    #[track_caller]
    pub fn apply(&self) -> Ended {
        self.heph("self-update apply").ends()
    }

    /// Returns the versions in quarantine.
    #[track_caller]
    pub fn quarantined(&self) -> Vec<String> {
        let listed = self.self_update("quarantine list").json();
        texts(&listed["releases"], "version")
    }

    /// Returns the manifest of the slot in use.
    pub fn manifest(&self) -> Value {
        let file = self.data().join("current/release.json");
        serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
    }

    /// Returns the version that each command in bin-dir says.
    pub fn commands_say(&self) -> Vec<(String, String)> {
        let commands = files::entries(&self.bin()).into_iter();
        // A temporary name that a crash left is no command.
        let commands = commands.filter(|name| !name.starts_with('.'));
        commands
            .map(|name| {
                let said = self.command(self.bin().join(&name)).args("--version");
                let said = said.prints();
                let version = said.strip_prefix(&format!("{name} "));
                let version = version.unwrap_or_else(|| panic!("{name} says {said}"));
                (name, version.trim().to_owned())
            })
            .collect()
    }
}

/// Returns the titles of tasks, sorted.
pub fn titles(tasks: &Value) -> Vec<String> {
    let mut titles = texts(tasks, "title");
    titles.sort();
    titles
}

/// Returns the member `name` of each object.
pub fn texts(objects: &Value, name: &str) -> Vec<String> {
    let objects = objects.as_array().unwrap().iter();
    objects
        .map(|object| object[name].as_str().unwrap().to_owned())
        .collect()
}
