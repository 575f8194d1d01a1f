//! Putting a backup in place of a store that this release cannot read, without losing an operation.
//!
//! The scene: an update migrated the store, its hephd then turned out unhealthy, and the older release is back, which
//! cannot read what the newer one made of the store. The backup from before the update it can read; but between the
//! switch and the roll-back the newer hephd may have acknowledged writes. They are in the newer file's log, whose
//! layout no release changes (`schema`), so they are carried over by operation id. Those of a kind that this release
//! does not know stay in the log, for the next release that does.
//!
//! At every instant the name of the store has either the newer file or the complete restored one under it:
//!
//! 1. The write-ahead log of the newer file is folded into it, so that one file is all of it.
//! 2. The restored store is built as `heph.db.restoring` and synced.
//! 3. The newer file gets a second name, `heph.db.newer-schema<N>-<time>`.
//! 4. The restored store takes the name: one rename.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::Connection;
use serde::Serialize;

use super::log;
use super::schema::{self, Found, SCHEMA, STEPS};
use super::{file, resolve, sync, take_lock};
use crate::error::{Error, Result, ResultExt, bail};
use crate::os::files;

/// What `hephd store restore` did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// Always 1: the schema of this object.
    pub schema: u32,
    /// The backup.
    pub restored_from: String,
    /// Where the file that was there before is now; `None` where there was none.
    pub kept_as: Option<String>,
    /// How many operations the backup lacked and were carried over.
    pub operations_carried: u64,
    /// Why the log could not be read to its end, so that operations may be missing from the restored store (the file
    /// kept has them); `None` where it could.
    pub operations_unread: Option<String>,
}

/// Puts `backup` in place of the store `path`, which this release cannot read or which is not there.
///
/// # Errors
///
/// A hephd runs with it, this release can read it, the backup is no store that this release can read, or the disk
/// refused. The store is as it was.
pub fn restore(path: &Path, backup: &Path, now: Timestamp) -> Result<Restored> {
    let backup = std::path::absolute(backup)?;
    let path = resolve(path)?;
    let _lock = take_lock(&path)?;
    let found = schema::look(&path)?;
    let aside = match &found {
        Found::Store(marks) if marks.usable_by(SCHEMA) => {
            return Err(readable(&path, marks.schema));
        }
        Found::Store(marks) => format!(".newer-schema{}-", marks.schema),
        Found::Unknown(_) | Found::Nothing => ".unreadable-".to_owned(),
    };
    let aside = unused_name(&path, &aside, now);

    let temporary = file::beside(&path, ".restoring");
    let carried = build(&temporary, &backup, &path, found != Found::Nothing)
        .inspect_err(|_| drop(remove_with_companions(&temporary)))?;

    let kept = put_in_place(&path, &temporary, aside, found != Found::Nothing)
        .with_context(|| format!("cannot put the restored store at '{}'", path.display()))?;
    Ok(Restored {
        schema: 1,
        restored_from: backup.display().to_string(),
        kept_as: kept.map(|kept| kept.display().to_string()),
        operations_carried: carried.operations,
        operations_unread: carried.unread,
    })
}

#[derive(Debug, Default)]
struct Carried {
    operations: u64,
    unread: Option<String>,
}

/// Builds the restored store at `temporary`, synced.
fn build(temporary: &Path, backup: &Path, newer: &Path, is_there: bool) -> Result<Carried> {
    let mut carried = Carried::default();
    if is_there {
        carried.unread =
            fold(newer).with_context(|| format!("cannot read '{}'", newer.display()))?;
    }
    let mut connection = copy_of(backup, temporary)
        .with_context(|| format!("cannot restore from '{}'", backup.display()))?;
    if is_there {
        let (operations, unread) = carry_over(newer, &mut connection)
            .with_context(|| format!("cannot carry over the log of '{}'", newer.display()))?;
        carried.operations = operations;
        carried.unread = carried.unread.or(unread);
    }
    connection.close().map_err(|(_, error)| error)?;
    files::sync_file(temporary)?;
    Ok(carried)
}

/// Writes the write-ahead log of `newer` back into it, so that one file is all of it. Returns why that is impossible.
///
/// # Errors
///
/// The machine refuses, or another process has the file open.
fn fold(newer: &Path) -> Result<Option<String>> {
    // Opening what is none, SQLite would remove the log beside it.
    if !file::is_database(newer)? {
        return Ok(Some("it is not a database".to_owned()));
    }
    let fold = || -> rusqlite::Result<String> {
        let connection = file::open_writable(newer)?;
        let mode =
            connection.pragma_update_and_check(None, "journal_mode", "delete", |row| row.get(0))?;
        connection.close().map_err(|(_, error)| error)?;
        Ok(mode)
    };
    match unless_unreadable(fold())? {
        Ok(mode) if mode == "delete" => Ok(None),
        Ok(mode) => bail!("SQLite leaves it in mode '{mode}'"),
        Err(why) => Ok(Some(why)),
    }
}

