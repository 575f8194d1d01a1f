//! Slots: `versions/<version>/`, each complete or absent, and the one link that says which is in use.
//!
//! A folder becomes a slot by its `release.json`, written after everything else in it is on disk; it stops being one
//! when that file goes, before anything else in it does. So whoever finds the file finds the whole release, at any
//! instant and after any crash. Folders with other names, and manifests of a newer heph, are somebody else's: they are
//! neither listed nor removed.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use semver::Version;

pub use super::slot_manifest::{Binary, Delivery, SlotManifest, is_command_name};
use crate::error::{Error, Result, ResultExt, bail, ensure};
use crate::os::files;
use crate::paths::Paths;

/// The file that makes a folder a slot.
const MANIFEST: &str = "release.json";
/// No manifest is larger than this many bytes.
const MANIFEST_LIMIT: u64 = 1 << 20;

/// A complete slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The folder's name: the version, or `<version>~<n>` for the n-th fresh installation of the same version.
    pub name: String,
    /// The folder.
    pub path: PathBuf,
    /// Its `release.json`.
    pub manifest: SlotManifest,
}

impl Slot {
    /// Returns the path of the binary `name` in this slot, whether or not it is there.
    pub fn binary(&self, name: &str) -> PathBuf {
        self.path.join("bin").join(name)
    }

    /// Returns whether the release contains the binary `name`.
    pub fn has(&self, name: &str) -> bool {
        self.manifest
            .binaries
            .iter()
            .any(|binary| binary.name == name)
    }

    /// Reads every binary and compares it with its recorded digest.
    ///
    /// # Errors
    ///
    /// One differs or cannot be read; the error names it.
    pub fn verify(&self) -> Result<()> {
        for binary in &self.manifest.binaries {
            let path = self.binary(&binary.name);
            ensure!(
                Binary::of(&binary.name, &path)? == *binary,
                "'{}' is not what was installed: its content has changed",
                path.display()
            );
        }
        Ok(())
    }

    /// Returns how many times the version had been installed when this slot was made, from 1.
    fn nth(&self) -> u32 {
        parse_name(&self.name).map_or(1, |(_, nth)| nth)
    }
}

/// All slots of an installation.
#[derive(Clone, Debug)]
pub struct Slots {
    versions: PathBuf,
    current: PathBuf,
}

impl Slots {
    /// Returns the slots below `paths`.
    pub fn new(paths: &Paths) -> Slots {
        Slots {
            versions: paths.versions(),
            current: paths.current(),
        }
    }

    /// Returns the complete slots, the highest version first, of one version the newest first.
    pub fn list(&self) -> Result<Vec<Slot>> {
        let mut slots = Vec::new();
        for name in self.folders()? {
            slots.extend(self.open(&name)?);
        }
        slots.sort_by(|one, other| {
            let key = |slot: &Slot| (slot.manifest.version.clone(), slot.nth());
            key(other).cmp(&key(one))
        });
        Ok(slots)
    }

    /// Returns the complete slot called `name`.
    pub fn open(&self, name: &str) -> Result<Option<Slot>> {
        Ok(match self.look(name)? {
            FolderState::Slot(slot) => Some(slot),
            FolderState::Incomplete(_) | FolderState::Foreign(_) => None,
        })
    }

    /// Returns the newest complete slot of `version`.
    pub fn find(&self, version: &Version) -> Result<Option<Slot>> {
        Ok(self
            .list()?
            .into_iter()
            .find(|slot| slot.manifest.version == *version))
    }

    /// Returns the slot that `current` points at; `None` where there is no such link.
    ///
    /// # Errors
    ///
    /// The link points at something that is not a complete slot.
    pub fn current(&self) -> Result<Option<Slot>> {
        let Some(name) = self.current_name()? else {
            return Ok(None);
        };
        match self.look(&name)? {
            FolderState::Slot(slot) => Ok(Some(slot)),
            FolderState::Incomplete(why) | FolderState::Foreign(why) => {
                Err(self.broken(&name, &why))
            }
        }
    }

    /// Returns a folder, not there yet, in which `version` can be staged.
    pub fn unused(&self, version: &Version) -> Result<PathBuf> {
        files::create_private_dir(&self.versions)?;
        let newest = self
            .folders()?
            .iter()
            .filter_map(|name| parse_name(name))
            .filter(|(of, _)| of == version)
            .map(|(_, nth)| nth)
            .max();
        let mut nth = newest.map_or(1, |nth| nth.saturating_add(1));
        loop {
            let path = self.versions.join(show_name(version, nth));
            match fs::symlink_metadata(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(path),
                // A file, a link, or another spelling of the name on a file system that ignores case.
                Ok(_) => nth = nth.checked_add(1).context("no slot name is left")?,
                Err(error) => {
                    return Err(error)
                        .with_context(|| format!("cannot look at '{}'", path.display()));
                }
            }
        }
    }

