//! A machine to examine: a home with heph, a private systemd user manager and a forge with one release.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::forge::{Forge, Published, WorkTree};
use crate::support::manager::UserManager;
use crate::support::old::home::{Ended, Home, ODD_NAME, run};

/// The release that the forge has.
pub const LATEST: &str = "7.0.0";

pub struct Patient {
    // First, since it ends first: its processes live in the home.
    pub manager: UserManager,
    pub home: Home,
    pub forge: Forge,
}

impl Patient {
    /// Returns a machine on which nothing is wrong, and the timer is off.
    pub fn new() -> Patient {
        let home = Home::named(ODD_NAME);
        let forge = Forge::start();
        let tree = WorkTree::new(home.path.join("work"));
        tree.write("README", "A release.\n");
        tree.commit("feat: all of it");
        tree.tag(&format!("v{LATEST}"));
        forge.push(&tree);
        forge.publish(Published::new(&format!("v{LATEST}")));
        let patient = Patient {
            manager: UserManager::start(&home.path),
            home,
            forge,
        };
        patient.configure("");
        patient
    }

    /// Returns such a machine with the timer on.
    pub fn enabled() -> Patient {
        let patient = Patient::new();
        patient.enable();
        patient
    }

    /// Writes the settings, with `more` lines in `[self-update]`.
    pub fn configure(&self, more: &str) {
        let repository = self.forge.repository();
        self.home.configure(&format!(
            "service-manager = \"systemd\"\n[self-update]\nrepository = \"{repository}\"\n{more}\n"
        ));
    }

    pub fn enable(&self) {
        run(self.heph(&["self-update", "enable"])).exits(0);
    }

    /// Returns `heph` in the shell of the user, which finds everything.
    pub fn heph(&self, arguments: &[&str]) -> Command {
        self.heph_with_path(self.path(), arguments)
    }

    /// Returns `heph` in a shell with this PATH.
    pub fn heph_with_path(&self, path: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
        let mut command = self.manager.command(self.home.bin().join("heph"));
        command.env("PATH", path).env("RUSTUP_HOME", rustup_home());
        if let Some(toolchain) = std::env::var_os("RUSTUP_TOOLCHAIN") {
            command.env("RUSTUP_TOOLCHAIN", toolchain);
        }
        command.args(arguments);
        command
    }

    /// Returns the PATH of the user's shell.
    pub fn path(&self) -> String {
        let cargo = outer("cargo");
        format!(
            "{}:{}:/usr/local/bin:/usr/bin:/bin",
            self.home.bin().display(),
            cargo.parent().unwrap().display()
        )
    }

    /// Makes the folder `name` with links to these programs and nothing else; returns it.
    pub fn tools(&self, name: &str, programs: &[&str]) -> PathBuf {
        let folder = self.home.path.join(name);
        fs::create_dir(&folder).unwrap();
        for program in programs {
            symlink(outer(program), folder.join(program)).unwrap();
        }
        folder
    }

    pub fn unit(&self, name: &str) -> PathBuf {
        self.home.path.join(".config/systemd/user").join(name)
    }

    /// Adds settings to the timer's service, as `systemctl --user edit` does.
    pub fn drop_in(&self, service: &str) {
        let folder = self.unit("heph-self-update.service.d");
        fs::create_dir_all(&folder).unwrap();
        fs::write(
            folder.join("override.conf"),
            format!("[Service]\n{service}\n"),
        )
        .unwrap();
    }

    /// Runs the doctor and returns what it says.
    pub fn examine(&self) -> Findings {
        Findings::of(self.heph(&["self-update", "doctor", "--json"]))
    }
}

/// Returns where the machine that runs the tests has `program`.
pub fn outer(program: &str) -> PathBuf {
    which::which(program).unwrap_or_else(|_| panic!("these tests need {program} on PATH"))
}

fn rustup_home() -> PathBuf {
    std::env::var_os("RUSTUP_HOME").map_or_else(
        || Path::new(&std::env::var_os("HOME").expect("HOME is set")).join(".rustup"),
        PathBuf::from,
    )
}

/// What the doctor said.
#[derive(Debug)]
pub struct Findings(pub Value);

impl Findings {
    #[track_caller]
    pub fn of(command: Command) -> Findings {
        let Ended { code, out, err } = run(command);
        let said: Value =
            serde_json::from_str(&out).unwrap_or_else(|_| panic!("{code} {out} {err}"));
        assert_eq!(said["schema"], 1);
        assert_eq!(said["ok"] == true, code == 0, "{out}");
        assert!(out.starts_with("{\n  \"schema\": 1,"));
        Findings(said)
    }

    /// Asserts how the row `name` stands, and that it has these words; an empty text is in every row.
    #[track_caller]
    pub fn row(&self, name: &str, status: &str, words: &str) -> &Findings {
        let rows = self.0["rows"].as_array().unwrap();
        let row = rows.iter().find(|row| row["name"] == name);
        let row = row.unwrap_or_else(|| panic!("no row '{name}': {:#}", self.0));
        assert_eq!(row["status"], status, "{:#}", self.0);
        assert!(row["detail"].as_str().unwrap().contains(words), "{row:#}");
        assert_eq!(row["hint"].is_null(), status == "ok", "{row:#}");
        self
    }

    /// Returns the names of the rows that stand like this.
    pub fn named(&self, status: &str) -> Vec<&str> {
        let rows = self.0["rows"].as_array().unwrap();
        rows.iter()
            .filter(|row| row["status"] == status)
            .map(|row| row["name"].as_str().unwrap())
            .collect()
    }
}
