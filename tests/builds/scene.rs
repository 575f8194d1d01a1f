//! A user with version 1.0.0 of a tiny tool, a forge that publishes more, and a cargo that fails as a test wants.

use std::fs;
use std::ops::Deref;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::call::Call;
use crate::support::faketime::off_by;
use crate::support::files::{outer, script};
use crate::support::forge::{Forge, Published, Speaks, WorkTree};
use crate::support::home::{Home, ODD_NAME};
use crate::support::installation::says;

/// The settings name of each kind of forge.
pub const FORGES: [(Speaks, &str); 4] = [
    (Speaks::Forgejo, "forgejo"),
    (Speaks::Github, "github"),
    (Speaks::Gitlab, "gitlab"),
    (Speaks::Git, "git"),
];

pub struct Scene {
    pub forge: Forge,
    pub tree: WorkTree,
    home: Home,
    kind: &'static str,
    _folder: TempDir,
}

impl Deref for Scene {
    type Target = Home;

    fn deref(&self) -> &Home {
        &self.home
    }
}

impl Scene {
    pub fn new() -> Scene {
        Scene::on(Speaks::Forgejo, "forgejo")
    }

    pub fn on(speaks: Speaks, kind: &'static str) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let mut home = Home::named(ODD_NAME).with_toolchain();
        home.set("CARGO_HOME", home.path.join(".cargo"));
        let scene = Scene {
            forge: Forge::speaking(speaks),
            tree: WorkTree::new(folder.path().join("work")),
            home,
            kind,
            _folder: folder,
        };
        script(&scene.path.join("bin/tiny"), "echo 'tiny 1.0.0'");
        scene.settings("");
        scene
    }

    /// Writes the settings, with `more` lines in `[self-update]`.
    pub fn settings(&self, more: &str) {
        self.settings_for(&self.forge, more);
    }

    /// Writes settings for the repository of another forge.
    pub fn settings_for(&self, forge: &Forge, more: &str) {
        let (repository, kind) = (forge.repository(), self.kind);
        self.configure(&format!(
            "service-manager = \"none\"\n[self-update]\nrepository = \"{repository}\"\nforge = \"{kind}\"\n\
             packages = [\"tiny\"]\nbin-dir = \"~/bin\"\n{more}\n"
        ));
    }

    /// Commits a `version` that prints `said` for `--version`, and tags it.
    pub fn tag_saying(&self, version: &str, said: &str) {
        let package = format!("[package]\nname = \"tiny\"\nversion = \"{version}\"\n");
        let lock = package.replace("[package]", "version = 4\n\n[[package]]");
        self.tree
            .write("Cargo.toml", &format!("{package}edition = \"2024\"\n"))
            .write("Cargo.lock", &lock)
            .write(
                "src/main.rs",
                &format!("fn main() {{ println!(\"tiny {said}\"); }}\n"),
            )
            .commit(version);
        self.tree.tag(&format!("v{version}"));
    }

    /// Publishes a good release.
    pub fn publish(&self, version: &str) {
        self.tag_saying(version, version);
        self.forge.push(&self.tree);
        self.name(version);
    }

    /// Has the feed name `version` as the newest release.
    pub fn name(&self, version: &str) {
        self.forge.publish(Published::new(&format!("v{version}")));
    }

    /// Has heph use a cargo that notes each build and then runs `body`.
    pub fn cargo(&mut self, body: &str) {
        let cargo = self.path.join("tools/cargo");
        let text = "if [ \"$1\" = -V ]; then cat ~/cargo-version; exit; fi\n\
                    [ \"$1\" = install ] && echo >>~/builds\n";
        script(&cargo, &format!("{text}{body}"));
        self.write("cargo-version", "cargo 1.0.0\n");
        self.home.set("CARGO", cargo);
        // The real one hangs where the library of faketime is preloaded.
        let rustc = outer("rustc").display().to_string();
        let tools = self.path.join("tools");
        script(
            &tools.join("rustc"),
            &format!("unset LD_PRELOAD\nexec '{rustc}' \"$@\""),
        );
        let path = std::env::var("PATH").unwrap();
        self.home.set("PATH", format!("{}:{path}", tools.display()));
    }

    /// Has heph use a cargo that fails as if the compiler had refused the release.
    pub fn cargo_that_fails(&mut self) {
        self.cargo(&format!("cat >&2 <<'END'\n{COMPILER}\nEND\nexit 101"));
    }

    /// Has heph use the real cargo again.
    pub fn real_cargo(&mut self) {
        self.home.set("CARGO", outer("cargo"));
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.home.set(name, value);
    }

    /// How many builds began.
    pub fn builds(&self) -> usize {
        let noted = fs::read_to_string(self.path.join("builds")).unwrap_or_default();
        noted.lines().count()
    }

    /// A run of the timer.
    pub fn timer(&self) -> Call {
        self.self_update("apply --scheduled")
    }

    /// A run of the timer, so many hours from now.
    pub fn timer_in(&self, hours: u32) -> Call {
        self.timer().envs(off_by(&format!("+{hours}h")))
    }

    /// Returns what `status` says of the failed build.
    pub fn failed_build(&self) -> Value {
        self.self_update("status").json()["failed_build"].clone()
    }

    pub fn installed(&self) -> String {
        says(&self.path.join("bin/tiny"))
    }
}

/// What cargo and rustc print for a release that does not compile.
pub const COMPILER: &str = "   Compiling tiny v1.1.0 (/c/git/checkouts/tiny-0/ab)
error[E0425]: cannot find value `connection refused` in this scope
 --> src/main.rs:1:1
error: could not compile `tiny` (bin \"tiny\") due to 1 previous error
error: failed to compile `tiny v1.1.0 (http://f/tiny?tag=v1.1.0#ab)`, intermediate artifacts can be found at `/b`.";