    /// Writes `release.json` into the staged folder after syncing everything in it: from now on it is a slot.
    ///
    /// # Errors
    ///
    /// The folder is not one of [`Slots::unused`] for this version, lacks a binary, or cannot be synced.
    pub fn seal(&self, folder: &Path, manifest: SlotManifest) -> Result<Slot> {
        let name = folder
            .file_name()
            .and_then(|name| name.to_str())
            .filter(|_| folder.parent() == Some(&self.versions))
            .with_context(|| format!("'{}' is no place for a slot", folder.display()))?;
        let path = folder.to_owned();
        let slot = Slot {
            name: name.to_owned(),
            path,
            manifest,
        };
        if let Err(why) = complete(&slot) {
            bail!("cannot make '{}' a slot: {why}", folder.display());
        }
        sync_tree(folder)?;
        // The name of the folder itself, and that of the folder it is in, must survive as well.
        files::sync_dir(&self.versions)?;
        if let Some(data) = self.versions.parent() {
            files::sync_dir(data)?;
        }
        let mut text = serde_json::to_vec_pretty(&slot.manifest)
            .with_context(|| format!("cannot describe '{}'", folder.display()))?;
        text.push(b'\n');
        files::write_atomic(&folder.join(MANIFEST), &text, files::PRIVATE)?;
        Ok(slot)
    }

    /// Points `current` at `slot`: one rename, all binaries at once.
    ///
    /// # Errors
    ///
    /// It is not a complete slot (any more), or the link cannot be replaced; `current` is then what it was.
    pub fn switch(&self, slot: &Slot) -> Result<()> {
        if let FolderState::Incomplete(why) | FolderState::Foreign(why) = self.look(&slot.name)? {
            bail!("cannot switch to '{}': {why}", slot.path.display());
        }
        if self.current.is_dir() && !self.current.is_symlink() {
            return Err(no_link(&self.current));
        }
        files::replace_symlink(&self.current, &Path::new("versions").join(&slot.name))
    }

    /// Removes `slot`: first its `release.json`, so that a half-removed one is no slot. The current one is refused.
    pub fn remove(&self, slot: &Slot) -> Result<()> {
        ensure!(
            self.current_name()?.as_deref() != Some(&slot.name),
            "cannot remove '{}': it is in use",
            slot.path.display()
        );
        files::remove_file_if_there(&slot.path.join(MANIFEST))
            .with_context(|| format!("cannot remove '{}'", slot.path.display()))?;
        files::sync_dir(&slot.path)?;
        files::remove_tree_if_there(&slot.path)
    }

    /// Removes folders that never became slots. Returns their names. Call it only under the lock.
    pub fn sweep(&self) -> Result<Vec<String>> {
        // Where nobody can tell which folder is in use, none is removed; adoption puts the link right.
        let Ok(current) = self.current_name() else {
            return Ok(Vec::new());
        };
        let mut swept = Vec::new();
        for name in self.folders()? {
            if current.as_ref() == Some(&name) {
                continue;
            }
            if let FolderState::Incomplete(_) = self.look(&name)? {
                files::remove_tree_if_there(&self.versions.join(&name))?;
                swept.push(name);
            }
        }
        Ok(swept)
    }

    /// Returns the names of real folders (no links) that are named like slots, sorted.
    fn folders(&self) -> Result<BTreeSet<String>> {
        let cannot = || format!("cannot list '{}'", self.versions.display());
        let entries = match fs::read_dir(&self.versions) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            entries => entries.with_context(cannot)?,
        };
        let mut names = BTreeSet::new();
        for entry in entries {
            let entry = entry.with_context(cannot)?;
            if let Ok(name) = entry.file_name().into_string()
                && parse_name(&name).is_some()
                && entry.file_type().with_context(cannot)?.is_dir()
            {
                names.insert(name);
            }
        }
        Ok(names)
    }

    /// Returns the name of the slot that `current` points at, whether or not it is one.
    fn current_name(&self) -> Result<Option<String>> {
        let target = match fs::read_link(&self.current) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            // What readlink(2) says of anything that is no link.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                return Err(no_link(&self.current));
            }
            target => target
                .with_context(|| format!("cannot read the link '{}'", self.current.display()))?,
        };
        let name = target.file_name().and_then(|name| name.to_str());
        match name {
            Some(name)
                if target == Path::new("versions").join(name)
                    || target == self.versions.join(name) =>
            {
                Ok(Some(name.to_owned()))
            }
            _ => Err(self.broken(&target.to_string_lossy(), "that is no slot of heph")),
        }
    }

    fn broken(&self, target: &str, why: &str) -> Error {
        Error::new(format!(
            "'{}' points at '{target}', which is not a complete release: {why}",
            self.current.display()
        ))
        .with_hint(
            "install it again with `cargo install`; the next `heph self-update apply` adopts it",
        )
    }

    /// Looks at the folder called `name`.
    fn look(&self, name: &str) -> Result<FolderState> {
        let path = self.versions.join(name);
        if parse_name(name).is_none() {
            return Ok(FolderState::Foreign("its name is not a version".to_owned()));
        }
        match fs::symlink_metadata(&path) {
            Ok(folder) if folder.is_dir() => {}
            Ok(_) => return Ok(FolderState::Foreign("it is no folder".to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(FolderState::Incomplete("it is not there".to_owned()));
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot look at '{}'", path.display()));
            }
        }
        let text = match files::read_if_there(&path.join(MANIFEST), MANIFEST_LIMIT) {
            Ok(Some(text)) => text,
            Ok(None) => return Ok(FolderState::Incomplete(format!("it has no {MANIFEST}"))),
            // Another user's file, perhaps.
            Err(error) => return Ok(FolderState::Foreign(error.one_line())),
        };
        let manifest = match SlotManifest::read(&text) {
            Ok(Some(manifest)) => manifest,
            Ok(None) => {
                return Ok(FolderState::Foreign(format!(
                    "its {MANIFEST} is of a newer heph"
                )));
            }
            Err(why) => return Ok(FolderState::Incomplete(why)),
        };
        let slot = Slot {
            name: name.to_owned(),
            path,
            manifest,
        };
        Ok(match complete(&slot) {
            Ok(()) => FolderState::Slot(slot),
            Err(why) => FolderState::Incomplete(why),
        })
    }
}

