//! A tool of somebody else, installed and kept up to date by settings alone: built by the real cargo, or from archives.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::kit::{Key, pack, script, sum_line, target, tool};
use crate::support::forge::{Forge, Published, WorkTree};
use crate::support::old::home::{Home, ODD_NAME, run};
use crate::support::old::installation::{entries, picture};

const COMMANDS: [&str; 2] = ["farewell", "greet"];
const SOURCE: &str =
    r#"fn main() { println!("{} {}", env!("CARGO_BIN_NAME"), env!("CARGO_PKG_VERSION")); }"#;

/// A forge with the releases of `greet`, and a machine that has heph and does not have `greet` yet.
struct Shop {
    forge: Forge,
    tree: WorkTree,
    home: Home,
    _folder: tempfile::TempDir,
}

impl Shop {
    /// Starts with nothing published, and with more settings of the table `self-update`.
    fn new(settings: &str) -> Shop {
        let folder = tempfile::tempdir().unwrap();
        let shop = Shop {
            forge: Forge::start(),
            tree: WorkTree::new(folder.path().join("greet")),
            home: Home::bare(ODD_NAME),
            _folder: folder,
        };
        for name in ["heph", "hephd"] {
            script(&shop.home.bin().join(name), &format!("echo '{name} 0.1.0'"));
        }
        shop.home.configure(&format!(
            "service-manager = \"none\"\n[self-update]\nrepository = \"{}\"\nforge = \"forgejo\"\npackages = [\"greet\"]\n\
             bin-dir = \"~/tools\"\n{settings}\n",
            shop.forge.repository()
        ));
        shop
    }

    /// Publishes `version`, so far without files; returns its tag.
    fn publish(&self, version: &str) -> String {
        let package = format!("name = \"greet\"\nversion = \"{version}\"\n");
        self.tree
            .write(
                "Cargo.toml",
                &format!("[package]\n{package}edition = \"2024\"\n"),
            )
            .write(
                "Cargo.lock",
                &format!("version = 4\n\n[[package]]\n{package}"),
            )
            .write(".gitignore", "target\n");
        for name in COMMANDS {
            self.tree.write(&format!("src/bin/{name}.rs"), SOURCE);
        }
        self.tree.commit(version);
        let tag = format!("v{version}");
        self.tree.tag(&tag);
        self.forge.push(&self.tree);
        self.forge.publish(Published::new(&tag));
        tag
    }

    /// Builds the release `tag` and adds its archive, with checksums that the owner signed.
    fn attach_archive(&self, tag: &str) {
        let mut build = self.with_cargo("cargo");
        build
            .args(["build", "--quiet", "--locked", "--offline"])
            .current_dir(&self.tree.folder);
        run(build).exits(0);
        let folder = tempfile::tempdir().unwrap();
        let stem = format!("greet-{tag}-{}", target());
        std::fs::create_dir(folder.path().join(&stem)).unwrap();
        for name in COMMANDS {
            let built = self.tree.folder.join("target/debug").join(name);
            tool("cp", folder.path(), &[built.to_str().unwrap(), &stem]);
        }
        let bytes = pack(folder.path(), &stem, "tar.gz");
        let name = format!("{stem}.tar.gz");
        let sums = sum_line(&name, &bytes);
        let signature = Key::owner().sign("SHA256SUMS", sums.as_bytes(), &[]);
        self.forge.attach(tag, "SHA256SUMS.minisig", &signature);
        self.forge.attach(tag, "SHA256SUMS", sums.as_bytes());
        self.forge.attach(tag, &name, &bytes);
    }

    fn data(&self) -> PathBuf {
        self.home.path.join("greet's own/data")
    }

    /// Returns a command that finds the toolchain of this machine, and folders that heph does not keep for itself.
    fn with_cargo(&self, program: &str) -> Command {
        let mut command = self.home.command(program);
        let home = std::env::home_dir().unwrap();
        let rustup = std::env::var_os("RUSTUP_HOME").map_or(home.join(".rustup"), PathBuf::from);
        command
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("RUSTUP_HOME", rustup)
            .env("XDG_DATA_HOME", self.data())
            .env("XDG_STATE_HOME", self.home.path.join("greet's own/state"));
        if let Some(toolchain) = std::env::var_os("RUSTUP_TOOLCHAIN") {
            command.env("RUSTUP_TOOLCHAIN", toolchain);
        }
        command
    }

    fn heph(&self, arguments: &[&str]) -> Value {
        let mut command = self.with_cargo(env!("CARGO_BIN_EXE_heph"));
        command.args(arguments);
        run(command).exits(0).json()
    }

    /// Asserts that `apply` brings `version` by `delivery`.
    #[track_caller]
    fn assert_brings(&self, version: &str, delivery: &str, signed_by: &Value) {
        let heph = picture(&self.home.bin());
        let report = self.heph(&["self-update", "apply", "--json"]);
        assert_eq!(report["outcome"], "updated", "{report}");
        assert_eq!(report["to"], version, "{report}");

        let tools = self.home.path.join("tools");
        assert_eq!(entries(&tools), COMMANDS);
        for name in COMMANDS {
            let ended = run(self.home.command(tools.join(name)));
            assert_eq!(ended.exits(0).out, format!("{name} {version}\n"));
        }

        let manifest = self.data().join("heph/current/release.json");
        let manifest = std::fs::read_to_string(manifest).unwrap();
        let manifest: Value = serde_json::from_str(&manifest).unwrap();
        let history = self.heph(&["self-update", "history", "--json"]);
        let last = history["runs"].as_array().unwrap().last().unwrap();
        for told in [&report, &manifest, last] {
            assert_eq!(told["delivery"], delivery, "{told}");
            assert_eq!(told["signed_by"], *signed_by, "{told}");
        }
        assert_eq!(last["to"], version);

        assert_eq!(picture(&self.home.bin()), heph, "heph itself is untouched");
        assert!(!self.home.data().exists(), "nor is there anything of it");
    }
}

#[test]
fn it_is_installed_and_updated_by_cargo() {
    let shop = Shop::new("delivery = \"cargo\"");
    for version in ["1.0.0", "1.1.0"] {
        shop.publish(version);
        shop.assert_brings(version, "cargo", &Value::Null);
    }
    let again = shop.heph(&["self-update", "apply", "--json"]);
    assert_eq!(again["outcome"], "up-to-date", "{again}");
}

#[test]
fn it_is_installed_and_updated_from_signed_archives() {
    let key = &Key::owner().public;
    let shop = Shop::new(&format!(
        "delivery = \"prebuilt\"\n[self-update.trust]\nminisign-keys = [{key:?}]"
    ));
    let signer = Value::from(format!("minisign {key}"));
    for version in ["1.0.0", "1.1.0"] {
        let tag = shop.publish(version);
        shop.attach_archive(&tag);
        shop.assert_brings(version, "prebuilt", &signer);
    }
    let build = shop.home.path.join(".cache/heph/build");
    assert!(!build.exists(), "nothing was built");
    let again = shop.heph(&["self-update", "apply", "--json"]);
    assert_eq!(again["outcome"], "up-to-date", "{again}");
}
