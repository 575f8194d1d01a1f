//! Which releases may read a store, and the steps that bring an older one up to date.
//!
//! # The contract between releases
//!
//! Updates go forward, and roll back when they fail; stores get copied between machines. So a release meets stores of
//! releases older and newer than itself. Three things are the same in all of them, for good:
//!
//! 1. `PRAGMA application_id` is 0x68657068.
//! 2. `meta (schema, oldest_reader)` has one row: the schema of this store, and the lowest schema a release must know
//!    to read *and write* it. A release refuses a store whose `oldest_reader` is above its own schema, before it has
//!    changed one byte. It uses a newer store that allows it without migrating it.
//! 3. `ops (seq, id, kind, task, body, created_at)`, the log, keeps its layout: no column is added, removed or given
//!    another meaning. What is new goes into `body`, into a new `kind`, or into tables of its own. This is what lets an
//!    older release carry the operations of a newer one over when it gets its store back (`restore`), and what will
//!    let releases of different age sync.
//!
//! Everything else is derived from the log and may change with every schema. A kind of operation that is new comes with
//! a new schema number: a release keeps operations it does not know in the log, and the step that introduces them
//! derives the state from the whole log anew.

use std::fs;
use std::io;
use std::path::Path;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::{file, log};
use crate::error::{Result, ResultExt};

/// One step from the schema before it.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The schema it leads to.
    pub schema: u32,
    /// The lowest schema a release must know to use the store after it.
    pub oldest_reader: u32,
    /// What it does. The state is derived anew after the last step, so no step needs to fill `tasks`.
    pub sql: &'static str,
}

/// All steps, in order.
pub const STEPS: &[Step] = &[
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
pub const SCHEMA: u32 = STEPS[STEPS.len() - 1].schema;

/// The `application_id` of a store.
const APPLICATION: i64 = 0x6865_7068;

/// What a store says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Its schema.
    pub schema: u32,
    /// The lowest schema that may use it.
    pub oldest_reader: u32,
}

impl Marks {
    /// Returns whether a release of `schema` may use the store.
    pub fn usable_by(self, schema: u32) -> bool {
        self.oldest_reader <= schema
    }
}

/// What is found under the name of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// No file, or one that no release has written to yet.
    Nothing,
    /// A store.
    Store(Marks),
    /// Something that cannot be told to be a store; why.
    Unknown(String),
}

/// Looks at the store `path` and leaves its bytes, and those of its write-ahead log, as they are.
///
/// A rollback journal that a crash left is rolled back first, as any first reader must: before that, the file says
/// nothing reliable.
///
/// # Errors
///
/// The file cannot be read at all, because of its mode or the disk.
pub fn look(path: &Path) -> Result<Found> {
    let size = match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => {
            return Ok(Found::Unknown("it is not a file".to_owned()));
        }
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot look at '{}'", path.display()));
        }
    };
    if size == 0 {
        return Ok(Found::Nothing);
    }
    let begins_well =
        file::is_database(path).with_context(|| format!("cannot read '{}'", path.display()))?;
    if !begins_well {
        return Ok(Found::Unknown("it is not a database".to_owned()));
    }
    let marks = || -> rusqlite::Result<Found> {
        if file::has_content(&file::beside(path, "-journal")) {
            let writable = file::open_writable(path)?;
            writable.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        }
        read_marks(&file::open_readonly(path)?)
    };
    match marks() {
        Ok(found) => Ok(found),
        Err(error) if is_about_the_host(&error) => {
            Err(error).with_context(|| format!("cannot look at '{}'", path.display()))
        }
        Err(error) => Ok(Found::Unknown(file::in_words(&error))),
    }
}

fn read_marks(connection: &Connection) -> rusqlite::Result<Found> {
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    if number("SELECT count(*) FROM sqlite_schema")? == 0 {
        return Ok(Found::Nothing);
    }
    if number("PRAGMA application_id")? != APPLICATION {
        return Ok(Found::Unknown(
            "it is the database of another program".to_owned(),
        ));
    }
    connection.query_row("SELECT schema, oldest_reader FROM meta", [], |row| {
        Ok(Found::Store(Marks {
            schema: row.get(0)?,
            oldest_reader: row.get(1)?,
        }))
    })
}

/// Returns whether the machine, rather than the content of the file, is why SQLite failed.
pub fn is_about_the_host(error: &rusqlite::Error) -> bool {
    use ErrorCode::*;
    error.sqlite_error_code().is_some_and(|code| {
        matches!(
            code,
            PermissionDenied
                | DatabaseBusy
                | DatabaseLocked
                | OutOfMemory
                | ReadOnly
                | SystemIoFailure
                | DiskFull
                | CannotOpen
                | FileLockingProtocolFailed
                | OperationInterrupted
        )
    })
}

/// Brings the store from schema `from` (0: an empty one) to that of the last of `steps`; a newer one stays as it is.
///
/// Each step is one transaction: after a crash the next start goes on where this one was.
///
/// # Errors
///
/// A step failed; the store is as the last complete step left it.
pub fn migrate(connection: &mut Connection, from: u32, steps: &[Step]) -> Result<()> {
    for (index, step) in steps.iter().enumerate() {
        if step.schema <= from {
            continue;
        }
        let last = index + 1 == steps.len();
        let mut run = || -> rusqlite::Result<()> {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.execute_batch(step.sql)?;
            if last {
                log::derive_anew(&transaction)?;
            }
            transaction.execute(
                "UPDATE meta SET schema = ?1, oldest_reader = ?2",
                [step.schema, step.oldest_reader],
            )?;
            transaction.commit()
        };
        run().with_context(|| format!("cannot bring the store to schema {}", step.schema))?;
    }
    Ok(())
}
