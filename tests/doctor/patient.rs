//! A machine to examine: a home with heph, a private systemd user manager and a forge with one release.

use std::ops::{Deref, DerefMut};

use serde_json::Value;

use crate::support::call::Call;
use crate::support::files::outer;
use crate::support::forge::{Published, WorkTree};
use crate::support::home::ODD_NAME;
use crate::support::machine::Machine;
use crate::support::workshop::toolchain_variables;

/// The release that the forge has.
pub const LATEST: &str = "7.0.0";

/// A machine to examine.
pub struct Patient(Machine);

impl Deref for Patient {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        &self.0
    }
}

impl DerefMut for Patient {
    fn deref_mut(&mut self) -> &mut Machine {
        &mut self.0
    }
}

impl Patient {
    /// Returns a machine on which nothing is wrong, and the timer is off. The user's shell finds everything.
    pub fn new() -> Patient {
        let mut patient = Patient(Machine::named(ODD_NAME));
        patient.publish_package();
        patient.settings("");
        for (name, value) in toolchain_variables() {
            patient.home.set(&name, value);
        }
        let path = patient.shell_path();
        patient.home.set("PATH", path);
        patient
    }

    /// Publishes [`LATEST`] of a package that cargo can read, and nobody builds.
    fn publish_package(&self) {
        let folder = tempfile::tempdir().unwrap();
        let tree = WorkTree::new(folder.path());
        let manifest =
            format!("[package]\nname = \"heph\"\nversion = \"{LATEST}\"\nedition = \"2021\"\n");
        tree.write("Cargo.toml", &manifest);
        tree.write("src/main.rs", "fn main() {}\n").commit(LATEST);
        let tag = format!("v{LATEST}");
        tree.tag(&tag);
        self.forge.push(&tree);
        self.forge.publish(Published::new(&tag));
    }

    /// Returns such a machine with the timer on.
    pub fn enabled() -> Patient {
        let patient = Patient::new();
        patient.enable();
        patient
    }

    /// Writes the settings, with `more` lines in `[self-update]`.
    pub fn settings(&self, more: &str) {
        let repository = self.forge.repository();
        self.home.configure(&format!(
            "service-manager = \"systemd\"\n[self-update]\nrepository = \"{repository}\"\n{more}\n"
        ));
    }

    pub fn enable(&self) {
        self.heph("self-update enable").exits(0);
    }

    /// Returns the PATH of the user's shell.
    pub fn shell_path(&self) -> String {
        let cargo = outer("cargo");
        let (own, cargo) = (self.bin(), cargo.parent().unwrap());
        let [own, cargo] = [&own, cargo].map(|folder| folder.display().to_string());
        format!("{own}:{cargo}:/usr/local/bin:/usr/bin:/bin")
    }

    /// Adds settings to the timer's service, as `systemctl --user edit` does.
    pub fn drop_in(&self, service: &str) {
        let file = ".config/systemd/user/heph-self-update.service.d/override.conf";
        self.write(file, format!("[Service]\n{service}\n"));
    }

    /// Returns the command that examines it.
    pub fn doctor(&self) -> Call {
        self.heph("self-update doctor --json")
    }

    /// Runs the doctor and returns what it says.
    #[track_caller]
    pub fn examine(&self) -> Findings {
        Findings::of(self.doctor())
    }
}

/// What the doctor said.
#[derive(Debug)]
pub struct Findings(pub Value);

impl Findings {
    #[track_caller]
    pub fn of(doctor: Call) -> Findings {
        let ended = doctor.ends();
        let said = ended.json();
        assert_eq!(said["schema"], 1);
        assert_eq!(said["ok"] == true, ended.code == 0, "{ended}");
        assert!(ended.out.starts_with("{\n  \"schema\": 1,"));
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

    /// Returns whether there is a row `name`.
    pub fn has(&self, name: &str) -> bool {
        let mut rows = self.0["rows"].as_array().unwrap().iter();
        rows.any(|row| row["name"] == name)
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
