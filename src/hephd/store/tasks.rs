//! What clients do with tasks: add, change and list those of this machine's owner.

use std::time::SystemTime;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};
use ulid::Ulid;

use super::deletions::{self, Successor};
use super::list_cursor::ListCursor;
use super::log::{self, Content, Record};
use super::merge::Stamp;
use super::{Store, generations, sync, validate};
use crate::client::wire::{State, Task, Tasks, Which};
use crate::error::{Error, Kind, Result};
use crate::hephd::protocol::{OperationKind, PAGE_BYTES};

/// The tasks that are listed: those of this machine's owner that were added and not deleted.
const VISIBLE: &str = "user = '' AND created_at IS NOT NULL AND deleted = 0";
/// The columns of a task. Another release may have allowed a task without a title; it is shown with an empty one.
const TASK: &str = "id, ifnull(title, ''), created_at, done_at";

/// Done tasks in the order of a list, as `open_tasks` has the open ones. A release that does not know it keeps it up to date.
const DONE_TASKS: &str = "CREATE INDEX IF NOT EXISTS done_tasks ON tasks (user, created_at, id)
    WHERE done_at IS NOT NULL AND created_at IS NOT NULL AND deleted = 0";

/// Creates the indexes that the schema lacks. Not a migration: 0.1.0 must be able to open the store again. Without them,
/// lists are slow and complete, so a full disk is no error here.
pub(super) fn create_indexes(connection: &Connection) {
    drop(connection.execute_batch(DONE_TASKS));
}

