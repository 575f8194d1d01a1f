//! The log of operations, and the state derived from it.

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde_json::{Map, Value, json};

use super::clock::Clock;
use super::merge::{ADD, DELETE, DONE, EDIT, Entry, Field, REOPEN, Stamp};

/// One operation, as the log keeps it: also one of a kind that only a newer release knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its ULID.
    pub id: String,
    /// What it does.
    pub kind: String,
    /// The ULID of the task it is about.
    pub task: String,
    /// A JSON object, by kind.
    pub body: String,
    /// When it was made, in milliseconds since 1970, UTC.
    pub created_at: i64,
}

/// What the body of an operation says, as far as this release understands it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The title.
    pub title: Option<String>,
    /// The time of the hybrid clock; `None` in operations of releases that had none.
    pub clock: Option<Clock>,
    /// Whose task it is about: "" is the owner of this machine.
    pub user: String,
}

impl Operation {
    /// Returns an operation of this machine's owner.
    pub fn new(
        kind: &str,
        id: String,
        task: String,
        title: Option<&str>,
        clock: Clock,
        created_at: i64,
    ) -> Operation {
        let body = match title {
            Some(title) => json!({ "title": title, "clock": clock }),
            None => json!({ "clock": clock }),
        };
        Operation {
            id,
            kind: kind.to_owned(),
            task,
            body: body.to_string(),
            created_at,
        }
    }

    /// Returns what its body says.
    pub fn content(&self) -> Content {
        let body: Map<String, Value> = serde_json::from_str(&self.body).unwrap_or_default();
        let text = |name| body.get(name).and_then(Value::as_str).map(str::to_owned);
        let clock = body.get("clock").cloned();
        Content {
            title: text("title"),
            clock: clock.and_then(|clock| serde_json::from_value(clock).ok()),
            user: text("user").unwrap_or_default(),
        }
    }

    /// Returns what decides between it and other writers of the same field.
    pub fn stamp(&self, content: &Content) -> Stamp {
        Stamp {
            clock: content.clock.unwrap_or(Clock(self.created_at, 0)),
            operation: self.id.clone(),
        }
    }

    /// Reads a row of [`COLUMNS`], from the column `first` on.
    pub fn from_row(row: &Row<'_>, first: usize) -> rusqlite::Result<Operation> {
        Ok(Operation {
            id: row.get(first)?,
            kind: row.get(first + 1)?,
            task: row.get(first + 2)?,
            body: row.get(first + 3)?,
            created_at: row.get(first + 4)?,
        })
    }
}

/// The columns that make an operation.
pub const COLUMNS: &str = "id, kind, task, body, created_at";

/// Appends `operation` to the log and changes the state as it says, unless the log has it already. Returns its number
/// and what [`derive()`] returns, `None` where it was there. Call it in a transaction.
pub fn record(
    connection: &Connection,
    operation: &Operation,
) -> rusqlite::Result<Option<(i64, Clock)>> {
    record_as(connection, operation, &operation.content())
}

/// As [`record`], where the caller knows what the body says.
pub fn record_as(
    connection: &Connection,
    operation: &Operation,
    content: &Content,
) -> rusqlite::Result<Option<(i64, Clock)>> {
    let Some(seq) = append(connection, operation)? else {
        return Ok(None);
    };
    let clock = derive(connection, seq, operation, content)?;
    Ok(Some((seq, clock)))
}

/// Appends `operation` to the log, unless it is there already. Returns its number, `None` where it was there.
pub fn append(connection: &Connection, operation: &Operation) -> rusqlite::Result<Option<i64>> {
    let appended = connection
        .prepare_cached(
            "INSERT INTO ops (id, kind, task, body, created_at)
             VALUES (:id, :kind, :task, :body, :created_at) ON CONFLICT (id) DO NOTHING",
        )?
        .execute(named_params! {
            ":id": operation.id,
            ":kind": operation.kind,
            ":task": operation.task,
            ":body": operation.body,
            ":created_at": operation.created_at,
        })?;
    Ok((appended == 1).then(|| connection.last_insert_rowid()))
}

/// Returns the operation `id` and its number.
pub fn find(connection: &Connection, id: &str) -> rusqlite::Result<Option<(i64, Operation)>> {
    connection
        .prepare_cached(&format!("SELECT seq, {COLUMNS} FROM ops WHERE id = ?1"))?
        .query_row([id], |row| Ok((row.get(0)?, Operation::from_row(row, 1)?)))
        .optional()
}

/// Changes the state as `operation` says, which has the number `seq`. One that this release does not understand changes
/// no task. Returns the time that the clock of this machine has to be ahead of: that of the operation, and none where it
/// is of another user, who could drive the clocks of all others.
fn derive(
    connection: &Connection,
    seq: i64,
    operation: &Operation,
    content: &Content,
) -> rusqlite::Result<Clock> {
    let stamp = operation.stamp(content);
    if !content.user.is_empty() {
        connection
            .prepare_cached("INSERT INTO user_ops (user, seq) VALUES (?1, ?2)")?
            .execute((&content.user, seq))?;
    }
    let (user, kind) = (&content.user, operation.kind.as_str());
    if [ADD, EDIT, DONE, REOPEN, DELETE].contains(&kind) {
        let apply = |entry: &mut Entry| {
            let title = content.title.as_deref();
            entry.apply(kind, title, &stamp, operation.created_at)
        };
        // An operation that adds a task is nearly always the first of that task: no need to look.
        let mut first = Entry::default();
        let is_first = kind == ADD
            && (!apply(&mut first)
                || write(connection, UNLESS_THERE, user, &operation.task, &first)? == 1);
        if !is_first {
            let mut entry = entry(connection, user, &operation.task)?.unwrap_or_default();
            if apply(&mut entry) {
                write(connection, OR_REPLACE, user, &operation.task, &entry)?;
            }
        }
    }
    Ok(if content.user.is_empty() {
        stamp.clock
    } else {
        Clock::default()
    })
}

