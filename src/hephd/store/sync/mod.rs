//! The store's side of syncing, for a hub and for a spoke. Each exchange is one transaction on either side: a spoke keeps
//! its cursor and what it has not sent together with the data, so that a crash between the two is impossible.
//!
//! A spoke trusts neither its memory of the hub nor the hub's of it. The hub gets restored from backups: then its epoch
//! is another one, or, where somebody copied a file by hand, its log no longer has at a number what the spoke knows to be
//! there. Either way the spoke begins anew: it sends all it has, of which the hub takes what it lacks, and fetches all.
//!
//! The first spoke that finds the log to be another one has the hub begin another epoch for its user. Without that, what
//! is sent again could get the number that it had, with other operations before it, and a spoke that knows only that
//! number would take the log for the one it knew.

mod admit;
mod hub;
mod spoke;

use std::path::Path;

use rusqlite::{Connection, Row, Transaction};
use serde_json::Value;
use ulid::Ulid;

use super::clock::Clock;
use super::log::{self, Operation};
use super::{Refusal, Store, file};
use crate::hephd::sync::wire::{self, LARGEST_OPERATION, Place};

impl Store {
    /// Returns the epoch of this store: another one in every copy, and after it was restored.
    ///
    /// # Errors
    ///
    /// [`Refusal::Failed`].
    #[cfg(test)]
    pub fn epoch(&self) -> Result<String, Refusal> {
        Ok(epoch(&self.connection, "")?)
    }

    /// Returns how many operations the log has.
    ///
    /// # Errors
    ///
    /// [`Refusal::Failed`].
    pub fn operations(&self) -> Result<u64, Refusal> {
        // Numbers are given without gaps, and nothing is ever removed.
        let sql = "SELECT ifnull(max(seq), 0) FROM ops";
        let highest: i64 = self
            .connection
            .prepare_cached(sql)?
            .query_row([], |row| row.get(0))?;
        Ok(highest.unsigned_abs())
    }
}

/// Returns the epoch as the spokes of `user` know it.
fn epoch(connection: &Connection, user: &str) -> rusqlite::Result<String> {
    connection
        .prepare_cached(
            "SELECT ifnull((SELECT epoch FROM user_epochs WHERE user = ?1), epoch) FROM epoch",
        )?
        .query_row([user], |row| row.get(0))
}

/// Gives the copy `path`, which nobody has open, a life of its own, as a hub and as a spoke.
pub fn begin_another_epoch(path: &Path) -> rusqlite::Result<()> {
    let copy = file::open_writable(path)?;
    // The copy is synced as a whole, and does not have its name before that.
    copy.execute_batch("PRAGMA journal_mode = memory; PRAGMA synchronous = off;")?;
    copy.execute_batch(ANOTHER_EPOCH)?;
    copy.execute("UPDATE spoke SET id = ?1", [Ulid::generate().to_string()])?;
    copy.close().map_err(|(_, error)| error)
}

/// Has the store begin anew with any hub, and be another hub to any spoke.
pub fn forget_the_hub(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("DELETE FROM spoke; DELETE FROM unsent; DELETE FROM refused;")?;
    connection.execute_batch(ANOTHER_EPOCH)
}

const ANOTHER_EPOCH: &str =
    "UPDATE epoch SET epoch = lower(hex(randomblob(16))); DELETE FROM user_epochs;";

/// Returns whether the store has been that of a spoke.
pub fn is_spoke(connection: &Connection) -> rusqlite::Result<bool> {
    connection.prepare("SELECT 1 FROM spoke")?.exists([])
}

/// Notes that the hub lacks the operation `seq`. Where there is a row in `spoke`.
pub fn send_later(connection: &Connection, seq: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO unsent (seq) VALUES (?1)")?
        .execute([seq])?;
    Ok(())
}

fn place(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Place>> {
    let seq: Option<i64> = row.get(column)?;
    let id: Option<String> = row.get(column + 1)?;
    Ok(seq.zip(id).map(|(seq, id)| Place {
        seq: seq.cast_unsigned(),
        id,
    }))
}

/// What became of an operation of somebody else.
enum Taken {
    /// It is in the log now, at this number.
    New(i64),
    /// It was in the log, at this number.
    Known(i64),
    /// Its id belongs to an operation of another user.
    Foreign,
    /// Its id belongs to another operation.
    Clash,
}

/// Takes an operation of somebody else, and moves `clock` ahead of it.
fn take(
    transaction: &Transaction<'_>,
    operation: &Operation,
    clock: &mut Clock,
) -> rusqlite::Result<Taken> {
    if let Some((seq, theirs)) = log::record(transaction, operation)? {
        *clock = theirs.max(*clock);
        return Ok(Taken::New(seq));
    }
    Ok(match log::find(transaction, &operation.id)? {
        Some((seq, known)) if is_same(&known, operation) => Taken::Known(seq),
        Some((_, known)) if known.content().user != operation.content().user => Taken::Foreign,
        _ => Taken::Clash,
    })
}

/// Returns whether both are one operation. Members of a JSON object have no order.
fn is_same(one: &Operation, other: &Operation) -> bool {
    let body = |operation: &Operation| serde_json::from_str::<Value>(&operation.body).ok();
    (&one.kind, &one.task, one.created_at) == (&other.kind, &other.task, other.created_at)
        && (one.body == other.body || body(one) == body(other))
}

/// Returns whether an operation of the log can be sent. One that a newer release made may be too large for this one.
fn fits(operation: &Operation) -> bool {
    operation.body.len() <= LARGEST_OPERATION
}

/// Returns an operation of the log as it is sent.
fn to_wire(operation: Operation) -> wire::Operation {
    let mut body: serde_json::Map<String, Value> =
        serde_json::from_str(&operation.body).unwrap_or_default();
    body.remove("user");
    wire::Operation {
        id: operation.id,
        kind: operation.kind,
        task: operation.task,
        body,
        created_at: operation.created_at,
    }
}
