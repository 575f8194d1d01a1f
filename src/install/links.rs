//! bin-dir: links to `current/bin/…`.
//!
//! A link is `<data>/current/bin/<name>`, so switching `current` changes all commands at once, and bin-dir itself need not be
//! written. It is written only if a release has another set of commands than the one before: the links to removed commands
//! are removed just before the switch ([`BinDir::retire`]), the links to new ones are made just after it
//! ([`BinDir::relink`]). So no command in bin-dir ever points at nothing.
//!
//! A later `cargo install` of the user replaces links by files. The next `apply` adopts them ([`BinDir::adopt`]).

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use semver::Version;

use super::cargo_record::{self, InstalledPackage};
use super::installation::{self, Installation};
use super::slots::{Slot, Slots, is_command_name};
use super::verify;
use crate::error::{Error, Result, ResultExt};
use crate::os::files;
use crate::paths::Paths;

const HEPHD: &str = "hephd";

/// The commands of an installation, where the user's shell finds them.
#[derive(Clone, Debug)]
pub struct BinDir {
    /// The folder.
    pub path: PathBuf,
    pub(super) packages: Vec<String>,
    current: PathBuf,
    record: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BinEntry {
    Absent,
    /// The link to `current/bin/<name>`.
    Linked,
    /// A link to some other place in heph's data folder.
    Astray,
    Plain,
    /// Not heph's: a link to elsewhere, a folder.
    Foreign,
}

impl BinDir {
    /// Returns the bin-dir `path` of `packages`, with data below `paths`.
    pub fn at(path: PathBuf, packages: &[String], paths: &Paths) -> BinDir {
        BinDir {
            path,
            packages: packages.to_vec(),
            current: paths.current(),
            record: installation::record_of(paths),
        }
    }

    /// Returns the installed version: that of the slot in use if bin-dir links to it, otherwise that of the plain files.
    /// `None`: no command of the packages is installed.
    ///
    /// If links and files are mixed, the command named like a package decides.
    pub fn installed(&self, slots: &Slots) -> Result<Option<Version>> {
        let current = slots.current();
        let names = self.names(current.as_ref().ok().and_then(Option::as_ref));
        let mut found = self.entries(names)?;
        found.retain(|(_, entry)| *entry != BinEntry::Absent);
        let main = self
            .packages
            .iter()
            .find_map(|package| found.iter().find(|(name, _)| name == package))
            .or_else(|| found.first());
        let Some((name, entry)) = main else {
            return Ok(None);
        };
        let path = self.path.join(name);
        match entry {
            BinEntry::Foreign => Err(foreign(&path)),
            BinEntry::Linked => match current {
                Ok(slot) => Ok(slot
                    .filter(|slot| slot.has(name))
                    .map(|slot| slot.manifest.version)),
                // The slot is gone: any release is better than none.
                Err(_) if !path.exists() => Ok(None),
                // The slot is damaged, but if the command still starts, an update can repair it.
                Err(error) => verify::version_of(&path).map(Some).map_err(|_| error),
            },
            // A link into a removed slot is not an installation.
            BinEntry::Astray if !path.exists() => Ok(None),
            BinEntry::Absent | BinEntry::Astray | BinEntry::Plain => {
                verify::version_of(&path).map(Some)
            }
        }
    }

    /// Adds the missing links to the binaries of `slot`, and removes heph's links to other binaries. Call it only while `slot`
    /// is current.
    ///
    /// # Errors
    ///
    /// Something foreign is in the way; the error names it.
    pub fn relink(&self, slot: &Slot) -> Result<()> {
        let missing = self.missing(slot)?;
        if !missing.is_empty() {
            fs::create_dir_all(&self.path)
                .with_context(|| format!("cannot create the folder '{}'", self.path.display()))?;
        }
        for name in missing {
            self.link(name)?;
        }
        self.retire(slot)?;
        self.record()
    }

    /// Removes heph's links to binaries that `next` does not have. Call it just before the switch to `next`, so that they never
    /// point at nothing.
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

