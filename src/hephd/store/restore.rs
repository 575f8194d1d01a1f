//! Replaces a store that this release cannot read, or that is damaged, by a backup, without losing an operation.
//!
//! The scene: an update migrated the store, its hephd then turned out unhealthy, and the older release is back, which
//! cannot read the migrated store. It can read the backup from before the update; but between the switch and the roll-back
//! the newer hephd may have acknowledged writes. They are in the newer file's log, whose layout no release changes
//! (`schema`), so they are carried over by operation id. Those of a kind that this release does not know stay in the log
//! for a release that does.
//!
//! At every instant the path of the store has either the newer file or the complete restored one:
//!
//! 1. The write-ahead log of the newer file is folded into it, so that one file holds everything.
//! 2. The restored store is built as `heph.db.restoring` and synced.
//! 3. The newer file gets a second name, `heph.db.newer-schema<N>-<time>`.
//! 4. The restored store is renamed to the path of the store.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::Connection;
use serde::Serialize;

use super::clock::DRIFT;
use super::log::Record;
use super::schema::{self, SCHEMA, STEPS, StoreFile};
use super::{damage, file, log, sync, wal};
use crate::error::{Error, Result, ResultExt, bail};
use crate::os::files;

/// What the name of a replaced file has behind that of the store, for each reason.
const NEWER: &str = ".newer-schema";
const UNREADABLE: &str = ".unreadable-";
const DAMAGED: &str = ".damaged-";

/// What `hephd store restore` did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Restored {
    /// Always 1: the schema of this object.
    pub schema: u32,
    /// The backup.
    pub restored_from: String,
    /// The new path of the replaced file; `None` if it did not exist.
    pub kept_as: Option<String>,
    /// How many operations the backup lacked and were carried over.
    pub operations_carried: u64,
    /// Why the replaced file's log could not be read to its end, so that the restored store may lack operations.
    pub operations_unread: Option<String>,
}

