//! The store: an append-only log of operations in SQLite, and the tasks derived from it in the same transaction.
//!
//! What the log says is what is true. A change is acknowledged only once SQLite has synced it to the disk, so whatever
//! a client was told survives SIGKILL and power loss. One process at a time has a store open, held by a lock beside it
//! that the kernel releases however that process ends.

mod backup;
mod check;
mod file;
mod log;
mod restore;
mod schema;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior};
use ulid::{Generator, Ulid};

use crate::client::wire::{LONGEST_TITLE, State, Task, Which};
use crate::error::Fault;
use crate::os::files;
use crate::os::lock::{self, Lock};
pub use backup::write_copy;
pub use check::check;
use log::Operation;
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
            Found::Store(marks) => return Err(too_new(&path, marks, newest).into()),
            Found::Unknown(why) => return Err(unknown(&path, &why).into()),
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
        Ok(Store {
            connection,
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

    /// Adds a task. A second call with the same `operation` and title adds nothing and returns the same task.
    ///
    /// # Errors
    ///
    /// [`Refusal::BadTitle`], [`Refusal::OperationReused`] or [`Refusal::Failed`].
    pub fn add(
        &mut self,
        title: &str,
        operation: Option<Ulid>,
        now: Timestamp,
    ) -> Result<Task, Refusal> {
        let title = check_title(title).map_err(Refusal::BadTitle)?;
        let id = match operation {
            None => self.new_id(now),
            Some(id) => {
                let id = id.to_string();
                if let Some(earlier) = log::find(&self.connection, &id)? {
                    if earlier.kind != log::ADD || earlier.title().as_deref() != Some(title) {
                        return Err(Refusal::OperationReused(id));
                    }
                    return self.task(&earlier.task);
                }
                id
            }
        };
        let task = self.new_id(now);
        self.commit(&Operation::add(
            id,
            task.clone(),
            title,
            now.as_millisecond(),
        ))?;
        self.task(&task)
    }

    /// Marks the task `id`, or the only one whose id begins so, as done. One that is done already stays as it is.
    ///
    /// # Errors
    ///
    /// [`Refusal::BadId`], [`Refusal::NoTask`], [`Refusal::Ambiguous`], [`Refusal::OperationReused`] or
    /// [`Refusal::Failed`].
    pub fn done(
        &mut self,
        id: &str,
        operation: Option<Ulid>,
        now: Timestamp,
    ) -> Result<Task, Refusal> {
        let task = self.task(&self.complete(id)?)?;
        if let Some(operation) = operation
            && let Some(earlier) = log::find(&self.connection, &operation.to_string())?
            && (earlier.kind != log::DONE || earlier.task != task.id)
        {
            return Err(Refusal::OperationReused(operation.to_string()));
        }
        if task.state == State::Done {
            return Ok(task);
        }
        let operation = operation.map_or_else(|| self.new_id(now), |id| id.to_string());
        self.commit(&Operation::done(
            operation,
            task.id.clone(),
            now.as_millisecond(),
        ))?;
        self.task(&task.id)
    }

    /// Returns tasks, the oldest first.
    pub fn list(&self, which: Which) -> Result<Vec<Task>, Refusal> {
        let condition = match which {
            Which::Open => "WHERE done_at IS NULL",
            Which::Done => "WHERE done_at IS NOT NULL",
            Which::All => "",
        };
        let sql = format!("SELECT {TASK} FROM tasks {condition} ORDER BY created_at, id");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let tasks = statement.query_map([], read_task)?;
        Ok(tasks.collect::<rusqlite::Result<_>>()?)
    }

    /// Returns the task to do next: the oldest open one.
    pub fn next(&self) -> Result<Option<Task>, Refusal> {
        let sql = format!(
            "SELECT {TASK} FROM tasks WHERE done_at IS NULL ORDER BY created_at, id LIMIT 1"
        );
        Ok(self
            .connection
            .prepare_cached(&sql)?
            .query_row([], read_task)
            .optional()?)
    }

    /// Returns how many tasks are open.
    pub fn open_tasks(&self) -> Result<u64, Refusal> {
        let sql = "SELECT count(*) FROM tasks WHERE done_at IS NULL";
        let count: u32 = self
            .connection
            .prepare_cached(sql)?
            .query_row([], |row| row.get(0))?;
        Ok(u64::from(count))
    }

    /// Appends `operation` and derives the state, in one transaction.
    fn commit(&mut self, operation: &Operation) -> Result<(), Refusal> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        log::append(&transaction, operation)?;
        log::derive(&transaction, operation)?;
        transaction.commit()?;
        Ok(())
    }

    fn task(&self, id: &str) -> Result<Task, Refusal> {
        self.connection
            .prepare_cached(&format!("SELECT {TASK} FROM tasks WHERE id = ?1"))?
            .query_row([id], read_task)
            .optional()?
            .ok_or_else(|| Refusal::NoTask(id.to_owned()))
    }

    /// Returns the id that `beginning` is, or begins.
    fn complete(&self, beginning: &str) -> Result<String, Refusal> {
        let plain = beginning.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !plain || beginning.is_empty() || beginning.len() > ulid::ULID_LEN {
            return Err(Refusal::BadId(beginning.to_owned()));
        }
        let begin = beginning.to_ascii_uppercase();
        // '~' sorts behind all that an id is made of.
        let mut statement = self
            .connection
            .prepare_cached("SELECT id FROM tasks WHERE id >= ?1 AND id < ?1 || '~' LIMIT 2")?;
        let found: Vec<String> = statement
            .query_map([&begin], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        match <[String; 1]>::try_from(found) {
            Ok([id]) => Ok(id),
            Err(none) if none.is_empty() => Err(Refusal::NoTask(beginning.to_owned())),
            Err(_) => Err(Refusal::Ambiguous(beginning.to_owned())),
        }
    }

    /// Returns a ULID above all that this process made before.
    fn new_id(&mut self, now: Timestamp) -> String {
        self.ids
            .generate_from_datetime(SystemTime::from(now))
            .unwrap_or_else(|overflow| overflow.commit_overflow_increment())
            .to_string()
    }
}

/// The columns of a task.
const TASK: &str = "id, title, created_at, done_at";

fn read_task(row: &Row<'_>) -> rusqlite::Result<Task> {
    let time = |column: usize, milliseconds: i64| {
        Timestamp::from_millisecond(milliseconds)
            .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, milliseconds))
    };
    let done_at: Option<i64> = row.get(3)?;
    let done_at = done_at.map(|at| time(3, at)).transpose()?;
    Ok(Task {
        id: row.get(0)?,
        title: row.get(1)?,
        state: if done_at.is_some() {
            State::Done
        } else {
            State::Open
        },
        created_at: time(2, row.get(2)?)?,
        done_at,
    })
}

