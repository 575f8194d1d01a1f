//! The log of operations, and the tasks derived from it.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, Row};
use serde_json::{Map, Value};

use super::clock::Clock;
use super::has_table;
use super::merge::{Field, MergedTask, Stamp};
use crate::hephd::protocol::{LARGEST_OPERATION, OperationKind};

/// The members of a body that only hephd writes; those that a spoke sends are ignored.
pub(super) const USER: &str = "user";
pub(super) const SENT_AS: &str = "sent_as";
pub(super) const CLOCK: &str = "clock";
pub(super) const GENERATION: &str = "generation";

/// An operation as the log stores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub id: String,
    pub kind: OperationKind,
    pub task: String,
    /// A JSON object, kept as it came.
    pub body: String,
    pub created_at: i64,
}

/// The body of an operation, as far as this release understands it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    pub title: Option<String>,
    /// `None` in operations of releases that had no hybrid clock.
    pub clock: Option<Clock>,
    /// 0 unless the clock alone does not order it; see [`Stamp`].
    pub generation: i64,
    /// The owner of the task: "" is the owner of this machine.
    pub user: String,
    /// The id that its user knows it by, where the log has another operation with that id.
    pub sent_as: Option<String>,
}

impl Record {
    /// Returns an operation of this machine's owner.
    pub fn new(
        kind: OperationKind,
        task: String,
        title: Option<&str>,
        stamp: &Stamp,
        created_at: i64,
    ) -> Record {
        let mut body = Map::new();
        if let Some(title) = title {
            body.insert("title".to_owned(), title.into());
        }
        set_stamp(&mut body, stamp);
        Record {
            id: stamp.operation.clone(),
            kind,
            task,
            body: Value::Object(body).to_string(),
            created_at,
        }
    }

    /// Returns the same operation with another stamp.
    pub fn stamped(&self, stamp: &Stamp) -> Record {
        let mut body: Map<String, Value> = serde_json::from_str(&self.body).unwrap_or_default();
        set_stamp(&mut body, stamp);
        Record {
            body: Value::Object(body).to_string(),
            ..self.clone()
        }
    }

    pub fn content(&self) -> Content {
        let body: Map<String, Value> = serde_json::from_str(&self.body).unwrap_or_default();
        let text = |name| body.get(name).and_then(Value::as_str).map(str::to_owned);
        let clock = body.get(CLOCK).cloned();
        let generation = body.get(GENERATION).and_then(Value::as_i64);
        let user = text(USER).unwrap_or_default();
        Content {
            title: text("title"),
            clock: clock.and_then(|clock| serde_json::from_value(clock).ok()),
            generation: generation.unwrap_or_default().max(0),
            // The owner's are never renamed.
            sent_as: text(SENT_AS).filter(|_| !user.is_empty()),
            user,
        }
    }

    /// Returns what orders it among the writers of a field.
    pub fn stamp(&self, content: &Content) -> Stamp {
        Stamp {
            generation: content.generation,
            clock: content.clock.unwrap_or(Clock(self.created_at, 0)),
            operation: self.id.clone(),
        }
    }

    /// Returns whether it is small enough to be sent. An operation of a newer release may not be.
    pub fn is_sendable(&self) -> bool {
        self.body.len() <= LARGEST_OPERATION
    }

    /// Reads [`COLUMNS`] from `row`, beginning at the column `first`.
    pub fn from_row(row: &Row<'_>, first: usize) -> rusqlite::Result<Record> {
        Ok(Record {
            id: row.get(first)?,
            kind: row.get::<_, String>(first + 1)?.into(),
            task: row.get(first + 2)?,
            body: row.get(first + 3)?,
            created_at: row.get(first + 4)?,
        })
    }
}

fn set_stamp(body: &mut Map<String, Value>, stamp: &Stamp) {
    let Clock(milliseconds, counter) = stamp.clock;
    body.insert(CLOCK.to_owned(), vec![milliseconds, counter.into()].into());
    body.remove(GENERATION);
    if stamp.generation > 0 {
        body.insert(GENERATION.to_owned(), stamp.generation.into());
    }
}

/// The columns of a [`Record`] as it was appended.
const APPENDED: &str = "id, kind, task, body, created_at";

/// The columns of a [`Record`] as it counts: with the stamp that it got after it was appended, if it got one.
pub(super) const COLUMNS: &str = "id, kind, task,
    ifnull((SELECT restamped.body FROM restamped WHERE restamped.seq = ops.seq), ops.body), created_at";