/// Replaces the store `path`, which is missing or damaged or which this release cannot read, by `backup`.
///
/// # Errors
///
/// A hephd has the store open, this release can read it and it is not damaged, the backup is damaged or not a store that this release can read, or the disk
/// failed. The store is as it was.
pub(crate) fn restore(path: &Path, backup: &Path, now: Timestamp) -> Result<Restored> {
    let backup = std::path::absolute(backup)?;
    let path = file::resolve(path)?;
    let _lock = file::lock(&path)?;
    let found = schema::inspect(&path)?;
    let suffix = match &found {
        StoreFile::Store(version)
            if found.obstacle(SCHEMA).is_none()
                && damage::find(&path, *version, false)?.is_some() =>
        {
            DAMAGED.to_owned()
        }
        StoreFile::Store(version) if found.obstacle(SCHEMA).is_none() => {
            return Err(Error::new(format!(
                "cannot restore '{}': this release can read the store (schema {}), and it is not damaged",
                path.display(),
                version.schema
            ))
            .with_hint("move it away first if the backup is to replace it"));
        }
        StoreFile::Store(version) => format!("{NEWER}{}-", version.schema),
        StoreFile::Unreadable(_) | StoreFile::Missing => UNREADABLE.to_owned(),
    };
    let aside = unused_name(&path, &suffix, now);
    let replaced = (found != StoreFile::Missing).then_some(path.as_path());

    let temporary = file::sibling(&path, ".restoring");
    let latest = now.as_millisecond().saturating_add(DRIFT);
    let carried = build(&temporary, &backup, replaced, latest)
        .inspect_err(|_| drop(remove_with_companions(&temporary)))?;

    let kept = put_in_place(&path, &temporary, aside, replaced.is_some())
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
fn build(temporary: &Path, backup: &Path, replaced: Option<&Path>, latest: i64) -> Result<Carried> {
    let unread = match replaced {
        Some(newer) => fold(newer).with_context(|| format!("cannot read '{}'", newer.display()))?,
        None => None,
    };
    let mut connection = copy(backup, temporary, latest)
        .with_context(|| format!("cannot restore from '{}'", backup.display()))?;
    let mut carried = match replaced {
        Some(newer) => carry_over(newer, &mut connection, latest)
            .with_context(|| format!("cannot carry over the log of '{}'", newer.display()))?,
        None => Carried::default(),
    };
    carried.unread = unread.or(carried.unread);
    connection.close().map_err(|(_, error)| error)?;
    files::sync_file(temporary)?;
    Ok(carried)
}

/// Writes the write-ahead log of `newer` back into it, so that one file holds everything. Returns the reason if its content
/// makes that impossible.
///
/// # Errors
///
/// The machine failed, or another process has the file open.
fn fold(newer: &Path) -> Result<Option<String>> {
    // When it opens a file that is not a database, SQLite removes the log beside it.
    if !file::is_database(newer)? {
        return Ok(Some("it is not a database".to_owned()));
    }
    // SQLite would drop what is behind the damage. It stays beside the file that is kept.
    if let Some(damage) = wal::damage(&file::sibling(newer, "-wal"))? {
        return Ok(Some(damage));
    }
    let fold = || -> rusqlite::Result<String> {
        let connection = file::open_writable(newer)?;
        let mode =
            connection.pragma_update_and_check(None, "journal_mode", "delete", |row| row.get(0))?;
        connection.close().map_err(|(_, error)| error)?;
        Ok(mode)
    };
    match fold() {
        Ok(mode) if mode == "delete" => Ok(None),
        Ok(mode) => bail!("SQLite leaves it in mode '{mode}'"),
        Err(error) => Ok(Some(schema::unreadable(error)?)),
    }
}

/// Copies `backup` to `temporary`, checks it, and migrates it to the schema of this release.
fn copy(backup: &Path, temporary: &Path, latest: i64) -> Result<Connection> {
    let found = schema::inspect(backup)?;
    let version = match (&found, found.obstacle(SCHEMA)) {
        (_, Some(obstacle)) => bail!("{obstacle}"),
        (StoreFile::Store(version), None) => *version,
        (_, None) => bail!("it contains no store"),
    };
    if file::has_content(&file::sibling(backup, "-wal")) {
        bail!(
            "the store is in use, or was when its hephd was killed; only `heph backup` makes complete copies"
        );
    }
    remove_with_companions(temporary)?;
    let mut copy = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(files::PRIVATE)
        .open(temporary)?;
    io::copy(&mut File::open(backup)?, &mut copy)?;
    if let Some(damage) = damage::find(temporary, version, false)? {
        bail!("it is damaged: {damage}");
    }
    let mut connection = file::open_writable(temporary)?;
    connection.pragma_update_and_check(None, "journal_mode", "delete", |_| Ok(()))?;
    schema::migrate(&mut connection, version.schema, STEPS, latest)?;
    sync::forget_hub(&connection)?;
    Ok(connection)
}

/// Appends the operations in the log of `newer` that `restored` lacks, in order, and rebuilds the tasks.
fn carry_over(newer: &Path, restored: &mut Connection, latest: i64) -> Result<Carried> {
    let transaction = restored.transaction()?;
    let mut operations = 0;
    let mut fault = None;
    // A failed write is an error; a failed read ends the walk. Only one of them comes out of it.
    let mut write_error = None;
    let mut carry = |seq: i64, record: Record| {
        if let Some(found) = damage::fault(&record) {
            fault = Some(format!("operation {seq}: {found}"));
            return Ok(());
        }
        match log::append(&transaction, &record) {
            Ok(seq) => operations += u64::from(seq.is_some()),
            Err(error) => {
                write_error = Some(error);
                return Err(rusqlite::Error::QueryReturnedNoRows);
            }
        }
        Ok(())
    };
    let walk = file::open_readonly(newer).and_then(|newer| {
        let walked = log::for_each_appended(&newer, &mut carry);
        // What is behind a damaged page is reached from the end.
        walked.inspect_err(|_| drop(log::for_each_appended_backwards(&newer, &mut carry)))
    });
    if let Some(error) = write_error {
        return Err(error.into());
    }
    let unread = walk.err().map(schema::unreadable).transpose()?.or(fault);
    log::rebuild_tasks(&transaction, latest)?;
    transaction.commit()?;
    Ok(Carried { operations, unread })
}

/// Keeps the replaced file as `aside`, and renames `temporary` to `path`. Returns where the file is kept.
fn put_in_place(
    path: &Path,
    temporary: &Path,
    aside: PathBuf,
    has_replaced: bool,
) -> Result<Option<PathBuf>> {
    let folder = path.parent().context("the path has no folder")?;
    let kept = has_replaced.then(|| keep(path, folder, &aside));
    let kept = kept.transpose()?;
    // Left only where SQLite could not fold them. SQLite would take them for those of the restored store.
    for suffix in ["-wal", "-journal"] {
        let log = file::sibling(path, suffix);
        if log.exists() {
            fs::rename(&log, file::sibling(kept.as_ref().unwrap_or(&aside), suffix))?;
        }
    }
    files::remove_file_if_there(&file::sibling(path, "-shm"))?;
    files::sync_dir(folder)?;
    fs::rename(temporary, path)?;
    files::sync_dir(folder)?;
    Ok(kept)
}

/// Gives the file at `path` a second name, unless an interrupted run has done so already.
fn keep(path: &Path, folder: &Path, aside: &Path) -> Result<PathBuf> {
    let store = fs::metadata(path)?;
    for entry in fs::read_dir(folder)? {
        let other = entry?.path();
        let same = other
            .metadata()
            .is_ok_and(|other| (other.dev(), other.ino()) == (store.dev(), store.ino()));
        let name = other.to_string_lossy();
        if same
            && [NEWER, UNREADABLE, DAMAGED]
                .iter()
                .any(|word| name.contains(word))
        {
            return Ok(other);
        }
    }
    fs::hard_link(path, aside)?;
    Ok(aside.to_owned())
}

/// Returns an unused path beside `path`.
fn unused_name(path: &Path, what: &str, now: Timestamp) -> PathBuf {
    let first = file::sibling(path, &format!("{what}{}", now.strftime("%Y%m%dT%H%M%SZ")));
    let mut name = first.clone();
    let mut number = 2;
    while fs::symlink_metadata(&name).is_ok() {
        name = file::sibling(&first, &format!("-{number}"));
        number += 1;
    }
    name
}

fn remove_with_companions(path: &Path) -> io::Result<()> {
    for suffix in ["", "-journal", "-wal", "-shm"] {
        files::remove_file_if_there(&file::sibling(path, suffix))?;
    }
    Ok(())
}
