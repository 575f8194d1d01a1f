//! bin-dir: links to `current/bin/…`.
//!
//! A link says `<data>/current/bin/<name>`, so switching `current` changes all commands at once and bin-dir need not be
//! written at all. It is written only where a release has another set of commands than the one before: the links to
//! what goes are removed just before the switch ([`BinDir::retire`]), the links to what comes are made just after it
//! ([`BinDir::relink`]). So no command in bin-dir ever points at nothing.
//!
//! A plain `cargo install` of a later day replaces links by files. That is the user's good right: the next `apply`
//! adopts them ([`BinDir::adopt`]).

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use semver::Version;

use super::cargo_record::{self, InstalledPackage};
use super::installation::{self, Installation};
use super::slots::{Slot, Slots, is_command_name};
use super::verify;
use crate::config::SelfUpdate;
use crate::error::{Error, Result, ResultExt};
use crate::os::files;
use crate::paths::Paths;

/// The commands of an installation, where the user's shell finds them.
#[derive(Clone, Debug)]
pub struct BinDir {
    /// The folder.
    pub path: PathBuf,
    pub(super) current: PathBuf,
    /// The packages that the settings name; empty where no settings were at hand.
    pub(super) packages: Vec<String>,
    record: PathBuf,
}

/// What stands in bin-dir under the name of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BinEntry {
    /// Nothing.
    Absent,
    /// The link to `current/bin/<name>`.
    Linked,
    /// A link to some other place in heph's data folder.
    Astray,
    /// A file.
    Plain,
    /// Something that heph has no business with: a link to elsewhere, a folder.
    Foreign,
}

impl BinDir {
    /// Finds bin-dir: the setting, else the one that was adopted, else the folder of the running `heph` (through the
    /// links), else cargo's.
    ///
    /// # Errors
    ///
    /// The running `heph` belongs to the system's package manager or sits in a Cargo target folder, so heph must not
    /// replace it (only where the setting names no other folder).
    pub fn find(settings: &SelfUpdate, paths: &Paths) -> Result<BinDir> {
        super::locate::bin_dir(&super::locate::Invocation::this(), settings, paths)
    }

    /// Returns the bin-dir `path` of an installation that has its data below `paths`.
    pub fn at(path: PathBuf, paths: &Paths) -> BinDir {
        BinDir {
            path,
            current: paths.current(),
            packages: Vec::new(),
            record: installation::record_of(paths),
        }
    }

    /// Returns the version installed: of the slot in use where bin-dir links to it, else of the plain files found.
    /// `None`: none of the packages' binaries is there.
    ///
    /// Where links and files are mixed, the command that is called like a package decides.
    pub fn installed(&self, settings: &SelfUpdate, slots: &Slots) -> Result<Option<Version>> {
        let current = slots.current();
        let names = self.names(settings, current.as_ref().ok().and_then(Option::as_ref));
        let there: Vec<(&String, BinEntry)> = names
            .iter()
            .map(|name| Ok((name, self.standing(name)?)))
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .filter(|(_, standing)| *standing != BinEntry::Absent)
            .collect();
        let main = settings
            .packages
            .iter()
            .find_map(|package| there.iter().find(|(name, _)| *name == package))
            .or_else(|| there.first());
        let Some((name, standing)) = main else {
            return Ok(None);
        };
        let path = self.path.join(name);
        match standing {
            BinEntry::Foreign => Err(foreign(&path)),
            BinEntry::Linked => match current {
                Ok(slot) => Ok(slot
                    .filter(|slot| slot.has(name))
                    .map(|slot| slot.manifest.version)),
                // The slot is damaged, but the command may still start: then an update can repair it.
                Err(error) => verify::says(&path).map(Some).map_err(|_| error),
            },
            // A link into a slot that is gone is no installation.
            BinEntry::Astray if !path.exists() => Ok(None),
            BinEntry::Absent | BinEntry::Astray | BinEntry::Plain => verify::says(&path).map(Some),
        }
    }

    /// Adds links for binaries of `slot` that have none, and removes heph's links to binaries that it does not have.
    /// A foreign file of that name is an error that names it. Call it only while `slot` is current.
    pub fn relink(&self, slot: &Slot) -> Result<()> {
        let missing = self.missing(slot)?;
        if !missing.is_empty() {
            fs::create_dir_all(&self.path)
                .with_context(|| format!("cannot make the folder '{}'", self.path.display()))?;
        }
        for name in missing {
            self.link(name)?;
        }
        self.retire(slot)?;
        self.remember()
    }

