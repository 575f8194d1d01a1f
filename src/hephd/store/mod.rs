//! The store: an append-only log of operations in SQLite, and the tasks derived from it in the same transaction.
//!
//! The log is the truth. A change is acknowledged only once SQLite has synced it to the disk, so every acknowledged change
//! survives SIGKILL and power loss. A lock beside the store allows one process at a time to open it; the kernel releases
//! the lock however that process ends.

mod accounts;
mod allowance;
mod backup;
mod check;
mod clock;
mod damage;
mod deletions;
mod file;
mod generations;
mod high_water;
mod list_cursor;
mod log;
mod merge;
mod restore;
mod schema;
mod sync;
mod tasks;
#[cfg(test)]
mod tests;
mod undelete;
mod validate;
mod wal;

use std::path::{Path, PathBuf};
use std::time::Instant;

use rusqlite::Connection;
use ulid::Generator;

use crate::error::{Error, Kind, Result, ResultExt, bail};
use crate::os::clock::now;
use crate::os::files;
use crate::os::lock::Lock;
pub(crate) use accounts::Quota;
pub(crate) use allowance::ALLOWANCE;
pub(crate) use backup::write_copy;
pub(crate) use check::check;
pub(crate) use clock::HubClock;
use clock::{Clock, DRIFT};
use file::OpenFiles;
use high_water::{HighWater, Mark};
pub(crate) use restore::{Restored, restore};
use schema::{STEPS, Step, StoreFile};

/// What helps where a store is damaged.
pub(super) const DAMAGED: &str = "`hephd store check` names the damage; stop hephd and run `hephd store restore --backup FILE`, which keeps what can be read";

/// An open store. No other process can open it meanwhile.
#[derive(Debug)]
pub(crate) struct Store {
    connection: Connection,
    path: PathBuf,
    schema: u32,
    ids: Generator,
    /// The highest time of any operation here, except those that were too far ahead when they came.
    clock: Clock,
    hub_clock: HubClock,
    /// How far ahead of this hub's time the clock of an operation may be, in milliseconds.
    max_drift: i64,
    is_spoke: bool,
    /// Whether the tables of a hub's users are known to exist.
    has_accounts: bool,
    quota: Option<Quota>,
    /// How many bytes the hub of a spoke may store here.
    allowance: u64,
    /// When the disk last had no room for an exchange, unless one was stored since.
    full_since: Option<Instant>,
    files: OpenFiles,
    high_water: HighWater,
    /// How many rows this connection had changed when the mark was last raised.
    changes: u64,
    /// What its user should know of it, in a sentence.
    warning: Option<String>,
    // Dropped last: the connection writes its log back when it closes.
    _lock: Lock,
}

impl Store {
    /// Opens the store `path`; creates a missing one and migrates an older one. Calls `migrating` with the schemas before
    /// and after, before a migration begins.
    ///
    /// # Errors
    ///
    /// Another process has it open; it is too new for this release or not a store, and was left untouched; or the disk
    /// failed.
    pub fn open(path: &Path, migrating: impl FnOnce(u32, u32)) -> Result<Store> {
        Store::open_with(path, STEPS, migrating)
    }

