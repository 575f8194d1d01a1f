//! One forge with a tiny project, and one home in which version 1.0.0 of it is installed.

use std::ops::Deref;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use super::owner::Person;
use crate::support::files::{picture, script, tools};
use crate::support::forge::{Forge, PROJECT, Published, WorkTree};
use crate::support::home::{Home, ODD_NAME};
use crate::support::http::Reply;
use crate::support::installation::{cargo_record, says};

pub struct Place {
    pub forge: Forge,
    pub tree: WorkTree,
    pub home: Home,
    /// The owner of the project.
    pub alice: Person,
    /// Somebody else.
    pub mallory: Person,
    folder: TempDir,
}

impl Deref for Place {
    type Target = Home;

    fn deref(&self) -> &Home {
        &self.home
    }
}

impl Place {
    pub fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let mut home = Home::named(ODD_NAME).with_toolchain();
        home.set("CARGO_HOME", home.path.join(".cargo"));
        let place = Place {
            forge: Forge::start(),
            tree: WorkTree::new(folder.path().join("work")),
            alice: Person::new(&folder.path().join("keys"), "alice"),
            mallory: Person::new(&folder.path().join("keys"), "mallory"),
            home,
            folder,
        };
        let commit = place.unsigned("1.0.0");
        // What a plain `cargo install` leaves, without the time it takes.
        script(&place.path.join("bin/tiny"), "echo 'tiny 1.0.0'");
        let url = place.forge.repository();
        let record = cargo_record("tiny", "1.0.0", &url, &commit, &["tiny"]);
        place.write(".crates2.json", record);
        place.settings("");
        place
    }

    /// Writes the settings; `more` follows `[self-update]`.
    pub fn settings(&self, more: &str) {
        let text = format!(
            "service-manager = \"none\"\n[self-update]\nrepository = \"{}\"\nforge = \"forgejo\"\npackages = [\"tiny\"]\n\
             bin-dir = \"~/bin\"\n{more}\n",
            self.forge.repository()
        );
        self.configure(&text);
    }

    /// Writes settings that trust alice.
    pub fn trust_alice(&self) {
        self.trust(&self.alice.line("namespaces=\"git\""));
    }

    /// Writes settings that trust this allowed-signers file.
    pub fn trust(&self, signers: &str) {
        let file = self.write("signers of \"ü\"", signers);
        self.settings(&format!(
            "[self-update.trust]\ntag-signers = '''{}'''",
            file.display()
        ));
    }

    /// Commits the sources of `version`; returns the commit.
    pub fn commit(&self, version: &str) -> String {
        self.tree
            .write(
                "Cargo.toml",
                &format!(
                    "[package]\nname = \"tiny\"\nversion = \"{version}\"\nedition = \"2024\"\n"
                ),
            )
            .write(
                "Cargo.lock",
                &format!("version = 4\n\n[[package]]\nname = \"tiny\"\nversion = \"{version}\"\n"),
            )
            .write(
                "src/main.rs",
                "fn main() { println!(\"tiny {}\", env!(\"CARGO_PKG_VERSION\")); }\n",
            )
            .commit(version)
    }

    /// Commits `version` and has alice sign its tag; publishes it. Returns the commit.
    pub fn signed(&self, version: &str) -> String {
        let commit = self.commit(version);
        self.alice.tags(&self.tree, &format!("v{version}"), &commit);
        self.publish(&format!("v{version}"));
        commit
    }

    /// Commits `version` with an annotated tag that nobody signs; publishes it. Returns the commit.
    pub fn unsigned(&self, version: &str) -> String {
        let commit = self.commit(version);
        self.tree.tag(&format!("v{version}"));
        self.publish(&format!("v{version}"));
        commit
    }

    /// Pushes all there is; the feed names `tag` from now on.
    pub fn publish(&self, tag: &str) {
        self.forge.push(&self.tree);
        self.offer(tag);
    }

    /// The feed names `tag` and nothing else.
    pub fn offer(&self, tag: &str) {
        self.forge.unpublish();
        self.forge.publish(Published::new(tag));
    }

    /// The next advertisement of the git remote has `to` in place of `from`.
    pub fn advertise_once(&self, from: &str, to: &str) {
        let url = format!(
            "{}/info/refs?service=git-upload-pack",
            self.forge.repository()
        );
        let answer = heph::os::http::get(
            &heph::os::http::Get {
                url: &url,
                accept: "*/*",
                ..Default::default()
            },
            &heph::os::http::Limits::default(),
        );
        let body = String::from_utf8(answer.unwrap().body).unwrap();
        assert!(body.contains(from), "{from} is not in {body}");
        let lie = Reply::with(200, &[], body.replace(from, to));
        self.forge
            .scripts(&format!("/{PROJECT}/info/refs"), vec![lie, Reply::Normal]);
    }

    /// Leaves heph these programs and no others.
    pub fn only_programs(&mut self, names: &[&str]) {
        let bin = self.folder.path().join("programs");
        tools(&bin, names);
        self.home.set("PATH", bin);
    }

    /// Returns what the installed command says.
    pub fn installed(&self) -> String {
        says(&self.path.join("bin/tiny"))
    }

    /// Returns the installation as a picture: commands, slots, and the link to the one in use.
    pub fn picture(&self) -> Vec<(PathBuf, String)> {
        let folders = [self.path.join("bin"), self.data()];
        let all = folders.iter().flat_map(|folder| picture(folder));
        // The folder of slots may be made; that nothing is in it is what counts.
        all.filter(|(_, what)| what != "folder").collect()
    }

    /// Returns the reasons in the quarantine, by version.
    pub fn quarantine(&self) -> Vec<(String, String)> {
        let list = self.self_update("quarantine list").json();
        let entries = list["releases"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        entries
            .map(|entry| (text(&entry["version"]), text(&entry["reason"])))
            .collect()
    }
}
