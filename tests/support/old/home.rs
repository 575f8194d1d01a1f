//! A throw-away home, and commands that see nothing of the environment the tests run in.

use crate::support::programs;
use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

/// A name that takes apart whatever does not quote well.
pub const ODD_NAME: &str = "jo's 100% \"$é\" \\ & <co>";

/// A home with `heph` and `hephd` in `.cargo/bin`, gone with the value.
pub struct Home {
    _folder: tempfile::TempDir,
    pub path: PathBuf,
}

impl Home {
    pub fn new() -> Home {
        Home::named("home")
    }

    /// A home without any commands.
    pub fn bare(name: &str) -> Home {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let home = Home {
            _folder: folder,
            path,
        };
        fs::create_dir_all(home.bin()).unwrap();
        home
    }

    pub fn named(name: &str) -> Home {
        let home = Home::bare(name);
        for binary in [programs::heph(), programs::hephd()] {
            let target = home.bin().join(binary.file_name().unwrap());
            // A copy, not a link: removing or replacing it must not touch the build.
            fs::copy(binary, target).unwrap();
        }
        home
    }

    pub fn bin(&self) -> PathBuf {
        self.path.join(".cargo/bin")
    }

    pub fn data(&self) -> PathBuf {
        self.path.join(".local/share/heph")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.data().join("hephd.log")).unwrap_or_default()
    }

    /// Returns a command with this home and nothing else in its environment but a PATH.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", &self.path)
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C.UTF-8")
            .current_dir(&self.path);
        command
    }

    /// Returns `heph` of this home.
    pub fn heph(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(self.bin().join("heph"));
        command.args(arguments);
        command
    }

    pub fn configure(&self, settings: &str) {
        let folder = self.path.join(".config/heph");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("config.toml"), settings).unwrap();
    }
}

/// How a command ended, in the words of the tests.
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Runs `command` to its end.
#[track_caller]
pub fn run(mut command: Command) -> Ended {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .output()
        .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    Ended {
        code: status.code().unwrap_or(-1),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

impl Ended {
    #[track_caller]
    pub fn exits(self, code: i32) -> Ended {
        assert_eq!(self.code, code, "out: {}\nerr: {}", self.out, self.err);
        self
    }

    #[track_caller]
    pub fn says(self, text: &str) -> Ended {
        assert!(self.out.contains(text), "no {text:?} in: {}", self.out);
        self
    }

    #[track_caller]
    pub fn complains(self, text: &str) -> Ended {
        assert!(self.err.contains(text), "no {text:?} in: {}", self.err);
        self
    }

    #[track_caller]
    pub fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}
