//! How a release becomes files: deliveries, slots, and the links in bin-dir.
//!
//! Architecture invariant: only [`slots::Slots::switch`] changes what the commands in bin-dir are.

pub mod cargo;
pub mod links;
pub mod slots;
pub mod unpack;
pub mod verify;

mod adopt;
mod binstall_archives;
mod build_cache;
pub(crate) mod build_failure;
mod cargo_record;
mod deliver;
mod installation;
mod locate;
pub(crate) mod percent_free_path;
mod prebuilt;
mod slot_manifest;
mod toolchain;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::config::{Require, SelfUpdate};
use crate::error::{Error, Result, ResultExt};
use crate::os::{clock, files, interrupt};
use crate::paths::Paths;
use crate::release::Release;
use crate::release::trust::Origin;
use slots::{Binary, Delivery, Slot, SlotManifest, Slots};
pub use toolchain::Variables;

/// How many bytes must be free where the build folder is before a build starts. A release build of heph from nothing
/// takes about 400 MB.
pub const BUILD_SPACE: u64 = 500 << 20;
/// How many bytes must be free where the slots are before a build starts.
pub const SLOT_SPACE: u64 = 100 << 20;

/// The package, and its command, that does the updating.
const HEPH: &str = env!("CARGO_PKG_NAME");

/// How the output of a delivery is shown.
#[derive(Clone, Debug)]
pub enum Progress {
    /// Through to the terminal (standard error).
    Terminal,
    /// Into this file, which errors name.
    Log(PathBuf),
}

/// Who is told of a delivery while it is under way.
#[derive(Clone, Copy)]
pub struct Listener<'a> {
    /// Where the output of a build goes.
    pub progress: &'a Progress,
    /// Hears what a person should know afterwards, such as why another delivery was taken: sentences.
    pub note: &'a dyn Fn(&str),
    /// Hears how many bytes of a download have arrived, and of how many.
    pub arrived: &'a dyn Fn(u64, u64),
}

impl Listener<'_> {
    /// Returns one that only shows the output of a build.
    pub fn new(progress: &Progress) -> Listener<'_> {
        Listener {
            progress,
            note: &|_| {},
            arrived: &|_, _| {},
        }
    }
}

/// Stages `release`, which comes from `origin`: returns a complete, verified slot that is not in use yet.
///
/// A slot of that version and commit that is already complete is verified again and reused, unless `afresh`.
///
/// # Errors
///
/// The build, the download or the verification failed; the unfinished slot is gone and nothing else was touched. An
/// error of [`Kind::Unfit`](crate::error::Kind) blames the release.
pub fn stage(
    release: &Release,
    origin: &Origin,
    settings: &SelfUpdate,
    paths: &Paths,
    listener: &Listener,
    afresh: bool,
) -> Result<Slot> {
    let variables = std::env::vars_os().collect();
    stage_in(
        variables, release, origin, settings, paths, listener, afresh,
    )
}

/// As [`stage`], with `variables` as the environment of the build.
pub fn stage_in(
    variables: Variables,
    release: &Release,
    origin: &Origin,
    settings: &SelfUpdate,
    paths: &Paths,
    listener: &Listener,
    afresh: bool,
) -> Result<Slot> {
    let slots = Slots::new(paths);
    let require = settings.trust.require();
    if !afresh && let Some(slot) = reusable(&slots, release, origin, require)? {
        return Ok(slot);
    }
    let staged = Staged::new(slots.unused(&release.version)?)?;
    let order = deliver::DeliveryOrder {
        release,
        origin,
        settings,
        paths,
        staged: &staged,
    };
    let delivered = order.deliver(variables, listener)?;
    interrupt::check()?;
    let keeps_heph = settings.packages.iter().any(|name| name == HEPH);
    if keeps_heph && !delivered.binaries.iter().any(|binary| binary.name == HEPH) {
        return Err(Error::unfit(format!(
            "{} has no `{HEPH}`, without which nothing could be updated again",
            release.tag.as_str()
        )));
    }
    let manifest = SlotManifest {
        schema: 1,
        version: release.version.clone(),
        tag: Some(release.tag.as_str().to_owned()),
        commit: Some(origin.commit.clone()),
        delivery: delivered.by,
        signed_by: delivered.signed_by,
        binaries: delivered.binaries,
        installed_at: clock::now(),
    };
    let slot = slots.seal(&staged.folder, manifest)?;
    staged.keep();
    Ok(slot)
}

