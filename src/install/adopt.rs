//! Adoption: plain files in bin-dir become a slot, and links take their place.
//!
//! What bin-dir has now, links followed, is copied into a slot: the same commands with the same content, all of which
//! must say that they are of one release. Then `current` is pointed at that slot. Where some commands are links already,
//! they now run a copy of what they ran before. Last, each file is replaced by its link with one rename. None of these
//! steps changes what any command does, so it does not matter after which of them the power fails; and each is skipped
//! where it is done already, so the next run carries on.
//!
//! Plain files win over the slot in use: they mean that the user ran a plain `cargo install` since. Files of different
//! releases, which a `cargo install` that was cut short leaves, are refused: no choice between them is safe.
//!
//! Cargo's own record beside bin-dir stays as it is.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use semver::Version;

use super::links::{BinDir, BinEntry, foreign};
use super::slots::{Binary, Delivery, Slot, SlotManifest, Slots};
use super::{Staged, copy_executable, verify};
use crate::config::SelfUpdate;
use crate::error::{Error, Result, ResultExt};
use crate::os::{clock, files};

/// A command of bin-dir that works.
#[derive(Debug)]
struct Command {
    path: PathBuf,
    version: Version,
    binary: Binary,
    /// What tells a file from one that took its place; `None` for a link.
    file: Option<FileIdentity>,
}

#[derive(Debug, PartialEq, Eq)]
struct FileIdentity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl BinDir {
    /// Makes bin-dir a set of links: copies plain files into a slot, points `current` at it, then replaces each file by
    /// a link with one rename. Returns the slot in use afterwards, `None` where nothing is installed yet.
    /// Idempotent, and at every instant every command works. Nothing to do: changes nothing.
    ///
    /// # Errors
    ///
    /// Something foreign has the name of a command, the commands are of different releases or do not work, or bin-dir
    /// cannot be written: nothing was touched then.
    pub fn adopt(&self, settings: &SelfUpdate, slots: &Slots) -> Result<Option<Slot>> {
        // A damaged slot counts as none: plain files replace it, and without them an update does.
        let current = slots.current().ok().flatten();
        let mut names = Vec::new();
        for name in self.names(settings, current.as_ref()) {
            match self.standing(&name)? {
                BinEntry::Absent => {}
                BinEntry::Foreign => return Err(foreign(&self.path.join(&name))),
                standing => names.push((name, standing)),
            }
        }
        if names
            .iter()
            .all(|(_, standing)| *standing != BinEntry::Plain)
        {
            if let Some(slot) = current.as_ref().filter(|_| !names.is_empty()) {
                self.relink(slot)?;
            }
            return Ok(current);
        }

        self.check_writable()?;
        let commands = names
            .iter()
            // A link that points at nothing is no command; the links are put right at the end.
            .filter(|(name, _)| self.path.join(name).exists())
            .map(|(name, standing)| self.command(name, standing))
            .collect::<Result<Vec<_>>>()?;
        let version = common_version(&commands)?;
        let slot = match known(&commands, version, current.as_ref(), slots)? {
            Some(slot) => slot,
            None => self.snapshot(&commands, version, settings, slots)?,
        };
        unchanged(&commands)?;
        if current.as_ref() != Some(&slot) {
            slots.switch(&slot)?;
        }
        for command in commands.iter().filter(|command| command.file.is_some()) {
            unchanged(std::slice::from_ref(command))?;
            self.link(&command.binary.name)?;
        }
        self.relink(&slot)?;
        Ok(Some(slot))
    }

    fn command(&self, name: &str, standing: &BinEntry) -> Result<Command> {
        let path = self.path.join(name);
        let file = match standing {
            BinEntry::Plain => Some(identity(&path)?),
            _ => None,
        };
        Ok(Command {
            version: verify::says(&path).context("cannot adopt the installation")?,
            binary: Binary::of(name, &path)?,
            path,
            file,
        })
    }

    /// Copies the commands into a new slot.
    fn snapshot(
        &self,
        commands: &[Command],
        version: &Version,
        settings: &SelfUpdate,
        slots: &Slots,
    ) -> Result<Slot> {
        let staged = Staged::new(slots.unused(version)?)?;
        files::create_private_dir(&staged.bin())?;
        for Command { path, binary, .. } in commands {
            let copy = staged.bin().join(&binary.name);
            copy_executable(path, &copy)?;
            if Binary::of(&binary.name, &copy)? != *binary {
                return Err(changed(path));
            }
        }
        let binaries: Vec<Binary> = commands
            .iter()
            .map(|command| command.binary.clone())
            .collect();
        verify::binaries(
            &staged.bin(),
            binaries.iter().map(|binary| binary.name.as_str()),
            version,
        )?;
        let commit = self
            .recorded(settings)
            .iter()
            .find(|installed| installed.version == *version)
            .and_then(|installed| installed.commit().map(str::to_owned));
        let manifest = SlotManifest {
            schema: 1,
            version: version.clone(),
            tag: None,
            commit,
            delivery: Delivery::Adopted,
            signed_by: None,
            binaries,
            installed_at: clock::now(),
        };
        let slot = slots.seal(&staged.folder, manifest)?;
        staged.keep();
        Ok(slot)
    }
}

/// Returns a sound slot that already has all the commands as they are, preferably the one in use.
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
    // Another slot must have no command more: its name in bin-dir might be somebody else's.
    Ok(slots
        .list()?
        .into_iter()
        .find(|slot| slot.manifest.binaries.len() == commands.len() && has_all(slot)))
}

/// Returns the version that all commands say they are.
///
/// # Errors
///
/// They differ; the error names each.
fn common_version(commands: &[Command]) -> Result<&Version> {
    let first = commands.first().context("there are no commands")?;
    if commands
        .iter()
        .all(|command| command.version == first.version)
    {
        return Ok(&first.version);
    }
    let each: Vec<String> = commands
        .iter()
        .map(|command| format!("'{}' is {}", command.path.display(), command.version))
        .collect();
    Err(Error::new(format!(
        "cannot adopt the installation, its commands are of different releases: {}",
        each.join(", ")
    ))
    .with_hint("finish the `cargo install` that was cut short: run it again with --force"))
}

/// Checks that no file was replaced since it was looked at, as by a `cargo install` that runs at the same time.
fn unchanged(commands: &[Command]) -> Result<()> {
    for command in commands {
        if let Some(file) = &command.file
            && identity(&command.path)? != *file
        {
            return Err(changed(&command.path));
        }
    }
    Ok(())
}

fn changed(path: &Path) -> Error {
    Error::new(format!(
        "'{}' was replaced while heph was adopting it",
        path.display()
    ))
    .with_hint(
        "wait until the other installation has ended, then run `heph self-update apply` again",
    )
}

fn identity(path: &Path) -> Result<FileIdentity> {
    let file = fs::symlink_metadata(path)
        .with_context(|| format!("cannot look at '{}'", path.display()))?;
    Ok(FileIdentity {
        device: file.dev(),
        inode: file.ino(),
        size: file.size(),
        modified: (file.mtime(), file.mtime_nsec()),
    })
}
