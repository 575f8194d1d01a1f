//! A throw-away home with its installation, and a repository that publishes tiny releases.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use heph::config::SelfUpdate;
use heph::install::links::BinDir;
use heph::install::slots::{Binary, Delivery, Slot, SlotManifest, Slots};
use heph::install::{Listener, Progress, StageRequest, stage};
use heph::paths::Paths;
use heph::release::trust::{Origin, Proof};
use heph::release::{Release, Tag};
use semver::Version;
use tempfile::TempDir;

/// A name that trips up whatever quotes, splits or decodes carelessly.
pub const ODD: &str = "ho me %h & 'q' \"d\" $x ü";

/// A throw-away home.
#[derive(Debug)]
pub struct Home {
    _folder: Option<TempDir>,
    pub paths: Paths,
    pub settings: SelfUpdate,
    /// Where cargo puts commands in it.
    pub bin: PathBuf,
}

impl Home {
    pub fn new() -> Home {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::in_folder(&folder.path().join(ODD));
        Home {
            _folder: Some(folder),
            ..home
        }
    }

    /// The home that `folder` is, which somebody else cleans up.
    pub fn in_folder(folder: &Path) -> Home {
        let home = folder.to_owned();
        let paths = Paths::in_home(&home);
        let bin = home.join(".cargo/bin");
        fs::create_dir_all(&bin).unwrap();
        Home {
            _folder: None,
            paths,
            settings: SelfUpdate::default(),
            bin,
        }
    }

    pub fn slots(&self) -> Slots {
        Slots::new(&self.paths)
    }

    pub fn bin_dir(&self) -> BinDir {
        BinDir::at(self.bin.clone(), &self.settings.packages, &self.paths)
    }

    /// Puts a plain file into bin-dir that says it is `version`.
    pub fn plain(&self, name: &str, version: &str) -> PathBuf {
        command(&self.bin, name, version)
    }

    /// Writes cargo's record for one package.
    pub fn record(&self, package: &str, version: &str, commit: &str, binaries: &[&str]) {
        let id = format!("{package} {version} (git+https://f.example/a?tag=v{version}#{commit})");
        let record = serde_json::json!({"installs": {id: {"version_req": null, "bins": binaries}}});
        fs::write(
            self.bin.parent().unwrap().join(".crates2.json"),
            record.to_string(),
        )
        .unwrap();
    }

    /// Makes a complete slot of commands that say `version`.
    pub fn slot(&self, version: &str, names: &[&str]) -> Slot {
        let slots = self.slots();
        let parsed = Version::parse(version).unwrap();
        let folder = slots.unused(&parsed).unwrap();
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
            origin: &origin(self, release),
            repository: &self.settings.repository,
            plain_git: false,
            packages: &self.settings.packages,
            delivery: self.settings.delivery,
            trust: &self.settings.trust,
            bin_dir: &self.bin_dir(),
            paths: &self.paths,
            environment,
            afresh,
        };
        stage(&request, listener)
    }

    /// What the commands in bin-dir are and say, sorted by name.
    pub fn commands(&self) -> Vec<(String, String)> {
        let mut found: Vec<_> = fs::read_dir(&self.bin)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            // A temporary name that a crash left is no command.
            .filter(|name| !name.starts_with('.'))
            .map(|name| {
                let said = run(&self.bin.join(&name));
                (name, said)
            })
            .collect();
        found.sort();
        found
    }

    /// Names of the entries of `versions/`, sorted.
    pub fn versions(&self) -> Vec<String> {
        entries(&self.paths.versions())
    }

    /// Asserts that every command of bin-dir is heph's link and says `version`.
    pub fn assert_linked(&self, names: &[&str], version: &str) {
        let expected: Vec<_> = names
            .iter()
            .map(|name| ((*name).to_owned(), format!("{name} {version}")))
            .collect();
        assert_eq!(self.commands(), expected);
        for name in names {
            assert_eq!(
                fs::read_link(self.bin.join(name)).unwrap(),
                self.paths.current().join("bin").join(name)
            );
        }
    }
}

/// Returns what the command at `path` says its version is.
pub fn run(path: &Path) -> String {
    let output = loop {
        match Command::new(path).arg("--version").env_clear().output() {
            // Another test that is starting a child holds the new file open for an instant.
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {}
            output => break output.unwrap_or_else(|error| panic!("{}: {error}", path.display())),
        }
    };
    assert!(output.status.success(), "{}: {output:?}", path.display());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Writes a command that says it is `version`.
pub fn command(folder: &Path, name: &str, version: &str) -> PathBuf {
    executable(folder, name, &format!("echo '{name} {version}'"))
}

/// Writes a script. As cargo does, it takes the name by a rename.
pub fn executable(folder: &Path, name: &str, body: &str) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    let new = folder.join(format!(".{name}.new"));
    fs::write(&new, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
    let path = folder.join(name);
    fs::rename(new, &path).unwrap();
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
        binaries,
        installed_at: "2026-11-21T00:00:00Z".parse().unwrap(),
    }
}

/// Where `release` comes from, as the repository that `home` uses says; a commit of zeros where it has no such tag.
pub fn origin(home: &Home, release: &Release) -> Origin {
    let repository = home.settings.repository.url().trim_start_matches("file://");
    let output = Command::new("git")
        .args(["rev-parse", "--verify", "--quiet"])
        .arg(format!("{}^{{commit}}", release.tag.as_str()))
        .current_dir(if Path::new(repository).is_dir() {
            repository
        } else {
            "/"
        })
        .output()
        .unwrap();
    let commit = String::from_utf8(output.stdout).unwrap();
    let commit = match commit.trim() {
        "" => "0".repeat(40),
        commit => commit.to_owned(),
    };
    let reason = "nothing is asked here".to_owned();
    Origin {
        commit,
        proof: Proof::Unproven { reason },
    }
}