/// Tables that a release does not miss which does not know them.
pub(super) const TABLES: &str = "
    -- The body of an operation with another stamp than it was appended with: this store's clock was wrong, and the hub had not
    -- accepted the operation yet.
    CREATE TABLE IF NOT EXISTS restamped (seq INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;
    -- Derived from the log: operations whose generation their task has not reached.
    CREATE TABLE IF NOT EXISTS held (
      user TEXT NOT NULL, task TEXT NOT NULL, generation INTEGER NOT NULL, seq INTEGER NOT NULL,
      PRIMARY KEY (user, task, generation, seq)
    ) STRICT, WITHOUT ROWID;
    -- One row: up to which number operations with a generation are applied by it. Release 0.1.0 applies them by their clocks.
    CREATE TABLE IF NOT EXISTS generations (applied INTEGER NOT NULL) STRICT;
    INSERT INTO generations SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM generations);";

/// Creates what the schema lacks, unless it exists.
pub(super) fn create_tables(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(TABLES)
}

/// Appends `record` and applies it to its task, unless the log has its id already. `content` is that of `record`. Returns
/// the number of the record and the clock that [`apply`] returns. To be called in a transaction.
pub(super) fn append_and_apply(
    connection: &Connection,
    record: &Record,
    content: &Content,
) -> rusqlite::Result<Option<(i64, Clock)>> {
    let Some(seq) = append(connection, record)? else {
        return Ok(None);
    };
    let clock = apply(connection, seq, record, content)?;
    Ok(Some((seq, clock)))
}

/// Appends `record` and returns its number, unless the log has its id already.
pub(super) fn append(connection: &Connection, record: &Record) -> rusqlite::Result<Option<i64>> {
    let appended = connection
        .prepare_cached(
            "INSERT INTO ops (id, kind, task, body, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (id) DO NOTHING",
        )?
        .execute((
            &record.id,
            record.kind.as_str(),
            &record.task,
            &record.body,
            record.created_at,
        ))?;
    Ok((appended == 1).then(|| connection.last_insert_rowid()))
}

/// Returns the operation `id` and its number.
pub(super) fn find(connection: &Connection, id: &str) -> rusqlite::Result<Option<(i64, Record)>> {
    connection
        .prepare_cached(&format!("SELECT seq, {COLUMNS} FROM ops WHERE id = ?1"))?
        .query_row([id], |row| Ok((row.get(0)?, Record::from_row(row, 1)?)))
        .optional()
}

