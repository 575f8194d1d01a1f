//! The folder in which a release is staged. Its name is of this run alone, so removing it never removes a slot.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::slots::Binary;
use crate::error::{Error, Result, ResultExt};
use crate::os::files;

/// A folder that becomes a slot, by another name, or is removed.
#[derive(Debug)]
pub(super) struct StagedFolder {
    pub path: PathBuf,
}

impl StagedFolder {
    /// Creates the folder `path`, which must not exist.
    pub(crate) fn new(path: PathBuf) -> Result<StagedFolder> {
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot create the folder '{}'", path.display()))?;
        Ok(StagedFolder { path })
    }

    pub(crate) fn bin(&self) -> PathBuf {
        self.path.join("bin")
    }

    pub(crate) fn digests(&self, names: &[String]) -> Result<Vec<Binary>> {
        names
            .iter()
            .map(|name| Binary::of(name, &self.bin().join(name)))
            .collect()
    }
}

impl Drop for StagedFolder {
    fn drop(&mut self) {
        // The next run sweeps what cannot be removed now; the error under way matters more.
        let _ = files::remove_tree_if_there(&self.path);
    }
}

/// Copies the content of `from` to the new file `to`, with mode 0755 and no other attribute.
pub(super) fn copy_executable(from: &Path, to: &Path) -> Result<()> {
    let copy = || -> io::Result<()> {
        files::remove_file_if_there(to)?;
        let mut original = File::open(from)?;
        let mut copy = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o755)
            .open(to)?;
        io::copy(&mut original, &mut copy)?;
        copy.set_permissions(Permissions::from_mode(0o755))
    };
    copy().with_context(|| format!("cannot copy '{}' to '{}'", from.display(), to.display()))
}

/// Fails unless `needed` bytes are free where `folder` is. `purpose` completes "cannot …".
pub(super) fn require_space(folder: &Path, needed: u64, purpose: &str) -> Result<()> {
    let free = files::free_space(folder)?;
    if free >= needed {
        return Ok(());
    }
    Err(Error::new(format!(
        "cannot {purpose} below '{}': {} MiB are free, {} MiB are needed",
        folder.display(),
        free >> 20,
        needed >> 20
    ))
    .with_hint("make room; `heph self-update clean` removes old releases and the build folder"))
}