/// The statement that writes what is known of a task, and does this where something is known of it already.
macro_rules! insert {
    ($conflict:literal) => {
        concat!(
            "INSERT INTO tasks (user, id, title, created_at, done_at, deleted, added_by, titled_by, done_by)
             VALUES (:user, :id, :title, :created_at, :done_at, :deleted, :added_by, :titled_by, :done_by)
             ON CONFLICT (user, id) ",
            $conflict
        )
    };
}
const UNLESS_THERE: &str = insert!("DO NOTHING");
const OR_REPLACE: &str = insert!(
    "DO UPDATE SET title = excluded.title, created_at = excluded.created_at, done_at = excluded.done_at,
     deleted = excluded.deleted, added_by = excluded.added_by, titled_by = excluded.titled_by, done_by = excluded.done_by"
);

/// Writes what is known of a task, by one of the statements above. Returns how many rows that changed.
fn write(
    connection: &Connection,
    sql: &str,
    user: &str,
    task: &str,
    entry: &Entry,
) -> rusqlite::Result<usize> {
    fn stamp<T>(field: &Field<T>) -> Option<Vec<u8>> {
        field.as_ref().map(|(stamp, _)| stamp.to_bytes())
    }
    // Most tasks are never edited: then one stamp says both.
    let titled_by = match (&entry.added, &entry.title) {
        (Some((added, _)), Some((titled, _))) if added == titled => None,
        _ => stamp(&entry.title),
    };
    connection.prepare_cached(sql)?.execute(named_params! {
        ":user": user,
        ":id": task,
        ":title": entry.title.as_ref().map(|(_, title)| title),
        ":created_at": entry.added.as_ref().map(|(_, at)| at),
        ":done_at": entry.done.as_ref().and_then(|(_, at)| *at),
        ":deleted": entry.deleted,
        ":added_by": stamp(&entry.added),
        ":titled_by": titled_by,
        ":done_by": stamp(&entry.done),
    })
}

/// Returns what is known of a task of `user`.
fn entry(connection: &Connection, user: &str, task: &str) -> rusqlite::Result<Option<Entry>> {
    connection
        .prepare_cached(
            "SELECT title, created_at, done_at, deleted, added_by, titled_by, done_by FROM tasks
             WHERE user = ?1 AND id = ?2",
        )?
        .query_row([user, task], |row| {
            let stamp = |column: usize| -> rusqlite::Result<Option<Stamp>> {
                let bytes: Option<Vec<u8>> = row.get(column)?;
                Ok(bytes.and_then(|bytes| Stamp::from_bytes(&bytes)))
            };
            let added = stamp(4)?;
            Ok(Entry {
                title: stamp(5)?.or_else(|| added.clone()).zip(row.get(0)?),
                added: added.zip(row.get(1)?),
                done: stamp(6)?.zip(Some(row.get(2)?)),
                deleted: row.get(3)?,
            })
        })
        .optional()
}

/// Calls `visit` with each operation of the log and its number, in their order.
pub fn for_each(
    connection: &Connection,
    mut visit: impl FnMut(i64, Operation) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare(&format!("SELECT seq, {COLUMNS} FROM ops ORDER BY seq"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        visit(row.get(0)?, Operation::from_row(row, 1)?)?;
    }
    Ok(())
}

/// Derives the state from the whole log, as if there had been none.
pub fn derive_anew(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("DELETE FROM tasks; DELETE FROM user_ops;")?;
    let mut highest = Clock::default();
    for_each(connection, |seq, operation| {
        highest = highest.max(derive(connection, seq, &operation, &operation.content())?);
        Ok(())
    })?;
    keep_clock(connection, highest)
}

/// Keeps `clock`, for the next start.
pub fn keep_clock(connection: &Connection, clock: Clock) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE clock SET ms = ?1, counter = ?2")?
        .execute((clock.0, clock.1))?;
    Ok(())
}

/// Returns the highest time that operations of this machine's owner have. The row in `clock` is written whenever
/// operations come from elsewhere. Those made here since are above it, each above the one before: the last one tells.
pub fn highest_clock(connection: &Connection) -> rusqlite::Result<Clock> {
    let kept = connection.query_row("SELECT ms, counter FROM clock", [], |row| {
        Ok(Clock(row.get(0)?, row.get(1)?))
    })?;
    let last = connection
        .query_row(
            &format!("SELECT {COLUMNS} FROM ops ORDER BY seq DESC LIMIT 1"),
            [],
            |row| Operation::from_row(row, 0),
        )
        .optional()?;
    let last = last.and_then(|operation| {
        let content = operation.content();
        content
            .user
            .is_empty()
            .then(|| operation.stamp(&content).clock)
    });
    Ok(kept.max(last.unwrap_or_default()))
}
