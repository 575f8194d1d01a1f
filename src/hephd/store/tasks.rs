//! What clients ask of the store: tasks of this machine's owner, added, changed and listed.

use std::time::SystemTime;

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, TransactionBehavior};
use ulid::Ulid;

use super::log::{self, Content, Operation};
use super::merge::{ADD, DELETE, DONE, EDIT, REOPEN};
use super::{Refusal, Store, sync};
use crate::client::wire::{LONGEST_TITLE, State, Task, Which};

/// The tasks that are shown: those of this machine's owner that were added and not deleted.
const SHOWN: &str = "user = '' AND created_at IS NOT NULL AND deleted = 0";
/// The columns of a task. One that another release allowed to have no title has an empty one.
const TASK: &str = "id, ifnull(title, ''), created_at, done_at";

impl Store {
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
        let id = self.new_id(now);
        let added = self.commit(ADD, &id, Some(title), operation, now)?;
        // The log itself tells a retried operation, so the usual case need not look for one first.
        if !added
            && let Some(operation) = operation
            && let Some(earlier) = self.earlier(operation, ADD, None, Some(title))?
        {
            return self.task(&earlier);
        }
        Ok(Task {
            id,
            title: title.to_owned(),
            state: State::Open,
            // As it is kept.
            created_at: Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now),
            done_at: None,
        })
    }

    /// Gives the task `id`, or the only one whose id begins so, another title. As [`Store::add`] with `operation`.
    ///
    /// # Errors
    ///
    /// [`Refusal::BadTitle`], and as [`Store::done`].
    pub fn edit(
        &mut self,
        id: &str,
        title: &str,
        operation: Option<Ulid>,
        now: Timestamp,
    ) -> Result<Task, Refusal> {
        let title = check_title(title).map_err(Refusal::BadTitle)?;
        self.change(EDIT, id, Some(title), operation, now)
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
        self.change(DONE, id, None, operation, now)
    }

    /// Marks the task as open again. One that is open stays as it is.
    ///
    /// # Errors
    ///
    /// As [`Store::done`].
    pub fn reopen(
        &mut self,
        id: &str,
        operation: Option<Ulid>,
        now: Timestamp,
    ) -> Result<Task, Refusal> {
        self.change(REOPEN, id, None, operation, now)
    }

    /// Deletes the task, for good, and returns it as it was.
    ///
    /// # Errors
    ///
    /// As [`Store::done`].
    pub fn delete(
        &mut self,
        id: &str,
        operation: Option<Ulid>,
        now: Timestamp,
    ) -> Result<Task, Refusal> {
        self.change(DELETE, id, None, operation, now)
    }

    /// Returns tasks, the oldest first.
    pub fn list(&self, which: Which) -> Result<Vec<Task>, Refusal> {
        let condition = match which {
            Which::Open => "AND done_at IS NULL",
            Which::Done => "AND done_at IS NOT NULL",
            Which::All => "",
        };
        let sql =
            format!("SELECT {TASK} FROM tasks WHERE {SHOWN} {condition} ORDER BY created_at, id");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let tasks = statement.query_map([], read_task)?;
        Ok(tasks.collect::<rusqlite::Result<_>>()?)
    }

    /// Returns the task to do next: the oldest open one.
    pub fn next(&self) -> Result<Option<Task>, Refusal> {
        let sql = format!(
            "SELECT {TASK} FROM tasks WHERE {SHOWN} AND done_at IS NULL ORDER BY created_at, id LIMIT 1"
        );
        Ok(self
            .connection
            .prepare_cached(&sql)?
            .query_row([], read_task)
            .optional()?)
    }

    /// Returns how many tasks are open.
    pub fn open_tasks(&self) -> Result<u64, Refusal> {
        let sql = format!("SELECT count(*) FROM tasks WHERE {SHOWN} AND done_at IS NULL");
        let count: u32 = self
            .connection
            .prepare_cached(&sql)?
            .query_row([], |row| row.get(0))?;
        Ok(u64::from(count))
    }

    /// Does `kind` to the task `id`, or the only one whose id begins so, unless that changes nothing.
    fn change(
        &mut self,
        kind: &str,
        id: &str,
        title: Option<&str>,
        operation: Option<Ulid>,
        now: Timestamp,
    ) -> Result<Task, Refusal> {
        // Before the task is looked for: a retried deletion does not find it any more.
        if let Some(operation) = operation
            && let Some(earlier) = self.earlier(operation, kind, Some(id), title)?
        {
            return self.task(&earlier);
        }
        let task = self.task(&self.complete(id)?)?;
        let changes = match kind {
            DONE => task.state == State::Open,
            REOPEN => task.state == State::Done,
            EDIT => title != Some(&task.title),
            _ => true,
        };
        if changes {
            self.commit(kind, &task.id, title, operation, now)?;
        }
        self.task(&task.id)
    }

    /// Returns the task of the operation where it was made before, by a client that did not hear the answer.
    fn earlier(
        &self,
        operation: Ulid,
        kind: &str,
        beginning: Option<&str>,
        title: Option<&str>,
    ) -> Result<Option<String>, Refusal> {
        let id = operation.to_string();
        let Some((_, earlier)) = log::find(&self.connection, &id)? else {
            return Ok(None);
        };
        let content = earlier.content();
        let same_task = beginning.is_none_or(|beginning| {
            earlier
                .task
                .to_ascii_uppercase()
                .starts_with(&beginning.to_ascii_uppercase())
        });
        if earlier.kind != kind
            || !same_task
            || !content.user.is_empty()
            || (title.is_some() && content.title.as_deref() != title)
        {
            return Err(Refusal::OperationReused(id));
        }
        Ok(Some(earlier.task))
    }

    /// Appends an operation and derives the state, in one transaction. Returns whether the log lacked it.
    fn commit(
        &mut self,
        kind: &str,
        task: &str,
        title: Option<&str>,
        operation: Option<Ulid>,
        now: Timestamp,
    ) -> Result<bool, Refusal> {
        let id = match operation {
            Some(id) => id.to_string(),
            None => self.new_id(now),
        };
        let clock = self.clock.next(now.as_millisecond());
        let operation = Operation::new(
            kind,
            id,
            task.to_owned(),
            title,
            clock,
            now.as_millisecond(),
        );
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let content = Content {
            title: title.map(str::to_owned),
            clock: Some(clock),
            user: String::new(),
        };
        let Some((seq, _)) = log::record_as(&transaction, &operation, &content)? else {
            return Ok(false);
        };
        if self.is_spoke {
            sync::send_later(&transaction, seq)?;
        }
        transaction.commit()?;
        self.clock = clock;
        Ok(true)
    }

    /// Returns the task `id`, also one that was deleted.
    fn task(&self, id: &str) -> Result<Task, Refusal> {
        let sql = format!(
            "SELECT {TASK} FROM tasks WHERE user = '' AND id = ?1 AND created_at IS NOT NULL"
        );
        self.connection
            .prepare_cached(&sql)?
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
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT id FROM tasks WHERE {SHOWN} AND id >= ?1 AND id < ?1 || '~' LIMIT 2"
        ))?;
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
pub fn check_title(title: &str) -> Result<&str, String> {
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