/// Returns the title that is kept for `title`, or why there is none.
fn check_title(title: &str) -> Result<&str, String> {
    let title = title.trim();
    if title.is_empty() {
        return Err("is empty".to_owned());
    }
    if title.len() > LONGEST_TITLE {
        return Err(format!(
            "has {} bytes; {LONGEST_TITLE} is the most",
            title.len()
        ));
    }
    if let Some(control) = title.chars().find(|c| c.is_control()) {
        return Err(format!(
            "has the control character {}",
            control.escape_unicode()
        ));
    }
    Ok(title)
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
        Fault::new(format!(
            "another hephd has the store '{}' open",
            path.display()
        ))
        .hint("`heph daemon stop` ends it; HEPH_DB names another store")
        .into()
    })
}

fn too_new(path: &Path, marks: Marks, newest: u32) -> Fault {
    Fault::new(format!(
        "the store '{}' has schema {}, which a release with schema {} or later can read; \
         this one has schema {newest} and did not touch it",
        path.display(),
        marks.schema,
        marks.oldest_reader,
    ))
    .hint("install a newer heph, or put a backup in its place: `hephd store restore --backup FILE`")
}

fn unknown(path: &Path, why: &str) -> Fault {
    Fault::new(format!(
        "'{}' cannot be read as a store of heph ({why}); it was not touched",
        path.display()
    ))
    .hint("HEPH_DB names another store; `hephd store restore --backup FILE` puts a backup in its place")
}