    /// Removes heph's links to binaries that `next` does not have: call it just before the switch to `next`, so that
    /// they never point at nothing.
    pub fn retire(&self, next: &Slot) -> Result<()> {
        let stale = self.stale(next)?;
        for name in &stale {
            let path = self.path.join(name);
            files::remove_file_if_there(&path)
                .with_context(|| format!("cannot remove the link '{}'", path.display()))?;
        }
        if stale.is_empty() {
            return Ok(());
        }
        files::sync_dir(&self.path)
    }

    /// Checks, before the switch, that `relink` to `slot` will be able to work: bin-dir is writable where links are missing, no foreign file is in the way.
    pub fn check(&self, slot: &Slot) -> Result<()> {
        if self.missing(slot)?.is_empty() && self.stale(slot)?.is_empty() {
            return Ok(());
        }
        self.check_writable()
    }

    /// Returns what is wrong with the links, one sentence each: for `doctor`. `slot` is the current one.
    pub fn problems(&self, slot: &Slot) -> Vec<String> {
        let mut problems = Vec::new();
        for binary in &slot.manifest.binaries {
            let path = self.path.join(&binary.name);
            let shown = path.display();
            match self.standing(&binary.name) {
                Ok(BinEntry::Linked) if path.exists() => {}
                Ok(BinEntry::Linked) => problems.push(format!("'{shown}' points at nothing")),
                Ok(BinEntry::Absent) => problems.push(format!("'{shown}' is missing")),
                Ok(BinEntry::Astray) => problems.push(format!(
                    "'{shown}' does not follow '{}'",
                    self.current.display()
                )),
                Ok(BinEntry::Plain) => problems.push(format!(
                    "'{shown}' is a file, not a link: the next `heph self-update apply` adopts it"
                )),
                Ok(BinEntry::Foreign) => {
                    problems.push(format!("'{shown}' was not put there by heph"));
                }
                Err(error) => problems.push(error.one_line()),
            }
        }
        match self.stale(slot) {
            Ok(stale) => problems.extend(stale.iter().map(|name| {
                let path = self.path.join(name);
                format!(
                    "'{}' links to a command that the release does not have",
                    path.display()
                )
            })),
            Err(error) => problems.push(error.one_line()),
        }
        problems
    }

    /// Returns whether something that heph did not put there has the name of one of `slot`'s commands.
    pub fn is_obstructed(&self, slot: &Slot) -> bool {
        let foreign = |name: &str| !matches!(self.standing(name), Ok(standing) if standing != BinEntry::Foreign);
        slot.manifest
            .binaries
            .iter()
            .any(|binary| foreign(&binary.name))
    }

    /// Returns whether the path `program` names something in this folder, however the folder is spelled.
    pub fn holds(&self, program: &Path) -> bool {
        program
            .parent()
            .is_some_and(|folder| folder == self.path || same_folder(folder, &self.path))
    }

    /// Points the command `name` at the slot in use, with one rename.
    pub(super) fn link(&self, name: &str) -> Result<()> {
        files::replace_symlink(&self.path.join(name), &self.target(name))
    }

    fn target(&self, name: &str) -> PathBuf {
        self.current.join("bin").join(name)
    }

