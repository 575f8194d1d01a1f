//! The store's side of syncing, for a hub and for a spoke. An exchange is one transaction on either side: a spoke saves its
//! cursor and what it has not sent together with the data, so that a crash between the two is impossible.
//!
//! A spoke trusts neither its own record of the hub nor the hub's record of the spoke, since a hub gets restored from
//! backups. Then its epoch differs, or, where somebody copied the file by hand, its log has another operation at a position
//! that the spoke knows. Either way the spoke resyncs: it sends all it has, of which the hub takes what it lacks, and
//! fetches everything.
//!
//! The first spoke that finds another log makes the hub renew the epoch of its user. Otherwise an operation that is sent
//! again could get its old number, with other operations before it, and a spoke that knows only that number would not
//! notice that the log had changed.

mod held;
mod hub;
mod restamp;
mod spoke;

use std::path::Path;

use rusqlite::{Connection, Transaction};
use serde_json::Value;
use ulid::Ulid;

use super::clock::Clock;
use super::log::{self, CLOCK, GENERATION, Record, SENT_AS, USER};
use super::{Store, file};
use crate::error::Result;
use crate::hephd::protocol::Operation;

impl Store {
    #[cfg(test)]
    pub fn epoch(&self) -> Result<String> {
        Ok(epoch(&self.connection, "")?)
    }

    /// Returns how many operations the log has.
    pub fn operations(&self) -> Result<u64> {
        // Numbers have no gaps, and nothing is ever removed.
        self.count("SELECT ifnull(max(seq), 0) FROM ops")
    }
}

/// Returns the epoch that the spokes of `user` see.
fn epoch(connection: &Connection, user: &str) -> rusqlite::Result<String> {
    connection
        .prepare_cached(
            "SELECT ifnull((SELECT epoch FROM user_epochs WHERE user = ?1), epoch) FROM epoch",
        )?
        .query_row([user], |row| row.get(0))
}

const RENEW_EPOCH: &str =
    "UPDATE epoch SET epoch = lower(hex(randomblob(16))); DELETE FROM user_epochs;";

/// Makes the closed copy `path` another hub and another spoke than its original.
pub(super) fn renew_identity(path: &Path) -> rusqlite::Result<()> {
    let copy = file::open_writable(path)?;
    // The copy is synced as a whole before it gets its name.
    copy.execute_batch("PRAGMA journal_mode = memory; PRAGMA synchronous = off;")?;
    copy.execute_batch(RENEW_EPOCH)?;
    copy.execute("UPDATE spoke SET id = ?1", [Ulid::generate().to_string()])?;
    copy.close().map_err(|(_, error)| error)
}

/// Makes the store a new spoke to its hub, and another hub to its spokes.
pub(super) fn forget_hub(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("DELETE FROM spoke; DELETE FROM unsent; DELETE FROM refused;")?;
    connection.execute_batch(RENEW_EPOCH)
}

/// Returns whether the store has ever been a spoke's.
pub(super) fn is_spoke(connection: &Connection) -> rusqlite::Result<bool> {
    connection.prepare("SELECT 1 FROM spoke")?.exists([])
}

/// Notes that the hub lacks the operation number `seq`. Only for the store of a spoke.
pub(super) fn mark_unsent(connection: &Connection, seq: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO unsent (seq) VALUES (?1)")?
        .execute([seq])?;
    Ok(())
}

/// The outcome of inserting an operation of another machine.
#[derive(PartialEq)]
enum Insertion {
    /// It has this number in the log now.
    New(i64),
    /// It had this number in the log already.
    Known(i64),
    /// It had this number in the log already, with another stamp: a machine gave it a new one when its clock was right again.
    OtherStamp(i64),
    /// Another user has an operation with its id.
    IdOfOtherUser,
    /// The user has another operation with its id.
    Conflict,
}

/// Inserts an operation of another machine, and moves `clock` past it unless it is later than `latest`.
fn insert(
    transaction: &Transaction<'_>,
    record: &Record,
    clock: &mut Clock,
    latest: i64,
) -> rusqlite::Result<Insertion> {
    let content = record.content();
    if let Some((seq, theirs)) = log::append_and_apply(transaction, record, &content)? {
        *clock = clock.follow(theirs, latest);
        return Ok(Insertion::New(seq));
    }
    Ok(match log::find(transaction, &record.id)? {
        Some((seq, known)) if is_same(&known, record) => {
            if known.stamp(&known.content()) == record.stamp(&content) {
                Insertion::Known(seq)
            } else {
                Insertion::OtherStamp(seq)
            }
        }
        Some((_, known)) if known.content().user != content.user => Insertion::IdOfOtherUser,
        _ => Insertion::Conflict,
    })
}

/// Returns whether both are one operation, apart from their stamps. The members of a JSON object have no order, and release
/// 0.1.0 did not note the id that an operation was sent as.
fn is_same(one: &Record, other: &Record) -> bool {
    let body = |record: &Record| {
        let mut body: serde_json::Map<String, Value> = serde_json::from_str(&record.body).ok()?;
        for member in [SENT_AS, CLOCK, GENERATION] {
            body.remove(member);
        }
        Some(body)
    };
    (&one.kind, &one.task, one.created_at) == (&other.kind, &other.task, other.created_at)
        && (one.body == other.body || body(one) == body(other))
}

fn to_wire(record: Record) -> Operation {
    let mut body: serde_json::Map<String, Value> =
        serde_json::from_str(&record.body).unwrap_or_default();
    let is_of_user = body.remove(USER).is_some();
    let id = match body.remove(SENT_AS).filter(|_| is_of_user) {
        Some(Value::String(id)) => id,
        _ => record.id,
    };
    Operation {
        id,
        kind: record.kind,
        task: record.task,
        body,
        created_at: record.created_at,
    }
}
