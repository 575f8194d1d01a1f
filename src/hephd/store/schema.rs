//! Which releases may use a store, and the steps that migrate an older one.
//!
//! # The contract between releases
//!
//! Updates roll back when they fail, and stores get copied between machines. So a release meets stores of older and newer
//! releases. Three things never change:
//!
//! 1. `PRAGMA application_id` is 0x68657068.
//! 2. `meta (schema, oldest_reader)` has one row: the schema of this store, and the lowest schema that a release must know
//!    to read *and write* it. A release rejects a store whose `oldest_reader` is above its own schema, before it has
//!    changed a byte. It uses a newer store that allows it, without migrating it.
//! 3. `ops (seq, id, kind, task, body, created_at)`, the log, keeps its layout: no column is added, removed or given
//!    another meaning. New data goes into `body`, into a new `kind`, or into separate tables. This is what lets an older
//!    release carry over the operations of a newer one when it gets its store back (`restore`), and what lets releases
//!    of different age sync.
//!
//! Everything else is derived from the log and may change with every schema. A new kind of operation comes with a new
//! schema number: a release keeps unknown operations in the log, and the migration that introduces their kind rebuilds
//! the derived tables from the whole log.

use std::fs;
use std::io;
use std::path::Path;

use rusqlite::{Connection, ErrorCode};

use super::{file, log};
use crate::error::{Result, ResultExt};

/// A migration from the schema before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// The schema after it.
    pub schema: u32,
    /// The lowest schema that a release must know to use the store after it.
    pub oldest_reader: u32,
    /// It need not fill `tasks`, which is rebuilt after the last step.
    pub sql: &'static str,
}

/// All migrations, in order.
pub(super) const STEPS: &[Step] = &[
    Step {
        schema: 1,
        oldest_reader: 1,
        sql: include_str!("schema-1.sql"),
    },
    Step {
        schema: 2,
        oldest_reader: 2,
        sql: include_str!("schema-2.sql"),
    },
];

/// The schema of this release.
pub(super) const SCHEMA: u32 = STEPS[STEPS.len() - 1].schema;

/// The `application_id` of a store.
const APPLICATION: i64 = 0x6865_7068;

/// The row of `meta`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SchemaVersion {
    pub schema: u32,
    /// The lowest schema that a release must know to use the store.
    pub oldest_reader: u32,
}

/// What the path of a store leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StoreFile {
    /// No file, or one that no release has written to yet.
    Missing,
    Store(SchemaVersion),
    /// Not recognizable as a store, with the reason.
    Unreadable(String),
}

impl StoreFile {
    /// Returns why a release whose schema is `known` cannot use it; `None` where it can, or where no store exists yet.
    pub fn obstacle(&self, known: u32) -> Option<String> {
        match self {
            StoreFile::Store(version) if version.oldest_reader > known => Some(format!(
                "it has schema {}, which needs a release with schema {} or later; this one has schema {known}",
                version.schema, version.oldest_reader
            )),
            StoreFile::Missing | StoreFile::Store(_) => None,
            StoreFile::Unreadable(reason) => Some(reason.clone()),
        }
    }
}

/// Identifies the file `path` without changing it or its write-ahead log.
///
/// A rollback journal that a crash left behind is rolled back first: before that, the file says nothing reliable.
///
/// # Errors
///
/// The file mode or the disk prevents reading the file at all.
pub(super) fn inspect(path: &Path) -> Result<StoreFile> {
    let cannot_read = || format!("cannot read '{}'", path.display());
    let size = match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => {
            return Ok(StoreFile::Unreadable("it is not a file".to_owned()));
        }
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(StoreFile::Missing),
        Err(error) => return Err(error).with_context(cannot_read),
    };
    if size == 0 {
        return Ok(StoreFile::Missing);
    }
    if !file::is_database(path).with_context(cannot_read)? {
        return Ok(StoreFile::Unreadable("it is not a database".to_owned()));
    }
    let read = || -> rusqlite::Result<StoreFile> {
        if file::has_content(&file::sibling(path, "-journal")) {
            let writable = file::open_writable(path)?;
            writable.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        }
        read_version(&file::open_readonly(path)?)
    };
    read()
        .or_else(|error| unreadable(error).map(StoreFile::Unreadable))
        .with_context(cannot_read)
}

fn read_version(connection: &Connection) -> rusqlite::Result<StoreFile> {
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    if number("SELECT count(*) FROM sqlite_schema")? == 0 {
        return Ok(StoreFile::Missing);
    }
    if number("PRAGMA application_id")? != APPLICATION {
        let reason = "it is the database of another program";
        return Ok(StoreFile::Unreadable(reason.to_owned()));
    }
    connection.query_row("SELECT schema, oldest_reader FROM meta", [], |row| {
        Ok(StoreFile::Store(SchemaVersion {
            schema: row.get(0)?,
            oldest_reader: row.get(1)?,
        }))
    })
}

/// Returns why the content of a file cannot be read.
///
/// # Errors
///
/// `error` itself, where the machine rather than the content is the cause.
pub(super) fn unreadable(error: rusqlite::Error) -> rusqlite::Result<String> {
    use ErrorCode::*;
    match error.sqlite_error_code() {
        Some(
            PermissionDenied
            | DatabaseBusy
            | DatabaseLocked
            | OutOfMemory
            | ReadOnly
            | SystemIoFailure
            | DiskFull
            | CannotOpen
            | FileLockingProtocolFailed
            | OperationInterrupted,
        ) => Err(error),
        _ => Ok(error.to_string()),
    }
}

/// Migrates the store from schema `from` (0: an empty one) to that of the last of `steps`; a newer one stays as it is.
///
/// Each step is one transaction: after a crash, the next start continues with the step that was interrupted. The clock follows
/// no operation that is later than `latest`.
///
/// # Errors
///
/// A step failed; the store is as the last complete step left it.
pub(super) fn migrate(
    connection: &mut Connection,
    from: u32,
    steps: &[Step],
    latest: i64,
) -> Result<()> {
    for (index, step) in steps.iter().enumerate() {
        if step.schema <= from {
            continue;
        }
        let is_last = index + 1 == steps.len();
        let mut run = || -> rusqlite::Result<()> {
            let transaction = connection.transaction()?;
            transaction.execute_batch(step.sql)?;
            if is_last {
                log::rebuild_tasks(&transaction, latest)?;
            }
            transaction.execute(
                "UPDATE meta SET schema = ?1, oldest_reader = ?2",
                [step.schema, step.oldest_reader],
            )?;
            transaction.commit()
        };
        run().with_context(|| format!("cannot migrate to schema {}", step.schema))?;
    }
    Ok(())
}
