//! A tool of somebody else, installed and kept up to date by settings alone: built by the real cargo, or from archives.

use std::path::PathBuf;

use serde_json::Value;

use super::kit::{Key, Kit, pack, sum_line, target, tool};
use crate::support::files::{entries, picture};
use crate::support::forge::{Forge, Published, WorkTree};
use crate::support::home::{Home, ODD_NAME};

const COMMANDS: [&str; 2] = ["farewell", "greet"];
const SOURCE: &str =
    r#"fn main() { println!("{} {}", env!("CARGO_BIN_NAME"), env!("CARGO_PKG_VERSION")); }"#;

/// A forge with the releases of `greet`, and a machine that has heph and does not have `greet` yet.
struct Shop {
    kit: Kit,
    tree: WorkTree,
    _folder: tempfile::TempDir,
}

impl Shop {
    /// Starts with nothing published, and with more settings of the table `self-update`. heph keeps its data elsewhere.
    fn new(settings: &str) -> Shop {
        let folder = tempfile::tempdir().unwrap();
        let mut home = Home::named(ODD_NAME).with_toolchain();
        for (variable, folder) in [("XDG_DATA_HOME", "data"), ("XDG_STATE_HOME", "state")] {
            home.set(variable, home.path.join("greet's own").join(folder));
        }
        let shop = Shop {
            kit: Kit::empty(Forge::start(), home),
            tree: WorkTree::new(folder.path().join("greet")),
            _folder: folder,
        };
        shop.kit.configure(&format!(
            "service-manager = \"none\"\n[self-update]\nrepository = \"{}\"\nforge = \"forgejo\"\npackages = [\"greet\"]\n\
             bin-dir = \"~/tools\"\n{settings}\n",
            shop.kit.forge.repository()
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
        self.kit.forge.push(&self.tree);
        self.kit.forge.publish(Published::new(&tag));
        tag
    }

    /// Builds the release `tag` and adds its archive, with checksums that the owner signed.
    fn attach_archive(&self, tag: &str) {
        let build = self.kit.command("cargo").current_dir(&self.tree.folder);
        build.args("build --quiet --locked --offline").exits(0);
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
        self.kit.forge.attach(tag, "SHA256SUMS.minisig", &signature);
        self.kit.forge.attach(tag, "SHA256SUMS", sums.as_bytes());
        self.kit.forge.attach(tag, &name, &bytes);
    }

    fn data(&self) -> PathBuf {
        self.kit.path.join("greet's own/data")
    }

    /// Asserts that `apply` brings `version` by `delivery`.
    #[track_caller]
    fn assert_brings(&self, version: &str, delivery: &str, signed_by: &Value) {
        let heph = picture(&self.kit.bin());
        let report = self.kit.self_update("apply").reports(0, "updated");
        assert_eq!(report["to"], version, "{report:?}");

        let tools = self.kit.path.join("tools");
        assert_eq!(entries(&tools), COMMANDS);
        for name in COMMANDS {
            let said = self.kit.command(tools.join(name)).prints();
            assert_eq!(said, format!("{name} {version}\n"));
        }

        let manifest = self.data().join("heph/current/release.json");
        let manifest = std::fs::read_to_string(manifest).unwrap();
        let manifest: Value = serde_json::from_str(&manifest).unwrap();
        let history = self.kit.self_update("history").json();
        let last = history["runs"].as_array().unwrap().last().unwrap();
        for told in [&*report, &manifest, last] {
            assert_eq!(told["delivery"], delivery, "{told}");
            assert_eq!(told["signed_by"], *signed_by, "{told}");
        }
        assert_eq!(last["to"], version);

        assert_eq!(picture(&self.kit.bin()), heph, "heph itself is untouched");
        assert!(!self.kit.data().exists(), "nor is there anything of it");
    }
}

#[test]
fn it_is_installed_and_updated_by_cargo() {
    let shop = Shop::new("delivery = \"cargo\"");
    for version in ["1.0.0", "1.1.0"] {
        shop.publish(version);
        shop.assert_brings(version, "cargo", &Value::Null);
    }
    shop.kit.self_update("apply").reports(0, "up-to-date");
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
    let build = shop.kit.path.join(".cache/heph/build");
    assert!(!build.exists(), "nothing was built");
    shop.kit.self_update("apply").reports(0, "up-to-date");
}
