//! Adoption: plain files in bin-dir become a slot, and links take their place.
//!
//! The content of bin-dir, through its links, is copied into a slot: the same commands with the same content, all of which
//! must be of one release. Then `current` is pointed at that slot. Commands that are links already now run a copy of what
//! they ran before. Last, each file is replaced by its link with one rename. None of these steps changes what any command
//! does, so a power failure between them is harmless; and a step that is done already is skipped, so the next run carries on.
//!
//! Plain files win over the slot in use: they mean that the user ran `cargo install` since. Files of different releases,
//! which an interrupted `cargo install` leaves, are rejected: no choice between them is safe.
//!
//! Cargo's own record beside bin-dir is left as it is.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use semver::Version;

use super::links::{BinDir, BinEntry, foreign};
use super::slots::{Binary, Delivery, Slot, SlotManifest, Slots};
use super::staging::{StagedFolder, copy_executable};
use super::verify;
use crate::error::{Error, Result, ResultExt};
use crate::os::{clock, files};

/// A working command of bin-dir.
#[derive(Debug)]
struct Command {
    path: PathBuf,
    /// `None` for a helper that reports no version.
    version: Option<Version>,
    binary: Binary,
    /// Tells a file from its replacement; `None` for a link.
    file: Option<FileIdentity>,
}

#[derive(Debug, PartialEq, Eq)]
struct FileIdentity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Command {
    /// Fails if the file was replaced since it was inspected, for example by a concurrent `cargo install`.
    fn check_unchanged(&self) -> Result<()> {
        match &self.file {
            Some(file) if identity(&self.path)? != *file => Err(changed(&self.path)),
            _ => Ok(()),
        }
    }
}

impl BinDir {
    /// Makes bin-dir a set of links: copies plain files into a slot, points `current` at it, then replaces each file by
    /// a link with one rename. Returns the slot in use afterwards, `None` if nothing is installed yet.
    /// Idempotent, and at every instant every command works.
    ///
    /// # Errors
    ///
    /// Something foreign has the name of a command, the commands are of different releases or do not work, or bin-dir
    /// cannot be written: nothing was touched then.
    pub fn adopt(&self, slots: &Slots) -> Result<Option<Slot>> {
        // A damaged slot is ignored: plain files replace it, and without them an update does.
        let current = slots.current().ok().flatten();
        let mut found = self.entries(self.names(current.as_ref()))?;
        found.retain(|(_, entry)| *entry != BinEntry::Absent);
        if let Some((name, _)) = found.iter().find(|(_, entry)| *entry == BinEntry::Foreign) {
            return Err(foreign(&self.path.join(name)));
        }
        if !found.iter().any(|(_, entry)| *entry == BinEntry::Plain) {
            if let Some(slot) = current.as_ref().filter(|_| !found.is_empty()) {
                self.relink(slot)?;
            }
            return Ok(current);
        }

        self.check_writable()?;
        let commands = found
            .iter()
            // A link that points at nothing is not a command; the links are repaired at the end.
            .filter(|(name, _)| self.path.join(name).exists())
            .map(|(name, entry)| self.command(name, *entry))
            .collect::<Result<Vec<_>>>()?;
        let version = common_version(&commands)?;
        let slot = match known(&commands, version, current.as_ref(), slots)? {
            Some(slot) => slot,
            None => self.snapshot(&commands, version, slots)?,
        };
        commands.iter().try_for_each(Command::check_unchanged)?;
        if current.as_ref() != Some(&slot) {
            slots.switch(&slot)?;
        }
        for command in commands.iter().filter(|command| command.file.is_some()) {
            command.check_unchanged()?;
            self.link(&command.binary.name)?;
        }
        self.relink(&slot)?;
        Ok(Some(slot))
    }

    fn command(&self, name: &str, entry: BinEntry) -> Result<Command> {
        let path = self.path.join(name);
        let file = match entry {
            BinEntry::Plain => Some(identity(&path)?),
            _ => None,
        };
        Ok(Command {
            version: verify::reported(&path, name, &self.packages)
                .context("cannot adopt the installation")?,
            binary: Binary::of(name, &path)?,
            path,
            file,
        })
    }

    fn snapshot(&self, commands: &[Command], version: &Version, slots: &Slots) -> Result<Slot> {
        let staged = StagedFolder::new(slots.staging()?)?;
        files::create_private_dir(&staged.bin())?;
        for Command { path, binary, .. } in commands {
            let copy = staged.bin().join(&binary.name);
            copy_executable(path, &copy)?;
            if Binary::of(&binary.name, &copy)? != *binary {
                return Err(changed(path));
            }
        }
        let names = commands.iter().map(|command| command.binary.name.as_str());
        verify::binaries(&staged.bin(), names, &self.packages, version)?;
        let mut recorded = self.recorded();
        recorded.retain(|found| found.version == *version);
        let commit = recorded
            .first()
            .and_then(|found| found.commit().map(str::to_owned));
        let features = recorded.into_iter().map(|of| (of.package, of.features));
        let binaries = commands.iter().map(|command| command.binary.clone());
        let manifest = SlotManifest {
            schema: 1,
            version: version.clone(),
            tag: None,
            commit,
            delivery: Delivery::Adopted,
            signed_by: None,
            features: features.collect(),
            binaries: binaries.collect(),
            installed_at: clock::now(),
        };
        slots.seal(&staged.path, manifest)
    }
}

/// Returns a slot that already has all the commands as they are, preferably the one in use.
fn known(
    commands: &[Command],
    version: &Version,
    current: Option<&Slot>,
    slots: &Slots,
) -> Result<Option<Slot>> {
    let has_all = |slot: &Slot| {
        slot.manifest.version == *version
            && commands
                .iter()
                .all(|command| slot.manifest.binaries.contains(&command.binary))
            && slot.verify().is_ok()
    };
    if let Some(slot) = current.filter(|slot| has_all(slot)) {
        return Ok(Some(slot.clone()));
    }
    // Another slot must not have more commands: their names in bin-dir might be foreign.
    Ok(slots
        .list()?
        .into_iter()
        .find(|slot| slot.manifest.binaries.len() == commands.len() && has_all(slot)))
}

/// Returns the version of all commands.
///
/// # Errors
///
/// They differ; the error names each.
fn common_version(commands: &[Command]) -> Result<&Version> {
    let versions = || {
        commands
            .iter()
            .filter_map(|command| command.version.as_ref())
    };
    let first = versions()
        .next()
        .context("cannot adopt the installation: no command reports a version")?;
    if versions().all(|version| version == first) {
        return Ok(first);
    }
    let each: Vec<String> = commands
        .iter()
        .filter_map(|Command { path, version, .. }| {
            Some(format!("'{}' is {}", path.display(), version.as_ref()?))
        })
        .collect();
    Err(Error::new(format!(
        "cannot adopt the installation: its commands are of different releases: {}",
        each.join(", ")
    ))
    .with_hint("finish the interrupted `cargo install`: run it again with --force"))
}

fn changed(path: &Path) -> Error {
    Error::new(format!(
        "'{}' was replaced while heph was adopting it",
        path.display()
    ))
    .with_hint(
        "wait until the other installation is complete, then run `heph self-update apply` again",
    )
}

fn identity(path: &Path) -> Result<FileIdentity> {
    let file = fs::symlink_metadata(path)
        .with_context(|| format!("cannot inspect '{}'", path.display()))?;
    Ok(FileIdentity {
        device: file.dev(),
        inode: file.ino(),
        size: file.size(),
        modified: (file.mtime(), file.mtime_nsec()),
    })
}