/// Names of the entries of `folder`, sorted; none where it is not there.
pub fn entries(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// All that is below `folder`, with the content of files and the targets of links: for "nothing was touched".
pub fn picture(folder: &Path) -> Vec<(PathBuf, String)> {
    fn look(folder: &Path, picture: &mut Vec<(PathBuf, String)>) {
        for name in entries(folder) {
            let path = folder.join(name);
            let kind = fs::symlink_metadata(&path).unwrap().file_type();
            if kind.is_dir() {
                picture.push((path.clone(), "folder".to_owned()));
                look(&path, picture);
            } else if kind.is_symlink() {
                let target = fs::read_link(&path).unwrap();
                picture.push((path, format!("link to {}", target.display())));
            } else {
                let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
                picture.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    look(folder, &mut found);
    found
}

/// A mounted file system that goes with the test.
#[derive(Debug)]
pub struct Mount(PathBuf);

impl Mount {
    /// Mounts a small file system in memory on `folder`.
    pub fn memory(folder: &Path, options: &str) -> Mount {
        fs::create_dir_all(folder).unwrap();
        mount(&["-t", "tmpfs", "-o", options, "tmpfs"], folder);
        Mount(folder.to_owned())
    }

    /// Makes `folder` read-only, for root too.
    pub fn read_only(folder: &Path) -> Mount {
        let shown = folder.to_str().unwrap();
        mount(&["--bind", shown], folder);
        let mounted = Mount(folder.to_owned());
        mount(&["-o", "remount,bind,ro"], folder);
        mounted
    }
}

fn mount(arguments: &[&str], folder: &Path) {
    let output = Command::new("mount")
        .args(arguments)
        .arg(folder)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "this test mounts a file system and so must run as root: {output:?}"
    );
}

impl Drop for Mount {
    fn drop(&mut self) {
        let status = Command::new("umount").arg("--lazy").arg(&self.0).status();
        assert!(status.unwrap().success(), "{}", self.0.display());
    }
}

/// A git repository with releases.
#[derive(Debug)]
pub struct Repository {
    folder: TempDir,
}

impl Repository {
    pub fn new() -> Repository {
        let repository = Repository {
            folder: tempfile::tempdir().unwrap(),
        };
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository
    }

    pub fn url(&self) -> String {
        format!("file://{}", self.folder.path().display())
    }

    pub fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs(["AUTHOR", "COMMITTER"].iter().flat_map(|role| {
                [
                    (format!("GIT_{role}_NAME"), "nobody"),
                    (format!("GIT_{role}_EMAIL"), "nobody@example.invalid"),
                ]
            }))
            .output()
            .unwrap();
        assert!(output.status.success(), "git {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Commits what was written as the release `version`; returns the release and its commit.
    pub fn release(&self, version: &str) -> (Release, String) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", version]);
        let version = Version::parse(version).unwrap();
        let tag = Tag::of("v", &version);
        // An annotated tag is an object of its own: the commit must be that of what it points at.
        self.git(&["tag", "--annotate", "--message", "x", tag.as_str()]);
        let commit = self.git(&["rev-parse", "HEAD"]);
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
        let members: Vec<_> = packages.iter().map(|name| format!("{name:?}")).collect();
        self.write(
            "Cargo.toml",
            &format!(
                "[workspace]\nresolver = \"3\"\nmembers = [{}]\n",
                members.join(", ")
            ),
        );
        let mut lock = "version = 4\n".to_owned();
        for package in packages {
            self.write(
                &format!("{package}/Cargo.toml"),
                &format!(
                    "[package]\nname = \"{package}\"\nversion = \"{version}\"\nedition = \"2024\"\n"
                ),
            );
            self.write(
                &format!("{package}/src/main.rs"),
                &format!("fn main() {{ {body} }}\n"),
            );
            lock.push_str(&format!(
                "\n[[package]]\nname = \"{package}\"\nversion = \"{version}\"\n"
            ));
        }
        self.write("Cargo.lock", &lock);
        self.release(version)
    }
}

/// The body of a `main` that says its version.
pub const SAYS_VERSION: &str =
    r#"println!("{} {}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));"#;

/// The environment of a build in `home`: what a toolchain needs of this one, and nothing else.
pub fn variables(home: &Home) -> Vec<(OsString, OsString)> {
    let real_home = std::env::home_dir().unwrap();
    let rustup =
        std::env::var_os("RUSTUP_HOME").unwrap_or_else(|| real_home.join(".rustup").into());
    let mut variables = vec![
        ("HOME".into(), home.paths.home.clone().into()),
        ("CARGO_HOME".into(), home.paths.home.join(".cargo").into()),
        ("RUSTUP_HOME".into(), rustup),
        ("PATH".into(), std::env::var_os("PATH").unwrap()),
        ("GIT_CONFIG_GLOBAL".into(), "/dev/null".into()),
    ];
    variables.extend(
        std::env::var_os("RUSTUP_TOOLCHAIN")
            .map(|toolchain| ("RUSTUP_TOOLCHAIN".into(), toolchain)),
    );
    variables
}

pub fn log(home: &Home) -> Progress {
    Progress::Log(home.paths.logs().join("build.log"))
}

/// Returns a listener that only shows the output of a build.
pub fn listener(progress: &Progress) -> Listener<'_> {
    Listener {
        progress,
        note: &|_| {},
        arrived: &|_, _| {},
    }
}
