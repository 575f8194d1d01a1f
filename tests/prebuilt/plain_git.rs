//! Releases of a plain git remote, which lists no files: archives where the release's Cargo.toml says they are.

mod found;
mod lacking;

use std::path::PathBuf;

use super::kit::{Key, Kit, pack, sum_line, target};
use crate::support::files::{entries, picture, script};
use crate::support::forge::{Forge, Served, Speaks, WorkTree};
use crate::support::home::{Home, ODD_NAME};
use crate::support::http::{Reply, Request};
use crate::support::report::Report;

/// Says what a server says that has a page for every name.
const PAGE: &[u8] = b"<!DOCTYPE html><title>Welcome</title><p>SHA256 is good for you.";
const ALL: &str = "pkg-url = \"FILES/{ name }-{ version }-{ target }.tar.gz\"";

/// A git remote with the releases of `greet`, a server with their archives, and a machine that has heph and not `greet`.
struct Shop {
    kit: Kit,
    tree: WorkTree,
    _folder: tempfile::TempDir,
}

impl Shop {
    /// Starts with nothing published, and with more settings of the table `self-update`.
    fn new(settings: &str) -> Shop {
        Shop::with_forge(&format!("forge = \"git\"\n{settings}"))
    }

    fn with_forge(settings: &str) -> Shop {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::named(ODD_NAME).with_toolchain();
        let shop = Shop {
            kit: Kit::empty(Forge::speaking(Speaks::Git), home),
            tree: WorkTree::new(folder.path().join("greet")),
            _folder: folder,
        };
        shop.kit.configure(&format!(
            "service-manager = \"none\"\n[self-update]\nrepository = \"{}\"\npackages = [\"greet\"]\n\
             bin-dir = \"~/tools\"\n{settings}\n",
            shop.kit.forge.repository()
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
        let table = table.replace("FILES", &format!("{}/files", self.kit.forge.url()));
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
        self.kit.forge.push(&self.tree);
    }

    /// Serves a file beside the archives.
    fn serve(&self, name: &str, bytes: &[u8]) {
        self.kit
            .forge
            .serve(&format!("/files/{name}"), Served::new(bytes));
    }

    /// Serves a page under a name that stands for nothing.
    fn welcome(&self, name: &str) {
        self.kit.forge.script(
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

    /// What must not change when an update fails.
    fn installation(&self) -> Vec<(PathBuf, String)> {
        [self.kit.bin(), self.kit.path.join("tools")]
            .iter()
            .filter(|folder| folder.exists())
            .flat_map(|folder| picture(folder))
            .collect()
    }

    /// The paths below the archives' folder that were asked for, in order.
    fn asked(&self) -> Vec<String> {
        let seen = self.kit.forge.seen().into_iter();
        seen.filter_map(|seen| seen.path.strip_prefix("/files/").map(str::to_owned))
            .collect()
    }

    /// How often git fetched something; heph itself only lists tags.
    fn fetches(&self) -> usize {
        let seen = self.kit.forge.seen();
        let by_git = |seen: &&Request| !seen.headers["user-agent"].starts_with("heph/");
        seen.iter()
            .filter(|seen| seen.path.ends_with("/git-upload-pack"))
            .filter(by_git)
            .count()
    }

    #[track_caller]
    fn assert_installs(&self, version: &str, delivery: &str) -> Report {
        let report = self.kit.self_update("apply").reports(0, "updated");
        assert_eq!(report["delivery"], delivery, "{report:?}");
        let greet = self.kit.path.join("tools/greet");
        assert_eq!(
            self.kit.command(greet).prints(),
            format!("greet {version}\n")
        );
        let cache = self.kit.path.join(".cache/heph");
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
        assert!(self.kit.quarantined().is_empty());
    }

    /// Asserts that the run fails, with these words, that nothing changed, and whether the release is in quarantine.
    #[track_caller]
    fn assert_refused(&self, why: &str, quarantined: bool) {
        let before = self.installation();
        let report = self.kit.self_update("apply").reports(1, "failed");
        report.because(&[why]);
        assert_eq!(self.installation(), before);
        assert_eq!(!self.kit.quarantined().is_empty(), quarantined);
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