/// Returns the error for a `current` that is a file or a folder.
fn no_link(current: &Path) -> Error {
    Error::new(format!(
        "'{}' is no link: heph did not put it there",
        current.display()
    ))
    .with_hint("move it elsewhere; the next `heph self-update apply` makes the link")
}

/// What a folder below `versions/` is.
enum FolderState {
    Slot(Slot),
    /// Not, or not any more, a slot, for this reason.
    Incomplete(String),
    /// Not heph's to judge, for this reason.
    Foreign(String),
}

/// Says whether a slot is all that its manifest promises, short of reading the binaries; the error says why not.
fn complete(slot: &Slot) -> Result<(), String> {
    slot.manifest.check()?;
    if parse_name(&slot.name).is_none_or(|(version, _)| version != slot.manifest.version) {
        return Err(format!("it says it is {}", slot.manifest.version));
    }
    for Binary { name, size, .. } in &slot.manifest.binaries {
        match fs::symlink_metadata(slot.binary(name)) {
            Ok(file) if file.is_file() && file.len() == *size => {}
            Ok(file) if file.is_file() => {
                return Err(format!("'{name}' has {} bytes, not {size}", file.len()));
            }
            Ok(_) => return Err(format!("'{name}' is no regular file")),
            Err(error) => return Err(format!("'{name}' cannot be looked at: {error}")),
        }
    }
    Ok(())
}

/// Returns the version and the number that a slot name stands for; `None` for any other name.
fn parse_name(name: &str) -> Option<(Version, u32)> {
    let (version, nth) = match name.split_once('~') {
        None => (name, 1),
        Some((version, nth)) => (version, nth.parse().ok().filter(|nth| *nth >= 2)?),
    };
    let version = Version::parse(version).ok()?;
    // One slot has one name: no `~02`, no `~+2`.
    (show_name(&version, nth) == name).then_some((version, nth))
}

fn show_name(version: &Version, nth: u32) -> String {
    match nth {
        1 => version.to_string(),
        _ => format!("{version}~{nth}"),
    }
}

/// Makes every file and folder below `folder`, and `folder` itself, durable. Links are not followed.
fn sync_tree(folder: &Path) -> Result<()> {
    let cannot = || format!("cannot list '{}'", folder.display());
    for entry in fs::read_dir(folder).with_context(cannot)? {
        let entry = entry.with_context(cannot)?;
        let kind = entry.file_type().with_context(cannot)?;
        if kind.is_dir() {
            sync_tree(&entry.path())?;
        } else if kind.is_file() {
            files::sync_file(&entry.path())?;
        }
    }
    files::sync_dir(folder)
}

/// Returns the slots to remove, given all, so that besides the current one `keep` stay (those switched to most recently
/// are the newest by `installed_at`); slots named in `protected` always stay.
pub fn excess<'a>(
    all: &'a [Slot],
    current: Option<&str>,
    protected: &[String],
    keep: usize,
) -> Vec<&'a Slot> {
    let mut others: Vec<&Slot> = all
        .iter()
        .filter(|slot| current != Some(&slot.name))
        .collect();
    // Newest first; a tie is broken the same way each time.
    others.sort_by_key(|slot| {
        std::cmp::Reverse((
            slot.manifest.installed_at,
            slot.manifest.version.clone(),
            slot.nth(),
        ))
    });
    others
        .into_iter()
        .skip(keep)
        .filter(|slot| !protected.contains(&slot.name))
        .collect()
}
