//! Deletions by the hub that wait for the user.
//!
//! A hub that deletes most tasks within a day is mistaken or hostile more often than not. So what it deletes of the tasks that
//! this machine had before goes into the log, where nothing is lost, and is applied when the round has ended, unless that would
//! be too much in one day ([`asks_first`]). Then it waits until the user accepts it; everything else is synced as before.
//!
//! Tasks that arrived from the hub within the same day count neither way: else a hub could send many tasks to make its
//! deletions few, and a machine whose first sync brings a long history would ask for no reason.

use jiff::Timestamp;
use rusqlite::{Connection, Transaction};

use super::super::clock::Clock;
use super::super::log::{self, COLUMNS, Record};
use super::super::{Store, count, deletions, has_table};
use super::{Insertion, insert, mark_unsent};
use crate::error::Result;
use crate::hephd::protocol::OperationKind;

/// How many tasks there have to be before a deletion of most of them waits.
const FEW: u64 = 20;
/// How long deletions are counted, in milliseconds.
const WINDOW: i64 = 24 * 60 * 60 * 1000;
/// How long the first round may take before its deletions are counted, in milliseconds. A machine with few tasks that
/// joins a hub has nothing to protect, and the hub's history may have any number of deletions.
const FIRST_ROUND: i64 = 60 * 60 * 1000;
/// How many deletions are applied at a time.
const SLICE: usize = 100;

