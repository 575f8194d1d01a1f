//! A home for heph's library to install in, and a repository that publishes tiny releases.

use std::ffi::OsString;
use std::fs;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};

use heph::config::SelfUpdate;
use heph::install::links::BinDir;
use heph::install::slots::{Binary, Delivery, Slot, SlotManifest, Slots};
use heph::install::{Listener, Progress, StageRequest, stage};
use heph::paths::Paths;
use heph::release::trust::{Origin, Proof};
use heph::release::{Release, Tag};
use semver::Version;

use super::call::Call;
use super::files::{entries, script};
use super::forge::{WorkTree, git};
use super::home::Home;
use super::workshop::toolchain_variables;

/// A home, its settings, and the paths that heph finds in it.
#[derive(Debug)]
pub struct Installation {
    home: Home,
    pub paths: Paths,
    pub settings: SelfUpdate,
}

impl Deref for Installation {
    type Target = Home;

    fn deref(&self) -> &Home {
        &self.home
    }
}

impl DerefMut for Installation {
    fn deref_mut(&mut self) -> &mut Home {
        &mut self.home
    }
}

impl Installation {
    pub fn new() -> Installation {
        Installation::of(Home::named("ho me %h & 'q' \"d\" $x ü"))
    }

    pub fn of(home: Home) -> Installation {
        fs::create_dir_all(home.bin()).unwrap();
        Installation {
            paths: Paths::in_home(&home.path),
            settings: SelfUpdate::default(),
            home,
        }
    }

    pub fn slots(&self) -> Slots {
        Slots::new(&self.paths)
    }

    pub fn bin_dir(&self) -> BinDir {
        BinDir::at(self.bin(), &self.settings.packages, &self.paths)
    }

    /// Puts a plain file into bin-dir that says it is `version`.
    pub fn plain(&self, name: &str, version: &str) -> PathBuf {
        command(&self.bin(), name, version)
    }

    /// Writes cargo's record for one package.
    pub fn record(&self, package: &str, version: &str, commit: &str, binaries: &[&str]) {
        let url = "https://f.example/a";
        self.write(
            ".cargo/.crates2.json",
            cargo_record(package, version, url, commit, binaries),
        );
    }

    /// Makes a complete slot of commands that say `version`.
    pub fn slot(&self, version: &str, names: &[&str]) -> Slot {
        let slots = self.slots();
        let folder = slots.staging().unwrap();
        let mut names = names.to_vec();
        names.sort_unstable();
        let binaries = names
            .iter()
            .map(|name| Binary::of(name, &command(&folder.join("bin"), name, version)).unwrap())
            .collect();
        slots.seal(&folder, manifest(version, binaries)).unwrap()
    }

    /// Stages `release` in this environment.
    pub fn stage(
        &self,
        release: &Release,
        environment: Vec<(OsString, OsString)>,
        listener: &Listener,
        afresh: bool,
    ) -> heph::error::Result<Slot> {
        let request = StageRequest {
            release,
            origin: &self.origin(release),
            repository: &self.settings.repository,
            plain_git: false,
            packages: &self.settings.packages,
            delivery: self.settings.delivery,
            features: self.settings.chosen_features(),
            allow_fewer_commands: self.settings.allow_fewer_commands,
            trust: &self.settings.trust,
            bin_dir: &self.bin_dir(),
            paths: &self.paths,
            environment,
            afresh,
        };
        stage(&request, listener)
    }

    /// Names of the entries of `versions/`, sorted.
    pub fn versions(&self) -> Vec<String> {
        entries(&self.paths.versions())
    }

    /// Asserts that every command of bin-dir is heph's link and says `version`.
    pub fn assert_linked(&self, names: &[&str], version: &str) {
        let expected: Vec<_> = names
            .iter()
            .map(|name| ((*name).to_owned(), version.to_owned()))
            .collect();
        assert_eq!(self.commands_say(), expected);
        for name in names {
            assert_eq!(
                fs::read_link(self.bin().join(name)).unwrap(),
                self.paths.current().join("bin").join(name)
            );
        }
    }

    /// What a build gets of the toolchain's environment, and nothing else.
    pub fn variables(&self) -> Vec<(OsString, OsString)> {
        let mut variables: Vec<(OsString, OsString)> = vec![
            ("HOME".into(), self.path.clone().into()),
            ("CARGO_HOME".into(), self.path.join(".cargo").into()),
            ("PATH".into(), std::env::var_os("PATH").unwrap()),
            ("GIT_CONFIG_GLOBAL".into(), "/dev/null".into()),
        ];
        let toolchain = toolchain_variables().into_iter();
        variables.extend(toolchain.map(|(name, value)| (name.into(), value.into())));
        variables
    }

