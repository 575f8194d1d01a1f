//! What a hub takes and gives.

use std::collections::HashSet;

use rusqlite::{Transaction, TransactionBehavior};
use ulid::Ulid;

use super::super::log::{self, COLUMNS, Operation};
use super::super::{Refusal, Store};
use super::{Taken, admit, epoch, fits, send_later, take, to_wire};
use crate::hephd::sync::wire::{self, Answer, Page, Place, Refused, Request};

impl Store {
    /// As the hub: takes what `request` sends for `user`, and answers with what the spoke lacks, a page of it.
    ///
    /// # Errors
    ///
    /// [`Refusal::Failed`]; nothing was taken.
    pub fn exchange(&mut self, user: &str, request: &Request) -> Result<Answer, Refusal> {
        let behavior = if request.operations.is_empty() {
            TransactionBehavior::Deferred
        } else {
            TransactionBehavior::Immediate
        };
        let transaction = self.connection.transaction_with_behavior(behavior)?;
        let mut answer = Answer {
            schema: wire::SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: epoch(&transaction, user)?,
            reset: false,
            refused: Vec::new(),
            sent: request.sent.clone(),
            operations: Vec::new(),
            cursor: request.cursor.clone(),
            more: false,
        };
        let of_this_epoch = request
            .epoch
            .as_ref()
            .is_none_or(|known| *known == answer.epoch);
        if !of_this_epoch || !has_places(&transaction, user, request)? {
            if of_this_epoch {
                answer.epoch = begin_epoch_of(&transaction, user)?;
            }
            answer.reset = true;
            (answer.sent, answer.cursor) = (None, None);
            transaction.commit()?;
            return Ok(answer);
        }
        let mut clock = self.clock;
        let mut anything_new = false;
        let mut of_request: HashSet<String> = HashSet::new();
        for operation in &request.operations {
            let mut ours = match admit::from_spoke(operation, user) {
                Ok(ours) => ours,
                Err(reason) => {
                    answer.refuse(operation, reason);
                    continue;
                }
            };
            let mut taken = take(&transaction, &ours, &mut clock)?;
            if matches!(taken, Taken::Foreign) {
                ours.id = id_apart(&ours.id, user);
                taken = take(&transaction, &ours, &mut clock)?;
            }
            let seq = match taken {
                Taken::New(seq) => {
                    anything_new = true;
                    // This machine may be the spoke of another hub at another time.
                    if self.is_spoke && user.is_empty() {
                        send_later(&transaction, seq)?;
                    }
                    seq
                }
                Taken::Known(seq) => seq,
                Taken::Foreign | Taken::Clash => {
                    answer.refuse(operation, "its id belongs to another operation".to_owned());
                    continue;
                }
            };
            let seq = seq.unsigned_abs();
            if answer.sent.as_ref().is_none_or(|sent| sent.seq < seq) {
                let id = ours.id.clone();
                answer.sent = Some(Place { seq, id });
            }
            of_request.insert(ours.id);
        }
        fill(&transaction, user, request, &of_request, &mut answer)?;
        if anything_new {
            log::keep_clock(&transaction, clock)?;
        }
        transaction.commit()?;
        self.clock = clock;
        Ok(answer)
    }
}

/// Returns the id that an operation of `user` has on this hub where another user has one with the id that it came with.
///
/// It happens to a hub that began without tokens and then asked for them, or whose issuer changed: its spokes send what they
/// had under the new user. The others of that user fetch it by this id, which changes no task: merging heeds what an
/// operation says, and says twice. As it is derived, sending it again finds it.
fn id_apart(id: &str, user: &str) -> String {
    let digest = ring::digest::digest(
        &ring::digest::SHA256,
        format!("heph operation\n{id}\n{user}").as_bytes(),
    );
    let random = digest.as_ref().iter().take(10);
    let random = random.fold(0_u128, |random, byte| (random << 8) | u128::from(*byte));
    let time = Ulid::from_string(id).map_or(0, |id| id.timestamp_ms());
    Ulid::from_parts(time, random).to_string()
}

impl Answer {
    fn refuse(&mut self, operation: &wire::Operation, reason: String) {
        let id = operation.id.clone();
        self.refused.push(Refused { id, reason });
    }
}

/// Returns whether the places that the spoke knows are those of operations of `user` in this log.
fn has_places(
    transaction: &Transaction<'_>,
    user: &str,
    request: &Request,
) -> rusqlite::Result<bool> {
    for place in [&request.cursor, &request.sent].into_iter().flatten() {
        let is_there = match log::find(transaction, &place.id)? {
            Some((seq, operation)) => {
                seq.unsigned_abs() == place.seq && operation.content().user == user
            }
            None => false,
        };
        if !is_there {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Has the spokes of `user`, and nobody else's, begin anew. Returns the epoch.
fn begin_epoch_of(transaction: &Transaction<'_>, user: &str) -> rusqlite::Result<String> {
    transaction
        .prepare_cached(
            "INSERT INTO user_epochs (user, epoch) VALUES (?1, lower(hex(randomblob(16))))
             ON CONFLICT (user) DO UPDATE SET epoch = excluded.epoch RETURNING epoch",
        )?
        .query_row([user], |row| row.get(0))
}

/// Adds what `user` has beyond the cursor to the answer, and moves the cursor.
fn fill(
    transaction: &Transaction<'_>,
    user: &str,
    request: &Request,
    of_request: &HashSet<String>,
    answer: &mut Answer,
) -> rusqlite::Result<()> {
    let after = request.cursor.as_ref().map_or(0, |cursor| cursor.seq);
    // Most hubs have users, or just the one; those who change from one to the other pay with a longer walk.
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
    let page = Page::default();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let operation = Operation::from_row(row, 1)?;
        if operation.content().user != user {
            continue;
        }
        if answer.operations.len() >= page.operations || bytes >= page.bytes {
            answer.more = true;
            return Ok(());
        }
        let seq: i64 = row.get(0)?;
        answer.cursor = Some(Place {
            seq: seq.unsigned_abs(),
            id: operation.id.clone(),
        });
        if fits(&operation) && !of_request.contains(&operation.id) {
            bytes += operation.body.len();
            answer.operations.push(to_wire(operation));
        }
    }
    Ok(())
}
