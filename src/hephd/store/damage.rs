//! Whether a store has the content that hephd wrote.
//!
//! SQLite has no checksums, so several views of the same content are compared: the pages and indexes with each other
//! (`PRAGMA integrity_check`), each operation with the form that hephd writes, the tasks with what the log makes of them, the
//! length of the log with the high-water mark, and the frames of the write-ahead log with their checksums.
//!
//! What no other place repeats is not found: a changed letter in an operation that later ones have overruled.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};
use serde_json::{Map, Value};

use super::high_water::{self, Mark};
use super::log::{self, Record};
use super::schema::{SCHEMA, SchemaVersion};
use super::{file, generations, wal};
use crate::error::{Error, Kind, Result};

/// The derived tables that the log is replayed into. Created as temporary tables, they take the place of those of the store in
/// all statements.
const DERIVED: [&str; 2] = ["tasks", "user_ops"];

/// How many rows of the tasks differ from what the log makes of them.
const DIFFERENT_TASKS: &str = "
    SELECT count(*) + abs((SELECT count(*) FROM main.tasks) - (SELECT count(*) FROM temp.tasks))
    FROM main.tasks AS kept LEFT JOIN temp.tasks AS replayed USING (user, id)
    WHERE (kept.title, kept.created_at, kept.done_at, kept.deleted, kept.added_by, kept.done_by,
           ifnull(kept.titled_by, kept.added_by))
    IS NOT (replayed.title, replayed.created_at, replayed.done_at, replayed.deleted, replayed.added_by, replayed.done_by,
            ifnull(replayed.titled_by, replayed.added_by))";

const DIFFERENT_OWNERS: &str = "
    SELECT count(*) + abs((SELECT count(*) FROM main.user_ops) - (SELECT count(*) FROM temp.user_ops))
    FROM main.user_ops AS kept LEFT JOIN temp.user_ops AS replayed USING (user, seq) WHERE replayed.seq IS NULL";

/// Returns what is damaged in the store `path`, in a sentence; `None` if nothing is found. A hephd has it open if
/// `in_use`.
///
/// # Errors
///
/// The machine, rather than the content, keeps it from being read.
pub(super) fn find(path: &Path, version: SchemaVersion, in_use: bool) -> Result<Option<String>> {
    // Before the store is read: a hephd that writes meanwhile raises it.
    let mark = high_water::read(path);
    // What is in use is written meanwhile.
    if !in_use && let Some(damage) = wal::damage(&file::sibling(path, "-wal"))? {
        return Ok(Some(damage));
    }
    match search(path, version, mark) {
        Err(error) if error.kind() == Kind::Damaged => Ok(Some(error.one_line())),
        found => found,
    }
}

fn search(path: &Path, version: SchemaVersion, mark: Option<Mark>) -> Result<Option<String>> {
    let connection = file::open_readonly(path)?;
    // One snapshot for all. It is rolled back, and the temporary tables with it.
    let transaction = connection.unchecked_transaction()?;
    let lack = inconsistency(&transaction)?;
    let lack = lack.map_or_else(|| malformed(&transaction), |found| Ok(Some(found)))?;
    if lack.is_some() {
        return Ok(lack);
    }
    if let Some(missing) = missing(&transaction, mark)? {
        return Ok(Some(missing));
    }
    // Another schema derives other tables.
    match version.schema {
        SCHEMA => different(&transaction),
        _ => Ok(None),
    }
}

/// Returns what SQLite finds in pages and indexes.
fn inconsistency(connection: &Connection) -> Result<Option<String>> {
    let found: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    Ok((found != "ok").then_some(found))
}

/// Returns what is wrong with the first operation that no release wrote.
fn malformed(connection: &Connection) -> Result<Option<String>> {
    let mut found = None;
    log::for_each_appended(connection, |seq, record| {
        if let (None, Some(fault)) = (&found, fault(&record)) {
            found = Some(format!("operation {seq} of the log: {fault}"));
        }
        Ok(())
    })?;
    Ok(found)
}

/// Returns what no operation of any release has.
pub(super) fn fault(record: &Record) -> Option<&'static str> {
    let is_name = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    let is_id = |text: &str| is_name(text) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_id(&record.id) {
        Some("its id is malformed")
    } else if !is_id(&record.task) {
        Some("the id of its task is malformed")
    } else if !is_name(record.kind.as_str()) {
        Some("its kind is malformed")
    } else if Timestamp::from_millisecond(record.created_at).is_err() {
        Some("its time is out of range")
    } else if serde_json::from_str::<Map<String, Value>>(&record.body).is_err() {
        Some("its body is not a JSON object")
    } else {
        None
    }
}

/// Returns how many operations the log lacks, by the high-water mark.
fn missing(connection: &Connection, mark: Option<Mark>) -> Result<Option<String>> {
    let Some(mark) = mark else { return Ok(None) };
    // The table is not part of what all schemas have.
    let now = Mark::of(connection).optional().ok().flatten();
    Ok(now.and_then(|now| mark.missing(&now)))
}

/// Returns how the tasks differ from what the log makes of them.
fn different(connection: &Connection) -> Result<Option<String>> {
    // They are rebuilt at the next start.
    if generations::is_behind(connection)? {
        return Ok(None);
    }
    for table in DERIVED {
        let sql: String = connection.query_row(
            "SELECT sql FROM main.sqlite_schema WHERE type = 'table' AND name = ?1",
            [table],
            |row| row.get(0),
        )?;
        connection.execute_batch(&sql.replacen("CREATE TABLE", "CREATE TEMP TABLE", 1))?;
    }
    generations::create_for_replay(connection)?;
    log::replay(connection, i64::MAX)?;
    let count = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let different = count(DIFFERENT_TASKS)?;
    if different > 0 {
        return Ok(Some(format!(
            "{different} tasks differ from what the log of operations makes of them"
        )));
    }
    let different = count(DIFFERENT_OWNERS)?;
    Ok((different > 0).then(|| format!("the users of {different} operations differ from the log")))
}

/// Returns the error of a store with this damage.
pub(super) fn error(damage: &str) -> Error {
    Error::new(format!("the store is damaged: {damage}"))
        .with_kind(Kind::Damaged)
        .with_hint(super::DAMAGED)
}