    fn open_with(path: &Path, steps: &[Step], migrating: impl FnOnce(u32, u32)) -> Result<Store> {
        let newest = steps.last().map_or(0, |step| step.schema);
        let path = file::resolve(path)?;
        let lock = file::lock(&path)?;
        let cannot_open = || format!("cannot open the store '{}'", path.display());
        let found = schema::inspect(&path)?;
        if let Some(obstacle) = found.obstacle(newest) {
            let error = Error::new(format!(
                "{}: {obstacle}; it was left untouched",
                cannot_open()
            ));
            return Err(error.with_hint(match found {
                StoreFile::Store(_) => "install a newer heph, or replace the store by a backup: `hephd store restore --backup FILE`",
                _ => "set HEPH_DB to another store, or replace this one by a backup: `hephd store restore --backup FILE`",
            }));
        }
        let from = match found {
            StoreFile::Store(version) => version.schema,
            _ => 0,
        };
        file::make_private(&path).with_context(cannot_open)?;
        if from == 0 {
            files::sync_dir(path.parent().unwrap_or(Path::new("/")))?;
        }
        let mut connection = connect(&path).with_context(cannot_open)?;
        let latest = now().as_millisecond().saturating_add(DRIFT);
        if from < newest {
            migrating(from, newest);
            schema::migrate(&mut connection, from, steps, latest).with_context(cannot_open)?;
        }
        // The tables of a newer schema are unknown.
        if from <= newest {
            tasks::create_indexes(&connection);
        }
        generations::prepare(&mut connection, latest, from <= newest).with_context(cannot_open)?;
        let clock = log::load_clock(&connection, latest).with_context(cannot_open)?;
        let is_spoke = sync::is_spoke(&connection).with_context(cannot_open)?;
        let mut high_water = HighWater::open(&path);
        // A newer schema may not have what the mark is made of.
        let mark = Mark::of(&connection).ok();
        let missing = mark
            .as_ref()
            .and_then(|now| high_water.missing(now, from == 0));
        mark.into_iter().for_each(|mark| high_water.raise(mark));
        let warning = missing.map(|missing| {
            format!("{missing}; `hephd store restore --backup FILE` adds those of a backup")
        });
        Ok(Store {
            changes: connection.total_changes(),
            connection,
            high_water,
            clock,
            hub_clock: HubClock::default(),
            max_drift: DRIFT,
            is_spoke,
            has_accounts: false,
            quota: None,
            allowance: ALLOWANCE,
            full_since: None,
            files: OpenFiles::of(&path),
            warning,
            path,
            schema: from.max(newest),
            ids: Generator::new(),
            _lock: lock,
        })
    }

    /// Returns its path, with links resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn schema(&self) -> u32 {
        self.schema
    }

    /// Returns what is wrong with the store although it can be used, with the command that helps.
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// Sets the warning. Returns whether it is another one than before.
    pub fn warn(&mut self, warning: String) -> bool {
        let is_new = self.warning.as_ref() != Some(&warning);
        self.warning = Some(warning);
        is_new
    }

    /// Raises the high-water mark to what was stored.
    pub fn raise_high_water(&mut self) {
        let changes = self.connection.total_changes();
        if changes != self.changes {
            self.changes = changes;
            if let Ok(mark) = Mark::of(&self.connection) {
                self.high_water.raise(mark);
            }
        }
    }

    /// Checks that the files which are open are those at the path of the store.
    ///
    /// # Errors
    ///
    /// [`Kind::Lost`]: one was moved, replaced or removed.
    pub fn check_files(&self) -> Result<()> {
        let Some(lost) = self.files.lost() else {
            return Ok(());
        };
        let message = format!(
            "'{}' was moved, replaced or removed while hephd had it open",
            lost.display()
        );
        Err(Error::new(message).with_kind(Kind::Lost))
    }

    /// Returns `error`, which says that the store is damaged, unless its files cannot be read at all.
    pub fn explain(&self, error: Error) -> Error {
        match self.files.read() {
            Ok(()) => error,
            Err(error) => error.with_kind(Kind::Lost),
        }
    }

    /// Returns the result of `sql`, a single number that is not negative.
    fn count(&self, sql: &str) -> Result<u64> {
        Ok(count(&self.connection, sql)?)
    }
}

/// Returns the result of `sql`, a single number that is not negative.
fn count(connection: &Connection, sql: &str) -> rusqlite::Result<u64> {
    let count: i64 = connection
        .prepare_cached(sql)?
        .query_row([], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// Returns whether the store has the table `name`. Tables that are not part of a schema are created when they are needed.
fn has_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM main.sqlite_schema WHERE name = ?1")?
        .exists([name])
}

fn connect(path: &Path) -> Result<Connection> {
    let connection = file::open_writable(path)?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode != "wal" {
        bail!("SQLite cannot use a write-ahead log on this file system");
    }
    connection.pragma_update(None, "synchronous", "full")?;
    // More than the store has: each statement is prepared once.
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}