const SQL: &str = "
-- One row: when the day began, whether deletions are counted, how many were applied in it, and whether some wait.
CREATE TABLE guard (
  since INTEGER NOT NULL,
  is_on INTEGER NOT NULL,
  deleted INTEGER NOT NULL,
  holds INTEGER NOT NULL
) STRICT;
-- The tasks that the hub added in the day.
CREATE TABLE arrivals (task TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TRIGGER deleted_arrivals AFTER UPDATE OF deleted ON tasks
  WHEN new.user = '' AND new.deleted = 1 AND old.deleted = 0 BEGIN
  DELETE FROM arrivals WHERE task = new.id;
END;
-- Deletions in the log that are not applied.
CREATE TABLE held_deletions (seq INTEGER PRIMARY KEY) STRICT;
";

const VISIBLE: &str = "tasks.user = '' AND tasks.created_at IS NOT NULL AND tasks.deleted = 0";

/// Returns whether deleting so many of so many tasks in a day needs the user's consent. Pure.
fn asks_first(deleted: u64, tasks: u64) -> bool {
    tasks > FEW && deleted * 2 > tasks
}

impl Store {
    /// Begins to count the hub's deletions, or another day. To be called before each request.
    pub fn watch_deletions(&mut self, now: Timestamp) -> Result<()> {
        let now = now.as_millisecond();
        if !has_table(&self.connection, "guard")? {
            let transaction = self.connection.transaction()?;
            create(&transaction)?;
            let is_on = count(
                &transaction,
                &format!("SELECT count(*) FROM tasks WHERE {VISIBLE}"),
            )? > FEW;
            transaction.execute("UPDATE guard SET since = ?1, is_on = ?2", (now, is_on))?;
            return Ok(transaction.commit()?);
        }
        let (since, is_on): (i64, bool) = self
            .connection
            .prepare_cached("SELECT since, is_on FROM guard")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let longest = if is_on { WINDOW } else { FIRST_ROUND };
        if now < since || now - since > longest {
            self.begin_day(now)?;
        }
        Ok(())
    }

    fn begin_day(&mut self, now: i64) -> Result<()> {
        let transaction = self.connection.transaction()?;
        transaction.execute("UPDATE guard SET since = ?1, is_on = 1, deleted = 0", [now])?;
        transaction.execute("DELETE FROM arrivals", [])?;
        Ok(transaction.commit()?)
    }

    /// Decides at the end of a round whether the deletions in it may be applied ([`Store::apply_deletions`]) or wait for
    /// the user. Once some wait, so do later ones. After [`Store::watch_deletions`].
    pub fn may_delete(&mut self, now: Timestamp) -> Result<bool> {
        let (is_on, deleted, holds): (bool, i64, bool) = self
            .connection
            .prepare_cached("SELECT is_on, deleted, holds FROM guard")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        if !is_on {
            self.begin_day(now.as_millisecond())?;
            return Ok(true);
        }
        let waiting = self.waiting_deletions()?;
        if holds && waiting > 0 {
            return Ok(false);
        }
        let deleted = deleted.unsigned_abs();
        let total = waiting + deleted;
        let mut asks = false;
        // So few are never most of more than a few, and nothing has to be counted.
        if waiting > 0 && total * 2 > FEW {
            let arrivals = count(&self.connection, "SELECT count(*) FROM arrivals")?;
            // No more than it takes to know that these are not most of them.
            let enough = total * 2 + arrivals + 1;
            let sql = format!(
                "SELECT count(*) FROM (SELECT 1 FROM tasks WHERE {VISIBLE} LIMIT {enough})"
            );
            let visible = count(&self.connection, &sql)?;
            asks = asks_first(total, (visible + deleted).saturating_sub(arrivals));
        }
        if asks != holds {
            self.connection
                .execute("UPDATE guard SET holds = ?1", [asks])?;
        }
        Ok(!asks)
    }

    /// Applies some of the deletions that were not applied yet. Returns how many tasks that deleted; `None` where no more are
    /// left. `is_accepted` says that they waited for the user; another hub than the one that sent them may lack them then.
    pub fn apply_deletions(&mut self, is_accepted: bool) -> Result<Option<u64>> {
        let transaction = self.connection.transaction()?;
        if !has_table(&transaction, "guard")? {
            return Ok(None);
        }
        let held: Vec<(i64, Record)> = {
            let sql = format!(
                "SELECT seq, {COLUMNS} FROM held_deletions JOIN ops USING (seq) ORDER BY seq LIMIT {SLICE}"
            );
            let mut statement = transaction.prepare_cached(&sql)?;
            let rows =
                statement.query_map([], |row| Ok((row.get(0)?, Record::from_row(row, 1)?)))?;
            rows.collect::<rusqlite::Result<_>>()?
        };
        if held.is_empty() {
            return Ok(None);
        }
        deletions::note(&transaction)?;
        let before = deletions::count(&transaction)?;
        for (seq, record) in &held {
            log::apply(&transaction, *seq, record, &record.content())?;
            transaction
                .prepare_cached("DELETE FROM held_deletions WHERE seq = ?1")?
                .execute([seq])?;
            if is_accepted {
                mark_unsent(&transaction, *seq)?;
            }
        }
        let deleted = deletions::count(&transaction)? - before;
        transaction
            .prepare_cached("UPDATE guard SET deleted = deleted + ?1")?
            .execute([deleted.cast_signed()])?;
        transaction.commit()?;
        Ok(Some(deleted))
    }

    /// Notes that the user accepted the deletions until now: another day begins.
    pub fn accept_deletions(&mut self, now: Timestamp) -> Result<()> {
        if !has_table(&self.connection, "guard")? {
            return Ok(());
        }
        self.connection.execute("UPDATE guard SET holds = 0", [])?;
        self.begin_day(now.as_millisecond())
    }

    /// Returns how many tasks the hub would delete if the user accepted it.
    pub fn held_deletions(&self) -> Result<u64> {
        if has_table(&self.connection, "guard")?
            && count(&self.connection, "SELECT holds FROM guard")? == 1
        {
            return self.waiting_deletions();
        }
        Ok(0)
    }

    fn waiting_deletions(&self) -> Result<u64> {
        let sql = format!(
            "SELECT count(DISTINCT task) FROM held_deletions JOIN ops USING (seq) JOIN tasks ON tasks.id = ops.task WHERE {VISIBLE}"
        );
        Ok(count(&self.connection, &sql)?)
    }
}

/// Inserts an operation of the hub like [`insert`], but leaves a deletion for later if it deletes a task that this machine
/// had before.
pub(super) fn insert_from_hub(
    transaction: &Transaction<'_>,
    record: &Record,
    clock: &mut Clock,
    latest: i64,
    is_guarded: bool,
) -> rusqlite::Result<Insertion> {
    let matters = matches!(record.kind, OperationKind::Add | OperationKind::Delete);
    if !is_guarded || !matters {
        return insert(transaction, record, clock, latest);
    }
    let was_visible = is_visible(transaction, &record.task)?;
    if record.kind == OperationKind::Add {
        let insertion = insert(transaction, record, clock, latest)?;
        if !was_visible && matches!(insertion, Insertion::New(_)) {
            transaction
                .prepare_cached("INSERT OR IGNORE INTO arrivals (task) VALUES (?1)")?
                .execute([&record.task])?;
        }
        return Ok(insertion);
    }
    let is_arrival = || {
        transaction
            .prepare_cached("SELECT 1 FROM arrivals WHERE task = ?1")?
            .exists([&record.task])
    };
    if !was_visible || is_arrival()? || log::find(transaction, &record.id)?.is_some() {
        return insert(transaction, record, clock, latest);
    }
    let Some(seq) = log::append(transaction, record)? else {
        return insert(transaction, record, clock, latest);
    };
    transaction
        .prepare_cached("INSERT INTO held_deletions (seq) VALUES (?1)")?
        .execute([seq])?;
    *clock = clock.follow(record.stamp(&record.content()).clock, latest);
    Ok(Insertion::New(seq))
}

/// Returns whether the hub's deletions are counted.
pub(super) fn is_on(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(has_table(connection, "guard")? && count(connection, "SELECT is_on FROM guard")? == 1)
}

/// Creates the tables if they are not there. To be called in a transaction.
pub(super) fn create(connection: &Connection) -> rusqlite::Result<()> {
    if has_table(connection, "guard")? {
        return Ok(());
    }
    connection.execute_batch(SQL)?;
    connection.execute_batch("INSERT INTO guard VALUES (0, 0, 0, 0);")
}

fn is_visible(connection: &Connection, task: &str) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(&format!("SELECT 1 FROM tasks WHERE {VISIBLE} AND id = ?1"))?
        .exists([task])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_half_of_more_than_twenty_asks_first() {
        for (deleted, tasks, asks) in [
            (0, 0, false),
            (20, 20, false),
            (10, 21, false),
            (11, 21, true),
            (50, 100, false),
            (51, 100, true),
            (1_000_000, 1_000_000, true),
        ] {
            assert_eq!(asks_first(deleted, tasks), asks, "{deleted} of {tasks}");
        }
    }
}
