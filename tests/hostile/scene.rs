//! A user with a real hephd below a real service manager, and releases that cost no build: the binaries under test with
//! another version in them, or scripts, put in place by a `cargo` that only copies.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::forge::{Forge, Published, WorkTree};
use crate::support::manager::UserManager;
use crate::support::old::home::{Ended, Home, ODD_NAME, run};

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

pub struct Scene {
    // First, since it ends first: its processes live in the home.
    pub manager: UserManager,
    pub home: Home,
    pub forge: Forge,
}

impl Scene {
    /// Returns a user with [`OLD`] installed by hand and hephd running.
    pub fn new() -> Scene {
        assert_eq!(OLD.len(), NEW.len(), "one is written over the other");
        let home = Home::named(ODD_NAME);
        let scene = Scene {
            manager: UserManager::start(&home.path),
            home,
            forge: Forge::start(),
        };
        executable(&scene.tools().join("cargo"), CARGO.as_bytes());
        scene.configure("");
        scene.heph(&["daemon", "start"]).exits(0);
        scene
    }

    /// Writes the settings, with `more` lines in `[self-update]`.
    pub fn configure(&self, more: &str) {
        let repository = self.forge.repository();
        self.home.configure(&format!(
            "[self-update]\nrepository = \"{repository}\"\nforge = \"forgejo\"\nsettle = \"2s\"\nhealth-timeout = \"8s\"\n{more}\n"
        ));
    }

    /// Publishes [`NEW`], which is good.
    pub fn publish_new(&self) {
        self.publish(NEW, None);
    }

    /// Publishes `version`. Its hephd is good, or else runs `script` where it should serve.
    pub fn publish(&self, version: &str, script: Option<&str>) {
        let folder = self.release(version);
        for (name, built) in [
            ("heph", env!("CARGO_BIN_EXE_heph")),
            ("hephd", env!("CARGO_BIN_EXE_hephd")),
        ] {
            let content = fs::read(built).unwrap();
            executable(&folder.join(name), &renamed(&content, version));
        }
        if let Some(script) = script {
            let text = format!(
                "#!/bin/sh\ncase $1 in\n--version) echo hephd {version}; exit ;;\nstore) exit 0 ;;\nesac\n{script}\n"
            );
            executable(&folder.join("hephd"), text.as_bytes());
        }
        self.forge.unpublish();
        self.tell(version);
    }

    /// Has the forge name `version`, with a tag for it.
    pub fn tell(&self, version: &str) {
        let folder = tempfile::tempdir().unwrap();
        let tree = WorkTree::new(folder.path());
        let tag = format!("v{version}");
        let commit = tree.write("version", version).commit(version);
        tree.tag(&tag);
        self.forge.push(&tree);
        let commits = self.tools().join("commits");
        fs::create_dir_all(&commits).unwrap();
        fs::write(commits.join(version), commit).unwrap();
        self.forge.publish(Published::new(&tag));
    }

    /// Returns the folder that `cargo` takes the commands of `version` from.
    pub fn release(&self, version: &str) -> PathBuf {
        self.tools().join("releases").join(version)
    }

    fn tools(&self) -> PathBuf {
        self.home.path.join("tools")
    }

    pub fn command(&self) -> Command {
        let mut command = self.manager.command(self.home.bin().join("heph"));
        let folders = [
            self.home.bin(),
            self.tools(),
            "/usr/bin".into(),
            "/bin".into(),
        ];
        command.env("PATH", std::env::join_paths(folders).unwrap());
        command
    }

    #[track_caller]
    pub fn heph(&self, arguments: &[&str]) -> Ended {
        let mut command = self.command();
        command.args(arguments);
        run(command)
    }

    #[track_caller]
    pub fn apply(&self) -> Ended {
        self.heph(&["self-update", "apply"])
    }

    pub fn state(&self) -> PathBuf {
        self.home.path.join(".local/state/heph")
    }

    pub fn slot(&self, version: &str) -> PathBuf {
        self.home.data().join("versions").join(version)
    }

    /// Asserts that `version` is installed and served, and nothing is left unfinished.
    #[track_caller]
    pub fn assert_serves(&self, version: &str) {
        for name in ["heph", "hephd"] {
            let mut command = self.manager.command(self.home.bin().join(name));
            command.arg("--version");
            run(command).exits(0).says(version);
        }
        let status = self.heph(&["daemon", "status", "--json"]).exits(0).json();
        assert_eq!(status["version"], version);
        assert!(!self.state().join("journal.json").exists());
    }

    #[track_caller]
    pub fn quarantined(&self) -> Vec<String> {
        let listed = self
            .heph(&["self-update", "quarantine", "list", "--json"])
            .json();
        let releases = listed["releases"].as_array().unwrap().iter();
        releases
            .map(|release| release["version"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// Writes an executable file; its folder is made.
pub fn executable(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Returns `program` with `version` in all places where it has [`OLD`].
fn renamed(program: &[u8], version: &str) -> Vec<u8> {
    assert_eq!(version.len(), OLD.len());
    let mut program = program.to_owned();
    let mut at = 0;
    while let Some(found) = program[at..]
        .windows(OLD.len())
        .position(|bytes| bytes == OLD.as_bytes())
    {
        program[at + found..at + found + OLD.len()].copy_from_slice(version.as_bytes());
        at += found + OLD.len();
    }
    program
}