/// Applies the record number `seq` to its task; one of a generation that the task has not reached is held until it has. Returns
/// the time that the clock of this machine must pass: that of the operation, but zero if it belongs to another user, since
/// users must not drive each other's clocks.
pub(super) fn apply(
    connection: &Connection,
    seq: i64,
    record: &Record,
    content: &Content,
) -> rusqlite::Result<Clock> {
    let stamp = record.stamp(content);
    if !content.user.is_empty() {
        connection
            .prepare_cached(
                "INSERT INTO user_ops (user, seq) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            )?
            .execute((&content.user, seq))?;
    }
    let (user, id) = (&content.user, &record.task);
    if !matches!(record.kind, OperationKind::Other(_)) {
        let mut task = None;
        if stamp.generation > 0 {
            let known = read(connection, user, id)?.unwrap_or_default();
            if stamp.generation > known.highest_generation() {
                hold(connection, user, id, stamp.generation, seq)?;
                return Ok(Clock::default());
            }
            task = Some(known);
        }
        let merge = |task: &mut MergedTask| {
            let title = content.title.as_deref();
            task.apply(&record.kind, title, &stamp, record.created_at)
        };
        // An operation that adds a task is nearly always its first, so the task need not be read before.
        let mut first = MergedTask::default();
        let was_first = task.is_none()
            && record.kind == OperationKind::Add
            && (!merge(&mut first) || write(connection, user, id, &first, false)? == 1);
        if !was_first {
            let mut task = match task {
                Some(task) => task,
                None => read(connection, user, id)?.unwrap_or_default(),
            };
            if merge(&mut task) {
                write(connection, user, id, &task, true)?;
            }
        }
        if stamp.generation > 0 {
            connection
                .prepare_cached("UPDATE generations SET applied = max(applied, ?1)")?
                .execute([seq])?;
            release_held(connection, user, id)?;
        }
    }
    Ok(if content.user.is_empty() {
        stamp.clock
    } else {
        Clock::default()
    })
}

/// Writes a task, an existing one only if `replace`. Returns how many rows changed.
fn write(
    connection: &Connection,
    user: &str,
    id: &str,
    task: &MergedTask,
    replace: bool,
) -> rusqlite::Result<usize> {
    const SQL: &str = "INSERT INTO tasks (user, id, title, created_at, done_at, deleted, added_by, titled_by, done_by)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (user, id) DO UPDATE SET
           title = excluded.title, created_at = excluded.created_at, done_at = excluded.done_at,
           deleted = excluded.deleted, added_by = excluded.added_by, titled_by = excluded.titled_by,
           done_by = excluded.done_by WHERE ?10";
    fn stamp<T>(field: &Field<T>) -> Option<Vec<u8>> {
        field.as_ref().map(|(stamp, _)| stamp.to_bytes())
    }
    // Most tasks are never edited: then `added_by` serves for both.
    let titled_by = match (&task.added, &task.title) {
        (Some((added, _)), Some((titled, _))) if added == titled => None,
        _ => stamp(&task.title),
    };
    // By number, because looking up ten names for each task shows in a first sync.
    connection.prepare_cached(SQL)?.execute((
        user,
        id,
        task.title.as_ref().map(|(_, title)| title),
        task.added.as_ref().map(|(_, at)| at),
        task.done.as_ref().and_then(|(_, at)| *at),
        task.deleted,
        stamp(&task.added),
        titled_by,
        stamp(&task.done),
        replace,
    ))
}

/// Returns the task `id` of `user`, as far as its operations are known.
pub(super) fn read(
    connection: &Connection,
    user: &str,
    id: &str,
) -> rusqlite::Result<Option<MergedTask>> {
    connection
        .prepare_cached(
            "SELECT title, created_at, done_at, deleted, added_by, titled_by, done_by FROM tasks
             WHERE user = ?1 AND id = ?2",
        )?
        .query_row([user, id], |row| {
            let stamp = |column: usize| -> rusqlite::Result<Option<Stamp>> {
                let bytes: Option<Vec<u8>> = row.get(column)?;
                Ok(bytes.and_then(|bytes| Stamp::from_bytes(&bytes)))
            };
            let added = stamp(4)?;
            Ok(MergedTask {
                title: stamp(5)?.or_else(|| added.clone()).zip(row.get(0)?),
                added: added.zip(row.get(1)?),
                done: stamp(6)?.zip(Some(row.get(2)?)),
                deleted: row.get(3)?,
            })
        })
        .optional()
}

/// Returns whether the task `id` of this machine's owner was ever added.
pub(super) fn has_task(connection: &Connection, id: &str) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT 1 FROM tasks WHERE user = '' AND id = ?1 AND created_at IS NOT NULL",
        )?
        .exists([id])
}

/// Notes that the operation number `seq` is to be applied once `task` has reached its `generation`.
fn hold(
    connection: &Connection,
    user: &str,
    task: &str,
    generation: i64,
    seq: i64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO held (user, task, generation, seq) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute((user, task, generation, seq))?;
    Ok(())
}

/// Applies the operations that were held until `task` reached their generation.
fn release_held(connection: &Connection, user: &str, task: &str) -> rusqlite::Result<()> {
    loop {
        let mut known = read(connection, user, task)?.unwrap_or_default();
        let released: Option<i64> = connection
            .prepare_cached(
                "DELETE FROM held WHERE user = ?1 AND task = ?2 AND (generation, seq) IN (
                   SELECT generation, seq FROM held WHERE user = ?1 AND task = ?2 AND generation <= ?3
                   ORDER BY generation, seq LIMIT 1) RETURNING seq",
            )?
            .query_row((user, task, known.highest_generation()), |row| row.get(0))
            .optional()?;
        let Some(seq) = released else {
            return Ok(());
        };
        let record = connection
            .prepare_cached(&format!("SELECT {COLUMNS} FROM ops WHERE seq = ?1"))?
            .query_row([seq], |row| Record::from_row(row, 0))?;
        let content = record.content();
        let stamp = record.stamp(&content);
        if known.apply(
            &record.kind,
            content.title.as_deref(),
            &stamp,
            record.created_at,
        ) {
            write(connection, user, task, &known, true)?;
        }
    }
}

/// Calls `visit` with the number of each record and the record as it counts, in order.
pub(super) fn for_each(
    connection: &Connection,
    visit: impl FnMut(i64, Record) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    for_each_of(connection, COLUMNS, "ASC", visit)
}

/// Calls `visit` with the number of each record and the record as it was appended, in order: in a store of any release.
pub(super) fn for_each_appended(
    connection: &Connection,
    visit: impl FnMut(i64, Record) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    for_each_of(connection, APPENDED, "ASC", visit)
}

