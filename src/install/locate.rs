//! Finds bin-dir by the settings, by what was adopted before, and by how this `heph` was started.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::installation::{Installation, record_of};
use super::links::{BinDir, BinEntry};
use super::slots::Slots;
use crate::error::{Error, Result};
use crate::os::files;
use crate::paths::Paths;

const COMMAND: &str = "heph";
/// Cargo writes this into the tag of every target folder (`CACHEDIR.TAG`, bford.info/cachedir).
const CARGO_TAG: &str = "created by cargo";
/// The longest chain of links that is followed, as in the kernel (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// Folders of package managers, which update what is in them.
const MANAGED: &[&str] = &[
    "/bin",
    "/sbin",
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib",
    "/usr/libexec",
    "/nix/store",
    "/gnu/store",
    "/snap",
    "/opt/homebrew/Cellar",
    "/usr/local/Cellar",
    "/home/linuxbrew/.linuxbrew/Cellar",
    "/opt/local",
];

const HINT: &str =
    "set `bin-dir` in [self-update] to the folder of a heph that `cargo install` put there";

/// How this process was started.
#[derive(Clone, Debug, Default)]
struct Invocation {
    executable: Option<PathBuf>,
    /// Its name as the caller spelled it.
    called: Option<OsString>,
    path: Option<OsString>,
    cargo_install_root: Option<PathBuf>,
    cargo_home: Option<PathBuf>,
}

impl Invocation {
    fn this() -> Invocation {
        let folder = |name| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        Invocation {
            executable: std::env::current_exe().ok(),
            called: std::env::args_os().next(),
            path: std::env::var_os("PATH"),
            cargo_install_root: folder("CARGO_INSTALL_ROOT"),
            cargo_home: folder("CARGO_HOME"),
        }
    }
}

impl Invocation {
    /// Returns the paths at which the running executable may have been found: the one that the caller spelled, and those on
    /// PATH.
    fn as_called(&self) -> Vec<PathBuf> {
        let called = self
            .called
            .as_ref()
            .map(PathBuf::from)
            .filter(|called| called.components().count() > 1)
            .and_then(|called| std::path::absolute(called).ok());
        let on_path = self.path.iter().flat_map(std::env::split_paths);
        let on_path = on_path.filter(|folder| folder.is_absolute());
        let on_path = on_path.map(|folder| folder.join(COMMAND));
        called.into_iter().chain(on_path).collect()
    }
}

/// The input of the choice. Paths of executables have no links in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Clues {
    setting: Option<PathBuf>,
    /// The folder that was adopted before, if it still has a command of the packages.
    adopted: Option<PathBuf>,
    running: Option<PathBuf>,
    in_target_folder: bool,
    /// The folder in which the running executable was found by name: of its file, or of heph's link to it.
    found: Option<PathBuf>,
    versions: PathBuf,
    /// The folder in which `cargo install` puts commands.
    cargo: PathBuf,
}

impl BinDir {
    /// Finds the bin-dir of `packages`: the folder `setting`, else the one that was adopted, else the folder of the running
    /// `heph` (through the links), else cargo's.
    ///
    /// # Errors
    ///
    /// The running `heph` belongs to the system's package manager or is in a Cargo target folder, so heph must not replace it
    /// (only without a setting); or another installation uses the data folder.
    pub fn find(setting: Option<&Path>, packages: &[String], paths: &Paths) -> Result<BinDir> {
        find_from(&Invocation::this(), setting, packages, paths)
    }
}

fn find_from(
    invocation: &Invocation,
    setting: Option<&Path>,
    packages: &[String],
    paths: &Paths,
) -> Result<BinDir> {
    let clues = gather(invocation, setting, packages, paths);
    let folder = choose(&clues)?;
    // What the folder is counts, not how it is spelled: `..` and links lead elsewhere.
    let real = files::resolved(&folder);
    check_unmanaged(&real)?;
    if real.starts_with(&clues.versions) {
        // Its files would be replaced by links to themselves.
        return Err(Error::usage(format!(
            "bin-dir '{}' is inside a release",
            folder.display()
        ))
        .with_hint("set `bin-dir` in [self-update] to a folder on PATH, such as ~/.cargo/bin"));
    }
    if paths.current().is_symlink()
        && let Some(installation) = Installation::read(&record_of(paths))
    {
        installation.admits(packages, paths)?;
    }
    Ok(BinDir::at(folder, packages, paths))
}

/// Rejects a path below a folder that a package manager updates. `path` is resolved.
fn check_unmanaged(path: &Path) -> Result<()> {
    if !MANAGED.iter().any(|folder| path.starts_with(folder)) {
        return Ok(());
    }
    Err(Error::new(format!(
        "'{}' belongs to the system's package manager, which updates it",
        path.display()
    ))
    .with_hint(HINT))
}

fn choose(clues: &Clues) -> Result<PathBuf> {
    if let Some(folder) = &clues.setting {
        return Ok(folder.clone());
    }
    if let Some(running) = &clues.running {
        if clues.in_target_folder {
            return Err(Error::new(format!(
                "'{}' is in a Cargo target folder: the next build replaces it, so heph does not",
                running.display()
            ))
            .with_hint(HINT));
        }
        check_unmanaged(running)?;
    }
    let beside = clues
        .running
        .as_deref()
        .filter(|running| !running.starts_with(&clues.versions))
        .and_then(Path::parent);
    let folder = clues
        .adopted
        .as_deref()
        .or(clues.found.as_deref())
        .or(beside)
        .unwrap_or(&clues.cargo);
    Ok(folder.to_owned())
}

