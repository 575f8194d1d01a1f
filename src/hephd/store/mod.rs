//! The store: an append-only log of operations in SQLite, and the tasks derived from it in the same transaction.
//!
//! What the log says is what is true. A change is acknowledged only once SQLite has synced it to the disk, so whatever
//! a client was told survives SIGKILL and power loss. One process at a time has a store open, held by a lock beside it
//! that the kernel releases however that process ends.

mod backup;
mod check;
mod clock;
mod file;
mod log;
mod merge;
mod restore;
mod schema;
mod sync;
mod tasks;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use ulid::Generator;

use crate::error::{Error, Result, ResultExt, bail};
use crate::os::files;
use crate::os::lock::{self, Lock};
pub use backup::write_copy;
pub use check::check;
use clock::Clock;
pub use restore::{Restored, restore};
use schema::{Found, Marks, STEPS, Step};

/// Why the store did not do what it was asked.
#[derive(Debug)]
pub enum Refusal {
    /// The title is not one; why.
    BadTitle(String),
    /// The id is none, nor the beginning of one.
    BadId(String),
    /// No task has this id, or one that begins so.
    NoTask(String),
    /// More than one task has an id that begins so.
    Ambiguous(String),
    /// The operation id belongs to another operation.
    OperationReused(String),
    /// SQLite, or the disk below it, failed; nothing was changed.
    Failed(rusqlite::Error),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::BadTitle(why) => write!(f, "the title {why}"),
            Refusal::BadId(id) => write!(f, "'{id}' is no id of a task, nor the beginning of one"),
            Refusal::NoTask(id) => write!(f, "there is no task '{id}'"),
            Refusal::Ambiguous(id) => write!(f, "more than one task has an id that begins '{id}'"),
            Refusal::OperationReused(id) => {
                write!(f, "the operation id '{id}' belongs to another operation")
            }
            Refusal::Failed(error) => write!(f, "the store failed: {}", file::in_words(error)),
        }
    }
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Refusal {
        Refusal::Failed(error)
    }
}

/// An open store, which no other process can open meanwhile.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
    schema: u32,
    ids: Generator,
    // The highest time that an operation here has.
    clock: Clock,
    is_spoke: bool,
    // Dropped last: the connection writes its log back when it closes.
    _lock: Lock,
}

impl Store {
    /// Opens the store `path`; makes it where there is none, and migrates an older one. `migrating` hears from which
    /// schema to which before that begins.
    ///
    /// # Errors
    ///
    /// Another process has it open; it is too new for this release, or no store at all, and was not touched; or the
    /// disk refused.
    pub fn open(path: &Path, migrating: impl FnOnce(u32, u32)) -> Result<Store> {
        Store::open_with(path, STEPS, migrating)
    }

    fn open_with(path: &Path, steps: &[Step], migrating: impl FnOnce(u32, u32)) -> Result<Store> {
        let newest = steps.last().map_or(0, |step| step.schema);
        let path = resolve(path)?;
        let lock = take_lock(&path)?;
        let from = match schema::look(&path)? {
            Found::Nothing => 0,
            Found::Store(marks) if marks.usable_by(newest) => marks.schema,
            Found::Store(marks) => return Err(too_new(&path, marks, newest)),
            Found::Unknown(why) => return Err(unknown(&path, &why)),
        };
        file::make_private(&path)
            .with_context(|| format!("cannot make the store '{}'", path.display()))?;
        if from == 0 {
            files::sync_dir(path.parent().unwrap_or(Path::new("/")))?;
        }
        let mut connection = connect(&path)
            .with_context(|| format!("cannot open the store '{}'", path.display()))?;
        if from < newest {
            migrating(from, newest);
            schema::migrate(&mut connection, from, steps)
                .with_context(|| format!("cannot migrate the store '{}'", path.display()))?;
        }
        let read = || -> rusqlite::Result<_> {
            Ok((
                log::highest_clock(&connection)?,
                sync::is_spoke(&connection)?,
            ))
        };
        let (clock, is_spoke) =
            read().with_context(|| format!("cannot read the store '{}'", path.display()))?;
        Ok(Store {
            connection,
            clock,
            is_spoke,
            path,
            schema: from.max(newest),
            ids: Generator::new(),
            _lock: lock,
        })
    }

    /// Returns where it is, with links resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns its schema.
    pub fn schema(&self) -> u32 {
        self.schema
    }
}

/// Opens the file for daily use.
fn connect(path: &Path) -> Result<Connection> {
    let connection = file::open_writable(path)?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode != "wal" {
        bail!("SQLite has no write-ahead log on this file system");
    }
    connection.pragma_update(None, "synchronous", "full")?;
    // More than there are statements: each is prepared once.
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Returns `path` with links resolved, so that one store has one lock; makes its folder.
fn resolve(path: &Path) -> Result<PathBuf> {
    match fs::canonicalize(path) {
        Ok(path) => Ok(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
                bail!("'{}' cannot be the name of a store", path.display());
            };
            files::create_private_dir(folder)?;
            let folder = fs::canonicalize(folder)
                .with_context(|| format!("cannot open the folder '{}'", folder.display()))?;
            Ok(folder.join(name))
        }
        Err(error) => Err(error).with_context(|| format!("cannot look at '{}'", path.display())),
    }
}

fn take_lock(path: &Path) -> Result<Lock> {
    lock::try_exclusive(&file::beside(path, ".lock"))?.ok_or_else(|| {
        Error::new(format!(
            "another hephd has the store '{}' open",
            path.display()
        ))
        .with_hint("`heph daemon stop` ends it; HEPH_DB names another store")
    })
}

fn too_new(path: &Path, marks: Marks, newest: u32) -> Error {
    Error::new(format!(
        "the store '{}' has schema {}, which a release with schema {} or later can read; \
         this one has schema {newest} and did not touch it",
        path.display(),
        marks.schema,
        marks.oldest_reader,
    ))
    .with_hint(
        "install a newer heph, or put a backup in its place: `hephd store restore --backup FILE`",
    )
}

fn unknown(path: &Path, why: &str) -> Error {
    Error::new(format!(
        "'{}' cannot be read as a store of heph ({why}); it was not touched",
        path.display()
    ))
    .with_hint("HEPH_DB names another store; `hephd store restore --backup FILE` puts a backup in its place")
}