/// Each change takes an operation id that the client may choose. Repeating the change with the same id changes nothing and
/// returns the same task; using the id for another change is a [`Kind::Conflict`].
///
/// A task is named by its id or by an unambiguous prefix of it.
impl Store {
    pub fn add(&mut self, title: &str, operation: Option<Ulid>, now: Timestamp) -> Result<Task> {
        let title = validate::title(title)?;
        let id = self.new_id(now);
        let added = self.commit(OperationKind::Add, &id, Some(title), operation, now)?;
        // Only the log can tell that an operation is repeated, so the usual case need not search it first.
        if !added
            && let Some(operation) = operation
            && let Some(earlier) =
                self.find_repeated(operation, &OperationKind::Add, None, Some(title))?
        {
            return self.task(&earlier);
        }
        Ok(Task {
            id,
            title: title.to_owned(),
            state: State::Open,
            // As precise as it is stored.
            created_at: Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now),
            done_at: None,
        })
    }

    /// Changes the title.
    pub fn edit(
        &mut self,
        id: &str,
        title: &str,
        operation: Option<Ulid>,
        now: Timestamp,
    ) -> Result<Task> {
        let title = validate::title(title)?;
        self.change(OperationKind::Edit, id, Some(title), operation, now)
    }

    /// Marks the task as done; one that is done stays as it is.
    pub fn done(&mut self, id: &str, operation: Option<Ulid>, now: Timestamp) -> Result<Task> {
        self.change(OperationKind::Done, id, None, operation, now)
    }

    /// Marks the task as open again; one that is open stays as it is.
    pub fn reopen(&mut self, id: &str, operation: Option<Ulid>, now: Timestamp) -> Result<Task> {
        self.change(OperationKind::Reopen, id, None, operation, now)
    }

    /// Deletes the task, and returns it as it was. [`Store::undelete`] brings it back.
    pub fn delete(&mut self, id: &str, operation: Option<Ulid>, now: Timestamp) -> Result<Task> {
        self.change(OperationKind::Delete, id, None, operation, now)
    }

    /// Returns a page of tasks, the oldest first: those behind the place `after`, at most `limit`, and fewer where their titles
    /// have more than [`PAGE_BYTES`] together.
    ///
    /// A task keeps its place, unless an older operation that adds the same task arrives from a hub. So a client that
    /// fetches all pages gets each task that exists throughout once, whatever else is written meanwhile.
    pub fn list_page(&self, which: Which, after: Option<&str>, limit: usize) -> Result<Tasks> {
        let after = after.map_or(Ok(ListCursor::START), ListCursor::parse)?;
        let mut statement = self.connection.prepare_cached(&list_sql(which))?;
        let mut rows = statement.query((after.created_at, after.id))?;
        let (mut tasks, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            if tasks.len() >= limit || bytes >= PAGE_BYTES {
                let last = tasks.last().map(ListCursor::of);
                let next = last.map(|last| last.to_string());
                return Ok(Tasks { tasks, next });
            }
            let task = read_task(row)?;
            bytes += task.title.len();
            tasks.push(task);
        }
        Ok(Tasks { tasks, next: None })
    }

    /// Returns the oldest open task.
    pub fn next(&self) -> Result<Option<Task>> {
        Ok(self.list_page(Which::Open, None, 1)?.tasks.pop())
    }

    /// Returns how many tasks are open.
    pub fn open_tasks(&self) -> Result<u64> {
        let sql = format!("SELECT count(*) FROM tasks WHERE {VISIBLE} AND done_at IS NULL");
        self.count(&sql)
    }

    fn change(
        &mut self,
        kind: OperationKind,
        id: &str,
        title: Option<&str>,
        operation: Option<Ulid>,
        now: Timestamp,
    ) -> Result<Task> {
        // Before the task is looked up: a repeated deletion would not find it.
        if let Some(operation) = operation
            && let Some(earlier) = self.find_repeated(operation, &kind, Some(id), title)?
        {
            return self.task(&earlier);
        }
        let task = self.task(&self.resolve_prefix(id)?)?;
        let changes = match kind {
            OperationKind::Done => task.state == State::Open,
            OperationKind::Reopen => task.state == State::Done,
            OperationKind::Edit => title != Some(&task.title),
            _ => true,
        };
        if changes {
            self.commit(kind, &task.id, title, operation, now)?;
        }
        self.task(&task.id)
    }

    /// Returns whether the log has the operation `id`.
    pub fn has_operation(&self, id: Ulid) -> Result<bool> {
        Ok(log::find(&self.connection, &id.to_string())?.is_some())
    }

    /// Returns the task of the operation if the log has it: the client repeats it because it did not receive the answer.
    fn find_repeated(
        &self,
        operation: Ulid,
        kind: &OperationKind,
        prefix: Option<&str>,
        title: Option<&str>,
    ) -> Result<Option<String>> {
        let id = operation.to_string();
        let Some((_, earlier)) = log::find(&self.connection, &id)? else {
            return Ok(None);
        };
        let content = earlier.content();
        let task = earlier.task.to_ascii_uppercase();
        let is_same = earlier.kind == *kind
            && prefix.is_none_or(|prefix| task.starts_with(&prefix.to_ascii_uppercase()))
            && content.user.is_empty()
            && (title.is_none() || content.title.as_deref() == title);
        if !is_same {
            let message = format!("the operation id '{id}' was used for another operation");
            return Err(Error::new(message).with_kind(Kind::Conflict));
        }
        Ok(Some(earlier.task))
    }

    /// Appends an operation and applies it, in one transaction. Returns `false` if the log has its id already.
    fn commit(
        &mut self,
        kind: OperationKind,
        task: &str,
        title: Option<&str>,
        operation: Option<Ulid>,
        now: Timestamp,
    ) -> Result<bool> {
        let id = match operation {
            Some(id) => id.to_string(),
            None => self.new_id(now),
        };
        let clock = self.clock.next(self.hub_clock.time(now));
        let transaction = self.connection.transaction()?;
        if kind == OperationKind::Delete {
            deletions::note(&transaction)?;
        }
        let stamp = match kind {
            // Its task is new.
            OperationKind::Add => Stamp::after(None, clock, id),
            _ => generations::stamp_above(&transaction, &kind, task, clock, &id)?,
        };
        let stamp = stamp.ok_or_else(|| out_of_stamps(task))?;
        let record = Record::new(kind, task.to_owned(), title, &stamp, now.as_millisecond());
        let content = Content {
            title: title.map(str::to_owned),
            clock: Some(clock),
            generation: stamp.generation,
            user: String::new(),
            sent_as: None,
        };
        let Some((seq, _)) = log::append_and_apply(&transaction, &record, &content)? else {
            return Ok(false);
        };
        if self.is_spoke {
            sync::mark_unsent(&transaction, seq)?;
        }
        transaction.commit()?;
        self.clock = clock;
        Ok(true)
    }

    /// Returns the task `id`, even if it was deleted.
    pub(super) fn task(&self, id: &str) -> Result<Task> {
        let sql = format!(
            "SELECT {TASK} FROM tasks WHERE user = '' AND id = ?1 AND created_at IS NOT NULL"
        );
        self.connection
            .prepare_cached(&sql)?
            .query_row([id], read_task)
            .optional()?
            .ok_or_else(|| no_task(id))
    }

    /// Returns the only visible task id that begins with `prefix`.
    pub(super) fn resolve_prefix(&self, prefix: &str) -> Result<String> {
        validate::prefix(prefix)?;
        // '~' sorts after every character of an id.
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT id FROM tasks WHERE {VISIBLE} AND id >= ?1 AND id < ?1 || '~' LIMIT 2"
        ))?;
        let mut ids = statement.query_map([prefix.to_ascii_uppercase()], |row| row.get(0))?;
        match (ids.next().transpose()?, ids.next()) {
            (Some(id), None) => Ok(id),
            (None, _) => Err(self.missing(prefix)?),
            (Some(_), Some(_)) => Err(ambiguous(prefix)),
        }
    }

    /// Returns the error about a task that is not visible: its hint says how a deleted one comes back.
    fn missing(&self, prefix: &str) -> Result<Error> {
        let deleted = deletions::find(&self.connection, prefix)?;
        let [id] = deleted.as_slice() else {
            return Ok(no_task(prefix));
        };
        let error = Error::new(format!("there is no task '{prefix}': it was deleted"));
        let hint = match deletions::successor(&self.connection, id)? {
            Successor::Visible(back) => format!("it is back as '{back}'"),
            Successor::Lacking { .. } => format!("`heph undelete {id}` brings it back"),
        };
        Ok(error.with_kind(Kind::NotFound).with_hint(hint))
    }

    /// Returns a ULID above all that this process generated before.
    pub(super) fn new_id(&mut self, now: Timestamp) -> String {
        self.ids
            .generate_from_datetime(SystemTime::from(now))
            .unwrap_or_else(|overflow| overflow.commit_overflow_increment())
            .to_string()
    }
}