    /// Returns the names of `slot`'s binaries that have no proper link.
    ///
    /// # Errors
    ///
    /// Something foreign has one of the names.
    fn missing<'a>(&self, slot: &'a Slot) -> Result<Vec<&'a str>> {
        let mut missing = Vec::new();
        for binary in &slot.manifest.binaries {
            match self.standing(&binary.name)? {
                BinEntry::Linked => {}
                BinEntry::Absent | BinEntry::Astray => missing.push(binary.name.as_str()),
                BinEntry::Plain | BinEntry::Foreign => {
                    return Err(foreign(&self.path.join(&binary.name)));
                }
            }
        }
        Ok(missing)
    }

    /// Returns the names of heph's links to binaries that `slot` does not have.
    fn stale(&self, slot: &Slot) -> Result<Vec<String>> {
        let cannot = || format!("cannot list '{}'", self.path.display());
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.with_context(cannot)?,
        };
        let mut stale = Vec::new();
        for entry in entries {
            let entry = entry.with_context(cannot)?;
            if let Ok(name) = entry.file_name().into_string()
                && entry.file_type().with_context(cannot)?.is_symlink()
                && !slot.has(&name)
                && self.standing(&name)? == BinEntry::Linked
            {
                stale.push(name);
            }
        }
        stale.sort();
        Ok(stale)
    }

    /// Returns what stands under `name`.
    pub(super) fn standing(&self, name: &str) -> Result<BinEntry> {
        let path = self.path.join(name);
        let kind = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata.file_type(),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(BinEntry::Absent);
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot look at '{}'", path.display()));
            }
        };
        if kind.is_file() {
            return Ok(BinEntry::Plain);
        }
        if !kind.is_symlink() {
            return Ok(BinEntry::Foreign);
        }
        let target = fs::read_link(&path)
            .with_context(|| format!("cannot read the link '{}'", path.display()))?;
        let target = self.path.join(target);
        if target == self.target(name) {
            return Ok(BinEntry::Linked);
        }
        let data = self.current.parent().unwrap_or(&self.current);
        // The data folder may be spelled in more than one way, as where /home is a link.
        let in_data = |folder: &Path| folder == data || same_folder(folder, data);
        let same = target.file_name().is_some_and(|file| file == name)
            && target.parent().is_some_and(|bin| {
                bin.ends_with("current/bin") && bin.ancestors().nth(2).is_some_and(in_data)
            });
        Ok(if same {
            BinEntry::Linked
        } else if target.ancestors().skip(1).any(in_data) {
            BinEntry::Astray
        } else {
            BinEntry::Foreign
        })
    }

    /// Returns the names that the packages' commands have, sorted: those cargo recorded beside bin-dir and those of the
    /// slot in use. For a package that neither knows, the name of the package (and `hephd`, which comes with `heph`).
    pub(super) fn names(&self, settings: &SelfUpdate, current: Option<&Slot>) -> Vec<String> {
        let recorded = self.recorded(settings);
        let mut names: Vec<String> = recorded
            .iter()
            .flat_map(|installed| installed.binaries.iter().cloned())
            .collect();
        for package in &settings.packages {
            if recorded.iter().all(|known| known.package != *package) {
                names.push(package.clone());
                if package == env!("CARGO_PKG_NAME") {
                    names.push("hephd".to_owned());
                }
            }
        }
        if let Some(slot) = current {
            names.extend(
                slot.manifest
                    .binaries
                    .iter()
                    .map(|binary| binary.name.clone()),
            );
        }
        names.retain(|name| is_command_name(name));
        names.sort();
        names.dedup();
        names
    }

    /// Returns the commands of the packages that are there, sorted.
    pub(super) fn commands(&self, settings: &SelfUpdate, current: Option<&Slot>) -> Vec<String> {
        let mut names = self.names(settings, current);
        names.retain(|name| matches!(self.standing(name), Ok(BinEntry::Plain | BinEntry::Linked)));
        names
    }

    /// Returns what cargo recorded of the packages beside bin-dir, which it does where bin-dir is `<root>/bin`.
    pub(super) fn recorded(&self, settings: &SelfUpdate) -> Vec<InstalledPackage> {
        let root = self
            .path
            .parent()
            .filter(|_| self.path.file_name().is_some_and(|name| name == "bin"));
        // A record that cannot be read is cargo's trouble; the commands are still there under their usual names.
        let mut recorded = root
            .and_then(|root| cargo_record::read(root).ok())
            .unwrap_or_default();
        recorded.retain(|installed| settings.packages.contains(&installed.package));
        recorded
    }

    /// Checks that entries of bin-dir, or bin-dir itself where it is not there yet, can be made.
    ///
    /// # Errors
    ///
    /// They cannot; the error names the folder.
    pub(super) fn check_writable(&self) -> Result<()> {
        let there = self
            .path
            .ancestors()
            .find(|folder| folder.exists())
            .unwrap_or(&self.path);
        // For root too: it tells of a file system that is mounted read-only (access(2), EROFS).
        rustix::fs::access(there, Access::WRITE_OK | Access::EXEC_OK).with_context(|| {
            Error::new(format!("cannot write to the folder '{}'", there.display())).with_hint(
                "make it writable for you, or set `bin-dir` in [self-update] to a folder that is",
            )
        })
    }

    /// Remembers what is installed here, for runs that cannot tell bin-dir from how they were started.
    pub(super) fn remember(&self) -> Result<()> {
        Installation::new(&self.path, &self.packages).write(&self.record)
    }
}

fn same_folder(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino()));
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}

/// Returns the error for something in bin-dir that heph must not touch.
pub(super) fn foreign(path: &Path) -> Error {
    Error::new(format!(
        "'{}' is in the way: heph did not put it there",
        path.display()
    ))
    .with_hint("move it elsewhere, or set `bin-dir` in [self-update] to another folder")
}