/// As [`for_each_appended`], from the last to the first.
pub(super) fn for_each_appended_backwards(
    connection: &Connection,
    visit: impl FnMut(i64, Record) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    for_each_of(connection, APPENDED, "DESC", visit)
}

fn for_each_of(
    connection: &Connection,
    columns: &str,
    order: &str,
    mut visit: impl FnMut(i64, Record) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let sql = format!("SELECT seq, {columns} FROM ops ORDER BY seq {order}");
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        visit(row.get(0)?, Record::from_row(row, 1)?)?;
    }
    Ok(())
}

/// Rebuilds the derived tables from the whole log. A row of `user_ops` is right for ever, and stays with its number. The clock
/// follows no operation that is later than `latest`.
pub(super) fn rebuild_tasks(connection: &Connection, latest: i64) -> rusqlite::Result<()> {
    create_tables(connection)?;
    connection.execute_batch("DELETE FROM tasks; DELETE FROM held;")?;
    let clock = replay(connection, latest)?;
    save_clock(connection, clock)
}

/// Applies the whole log to derived tables that are empty. Returns the clock, which follows no operation that is later than
/// `latest`.
pub(super) fn replay(connection: &Connection, latest: i64) -> rusqlite::Result<Clock> {
    let waiting = waiting(connection)?;
    let mut highest = Clock::default();
    for_each(connection, |seq, record| {
        let content = record.content();
        let clock = match waiting.contains(&seq) {
            true => record.stamp(&content).clock,
            false => apply(connection, seq, &record, &content)?,
        };
        highest = highest.follow(clock, latest);
        Ok(())
    })?;
    Ok(highest)
}

/// Derives `tasks` of this machine's owner again, without the operations of these numbers. Returns the number of each other
/// operation of them that counts, and the operation.
pub(super) fn rebuild_some(
    connection: &Connection,
    tasks: &HashSet<String>,
    without: &HashSet<i64>,
) -> rusqlite::Result<Vec<(i64, Record)>> {
    let waiting = waiting(connection)?;
    let mut others = Vec::new();
    for task in tasks {
        connection
            .prepare_cached("DELETE FROM tasks WHERE user = '' AND id = ?1")?
            .execute([task])?;
        connection
            .prepare_cached("DELETE FROM held WHERE user = '' AND task = ?1")?
            .execute([task])?;
    }
    for_each(connection, |seq, record| {
        if tasks.contains(&record.task) && !without.contains(&seq) && !waiting.contains(&seq) {
            let content = record.content();
            if content.user.is_empty() {
                apply(connection, seq, &record, &content)?;
                others.push((seq, record));
            }
        }
        Ok(())
    })?;
    let mut is_held = connection
        .prepare_cached("SELECT 1 FROM held WHERE user = '' AND task = ?1 AND seq = ?2")?;
    let mut counting = Vec::new();
    for (seq, record) in others {
        if !is_held.exists((&record.task, seq))? {
            counting.push((seq, record));
        }
    }
    Ok(counting)
}

/// Returns the numbers of the operations that are not applied until the user accepts them.
fn waiting(connection: &Connection) -> rusqlite::Result<HashSet<i64>> {
    if !has_table(connection, "held_deletions")? {
        return Ok(HashSet::new());
    }
    let mut statement = connection.prepare("SELECT seq FROM held_deletions")?;
    let seqs = statement.query_map([], |row| row.get(0))?;
    seqs.collect()
}

/// Saves the highest time of any operation. To be called whenever operations arrive from another machine.
pub(super) fn save_clock(connection: &Connection, clock: Clock) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE clock SET ms = ?1, counter = ?2")?
        .execute((clock.0, clock.1))?;
    Ok(())
}

/// Returns the highest time of any operation of this machine's owner: the saved one, or that of the last operation. Those
/// made here since the clock was saved are above it, in ascending order. One that is later than `latest` came from a machine
/// whose clock this one does not follow, or was made here with a clock that has been set right since.
pub(super) fn load_clock(connection: &Connection, latest: i64) -> rusqlite::Result<Clock> {
    let saved = connection.query_row("SELECT ms, counter FROM clock", [], |row| {
        Ok(Clock(row.get(0)?, row.get(1)?))
    })?;
    let last = connection
        .query_row(
            &format!("SELECT {COLUMNS} FROM ops ORDER BY seq DESC LIMIT 1"),
            [],
            |row| Record::from_row(row, 0),
        )
        .optional()?;
    let last = last.and_then(|record| {
        let content = record.content();
        content
            .user
            .is_empty()
            .then(|| record.stamp(&content).clock)
    });
    Ok(saved.follow(last.unwrap_or_default(), latest))
}
