//! A user with a real hephd below a real service manager, and releases that cost no build: the binaries under test with
//! another version in them, or scripts, put in place by a `cargo` that only copies.

use std::fs;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Mutex;

use crate::support::call::Call;
use crate::support::files::{copy_tree, executable, link_tree};
use crate::support::home::ODD_NAME;
use crate::support::machine::Machine;
use crate::support::programs;

/// What is installed at first: the version under test.
pub const OLD: &str = env!("CARGO_PKG_VERSION");
/// A release that is good. It has as many bytes as [`OLD`].
pub const NEW: &str = "9.9.1";

/// Puts `releases/<version>/*` where cargo would put what it built.
const CARGO: &str = r#"#!/bin/sh
for word; do
    case "$word" in
        --git=*) url="${word#*=}" ;;
        --tag=*) tag="${word#*=}" ;;
        --root=*) root="${word#*=}" ;;
    esac
done
mkdir -p "$root/bin" && cp "${0%/*}/releases/${tag#v}"/* "$root/bin/" || exit 1
names=$(cd "$root/bin" && printf '"%s",' *)
commit=$(cat "${0%/*}/commits/${tag#v}")
echo "{\"installs\":{\"heph ${tag#v} (git+$url?tag=$tag#$commit)\":{\"bins\":[${names%,}]}}}" >"$root/.crates2.json"
"#;

/// A user's machine with such a cargo.
pub struct Scene(Machine);

impl Deref for Scene {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        &self.0
    }
}

impl Scene {
    /// Returns a user with [`OLD`] installed by hand and hephd running.
    pub fn new() -> Scene {
        let mut scene = Scene(Machine::named(ODD_NAME));
        executable(&scene.tools().join("cargo"), CARGO);
        let folders = [scene.bin(), scene.tools(), "/usr/bin".into(), "/bin".into()];
        let path = std::env::join_paths(folders).unwrap();
        scene.0.home.set("PATH", path);
        scene.configure("");
        scene.heph("daemon start").exits(0);
        scene
    }

    /// Writes the settings, with `more` lines in `[self-update]`.
    pub fn configure(&self, more: &str) {
        let quick = "forge = \"forgejo\"\nsettle = \"2s\"\nhealth-timeout = \"8s\"";
        self.0.configure(&format!("{quick}\n{more}"));
    }

    /// Publishes [`NEW`], which is good.
    pub fn publish_new(&self) {
        self.publish(NEW, None);
    }

    /// Publishes `version`. Its hephd is good, or else runs `script` where it should serve.
    pub fn publish(&self, version: &str, script: Option<&str>) {
        let folder = self.release(version);
        link_tree(&renamed(version), &folder);
        if let Some(script) = script {
            let text = format!(
                "#!/bin/sh\ncase $1 in\n--version) echo hephd {version}; exit ;;\nstore) exit 0 ;;\nesac\n{script}\n"
            );
            executable(&folder.join("hephd"), text);
        }
        self.forge.unpublish();
        self.tell(version);
    }

    /// Has the forge name `version`, with a tag for it.
    pub fn tell(&self, version: &str) {
        let commit = self.publish_empty(version);
        self.write(&format!("tools/commits/{version}"), commit);
    }

    /// Returns the folder that `cargo` takes the commands of `version` from.
    pub fn release(&self, version: &str) -> PathBuf {
        self.tools().join("releases").join(version)
    }

    fn tools(&self) -> PathBuf {
        self.path.join("tools")
    }
}

/// Returns a folder with the programs under test, with `version` in all places where they have [`OLD`].
fn renamed(version: &str) -> PathBuf {
    static MADE: Mutex<Vec<String>> = Mutex::new(Vec::new());
    assert_eq!(version.len(), OLD.len(), "one is written over the other");
    let folder = programs::cache().join("renamed").join(version);
    let mut made = MADE.lock().unwrap_or_else(|lock| lock.into_inner());
    if !made.iter().any(|known| known == version) {
        drop(fs::remove_dir_all(&folder));
        copy_tree(programs::folder(), &folder);
        let pattern = format!("s/{}/{version}/g", OLD.replace('.', "[.]"));
        let sed = Call::of("sed").env("LC_ALL", "C").args(&["-i", &pattern]);
        let programs = ["heph", "hephd"].map(|name| folder.join(name));
        sed.args(&programs).exits(0);
        made.push(version.to_owned());
    }
    folder
}
