//! Operations that the clock alone does not order: those with a generation, and those that got another stamp after they were
//! appended. `merge` says what a generation is.

use rusqlite::Connection;

use super::clock::Clock;
use super::has_table;
use super::log::{self, GENERATION, Record};
use super::merge::Stamp;
use crate::hephd::protocol::OperationKind;

/// Creates empty temporary tables, which take the place of those of the store in all statements, for a replay of the log. Those
/// that operations got another stamp in are the store's.
pub(super) fn create_for_replay(connection: &Connection) -> rusqlite::Result<()> {
    let temporary = log::TABLES.replace("CREATE TABLE IF NOT EXISTS", "CREATE TEMP TABLE");
    connection.execute_batch(&temporary)?;
    connection
        .execute_batch("DELETE FROM temp.generations; INSERT INTO temp.generations VALUES (0);")?;
    if has_table(connection, "restamped")? {
        connection.execute_batch("DROP TABLE temp.restamped")?;
    }
    Ok(())
}

/// Returns whether another release applied operations with a generation, so that the tasks are to be rebuilt.
pub(super) fn is_behind(connection: &Connection) -> rusqlite::Result<bool> {
    let applied = match has_table(connection, "generations")? {
        true => applied(connection)?,
        false => 0,
    };
    let missed = format!("SELECT 1 FROM ops WHERE seq > ?1 AND instr(body, '\"{GENERATION}\"')");
    connection.prepare(&missed)?.exists([applied])
}

/// Returns up to which number this release has applied operations with a generation.
fn applied(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT applied FROM generations", [], |row| row.get(0))
}

/// Creates what the schema lacks. If another release applied operations with a generation, rebuilds the tasks where the schema
/// is one that this release knows. The clock follows no operation that is later than `latest`.
pub(super) fn prepare(
    connection: &mut Connection,
    latest: i64,
    may_rebuild: bool,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    if !has_table(&transaction, "generations")? {
        log::create_tables(&transaction)?;
    }
    let last: i64 =
        transaction.query_row("SELECT ifnull(max(seq), 0) FROM ops", [], |row| row.get(0))?;
    if may_rebuild && applied(&transaction)? != last {
        if is_behind(&transaction)? {
            log::rebuild_tasks(&transaction, latest)?;
        }
        transaction.execute("UPDATE generations SET applied = ?1", [last])?;
    }
    transaction.commit()
}

/// Returns the stamp of a new `operation` of this machine's owner, which overwrites what is written to its task. `None` where
/// no stamp is above that.
pub(super) fn stamp_above(
    connection: &Connection,
    kind: &OperationKind,
    task: &str,
    clock: Clock,
    operation: &str,
) -> rusqlite::Result<Option<Stamp>> {
    let task = log::read(connection, "", task)?.unwrap_or_default();
    let seen = task.writer(kind);
    let is_uncertain = match seen {
        Some(seen) => connection
            .prepare_cached(
                "SELECT 1 FROM ops JOIN restamped USING (seq) JOIN unsent USING (seq) WHERE id = ?1",
            )?
            .exists([&seen.operation])?,
        None => false,
    };
    let stamp = Stamp::after(seen, clock, operation.to_owned());
    // The hub may have another stamp of what is overwritten.
    Ok(match (stamp, seen) {
        (Some(stamp), Some(seen)) if is_uncertain => {
            let next = seen.generation.checked_add(1);
            next.map(|generation| Stamp {
                generation,
                ..stamp
            })
        }
        (stamp, _) => stamp,
    })
}

/// Gives the operation number `seq` the stamp of `record` instead of that which it was appended with. Does not change its
/// task.
pub(super) fn restamp(connection: &Connection, seq: i64, record: &Record) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO restamped (seq, body) VALUES (?1, ?2)")?
        .execute((seq, &record.body))?;
    Ok(())
}
