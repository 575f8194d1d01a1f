//! What a build depends on besides the release: cargo, rustc, the linker and its like, the settings.
//!
//! A build that failed is tried again as soon as one of them has changed. They are compared, not understood: versions as the
//! programs print them, files by path, size and time, settings by a digest.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Progress;
use super::toolchain::{self, Variables, cargo_home, value_of};
use crate::config::SelfUpdate;
use crate::error::{Kind, Result};
use crate::os::files;
use crate::os::process::{Output, Run};
use crate::paths::Paths;

/// Programs that builds use and that people install when a build has failed for want of one.
const TOOLS: [&str; 18] = [
    "cc",
    "c++",
    "gcc",
    "clang",
    "ld",
    "ld.lld",
    "lld",
    "ld.mold",
    "mold",
    "ar",
    "pkg-config",
    "cmake",
    "make",
    "ninja",
    "perl",
    "protoc",
    "nasm",
    // Behind the `cc` of macOS.
    "/Library/Developer/CommandLineTools/usr/bin/ld",
];

/// Variables that change what cargo and build scripts do, by the beginning of their names.
const VARIABLES: [&str; 11] = [
    "CARGO_BUILD_",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_PROFILE_",
    "CARGO_TARGET_",
    "CC",
    "CFLAGS",
    "CXX",
    "LDFLAGS",
    "PKG_CONFIG",
    "RUSTC",
    "RUSTFLAGS",
];
/// Variables with such names that heph sets itself.
const OWN: [&str; 3] = [
    "CARGO_BUILD_BUILD_DIR",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_TARGET_DIR",
];

/// The largest settings file of cargo that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// The state of what a build depends on. `None`: unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fingerprint {
    pub cargo: Option<String>,
    pub rustc: Option<String>,
    pub tools: Option<String>,
    pub settings: Option<String>,
}

impl Fingerprint {
    /// Returns what is not in `now` as it was; what is unknown counts as unchanged.
    pub fn changed(&self, now: &Fingerprint) -> Option<&'static str> {
        [
            ("cargo", &self.cargo, &now.cargo),
            ("rustc", &self.rustc, &now.rustc),
            ("the linker or a tool like it", &self.tools, &now.tools),
            ("the settings", &self.settings, &now.settings),
        ]
        .into_iter()
        .find_map(|(name, old, new)| differ(old, new).then_some(name))
    }

    /// Returns the present state, for builds with `settings` in the environment `variables`.
    pub(crate) fn take(settings: &SelfUpdate, variables: &Variables, paths: &Paths) -> Fingerprint {
        let build = paths.build();
        let folder = build.ancestors().find(|path| path.is_dir());
        let folder = folder.unwrap_or(Path::new("/")).to_owned();
        let mut taken = Fingerprint {
            settings: Some(digest_of_settings(settings, variables, paths)),
            ..Fingerprint::default()
        };
        let Ok(cargo) = toolchain::find_cargo(variables, &paths.home) else {
            return Fingerprint {
                cargo: Some("missing".to_owned()),
                ..taken
            };
        };
        let log = Progress::Log(PathBuf::new());
        let environment = toolchain::environment(variables, &cargo, &folder, &build, &log);
        let version = |program: &Path| {
            let run = Run::new(program).only_env(environment.iter().cloned());
            // A toolchain that is missing is a fact; it is not to be installed here.
            let run = run.env("RUSTUP_AUTO_INSTALL", "0").dir(&folder);
            said(run.arg("-V").output())
        };
        let path = value_of(&environment, "PATH");
        let find = |name: &OsStr| which::which_in(name, path, &folder).ok();
        let rustc = value_of(variables, "RUSTC").unwrap_or("rustc".as_ref());
        taken.cargo = version(&cargo);
        taken.rustc = match find(rustc) {
            Some(rustc) => version(&rustc),
            None => Some("missing".to_owned()),
        };
        taken.tools = Some(digest_of_tools(|name| find(name.as_ref())));
        taken
    }
}

/// Returns whether both are known, and not the same.
pub(crate) fn differ(old: &Option<String>, new: &Option<String>) -> bool {
    matches!((old, new), (Some(old), Some(new)) if old != new)
}

/// Returns the version that a program printed.
fn said(output: Result<Output>) -> Option<String> {
    match output {
        Ok(output) if output.status.success() => Some(output.text().trim().to_owned()),
        Ok(_) => Some("does not start".to_owned()),
        Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Denied) => {
            Some("does not start".to_owned())
        }
        // It took too long, on a busy machine for example.
        Err(_) => None,
    }
}

