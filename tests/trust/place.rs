//! One forge with a tiny project, and one home in which version 1.0.0 of it is installed.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::owner::Person;
use crate::support::forge::{Forge, PROJECT, Published, WorkTree, git};
use crate::support::http::Reply;

/// A name that trips up whatever quotes, splits or decodes carelessly.
const ODD: &str = "ho me %h & 'q' \"d\" $x ü";

pub struct Place {
    pub forge: Forge,
    pub tree: WorkTree,
    pub home: PathBuf,
    /// The owner of the project.
    pub alice: Person,
    /// Somebody else.
    pub mallory: Person,
    /// PATH of heph.
    pub path: OsString,
    folder: TempDir,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
    /// What it printed as JSON; null where that was none.
    pub json: Value,
}

impl Place {
    pub fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join(ODD);
        let place = Place {
            forge: Forge::start(),
            tree: WorkTree::new(folder.path().join("work")),
            alice: Person::new(&folder.path().join("keys"), "alice"),
            mallory: Person::new(&folder.path().join("keys"), "mallory"),
            path: std::env::var_os("PATH").unwrap(),
            home,
            folder,
        };
        let commit = place.commit("1.0.0");
        git(
            &place.tree.folder,
            &["tag", "--annotate", "--message", "x", "v1.0.0"],
        );
        place.publish("v1.0.0");
        place.install_by_cargo("1.0.0", &commit);
        place.settings("");
        place
    }

    /// What a plain `cargo install` leaves, without the time it takes.
    fn install_by_cargo(&self, version: &str, commit: &str) {
        let bin = self.home.join("bin");
        fs::create_dir_all(&bin).unwrap();
        let tiny = bin.join("tiny");
        fs::write(&tiny, format!("#!/bin/sh\necho 'tiny {version}'\n")).unwrap();
        fs::set_permissions(&tiny, fs::Permissions::from_mode(0o755)).unwrap();
        let url = self.forge.repository();
        let id = format!("tiny {version} (git+{url}?tag=v{version}#{commit})");
        let record = serde_json::json!({"installs": {id: {"version_req": null, "bins": ["tiny"]}}});
        fs::write(self.home.join(".crates2.json"), record.to_string()).unwrap();
    }

    /// Writes the settings; `more` follows `[self-update]`.
    pub fn settings(&self, more: &str) {
        let text = format!(
            "service-manager = \"none\"\n[self-update]\nrepository = \"{}\"\nforge = \"forgejo\"\npackages = [\"tiny\"]\n\
             bin-dir = \"~/bin\"\n{more}\n",
            self.forge.repository()
        );
        self.write(".config/heph/config.toml", &text);
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

    /// Writes a file in the home.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
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
        fs::create_dir_all(&bin).unwrap();
        for name in names {
            symlink(which::which(name).unwrap(), bin.join(name)).unwrap();
        }
        self.path = bin.into();
    }

    /// Runs heph.
    pub fn heph(&self, arguments: &[&str]) -> Ended {
        let real_home = std::env::home_dir().unwrap();
        let rustup =
            std::env::var_os("RUSTUP_HOME").unwrap_or_else(|| real_home.join(".rustup").into());
        let mut command = Command::new(env!("CARGO_BIN_EXE_heph"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", &self.home)
            .env("CARGO_HOME", self.home.join(".cargo"))
            .env("RUSTUP_HOME", rustup)
            .env("PATH", &self.path)
            .current_dir(&self.home);
        if let Some(toolchain) = std::env::var_os("RUSTUP_TOOLCHAIN") {
            command.env("RUSTUP_TOOLCHAIN", toolchain);
        }
        let output = command.output().unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        Ended {
            code: output.status.code().unwrap_or(-1),
            json: serde_json::from_str(&out).unwrap_or_default(),
            err: String::from_utf8(output.stderr).unwrap(),
            out,
        }
    }

    /// Runs `heph self-update … --json`.
    pub fn update(&self, arguments: &[&str]) -> Ended {
        let all = [&["self-update"], arguments, &["--json"]].concat();
        self.heph(&all)
    }

    /// Returns what the installed command says.
    pub fn installed(&self) -> String {
        let output = Command::new(self.home.join("bin/tiny")).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Returns the installation as a picture: commands, slots, and the link to the one in use.
    pub fn picture(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        for folder in ["bin", ".local/share/heph"] {
            look(&self.home.join(folder), &mut found);
        }
        found.sort();
        found
    }

    /// Returns the reasons in the quarantine, by version.
    pub fn quarantine(&self) -> Vec<(String, String)> {
        let list = self.update(&["quarantine", "list"]).json;
        let entries = list["releases"].as_array().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        entries
            .iter()
            .map(|entry| (text(&entry["version"]), text(&entry["reason"])))
            .collect()
    }

    /// Returns the manifest of the slot in use.
    pub fn manifest(&self) -> Value {
        let file = self.home.join(".local/share/heph/current/release.json");
        serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
    }
}

fn look(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for path in entries.map(|entry| entry.unwrap().path()) {
        let kind = fs::symlink_metadata(&path).unwrap().file_type();
        if kind.is_dir() {
            look(&path, found);
        } else if kind.is_symlink() {
            let target = fs::read_link(&path).unwrap();
            found.push((path, target.into_os_string().into_encoded_bytes()));
        } else {
            let content = fs::read(&path).unwrap();
            found.push((path, content));
        }
    }
}

impl Ended {
    #[track_caller]
    pub fn ends(&self, code: i32, outcome: &str) -> &Ended {
        assert_eq!(
            (self.code, self.json["outcome"].as_str()),
            (code, Some(outcome)),
            "{}\n{}",
            self.out,
            self.err
        );
        self
    }

    /// Asserts that the reason holds all of `words`.
    #[track_caller]
    pub fn because(&self, words: &[&str]) -> &Ended {
        let reason = self.json["reason"].as_str().unwrap_or_default();
        for word in words {
            assert!(reason.contains(word), "no {word:?} in {reason:?}");
        }
        self
    }
}
