//! Slots: `versions/<version>/`, each complete or absent, and the one link to the slot in use.
//!
//! A release is staged in a folder with a name of its own ([`Slots::staging`]), which no other run has. Once everything in it
//! is on disk, its `release.json` is written, and one rename makes the folder a slot. `release.json` is removed before
//! anything else in a slot. So a folder with that file has the whole release, at any instant and after any crash. Folders
//! with other names and manifests of a newer heph are foreign: they are neither listed nor removed.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use semver::Version;

pub(super) use super::slot_manifest::is_command_name;
pub use super::slot_manifest::{Binary, Delivery, SlotManifest};
use super::slot_name::{self, is_staging, parse_name, show_name};
use crate::error::{Error, Result, ResultExt, ensure};
use crate::os::files;
use crate::paths::Paths;

const MANIFEST: &str = "release.json";
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
    /// Returns the path of the binary `name` in this slot, which need not exist.
    pub fn binary(&self, name: &str) -> PathBuf {
        self.path.join("bin").join(name)
    }

    /// Returns whether the release contains the binary `name`.
    pub fn has(&self, name: &str) -> bool {
        self.manifest.names().any(|other| other == name)
    }

    /// Fails unless every binary has its recorded digest.
    pub fn verify(&self) -> Result<()> {
        for binary in &self.manifest.binaries {
            let path = self.binary(&binary.name);
            ensure!(
                Binary::of(&binary.name, &path)? == *binary,
                "'{}' was changed since its installation",
                path.display()
            );
        }
        Ok(())
    }

    /// Fails unless it is all that its manifest says, apart from the content of the binaries.
    fn complete(&self) -> Result<()> {
        let version = &self.manifest.version;
        ensure!(
            parse_name(&self.name).is_some_and(|(named, _)| named == *version),
            "its manifest is of version {version}"
        );
        complete(&self.path, &self.manifest)
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

    /// Returns the complete slots, the highest version first, the newest of a version first.
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
            FolderState::Slot(slot) => Some(*slot),
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

    /// Returns the slot that `current` points at; `None` if there is no such link.
    ///
    /// # Errors
    ///
    /// The link points at something that is not a complete slot.
    pub fn current(&self) -> Result<Option<Slot>> {
        let Some(name) = self.current_name()? else {
            return Ok(None);
        };
        match self.look(&name)? {
            FolderState::Slot(slot) => Ok(Some(*slot)),
            FolderState::Incomplete(why) | FolderState::Foreign(why) => {
                Err(self.broken(&name, why))
            }
        }
    }

    /// Returns the path of a new folder in which a release can be staged. Nothing else ever has its name.
    pub fn staging(&self) -> Result<PathBuf> {
        files::create_private_dir(&self.versions)?;
        Ok(self.versions.join(slot_name::staging()))
    }

    /// Returns the path that the next slot of `version` gets.
    pub fn unused(&self, version: &Version) -> Result<PathBuf> {
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
            if files::metadata_if_there(&path)?.is_none() {
                return Ok(path);
            }
            // A file, a link, or another spelling of the name on a file system that ignores case.
            nth = nth.checked_add(1).context("no slot name is left")?;
        }
    }

    /// Makes the staged `folder` a slot: syncs it, writes its `release.json`, and renames it. Call it only under the lock.
    ///
    /// # Errors
    ///
    /// The folder is not one of [`Slots::staging`], lacks a binary, or cannot be synced or renamed. It is no slot then.
    pub fn seal(&self, folder: &Path, manifest: SlotManifest) -> Result<Slot> {
        let cannot = || format!("cannot make '{}' a slot", folder.display());
        let name = folder.file_name().and_then(|name| name.to_str());
        ensure!(
            folder.parent() == Some(&self.versions) && name.is_some_and(is_staging),
            "{}: no release is staged there",
            cannot()
        );
        complete(folder, &manifest).with_context(cannot)?;
        let text = encode(&manifest).with_context(cannot)?;
        sync_tree(folder)?;
        files::write_atomic(&folder.join(MANIFEST), &text, files::PRIVATE)?;
        let path = self.unused(&manifest.version)?;
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.with_context(cannot)?.to_owned();
        fs::rename(folder, &path).with_context(cannot)?;
        // The names of the folder itself and of its parent must survive as well.
        files::sync_dir(&self.versions)?;
        if let Some(data) = self.versions.parent() {
            files::sync_dir(data)?;
        }
        Ok(Slot {
            name,
            path,
            manifest,
        })
    }

    /// Points `current` at `slot`: one rename, all binaries at once.
    ///
    /// # Errors
    ///
    /// It is not a complete slot (any more), or the link cannot be replaced; `current` is then what it was.
    pub fn switch(&self, slot: &Slot) -> Result<()> {
        if let FolderState::Incomplete(why) | FolderState::Foreign(why) = self.look(&slot.name)? {
            return Err(why.context(format!("cannot switch to '{}'", slot.path.display())));
        }
        if self.current.is_dir() && !self.current.is_symlink() {
            return Err(not_a_link(&self.current));
        }
        files::replace_symlink(&self.current, &Path::new("versions").join(&slot.name))
    }

    /// Removes `slot`, its `release.json` first, so that a half-removed one is not a slot. The current one cannot be removed.
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

    /// Removes what was staged and never became a slot, and folders that are no slot any more. Returns their names. Call it
    /// only under the lock: nothing else tells the folder of a run under way.
    pub fn sweep(&self) -> Result<Vec<String>> {
        let entries = files::entries(&self.versions)?.into_iter();
        let mut swept: Vec<String> = entries
            .filter(|(name, kind)| kind.is_dir() && is_staging(name))
            .map(|(name, _)| name)
            .collect();
        // If it is unknown which folder is in use, no folder of a release is removed; recovery or adoption repairs the link.
        if let Ok(current) = self.current_name() {
            for name in self.folders()? {
                let in_use = current.as_ref() == Some(&name);
                if !in_use && matches!(self.look(&name)?, FolderState::Incomplete(_)) {
                    swept.push(name);
                }
            }
        }
        for name in &swept {
            files::remove_tree_if_there(&self.versions.join(name))?;
        }
        Ok(swept)
    }

    /// Returns the names of real folders (not links) that are named like slots, sorted.
    fn folders(&self) -> Result<BTreeSet<String>> {
        let entries = files::entries(&self.versions)?.into_iter();
        Ok(entries
            .filter(|(name, kind)| kind.is_dir() && parse_name(name).is_some())
            .map(|(name, _)| name)
            .collect())
    }

    /// Returns the name of the slot that `current` points at, which need not be complete.
    fn current_name(&self) -> Result<Option<String>> {
        let target = match fs::read_link(&self.current) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            // The error of readlink(2) for anything but a link.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                return Err(not_a_link(&self.current));
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
            _ => Err(self.broken(&target.to_string_lossy(), Error::new("that is not a slot"))),
        }
    }

    fn broken(&self, target: &str, why: Error) -> Error {
        Error::new(format!(
            "'{}' points at '{target}', which is not a complete release: {why:#}",
            self.current.display()
        ))
        .with_hint(
            "the next `heph self-update apply` goes to a complete release on disk, or installs one; \
             where heph itself is gone, install it again with `cargo install`",
        )
    }

    fn look(&self, name: &str) -> Result<FolderState> {
        let foreign = |why: String| Ok(FolderState::Foreign(Error::new(why)));
        let incomplete = |why: String| Ok(FolderState::Incomplete(Error::new(why)));
        let path = self.versions.join(name);
        if parse_name(name).is_none() {
            return foreign("its name is not a version".to_owned());
        }
        match files::metadata_if_there(&path)? {
            Some(folder) if folder.is_dir() => {}
            Some(_) => return foreign("it is not a folder".to_owned()),
            None => return incomplete("it does not exist".to_owned()),
        }
        let text = match files::read_if_there(&path.join(MANIFEST), MANIFEST_LIMIT) {
            Ok(Some(text)) => text,
            Ok(None) => return incomplete(format!("it has no {MANIFEST}")),
            // Another user's file, perhaps.
            Err(error) => return Ok(FolderState::Foreign(error)),
        };
        let manifest = match SlotManifest::parse(&text) {
            Ok(Some(manifest)) => manifest,
            Ok(None) => return foreign(format!("its {MANIFEST} is of a newer heph")),
            Err(error) => return Ok(FolderState::Incomplete(error)),
        };
        let slot = Slot {
            name: name.to_owned(),
            path,
            manifest,
        };
        Ok(match slot.complete() {
            Ok(()) => FolderState::Slot(Box::new(slot)),
            Err(error) => FolderState::Incomplete(error),
        })
    }
}