fn gather(
    invocation: &Invocation,
    setting: Option<&Path>,
    packages: &[String],
    paths: &Paths,
) -> Clues {
    let running = invocation
        .executable
        .as_ref()
        .and_then(|executable| fs::canonicalize(executable).ok());
    // Spelled as the running executable.
    let versions = fs::canonicalize(paths.versions()).unwrap_or_else(|_| paths.versions());
    let found = running.as_ref().and_then(|running| {
        let called = invocation.as_called().into_iter();
        called
            .filter(|path| fs::canonicalize(path).is_ok_and(|found| found == *running))
            .find_map(|path| home_of(path, &versions, paths))
    });
    let cargo = invocation
        .cargo_install_root
        .as_ref()
        .or(invocation.cargo_home.as_ref())
        .cloned()
        .unwrap_or_else(|| paths.home.join(".cargo"))
        .join("bin");
    Clues {
        setting: setting.map(Path::to_owned),
        adopted: adopted(packages, paths),
        in_target_folder: running.as_deref().is_some_and(in_target_folder),
        found,
        versions,
        running,
        cargo,
    }
}

/// Returns the recorded folder of an adoption, unless all of the commands are gone from it.
fn adopted(packages: &[String], paths: &Paths) -> Option<PathBuf> {
    let installation = Installation::read(&record_of(paths))?;
    let bin_dir = BinDir::at(installation.bin_dir, packages, paths);
    let current = Slots::new(paths).current().ok().flatten();
    let mut names = bin_dir.names(current.as_ref()).into_iter();
    names
        .any(|name| {
            let entry = bin_dir.entry(&name);
            entry.is_ok_and(|entry| !matches!(entry, BinEntry::Absent | BinEntry::Foreign))
        })
        .then_some(bin_dir.path)
}

/// Follows links from the command `path` to the folder of the file, or of the first link into heph's data folder.
fn home_of(mut path: PathBuf, versions: &Path, paths: &Paths) -> Option<PathBuf> {
    for _ in 0..MOST_LINKS {
        let folder = path.parent()?.to_owned();
        let name = path.file_name()?.to_str()?;
        match BinDir::at(folder.clone(), &[], paths).entry(name).ok()? {
            BinEntry::Linked | BinEntry::Astray => return Some(folder),
            // The file of a slot itself, called by its path: that says nothing about bin-dir.
            BinEntry::Plain if fs::canonicalize(&folder).ok()?.starts_with(versions) => {
                return None;
            }
            BinEntry::Plain => return Some(folder),
            BinEntry::Absent | BinEntry::Foreign => {}
        }
        // The folder is resolved, the name is not: only the last link is of interest.
        let next = folder.join(fs::read_link(&path).ok()?);
        path = fs::canonicalize(next.parent()?)
            .ok()?
            .join(next.file_name()?);
    }
    None
}

/// Returns the path by which the running `heph` is started whatever its release: as it was called, or as PATH finds it. Never a
/// path into a slot.
pub(crate) fn invoked_heph() -> Option<PathBuf> {
    invoked(&Invocation::this())
}

fn invoked(invocation: &Invocation) -> Option<PathBuf> {
    let running = fs::canonicalize(invocation.executable.as_ref()?).ok()?;
    let leads_to_it = |path: &PathBuf| fs::canonicalize(path).is_ok_and(|found| found == running);
    let mut paths = invocation.as_called();
    paths.push(running.clone());
    paths
        .into_iter()
        .find(|path| leads_to_it(path) && !in_slot(path))
}

/// Returns whether `path` is spelled as a path into a slot, of whatever installation.
fn in_slot(path: &Path) -> bool {
    let bin = path.parent().and_then(|bin| fs::canonicalize(bin).ok());
    let slot = bin.as_deref().and_then(Path::parent);
    slot.is_some_and(|slot| slot.join("release.json").is_file())
}

/// Returns whether `executable` was built but not installed.
///
/// Cargo keeps `.cargo-lock` and `.fingerprint` in `target/<profile>`, with the executable there or in `deps` or
/// `examples` below; and a tag in `target`.
fn in_target_folder(executable: &Path) -> bool {
    let folders = || executable.ancestors().skip(1);
    let is_profile = |folder: &Path| {
        folder.join(".cargo-lock").is_file() || folder.join(".fingerprint").is_dir()
    };
    let is_target = |folder: &Path| {
        fs::read(folder.join("CACHEDIR.TAG"))
            .is_ok_and(|tag| String::from_utf8_lossy(&tag).contains(CARGO_TAG))
    };
    // target/<triple>/<profile>/deps is the deepest.
    folders().take(2).any(is_profile)
        || (folders()
            .take(2)
            .any(|folder| folder.ends_with("debug") || folder.ends_with("release"))
            && folders().take(4).any(is_target))
}

#[cfg(test)]
mod tests;
