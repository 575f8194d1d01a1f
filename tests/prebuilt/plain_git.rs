//! Releases of a plain git remote, which lists no files: archives where the release's Cargo.toml says they are.

mod found;
mod lacking;

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::kit::{Key, pack, script, sum_line, target};
use crate::support::forge::{Forge, Served, Speaks, WorkTree};
use crate::support::http::Reply;
use crate::support::old::home::{Ended, Home, ODD_NAME, run};
use crate::support::old::installation::{entries, picture};

/// Says what a server says that has a page for every name.
const PAGE: &[u8] = b"<!DOCTYPE html><title>Welcome</title><p>SHA256 is good for you.";
const ALL: &str = "pkg-url = \"FILES/{ name }-{ version }-{ target }.tar.gz\"";

/// A git remote with the releases of `greet`, a server with their archives, and a machine that has heph and not `greet`.
struct Shop {
    forge: Forge,
    tree: WorkTree,
    home: Home,
    _folder: tempfile::TempDir,
}

impl Shop {
    /// Starts with nothing published, and with more settings of the table `self-update`.
    fn new(settings: &str) -> Shop {
        Shop::with_forge(&format!("forge = \"git\"\n{settings}"))
    }

    fn with_forge(settings: &str) -> Shop {
        let folder = tempfile::tempdir().unwrap();
        let shop = Shop {
            forge: Forge::speaking(Speaks::Git),
            tree: WorkTree::new(folder.path().join("greet")),
            home: Home::bare(ODD_NAME),
            _folder: folder,
        };
        for name in ["heph", "hephd"] {
            script(&shop.home.bin().join(name), &format!("echo '{name} 0.1.0'"));
        }
        shop.home.configure(&format!(
            "service-manager = \"none\"\n[self-update]\nrepository = \"{}\"\npackages = [\"greet\"]\n\
             bin-dir = \"~/tools\"\n{settings}\n",
            shop.forge.repository()
        ));
        shop
    }

    /// Settings that ask for archives signed by the owner.
    fn trusting_the_owner() -> Shop {
        let key = &Key::owner().public;
        Shop::new(&format!(
            "delivery = \"prebuilt\"\n[self-update.trust]\nminisign-keys = [{key:?}]"
        ))
    }

    /// Pushes `version` with `table` as `[package.metadata.binstall]`, in which FILES is where the archives are.
    fn publish(&self, version: &str, table: &str) {
        self.write("", version, table).release(version);
    }

    /// Writes the package into `folder`, which ends with a slash or is the top.
    fn write(&self, folder: &str, version: &str, table: &str) -> &Shop {
        let package = format!("name = \"greet\"\nversion = \"{version}\"\n");
        let table = match table {
            "" => String::new(),
            table => format!("[package.metadata.binstall]\n{table}\n"),
        };
        let table = table.replace("FILES", &format!("{}/files", self.forge.url()));
        self.tree
            .write(
                &format!("{folder}Cargo.toml"),
                &format!("[package]\n{package}edition = \"2024\"\n\n{table}"),
            )
            .write(
                "Cargo.lock",
                &format!("version = 4\n\n[[package]]\n{package}"),
            )
            .write(
                &format!("{folder}src/main.rs"),
                "fn main() { println!(\"greet {}\", env!(\"CARGO_PKG_VERSION\")); }",
            );
        self
    }

    fn release(&self, version: &str) {
        self.tree.commit(version);
        self.tree.tag(&format!("v{version}"));
        self.forge.push(&self.tree);
    }

    /// Serves a file beside the archives.
    fn serve(&self, name: &str, bytes: &[u8]) {
        self.forge
            .serve(&format!("/files/{name}"), Served::new(bytes));
    }

    /// Serves a page under a name that stands for nothing.
    fn welcome(&self, name: &str) {
        self.forge.script(
            &format!("/files/{name}"),
            Reply::with(200, &[("Content-Type", "text/html")], PAGE),
        );
    }

    /// Serves the archive of `version` under the name that [`ALL`] gives it; returns name and content.
    fn archive(&self, version: &str) -> (String, Vec<u8>) {
        let name = format!("greet-{version}-{}.tar.gz", target());
        let bytes = archive(version);
        self.serve(&name, &bytes);
        (name, bytes)
    }