fn digest_of_tools(find: impl Fn(&str) -> Option<PathBuf>) -> String {
    let mut hash = Sha256::new();
    let identity = |path: &Path| -> io::Result<String> {
        let path = fs::canonicalize(path)?;
        let file = fs::metadata(&path)?;
        let (size, time) = (file.len(), file.mtime());
        Ok(format!("{} {size} {time}", path.display()))
    };
    for name in TOOLS {
        if let Some(identity) = find(name).and_then(|path| identity(&path).ok()) {
            hash.update(format!("{name} {identity}\n"));
        }
    }
    files::hex(&hash.finalize())
}

/// Returns a digest of heph's settings, of cargo's, and of what stands for them in the environment.
fn digest_of_settings(settings: &SelfUpdate, variables: &Variables, paths: &Paths) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{} {settings:?}\n", env!("CARGO_PKG_VERSION")));
    let home = cargo_home(variables, &paths.home);
    let build = paths.build();
    let folders = build.ancestors().map(|folder| folder.join(".cargo"));
    for folder in folders.chain([home]) {
        for name in ["config.toml", "config"] {
            let path = folder.join(name);
            if let Ok(Some(text)) = files::read_if_there(&path, LARGEST) {
                hash.update(format!("{} {}\n", path.display(), text.len()));
                hash.update(text);
            }
        }
    }
    let mut named: Vec<_> = variables
        .iter()
        .filter_map(|(name, value)| Some((name.to_str()?, value)))
        .filter(|(name, _)| VARIABLES.iter().any(|start| name.starts_with(start)))
        .filter(|(name, _)| !OWN.contains(name))
        .collect();
    named.sort_unstable();
    for (name, value) in named {
        hash.update(format!("{name} {value:?}\n"));
    }
    files::hex(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    }

    #[test]
    fn the_first_difference_is_named_and_the_unknown_is_none() {
        let known = |cargo: &str| Fingerprint {
            cargo: Some(cargo.to_owned()),
            rustc: Some("rustc 1".to_owned()),
            tools: None,
            settings: Some("ab".to_owned()),
        };
        let one = known("cargo 1");
        assert_eq!(one.changed(&one), None);
        assert_eq!(one.changed(&known("cargo 2")), Some("cargo"));
        assert_eq!(one.changed(&Fingerprint::default()), None);
        let rustc = Fingerprint {
            rustc: Some("missing".to_owned()),
            ..one.clone()
        };
        assert_eq!(rustc.changed(&one), Some("rustc"));
    }

    #[test]
    fn a_tool_that_is_installed_or_replaced_changes_the_digest() {
        let folder = tempfile::tempdir().unwrap();
        let digest =
            || digest_of_tools(|name| Some(folder.path().join(name)).filter(|path| path.exists()));
        let nothing = digest();
        fs::write(folder.path().join("cc"), "one").unwrap();
        let one = digest();
        assert_ne!(one, nothing);
        assert_eq!(one, digest());
        fs::write(folder.path().join("cc"), "another").unwrap();
        assert_ne!(one, digest());
        fs::write(folder.path().join("unrelated"), "x").unwrap();
        fs::write(folder.path().join("cc"), "one").unwrap();
        fs::File::options()
            .write(true)
            .open(folder.path().join("cc"))
            .unwrap()
            .set_modified(std::time::UNIX_EPOCH)
            .unwrap();
        assert_ne!(one, digest(), "as large, and of another time");
    }

    #[test]
    fn settings_of_heph_of_cargo_and_of_the_environment_count() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::in_home(folder.path());
        let mut settings = SelfUpdate::default();
        let plain = variables(&[("PATH", "/bin"), ("CARGO_TARGET_DIR", "/t")]);
        let one = digest_of_settings(&settings, &plain, &paths);
        let same = variables(&[("PATH", "/usr/bin"), ("TERM", "dumb")]);
        assert_eq!(one, digest_of_settings(&settings, &same, &paths));
        let flags = variables(&[("RUSTFLAGS", "-C linker=mold")]);
        assert_ne!(one, digest_of_settings(&settings, &flags, &paths));
        settings.packages.push("more".to_owned());
        let more = digest_of_settings(&settings, &plain, &paths);
        assert_ne!(one, more);
        fs::create_dir_all(folder.path().join(".cargo")).unwrap();
        let file = folder.path().join(".cargo/config.toml");
        fs::write(file, "[build]\njobs = 1\n").unwrap();
        assert_ne!(more, digest_of_settings(&settings, &plain, &paths));
    }
}
