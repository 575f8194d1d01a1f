//! The hub's half of an exchange.

use std::collections::HashSet;

use rusqlite::{Transaction, TransactionBehavior};
use ulid::Ulid;

use super::super::log::{self, COLUMNS, Record};
use super::super::{Store, validate};
use super::{Insertion, epoch, insert, mark_unsent, to_wire};
use crate::error::Result;
use crate::hephd::protocol::{self, PageLimits, Position, RefusedOperation, Request, Response};

impl Store {
    /// As the hub: takes the operations of `request` for `user`, and returns a page of what the spoke lacks. An error
    /// leaves the store unchanged.
    pub fn exchange(&mut self, user: &str, request: &Request) -> Result<Response> {
        let behavior = if request.operations.is_empty() {
            TransactionBehavior::Deferred
        } else {
            TransactionBehavior::Immediate
        };
        let transaction = self.connection.transaction_with_behavior(behavior)?;
        let mut response = Response {
            schema: protocol::SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: epoch(&transaction, user)?,
            reset: false,
            refused: Vec::new(),
            sent: request.sent.clone(),
            operations: Vec::new(),
            cursor: request.cursor.clone(),
            more: false,
        };
        let is_same_epoch = request
            .epoch
            .as_ref()
            .is_none_or(|known| *known == response.epoch);
        if !is_same_epoch || !has_positions(&transaction, user, request)? {
            if is_same_epoch {
                response.epoch = renew_epoch(&transaction, user)?;
            }
            response.reset = true;
            (response.sent, response.cursor) = (None, None);
            transaction.commit()?;
            return Ok(response);
        }
        let mut clock = self.clock;
        let mut has_new = false;
        let mut request_ids: HashSet<String> = HashSet::new();
        for operation in &request.operations {
            let mut refuse = |reason: String| {
                let id = operation.id.clone();
                response.refused.push(RefusedOperation { id, reason });
            };
            let mut record = match validate::from_spoke(operation, user) {
                Ok(record) => record,
                Err(error) => {
                    refuse(error.to_string());
                    continue;
                }
            };
            let mut insertion = insert(&transaction, &record, &mut clock)?;
            if insertion == Insertion::IdOfOtherUser {
                record.id = derived_id(&record.id, user);
                insertion = insert(&transaction, &record, &mut clock)?;
            }
            let seq = match insertion {
                Insertion::New(seq) => {
                    has_new = true;
                    // This machine may become the spoke of another hub.
                    if self.is_spoke && user.is_empty() {
                        mark_unsent(&transaction, seq)?;
                    }
                    seq
                }
                Insertion::Known(seq) => seq,
                Insertion::IdOfOtherUser | Insertion::Conflict => {
                    refuse("the id belongs to another operation".to_owned());
                    continue;
                }
            };
            let seq = seq.unsigned_abs();
            if response.sent.as_ref().is_none_or(|sent| sent.seq < seq) {
                let id = record.id.clone();
                response.sent = Some(Position { seq, id });
            }
            request_ids.insert(record.id);
        }
        add_page(&transaction, user, &request_ids, &mut response)?;
        if has_new {
            log::save_clock(&transaction, clock)?;
        }
        transaction.commit()?;
        self.clock = clock;
        Ok(response)
    }
}

/// Returns the id that an operation of `user` gets on this hub where another user has one with its original id.
///
/// This happens to a hub that began without tokens and then required them, or whose issuer changed: its spokes send all
/// they have again, for the new user. The user's other spokes fetch such an operation by this id. That changes no task,
/// because applying an operation twice is the same as applying it once. The id is derived, so that an operation that is
/// sent again is found.
fn derived_id(id: &str, user: &str) -> String {
    let digest = ring::digest::digest(
        &ring::digest::SHA256,
        format!("heph operation\n{id}\n{user}").as_bytes(),
    );
    let random = digest.as_ref().iter().take(10);
    let random = random.fold(0_u128, |random, byte| (random << 8) | u128::from(*byte));
    let time = Ulid::from_string(id).map_or(0, |id| id.timestamp_ms());
    Ulid::from_parts(time, random).to_string()
}

/// Returns whether this log has operations of `user` at the positions that the spoke knows.
fn has_positions(
    transaction: &Transaction<'_>,
    user: &str,
    request: &Request,
) -> rusqlite::Result<bool> {
    for position in [&request.cursor, &request.sent].into_iter().flatten() {
        let is_there = log::find(transaction, &position.id)?.is_some_and(|(seq, record)| {
            seq.unsigned_abs() == position.seq && record.content().user == user
        });
        if !is_there {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Forces only `user`'s spokes to resync from scratch. Returns the new epoch.
fn renew_epoch(transaction: &Transaction<'_>, user: &str) -> rusqlite::Result<String> {
    transaction
        .prepare_cached(
            "INSERT INTO user_epochs (user, epoch) VALUES (?1, lower(hex(randomblob(16))))
             ON CONFLICT (user) DO UPDATE SET epoch = excluded.epoch RETURNING epoch",
        )?
        .query_row([user], |row| row.get(0))
}

/// Adds the operations of `user` after the cursor, and moves the cursor past them.
fn add_page(
    transaction: &Transaction<'_>,
    user: &str,
    request_ids: &HashSet<String>,
    response: &mut Response,
) -> rusqlite::Result<()> {
    let after = response.cursor.as_ref().map_or(0, |cursor| cursor.seq);
    // A hub has users or it has not; one that changed from one to the other walks over what is not the owner's.
    let sql = if user.is_empty() {
        format!("SELECT seq, {COLUMNS} FROM ops WHERE seq > ?1 AND ?2 = '' ORDER BY seq")
    } else {
        format!(
            "SELECT seq, {COLUMNS} FROM user_ops JOIN ops USING (seq)
             WHERE seq > ?1 AND user = ?2 ORDER BY seq"
        )
    };
    let mut statement = transaction.prepare_cached(&sql)?;
    let mut rows = statement.query((after.cast_signed(), user))?;
    let limits = PageLimits::default();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let record = Record::from_row(row, 1)?;
        if record.content().user != user {
            continue;
        }
        if response.operations.len() >= limits.operations || bytes >= limits.bytes {
            response.more = true;
            return Ok(());
        }
        let seq: i64 = row.get(0)?;
        response.cursor = Some(Position {
            seq: seq.unsigned_abs(),
            id: record.id.clone(),
        });
        if record.is_sendable() && !request_ids.contains(&record.id) {
            bytes += record.body.len();
            response.operations.push(to_wire(record));
        }
    }
    Ok(())
}
