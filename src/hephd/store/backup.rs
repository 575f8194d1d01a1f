//! A consistent copy of a store while its daemon goes on writing to it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

use super::schema::{self, StoreFile};
use super::{DAMAGED, damage, file, sync};
use crate::error::{Error, Kind, Result, bail};
use crate::os::files;

/// Writes what the store holds at one instant to `target`, durably and with mode 0600.
///
/// It reads through a separate connection, so that writes need not wait. The copy gets its name only when it is complete;
/// a crash leaves a file whose name ends in `.partial`.
///
/// # Errors
///
/// `target` is relative or exists, its folder does not exist, the store is damaged ([`Kind::Damaged`]), or the disk failed.
pub(crate) fn write_copy(store: &Path, target: &Path) -> Result<()> {
    copy(store, target).map_err(|error| {
        let is_damaged = error.kind() == Kind::Damaged;
        let error = error.context(format!("cannot write the backup '{}'", target.display()));
        if is_damaged {
            error.with_hint(DAMAGED)
        } else {
            error
        }
    })
}

fn copy(store: &Path, target: &Path) -> Result<()> {
    let (Some(folder), Some(name)) = (target.parent(), target.file_name()) else {
        bail!("the path names no file");
    };
    if target.to_str().is_none() {
        bail!("the path is not UTF-8");
    }
    if !target.is_absolute() {
        bail!("the path is not absolute");
    }
    if fs::symlink_metadata(target).is_ok() {
        return Err(exists());
    }
    // The process id separates two hephds that write to one target.
    let mut partial = OsString::from(".");
    partial.push(name);
    partial.push(format!(".{}.partial", std::process::id()));
    let partial = folder.join(partial);
    let write = || -> Result<()> {
        files::remove_file_if_there(&partial)?;
        // SQLite writes into an existing empty file, and so keeps its mode (sqlite.org/lang_vacuum.html).
        file::make_private(&partial)?;
        let source = file::open_readonly(store)?;
        source.execute("VACUUM INTO ?1", [partial.to_str()])?;
        sync::renew_identity(&partial)?;
        check(&partial)?;
        files::sync_file(&partial)?;
        rename_noreplace(&partial, target)
    };
    write().inspect_err(|_| drop(fs::remove_file(&partial)))?;
    files::sync_dir(folder)
}

/// Checks a complete copy: SQLite copies what it can read, whatever it says.
fn check(copy: &Path) -> Result<()> {
    let StoreFile::Store(version) = schema::inspect(copy)? else {
        bail!("the copy is not a store");
    };
    match damage::find(copy, version, false)? {
        Some(found) => Err(damage::error(&found)),
        None => Ok(()),
    }
}

fn rename_noreplace(from: &Path, to: &Path) -> Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => Err(exists()),
        // Some file systems, such as NFS, do not support the flag.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            if fs::symlink_metadata(to).is_ok() {
                return Err(exists());
            }
            Ok(fs::rename(from, to)?)
        }
        Err(error) => Err(io::Error::from(error).into()),
    }
}

fn exists() -> Error {
    Error::new("the file exists, and a backup replaces nothing")
}