fn not_a_link(current: &Path) -> Error {
    Error::new(format!(
        "'{}' is not a link: heph did not put it there",
        current.display()
    ))
    .with_hint("move it elsewhere; the next `heph self-update apply` makes the link")
}

enum FolderState {
    Slot(Box<Slot>),
    /// Not, or no longer, a slot, for this reason.
    Incomplete(Error),
    /// Not made by this heph or an older one, for this reason.
    Foreign(Error),
}

/// Fails unless `folder` has all that `manifest` says, apart from the content of the binaries.
fn complete(folder: &Path, manifest: &SlotManifest) -> Result<()> {
    manifest.validate()?;
    for Binary { name, size, .. } in &manifest.binaries {
        let file = fs::symlink_metadata(folder.join("bin").join(name))
            .with_context(|| format!("cannot inspect '{name}'"))?;
        ensure!(file.is_file(), "'{name}' is not a regular file");
        ensure!(
            file.len() == *size,
            "'{name}' has {} bytes, not {size}",
            file.len()
        );
    }
    Ok(())
}

fn encode(manifest: &SlotManifest) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(manifest).context("cannot encode its manifest")?;
    text.push(b'\n');
    Ok(text)
}

/// Syncs `folder` and every file and folder below it. Links are not followed.
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

/// Returns the slots to remove, so that besides the current one the `keep` newest by `installed_at` stay, and those named in
/// `protected`.
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