    pub fn build_log(&self) -> Progress {
        Progress::Log(self.paths.logs().join("build.log"))
    }

    /// Where `release` comes from, as the repository that the settings name says; a commit of zeros where it has no such
    /// tag.
    pub fn origin(&self, release: &Release) -> Origin {
        let repository = self.settings.repository.url().trim_start_matches("file://");
        let folder = match Path::new(repository).is_dir() {
            true => repository,
            false => "/",
        };
        let tag = format!("{}^{{commit}}", release.tag.as_str());
        let commit = Call::of("git").args(&["rev-parse", "--verify", "--quiet", &tag]);
        let commit = match commit.current_dir(folder).ends().out.trim() {
            "" => "0".repeat(40),
            commit => commit.to_owned(),
        };
        let reason = "nothing is asked here".to_owned();
        Origin {
            commit,
            proof: Proof::Unproven(reason),
        }
    }
}

/// Returns a listener that only shows the output of a build.
pub fn listener(progress: &Progress) -> Listener<'_> {
    Listener {
        progress,
        note: &|_| {},
        arrived: &|_, _| {},
    }
}

/// Returns cargo's record of a package that was installed from a tag.
pub fn cargo_record(
    package: &str,
    version: &str,
    url: &str,
    commit: &str,
    bins: &[&str],
) -> String {
    let id = format!("{package} {version} (git+{url}?tag=v{version}#{commit})");
    let install = serde_json::json!({"version_req": null, "bins": bins});
    serde_json::json!({"installs": {id: install}}).to_string()
}

/// Returns what the command at `path` says its version is.
pub fn says(path: &Path) -> String {
    let command = Call::clean(path, [("", ""); 0]).args("--version");
    command.prints().trim().to_owned()
}

/// Writes a command that says it is `version`.
pub fn command(folder: &Path, name: &str, version: &str) -> PathBuf {
    let path = folder.join(name);
    script(&path, &format!("echo '{name} {version}'"));
    path
}

pub fn manifest(version: &str, binaries: Vec<Binary>) -> SlotManifest {
    SlotManifest {
        schema: 1,
        version: Version::parse(version).unwrap(),
        tag: Some(format!("v{version}")),
        commit: None,
        delivery: Delivery::Cargo,
        signed_by: None,
        features: Default::default(),
        binaries,
        installed_at: "2026-11-21T00:00:00Z".parse().unwrap(),
    }
}

/// A git repository with releases.
#[derive(Debug)]
pub struct Repository {
    tree: WorkTree,
    _folder: tempfile::TempDir,
}

impl Deref for Repository {
    type Target = WorkTree;

    fn deref(&self) -> &WorkTree {
        &self.tree
    }
}

impl Repository {
    pub fn new() -> Repository {
        let folder = tempfile::tempdir().unwrap();
        Repository {
            tree: WorkTree::new(folder.path()),
            _folder: folder,
        }
    }

    pub fn url(&self) -> String {
        format!("file://{}", self.folder.display())
    }

    /// Commits what was written as the release `version`; returns the release and its commit.
    pub fn release(&self, version: &str) -> (Release, String) {
        let commit = self.commit(version);
        let version = Version::parse(version).unwrap();
        let tag = Tag::of("v", &version);
        // An annotated tag is an object of its own: the commit must be that of what it points at.
        self.tag(tag.as_str());
        let release = Release {
            version,
            tag,
            url: None,
            published_at: None,
            assets: Vec::new(),
        };
        (release, commit)
    }

    /// Publishes a release of `packages`, each with one binary of its name whose `main` has `body`.
    pub fn publish(&self, version: &str, packages: &[&str], body: &str) -> (Release, String) {
        let members = format!("{packages:?}");
        let manifest = format!("[workspace]\nresolver = \"3\"\nmembers = {members}\n");
        self.write("Cargo.toml", &manifest);
        let mut lock = "version = 4\n".to_owned();
        for package in packages {
            let named = format!("[package]\nname = \"{package}\"\nversion = \"{version}\"\n");
            let manifest = format!("{named}edition = \"2024\"\n");
            self.write(&format!("{package}/Cargo.toml"), &manifest);
            let main = format!("fn main() {{ {body} }}\n");
            self.write(&format!("{package}/src/main.rs"), &main);
            lock.push_str(&format!("\n[{named}").replace("[[package]", "[[package]]"));
        }
        self.write("Cargo.lock", &lock);
        self.release(version)
    }

    pub fn git(&self, words: &str) {
        git(&self.folder, words);
    }
}

/// The body of a `main` that says its version.
pub const SAYS_VERSION: &str =
    r#"println!("{} {}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));"#;