    /// Returns whether a link leads to a command that does not start, or to none at all.
    pub fn is_broken(&self, slots: &Slots) -> Result<bool> {
        if slots.current().is_ok() {
            return Ok(false);
        }
        for (name, kind) in files::entries(&self.path)? {
            let linked = kind.is_symlink() && self.entry(&name)? == BinEntry::Linked;
            if linked && verify::version_of(&self.path.join(name)).is_err() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns the installed commands that `next` does not have, sorted.
    pub fn lost(&self, slots: &Slots, next: &Slot) -> Vec<String> {
        let current = slots.current().ok().flatten();
        let mut lost = self.commands(current.as_ref());
        lost.retain(|name| !next.has(name) && self.path.join(name).exists());
        lost
    }

    /// Returns whether hephd is one of the commands of the packages.
    pub fn brings_hephd(&self, slots: &Slots) -> bool {
        let current = slots.current().ok().flatten();
        self.names(current.as_ref())
            .iter()
            .any(|name| name == HEPHD)
    }

    /// Fails, before the switch, if [`BinDir::relink`] to `slot` would: bin-dir is not writable, or something foreign is in the
    /// way.
    pub fn check(&self, slot: &Slot) -> Result<()> {
        if self.missing(slot)?.is_empty() && self.stale(slot)?.is_empty() {
            return Ok(());
        }
        self.check_writable()
    }

    /// Returns what is wrong with the links to the current `slot`, one sentence each, for `doctor`.
    pub fn problems(&self, slot: &Slot) -> Vec<String> {
        let mut problems = Vec::new();
        for name in slot.manifest.names() {
            let path = self.path.join(name);
            let shown = path.display();
            match self.entry(name) {
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

    /// Returns whether something foreign has the name of one of `slot`'s commands.
    pub fn is_obstructed(&self, slot: &Slot) -> bool {
        let mut names = slot.manifest.names();
        names.any(|name| matches!(self.entry(name), Ok(BinEntry::Foreign) | Err(_)))
    }

    /// Returns whether `program` is a path in this folder, however the folder is spelled.
    pub fn holds(&self, program: &Path) -> bool {
        program
            .parent()
            .is_some_and(|folder| folder == self.path || same_folder(folder, &self.path))
    }

    pub(super) fn link(&self, name: &str) -> Result<()> {
        files::replace_symlink(&self.path.join(name), &self.target(name))
    }

    fn target(&self, name: &str) -> PathBuf {
        self.current.join("bin").join(name)
    }

    /// Returns the names of `slot`'s binaries without a proper link.
    ///
    /// # Errors
    ///
    /// Something foreign has one of the names.
    fn missing<'a>(&self, slot: &'a Slot) -> Result<Vec<&'a str>> {
        let mut missing = Vec::new();
        for name in slot.manifest.names() {
            match self.entry(name)? {
                BinEntry::Linked => {}
                BinEntry::Absent | BinEntry::Astray => missing.push(name),
                BinEntry::Plain | BinEntry::Foreign => {
                    return Err(foreign(&self.path.join(name)));
                }
            }
        }
        Ok(missing)
    }

    /// Returns the names of heph's links to binaries that `slot` does not have.
    fn stale(&self, slot: &Slot) -> Result<Vec<String>> {
        let mut stale = Vec::new();
        for (name, kind) in files::entries(&self.path)? {
            if kind.is_symlink() && !slot.has(&name) && self.entry(&name)? == BinEntry::Linked {
                stale.push(name);
            }
        }
        Ok(stale)
    }

    pub(super) fn entries(&self, names: Vec<String>) -> Result<Vec<(String, BinEntry)>> {
        let with_entry = |name: String| Ok((name.clone(), self.entry(&name)?));
        names.into_iter().map(with_entry).collect()
    }

    pub(super) fn entry(&self, name: &str) -> Result<BinEntry> {
        let path = self.path.join(name);
        let Some(metadata) = files::metadata_if_there(&path)? else {
            return Ok(BinEntry::Absent);
        };
        let kind = metadata.file_type();
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

    /// Returns the names of the packages' commands, sorted: those that cargo recorded beside bin-dir and those of the slot in
    /// use. For a package that is in neither, the name of the package (and `hephd`, which comes with `heph`).
    pub(super) fn names(&self, current: Option<&Slot>) -> Vec<String> {
        let recorded = self.recorded();
        let mut names: Vec<String> = recorded
            .iter()
            .flat_map(|installed| installed.binaries.iter().cloned())
            .collect();
        for package in &self.packages {
            if recorded.iter().all(|known| known.package != *package) {
                names.push(package.clone());
                if package == env!("CARGO_PKG_NAME") {
                    names.push(HEPHD.to_owned());
                }
            }
        }
        if let Some(slot) = current {
            names.extend(slot.manifest.names().map(str::to_owned));
        }
        names.retain(|name| is_command_name(name));
        names.sort();
        names.dedup();
        names
    }

    pub(super) fn commands(&self, current: Option<&Slot>) -> Vec<String> {
        let mut names = self.names(current);
        names.retain(|name| matches!(self.entry(name), Ok(BinEntry::Plain | BinEntry::Linked)));
        names
    }

    /// Returns what cargo recorded of the packages beside bin-dir, which it does if bin-dir is `<root>/bin`.
    pub(super) fn recorded(&self) -> Vec<InstalledPackage> {
        let root = self
            .path
            .parent()
            .filter(|_| self.path.file_name().is_some_and(|name| name == "bin"));
        // An unreadable record is not heph's to report; the commands are still there under their usual names.
        let mut recorded = root
            .and_then(|root| cargo_record::read(root).ok())
            .unwrap_or_default();
        recorded.retain(|installed| self.packages.contains(&installed.package));
        recorded
    }

    /// Returns those of the `recorded` packages that have a command which is a plain file: `cargo install` put it there since the
    /// last update.
    pub(super) fn installed_by_cargo(&self, recorded: &[InstalledPackage]) -> Vec<String> {
        let is_plain = |name: &String| matches!(self.entry(name), Ok(BinEntry::Plain));
        let mut packages: Vec<String> = Vec::new();
        for installed in recorded {
            let mut names = installed
                .binaries
                .iter()
                .filter(|name| is_command_name(name));
            if names.any(is_plain) {
                packages.push(installed.package.clone());
            }
        }
        packages
    }

    /// Fails unless entries of bin-dir, or bin-dir itself if it does not exist yet, can be created.
    pub(super) fn check_writable(&self) -> Result<()> {
        let existing = self
            .path
            .ancestors()
            .find(|folder| folder.exists())
            .unwrap_or(&self.path);
        // For root as well: it detects a file system that is mounted read-only (access(2), EROFS).
        rustix::fs::access(existing, Access::WRITE_OK | Access::EXEC_OK).with_context(|| {
            Error::new(format!(
                "cannot write to the folder '{}'",
                existing.display()
            ))
            .with_hint(
                "make it writable for you, or set `bin-dir` in [self-update] to a folder that is",
            )
        })
    }

    /// Records what is installed here, for runs that cannot find bin-dir by how they were started.
    pub(super) fn record(&self) -> Result<()> {
        Installation::new(&self.path, &self.packages).write(&self.record)
    }
}

fn same_folder(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino()));
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}

pub(super) fn foreign(path: &Path) -> Error {
    Error::new(format!(
        "'{}' is in the way: heph did not put it there",
        path.display()
    ))
    .with_hint("move it elsewhere, or set `bin-dir` in [self-update] to another folder")
}