/// Tells a file that cannot be understood, which is no reason to give up, from a machine that refuses, which is.
fn unless_unreadable<T>(result: rusqlite::Result<T>) -> rusqlite::Result<Result<T, String>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) if schema::is_about_the_host(&error) => Err(error),
        Err(error) => Ok(Err(file::in_words(&error))),
    }
}

/// Copies `backup` to `temporary`, checks it, and brings it to the schema of this release.
fn copy_of(backup: &Path, temporary: &Path) -> Result<Connection> {
    let marks = match schema::look(backup)? {
        Found::Store(marks) if marks.usable_by(SCHEMA) => marks,
        Found::Store(marks) => bail!("it has schema {}, and this release {SCHEMA}", marks.schema),
        Found::Nothing => bail!("there is no store in it"),
        Found::Unknown(why) => bail!("{why}"),
    };
    if file::has_content(&file::beside(backup, "-wal")) {
        bail!(
            "it is a store in use, or was when its hephd ended; only `heph backup` makes copies that are whole"
        );
    }
    remove_with_companions(temporary)?;
    let mut copy = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(files::PRIVATE)
        .open(temporary)?;
    io::copy(&mut File::open(backup)?, &mut copy)?;
    let mut connection = file::open_writable(temporary)?;
    connection.pragma_update_and_check(None, "journal_mode", "delete", |_| Ok(()))?;
    let damage: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if damage != "ok" {
        bail!("it is damaged: {damage}");
    }
    schema::migrate(&mut connection, marks.schema, STEPS)?;
    sync::forget_the_hub(&connection)?;
    Ok(connection)
}

/// Appends the operations in the log of `newer` that `restored` lacks, in their order, and derives the state anew.
/// Returns how many they were, and why the log could not be read further, if it could not.
fn carry_over(newer: &Path, restored: &mut Connection) -> Result<(u64, Option<String>)> {
    let transaction = restored.transaction()?;
    let mut carried = 0;
    // Whose error it is decides what follows, and only one comes out of the walk.
    let mut refused = None;
    let read = file::open_readonly(newer).and_then(|newer| {
        log::for_each(&newer, |_, operation| {
            match log::append(&transaction, &operation) {
                Ok(seq) => carried += u64::from(seq.is_some()),
                Err(error) => {
                    refused = Some(error);
                    return Err(rusqlite::Error::QueryReturnedNoRows);
                }
            }
            Ok(())
        })
    });
    if let Some(error) = refused {
        return Err(error.into());
    }
    let unread = unless_unreadable(read)?.err();
    log::derive_anew(&transaction)?;
    transaction.commit()?;
    Ok((carried, unread))
}

/// Gives the file at `path` the name `aside` as well, and `temporary` the name `path`. Returns where the file is kept.
fn put_in_place(
    path: &Path,
    temporary: &Path,
    aside: PathBuf,
    is_there: bool,
) -> Result<Option<PathBuf>> {
    let folder = path
        .parent()
        .ok_or_else(|| Error::new("it has no folder"))?;
    let kept = if is_there {
        Some(keep(path, folder, &aside)?)
    } else {
        None
    };
    // Left only where SQLite could not fold them. Beside the restored store they would be taken for that one's.
    for suffix in ["-wal", "-journal"] {
        let log = file::beside(path, suffix);
        if log.exists() {
            fs::rename(&log, file::beside(kept.as_ref().unwrap_or(&aside), suffix))?;
        }
    }
    files::remove_file_if_there(&file::beside(path, "-shm"))?;
    files::sync_dir(folder)?;
    fs::rename(temporary, path)?;
    files::sync_dir(folder)?;
    Ok(kept)
}

/// Gives the file at `path` a second name, unless a run that was interrupted has done so already.
fn keep(path: &Path, folder: &Path, aside: &Path) -> Result<PathBuf> {
    let store = fs::metadata(path)?;
    for entry in fs::read_dir(folder)? {
        let other = entry?.path();
        let same = other
            .metadata()
            .is_ok_and(|other| (other.dev(), other.ino()) == (store.dev(), store.ino()));
        let name = other.to_string_lossy();
        if same && (name.contains(".newer-schema") || name.contains(".unreadable-")) {
            return Ok(other);
        }
    }
    fs::hard_link(path, aside)?;
    Ok(aside.to_owned())
}

/// Returns a name beside `path` that nothing has yet.
fn unused_name(path: &Path, what: &str, now: Timestamp) -> PathBuf {
    let first = file::beside(path, &format!("{what}{}", now.strftime("%Y%m%dT%H%M%SZ")));
    let mut name = first.clone();
    let mut number = 2;
    while fs::symlink_metadata(&name).is_ok() {
        name = file::beside(&first, &format!("-{number}"));
        number += 1;
    }
    name
}

fn remove_with_companions(path: &Path) -> io::Result<()> {
    for suffix in ["", "-journal", "-wal", "-shm"] {
        files::remove_file_if_there(&file::beside(path, suffix))?;
    }
    Ok(())
}

fn readable(path: &Path, schema: u32) -> Error {
    Error::new(format!(
        "this release can read the store '{}' (schema {schema}); nothing was changed",
        path.display()
    ))
    .with_hint("move it away first if the backup is to take its place all the same")
}
