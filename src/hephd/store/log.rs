//! The log of operations, and the state derived from it.

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde::Deserialize;
use serde_json::json;

/// Adds a task; the body has its `title`.
pub const ADD: &str = "task.add";
/// Marks a task as done; the body is empty.
pub const DONE: &str = "task.done";

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

impl Operation {
    /// Returns the operation that adds a task.
    pub fn add(id: String, task: String, title: &str, created_at: i64) -> Operation {
        Operation {
            id,
            kind: ADD.to_owned(),
            task,
            body: json!({ "title": title }).to_string(),
            created_at,
        }
    }

    /// Returns the operation that marks a task as done.
    pub fn done(id: String, task: String, created_at: i64) -> Operation {
        Operation {
            id,
            kind: DONE.to_owned(),
            task,
            body: "{}".to_owned(),
            created_at,
        }
    }

    /// Returns the title in the body of an operation that adds a task.
    pub fn title(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Body {
            title: String,
        }
        serde_json::from_str::<Body>(&self.body)
            .ok()
            .map(|body| body.title)
    }

    /// Reads a row of [`COLUMNS`].
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Operation> {
        Ok(Operation {
            id: row.get(0)?,
            kind: row.get(1)?,
            task: row.get(2)?,
            body: row.get(3)?,
            created_at: row.get(4)?,
        })
    }
}

/// The columns that make an operation.
const COLUMNS: &str = "id, kind, task, body, created_at";

/// Appends `operation` to the log, unless it is there already; returns whether it was not.
pub fn append(connection: &Connection, operation: &Operation) -> rusqlite::Result<bool> {
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
    Ok(appended == 1)
}

/// Returns the operation `id`.
pub fn find(connection: &Connection, id: &str) -> rusqlite::Result<Option<Operation>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM ops WHERE id = ?1"))?
        .query_row([id], Operation::from_row)
        .optional()
}

/// Changes the state as `operation` says. One that this release does not understand changes nothing.
pub fn derive(connection: &Connection, operation: &Operation) -> rusqlite::Result<()> {
    match operation.kind.as_str() {
        ADD => {
            let Some(title) = operation.title() else {
                return Ok(());
            };
            connection
                .prepare_cached(
                    "INSERT INTO tasks (id, title, created_at) VALUES (?1, ?2, ?3)
                     ON CONFLICT (id) DO NOTHING",
                )?
                .execute((&operation.task, title, operation.created_at))?;
        }
        DONE => {
            connection
                .prepare_cached("UPDATE tasks SET done_at = ?2 WHERE id = ?1 AND done_at IS NULL")?
                .execute((&operation.task, operation.created_at))?;
        }
        _ => {}
    }
    Ok(())
}

/// Calls `visit` with each operation of the log, in their order.
pub fn for_each(
    connection: &Connection,
    mut visit: impl FnMut(Operation) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM ops ORDER BY seq"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        visit(Operation::from_row(row)?)?;
    }
    Ok(())
}

/// Derives the state from the whole log, as if there had been none.
pub fn derive_anew(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM tasks", [])?;
    for_each(connection, |operation| derive(connection, &operation))
}
