//! A consistent copy of a store while its daemon goes on writing to it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

use super::{file, sync};
use crate::error::{Error, Result, ResultExt, bail};
use crate::os::files;

/// Writes what the store holds at one instant to `target`, durably and with mode 0600.
///
/// It reads through a connection of its own, so that writes need not wait. The copy appears under its name only when
/// it is complete; what a crash leaves has a name that ends in `.partial`.
///
/// # Errors
///
/// `target` is relative or exists, its folder does not, or the disk refused.
pub fn write_copy(store: &Path, target: &Path) -> Result<()> {
    let (Some(folder), Some(name)) = (target.parent(), target.file_name()) else {
        bail!("'{}' cannot be the name of a backup", target.display());
    };
    if target.to_str().is_none() {
        bail!("'{}' is not UTF-8", target.display());
    }
    if !target.is_absolute() {
        bail!("'{}' is not an absolute path", target.display());
    }
    if fs::symlink_metadata(target).is_ok() {
        return Err(exists(target));
    }
    // The process id keeps two hephds with one target apart.
    let mut partial = OsString::from(".");
    partial.push(name);
    partial.push(format!(".{}.partial", std::process::id()));
    let partial = folder.join(partial);
    let write = || -> Result<()> {
        files::remove_file_if_there(&partial)?;
        // SQLite writes into an empty file that is there, and so keeps its mode (sqlite.org/lang_vacuum.html).
        file::make_private(&partial)?;
        let source = file::open_readonly(store)?;
        source.execute("VACUUM INTO ?1", [partial.to_str()])?;
        sync::begin_another_epoch(&partial)?;
        files::sync_file(&partial)?;
        rename_unless_there(&partial, target)
    };
    write()
        .inspect_err(|_| drop(fs::remove_file(&partial)))
        .with_context(|| format!("cannot write the backup '{}'", target.display()))?;
    files::sync_dir(folder)
}

fn rename_unless_there(from: &Path, to: &Path) -> Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => Err(exists(to)),
        // File systems that know no such flag, NFS among them.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            if fs::symlink_metadata(to).is_ok() {
                return Err(exists(to));
            }
            Ok(fs::rename(from, to)?)
        }
        Err(error) => Err(io::Error::from(error).into()),
    }
}

fn exists(target: &Path) -> Error {
    Error::new(format!(
        "'{}' exists, and a backup replaces nothing",
        target.display()
    ))
}
