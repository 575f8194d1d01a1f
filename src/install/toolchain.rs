//! The cargo that is installed here, and the environment in which it builds.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::Progress;
use crate::error::{Error, Result, ResultExt};

/// Variables that would misdirect cargo, or the git it may run. `MAKEFLAGS` and its kin name a job server that heph's child
/// cannot reach.
const MISDIRECTING: &[&str] = &[
    "CARGO_INSTALL_ROOT",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_MAKEFLAGS",
    "MAKEFLAGS",
    "MFLAGS",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CEILING_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_WORK_TREE",
];

/// PATH if the environment does not set it.
pub(super) const USUAL_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

pub(crate) type Variables = Vec<(OsString, OsString)>;

/// Returns the value of the variable `name`, unless it is empty.
pub(super) fn value_of<'a>(variables: &'a Variables, name: &str) -> Option<&'a OsStr> {
    let mut variables = variables.iter();
    let found = variables.find(|(variable, value)| variable == name && !value.is_empty());
    found.map(|(_, value)| value.as_os_str())
}

/// Sets the variable `name` in place of what it was.
pub(super) fn set(variables: &mut Variables, name: &str, value: &OsStr) {
    variables.retain(|(variable, _)| variable != name);
    variables.push((name.into(), value.into()));
}

/// Returns the folder of cargo's settings, registries and git repositories.
pub(super) fn cargo_home(variables: &Variables, home: &Path) -> PathBuf {
    value_of(variables, "CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from)
}

/// Returns the first of these that is an executable file: the variable `CARGO`, `cargo` on PATH, `$CARGO_HOME/bin/cargo`,
/// `~/.cargo/bin/cargo`.
pub(crate) fn find_cargo(variables: &Variables, home: &Path) -> Result<PathBuf> {
    let value = |name: &str| value_of(variables, name);
    let usable = |path: &PathBuf| {
        path.is_absolute()
            && fs::metadata(path)
                .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    let named = value("CARGO").map(PathBuf::from).into_iter();
    let on_path = value("PATH")
        .into_iter()
        .flat_map(|path| std::env::split_paths(path))
        .map(|folder| folder.join("cargo"));
    let at_home = [cargo_home(variables, home), home.join(".cargo")]
        .into_iter()
        .map(|folder| folder.join("bin/cargo"));
    named
        .chain(on_path)
        .chain(at_home)
        .find(usable)
        .with_context(|| {
            Error::new("cannot find cargo, which builds the releases")
                .with_hint("install Rust as https://rustup.rs says, or put cargo on PATH")
        })
}

/// Returns the environment of the cargo `program`, derived from that of heph: it installs into `bin` and builds in `build`.
pub(crate) fn environment(
    from: &Variables,
    program: &Path,
    bin: &Path,
    build: &Path,
    progress: &Progress,
) -> Variables {
    let mut variables: Variables = from
        .iter()
        .filter(|(name, _)| !MISDIRECTING.iter().any(|misdirecting| name == misdirecting))
        .cloned()
        .collect();
    let mut set = |name: &str, value: &OsStr| set(&mut variables, name, value);
    set("CARGO_TARGET_DIR", build.as_os_str());
    // Since cargo 1.91 a setting of the user may put intermediate files elsewhere, where their size would be unbounded.
    set("CARGO_BUILD_BUILD_DIR", build.as_os_str());
    // The build has no terminal to prompt at.
    set("GIT_TERMINAL_PROMPT", "0".as_ref());
    if let Progress::Log(_) = progress {
        set("CARGO_TERM_COLOR", "never".as_ref());
        set("CARGO_TERM_PROGRESS_WHEN", "never".as_ref());
    }
    // cargo runs rustc by PATH, and rustup puts the two side by side.
    let path = from.iter().find(|(name, _)| name == "PATH");
    let path = path.map_or(OsStr::new(USUAL_PATH), |(_, path)| path.as_os_str());
    let mut folders: Vec<PathBuf> = std::env::split_paths(path).collect();
    if let Some(folder) = program.parent()
        && !folders.iter().any(|known| known == folder)
    {
        folders.push(folder.to_owned());
    }
    // Otherwise cargo would advise to put the slot on PATH.
    folders.push(bin.to_owned());
    // A folder whose name has a colon cannot be on PATH; then PATH stays as it is.
    if let Ok(path) = std::env::join_paths(folders) {
        set("PATH", &path);
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_keeps_what_cargo_needs_and_drops_what_derails_it() {
        let given = |pairs: &[(&str, &str)]| -> Variables {
            pairs
                .iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect()
        };
        let from = given(&[
            ("HOME", "/home/me"),
            ("RUSTFLAGS", "-C target-cpu=native"),
            ("HTTPS_PROXY", "http://proxy:3128"),
            ("GIT_SSL_CAINFO", "/ca.pem"),
            ("CARGO_TARGET_DIR", "/elsewhere"),
            ("CARGO_INSTALL_ROOT", "/opt"),
            ("GIT_DIR", "/repo/.git"),
            ("MAKEFLAGS", "-j --jobserver-auth=3,4"),
            ("PATH", "/usr/bin:/bin"),
        ]);
        let log = Progress::Log("/log".into());
        let found = environment(
            &from,
            Path::new("/c/bin/cargo"),
            Path::new("/slot/bin"),
            Path::new("/build"),
            &log,
        );
        assert_eq!(
            found,
            given(&[
                ("HOME", "/home/me"),
                ("RUSTFLAGS", "-C target-cpu=native"),
                ("HTTPS_PROXY", "http://proxy:3128"),
                ("GIT_SSL_CAINFO", "/ca.pem"),
                ("CARGO_TARGET_DIR", "/build"),
                ("CARGO_BUILD_BUILD_DIR", "/build"),
                ("GIT_TERMINAL_PROMPT", "0"),
                ("CARGO_TERM_COLOR", "never"),
                ("CARGO_TERM_PROGRESS_WHEN", "never"),
                ("PATH", "/usr/bin:/bin:/c/bin:/slot/bin"),
            ])
        );
    }

    #[test]
    fn cargo_is_found_where_people_have_it() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str, mode| {
            let path = folder.path().join(name).join("cargo");
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let home = folder.path().join("home");
        let find = |pairs: &[(&str, &Path)]| {
            let variables = pairs
                .iter()
                .map(|(name, value)| (name.into(), value.as_os_str().to_owned()))
                .collect();
            find_cargo(&variables, &home)
        };
        let error = find(&[]).unwrap_err();
        assert!(error.hint().unwrap().contains("rustup.rs"));

        let at_home = place("home/.cargo/bin", 0o755);
        assert_eq!(find(&[]).unwrap(), at_home);
        let elsewhere = place("elsewhere/bin", 0o755);
        let cargo_home = ("CARGO_HOME", folder.path().join("elsewhere"));
        let cargo_home = (cargo_home.0, cargo_home.1.as_path());
        assert_eq!(find(&[cargo_home]).unwrap(), elsewhere);
        let not_executable = place("broken", 0o644);
        let on_path = place("path", 0o755);
        let path =
            std::env::join_paths([not_executable.parent(), on_path.parent()].map(Option::unwrap))
                .unwrap();
        let path = ("PATH", Path::new(&path));
        assert_eq!(find(&[cargo_home, path]).unwrap(), on_path);
        let named = place("named", 0o755);
        assert_eq!(find(&[path, ("CARGO", &named)]).unwrap(), named);
        assert_eq!(
            find(&[path, ("CARGO", Path::new("cargo"))]).unwrap(),
            on_path
        );
    }
}