/// Returns the complete slot of `release` if it still is what was installed, from the same commit. One that is
/// damaged is removed, unless it is in use: the fresh one is then staged beside it.
fn reusable(
    slots: &Slots,
    release: &Release,
    origin: &Origin,
    require: Require,
) -> Result<Option<Slot>> {
    let Some(slot) = slots.find(&release.version)? else {
        return Ok(None);
    };
    // The same version under another tag is of another product line, such as a fork that shares the repository.
    if slot
        .manifest
        .tag
        .as_deref()
        .is_some_and(|tag| tag != release.tag.as_str())
    {
        return Ok(None);
    }
    let SlotManifest {
        commit,
        signed_by,
        delivery,
        ..
    } = &slot.manifest;
    // What was built from a commit is proven with that commit, even where nobody asked for proof then.
    let proven = signed_by.is_some()
        || (*delivery == Delivery::Cargo && origin.admits_build(require).is_ok());
    if commit.as_deref() != Some(&origin.commit) || (require == Require::Signature && !proven) {
        return Ok(None);
    }
    let sound = slot.verify().and_then(|()| {
        verify::binaries(
            &slot.path.join("bin"),
            names(&slot.manifest),
            &release.version,
        )
    });
    if sound.is_ok() {
        return Ok(Some(slot));
    }
    let in_use = slots
        .current()
        .is_ok_and(|current| current.is_some_and(|current| current.name == slot.name));
    if !in_use {
        slots.remove(&slot)?;
    }
    Ok(None)
}

fn names(manifest: &SlotManifest) -> impl Iterator<Item = &str> {
    manifest.binaries.iter().map(|binary| binary.name.as_str())
}

fn enough_space(folder: &Path, needed: u64, what: &str) -> Result<()> {
    let free = files::free_space(folder)?;
    if free >= needed {
        return Ok(());
    }
    let megabytes = |bytes| bytes >> 20;
    Err(Error::new(format!(
        "cannot {what} below '{}': {} MiB are free, {} MiB are needed",
        folder.display(),
        megabytes(free),
        megabytes(needed)
    ))
    .with_hint("make room; `heph self-update clean` removes old releases and the build folder"))
}

/// Removes the build folder if it has more than `limit` bytes, and returns how many were freed.
pub fn trim_build(paths: &Paths, limit: u64) -> Result<u64> {
    build_cache::trim(&paths.build(), limit)
}

/// A folder that is going to be a slot, and is removed unless it becomes one.
#[derive(Debug)]
struct Staged {
    folder: PathBuf,
    kept: bool,
}

impl Staged {
    /// Makes `folder`, which must not be there.
    fn new(folder: PathBuf) -> Result<Staged> {
        fs::create_dir(&folder)
            .and_then(|()| fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)))
            .with_context(|| format!("cannot make the folder '{}'", folder.display()))?;
        Ok(Staged {
            folder,
            kept: false,
        })
    }

    fn bin(&self) -> PathBuf {
        self.folder.join("bin")
    }

    fn digests(&self, names: &[String]) -> Result<Vec<Binary>> {
        names
            .iter()
            .map(|name| Binary::of(name, &self.bin().join(name)))
            .collect()
    }

    fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.kept {
            // What cannot be removed now is swept by the next run; the error under way matters more.
            let _ = files::remove_tree_if_there(&self.folder);
        }
    }
}

/// Copies the content of `from` to the new file `to`, with mode 0755 and nothing else of the original.
fn copy_executable(from: &Path, to: &Path) -> Result<()> {
    let copy = || -> io::Result<()> {
        files::remove_file_if_there(to)?;
        let mut original = File::open(from)?;
        let mut copy = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o755)
            .open(to)?;
        io::copy(&mut original, &mut copy)?;
        copy.set_permissions(fs::Permissions::from_mode(0o755))
    };
    copy().with_context(|| format!("cannot copy '{}' to '{}'", from.display(), to.display()))
}