    /// As [`Shop::archive`], with its checksum beside it.
    fn summed(&self, version: &str) -> (String, Vec<u8>) {
        let (name, bytes) = self.archive(version);
        self.serve(
            &format!("{name}.sha256"),
            sum_line(&name, &bytes).as_bytes(),
        );
        (name, bytes)
    }

    fn heph(&self, arguments: &[&str]) -> Ended {
        let mut command = self.home.command(env!("CARGO_BIN_EXE_heph"));
        command.args(arguments);
        run(with_cargo(command))
    }

    fn apply(&self) -> (i32, Value) {
        let ended = self.heph(&["self-update", "apply", "--json"]);
        (ended.code, ended.json())
    }

    /// What must not change when an update fails.
    fn installation(&self) -> Vec<(PathBuf, String)> {
        [self.home.bin(), self.home.path.join("tools")]
            .iter()
            .filter(|folder| folder.exists())
            .flat_map(|folder| picture(folder))
            .collect()
    }

    fn quarantined(&self) -> String {
        let listed = self.heph(&["self-update", "quarantine", "list", "--json"]);
        let listed = listed.exits(0).json();
        listed["releases"].to_string()
    }

    /// The paths below the archives' folder that were asked for, in order.
    fn asked(&self) -> Vec<String> {
        let seen = self.forge.seen().into_iter();
        seen.filter_map(|seen| seen.path.strip_prefix("/files/").map(str::to_owned))
            .collect()
    }

    /// How often git fetched something.
    fn fetches(&self) -> usize {
        let seen = self.forge.seen();
        seen.iter()
            .filter(|seen| seen.path.ends_with("/git-upload-pack"))
            .count()
    }

    #[track_caller]
    fn assert_installs(&self, version: &str, delivery: &str) -> Value {
        let (code, report) = self.apply();
        assert_eq!(
            (code, &report["outcome"]),
            (0, &"updated".into()),
            "{report}"
        );
        assert_eq!(report["delivery"], delivery, "{report}");
        let greet = self.home.path.join("tools/greet");
        let said = run(self.home.command(greet)).exits(0).out;
        assert_eq!(said, format!("greet {version}\n"));
        let cache = self.home.path.join(".cache/heph");
        assert!(!cache.join("tags").exists(), "nothing is left of the look");
        if delivery == "prebuilt" {
            assert!(!cache.join("build").exists(), "nothing was built");
            assert!(entries(&cache.join("downloads")).is_empty());
        }
        report
    }

    /// Asserts that cargo builds it, and that the report says why.
    #[track_caller]
    fn assert_builds(&self, version: &str, why: &str) {
        let report = self.assert_installs(version, "cargo");
        let notes = report["notes"].to_string();
        assert!(
            notes.contains("built by cargo: ") && notes.contains(why),
            "{notes}"
        );
        assert_eq!(self.quarantined(), "[]");
    }

    /// Asserts that the run fails, with these words, that nothing changed, and whether the release is in quarantine.
    #[track_caller]
    fn assert_refused(&self, why: &str, quarantined: bool) {
        let before = self.installation();
        let (code, report) = self.apply();
        assert_eq!(
            (code, &report["outcome"]),
            (1, &"failed".into()),
            "{report}"
        );
        let reason = report["reason"].as_str().unwrap();
        assert!(reason.contains(why), "{reason}");
        assert_eq!(self.installation(), before);
        assert_eq!(
            self.quarantined() != "[]",
            quarantined,
            "{}",
            self.quarantined()
        );
    }
}

/// Returns an archive with a `greet` of this version.
fn archive(version: &str) -> Vec<u8> {
    packed(version, "tar.gz")
}

fn packed(version: &str, ending: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    script(
        &folder.path().join("greet").join("greet"),
        &format!("echo 'greet {version}'"),
    );
    pack(folder.path(), "greet", ending)
}

/// Lets `command` find the toolchain of this machine.
fn with_cargo(mut command: Command) -> Command {
    let home = std::env::home_dir().unwrap();
    let rustup = std::env::var_os("RUSTUP_HOME").map_or(home.join(".rustup"), PathBuf::from);
    command
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("RUSTUP_HOME", rustup);
    if let Some(toolchain) = std::env::var_os("RUSTUP_TOOLCHAIN") {
        command.env("RUSTUP_TOOLCHAIN", toolchain);
    }
    command
}