/// Returns the statement for the tasks behind a place, in order. The indexes of open and of done tasks have that order, so a
/// page costs no more in a long list than in a short one.
pub(super) fn list_sql(which: Which) -> String {
    let behind = |state: &str| {
        format!(
            "SELECT {TASK} FROM tasks
             WHERE {VISIBLE} AND done_at {state} AND (created_at, id) > (?1, ?2)"
        )
    };
    let (open, done) = (behind("IS NULL"), behind("IS NOT NULL"));
    let tasks = match which {
        Which::Open => open,
        Which::Done => done,
        Which::All => format!("{open} UNION ALL {done}"),
    };
    format!("{tasks} ORDER BY created_at, id")
}

pub(super) fn ambiguous(prefix: &str) -> Error {
    let message = format!("more than one task has an id that begins with '{prefix}'");
    Error::new(message).with_kind(Kind::Ambiguous)
}

/// Returns the error for a task to which somebody has sent more generations of operations than there are.
pub(super) fn out_of_stamps(task: &str) -> Error {
    Error::new(format!(
        "cannot change task '{task}': any change would lose to what was sent to it"
    ))
    .with_kind(Kind::Invalid)
}

fn no_task(id: &str) -> Error {
    Error::new(format!("there is no task '{id}'")).with_kind(Kind::NotFound)
}

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
