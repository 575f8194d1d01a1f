//! The hub's half of an exchange.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::{ErrorCode, Transaction, TransactionBehavior};
use serde_json::Value;
use ulid::Ulid;

use super::super::clock::{Clock, DRIFT};
use super::super::log::{self, COLUMNS, Record, SENT_AS};
use super::super::{Store, accounts, validate};
use super::{Insertion, epoch, insert, mark_unsent, to_wire};
use crate::error::{Error, Result};
use crate::hephd::protocol::{
    self, PAGE_BYTES, PageLimits, Position, RefusedOperation, Request, Response,
};
use crate::os::files;

impl Store {
    /// As the hub: takes the operations of `request` for `user`, and returns a page of what the spoke lacks. An error
    /// leaves the store unchanged. An operation whose clock is too far ahead of `now` is refused.
    ///
    /// # Errors
    ///
    /// [`Kind::Full`](crate::error::Kind::Full) where the user's quota or the disk is used up; any other from the store.
    pub fn exchange(&mut self, user: &str, request: &Request, now: Timestamp) -> Result<Response> {
        self.try_exchange(user, request, now)
            .map_err(|failure| match failure {
                ExchangeError::Full(error) => error,
                ExchangeError::Store(error)
                    if error.sqlite_error_code() == Some(ErrorCode::DiskFull) =>
                {
                    self.full_since = Some(Instant::now());
                    accounts::disk_full()
                }
                ExchangeError::Store(error) => error.into(),
            })
    }

    /// Sets how far ahead of this hub's time, now `now`, a clock may be. This hub's own clock, which release 0.1.0 let follow
    /// any, goes back to that.
    pub fn set_max_drift(&mut self, drift: Option<Duration>, now: Timestamp) {
        let drift = drift.and_then(|drift| i64::try_from(drift.as_millis()).ok());
        self.max_drift = drift.unwrap_or(DRIFT);
        let now = now.as_millisecond();
        if self.clock.0 > now.saturating_add(self.max_drift) {
            self.clock = Clock(now, 0);
        }
    }

    fn try_exchange(
        &mut self,
        user: &str,
        request: &Request,
        now: Timestamp,
    ) -> Result<Response, ExchangeError> {
        let now = now.as_millisecond();
        let latest = now.saturating_add(self.max_drift);
        let free = || files::free_space(&self.path).ok();
        let behavior = if request.operations.is_empty() {
            TransactionBehavior::Deferred
        } else {
            TransactionBehavior::Immediate
        };
        let transaction = self.connection.transaction_with_behavior(behavior)?;
        if !user.is_empty() && !self.has_accounts {
            accounts::create_if_missing(&transaction)?;
        }
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
        let (cursor, sent) = (request.cursor.as_ref(), request.sent.as_ref());
        let cursor = locate(&transaction, user, cursor)?;
        let (Some(after), Some(_), true) =
            (cursor, locate(&transaction, user, sent)?, is_same_epoch)
        else {
            if is_same_epoch {
                response.epoch = renew_epoch(&transaction, user)?;
            }
            response.reset = true;
            (response.sent, response.cursor) = (None, None);
            transaction.commit()?;
            return Ok(response);
        };
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
            if let Some(reason) = validate::ahead(&record, now, latest)
                && find(&transaction, user, &record.id)?.is_none()
            {
                refuse(reason);
                continue;
            }
            let mut insertion = insert(&transaction, &record, &mut clock, latest)?;
            if insertion == Insertion::IdOfOtherUser {
                record = renamed(record, user);
                insertion = insert(&transaction, &record, &mut clock, latest)?;
            }
            let is_as_sent = !matches!(insertion, Insertion::OtherStamp(_));
            let seq = match insertion {
                Insertion::New(seq) => {
                    has_new = true;
                    // This machine may become the spoke of another hub.
                    if self.is_spoke && user.is_empty() {
                        mark_unsent(&transaction, seq)?;
                    }
                    seq
                }
                Insertion::Known(seq) | Insertion::OtherStamp(seq) => seq,
                Insertion::IdOfOtherUser | Insertion::Conflict => {
                    refuse("the id belongs to another operation".to_owned());
                    continue;
                }
            };
            let seq = accounts::number(&transaction, user, seq)?;
            if response.sent.as_ref().is_none_or(|sent| sent.seq < seq) {
                let id = operation.id.clone();
                response.sent = Some(Position { seq, id });
            }
            // The spoke takes over the stamp that the operation has here.
            if is_as_sent {
                request_ids.insert(record.id);
            }
        }
        let limits = PageLimits {
            bytes: request
                .page_bytes
                .unwrap_or(PAGE_BYTES)
                .clamp(1, PAGE_BYTES),
            ..PageLimits::default()
        };
        add_page(
            &transaction,
            user,
            after,
            limits,
            &request_ids,
            &mut response,
        )?;
        if has_new {
            let free = free();
            accounts::check_disk(free).map_err(ExchangeError::Full)?;
            if let Some(quota) = self.quota.filter(|_| !user.is_empty()) {
                let usage = accounts::usage(&transaction, user)?;
                quota.check(usage, free).map_err(ExchangeError::Full)?;
            }
            log::save_clock(&transaction, clock)?;
        }
        transaction.commit()?;
        self.clock = clock;
        self.has_accounts |= !user.is_empty();
        if has_new {
            self.full_since = None;
        }
        Ok(response)
    }
}

/// How much longer renaming makes a body, in bytes: `"sent_as":"…",` with a ULID.
const RENAMING: usize = SENT_AS.len() + 32;

/// Why an exchange did not happen.
enum ExchangeError {
    Full(Error),
    Store(rusqlite::Error),
}

impl From<rusqlite::Error> for ExchangeError {
    fn from(error: rusqlite::Error) -> ExchangeError {
        ExchangeError::Store(error)
    }
}

/// Returns `record` with the id that it gets on this hub where another user has an operation with its own.
///
/// This happens to a hub that began without tokens and then required them, or whose issuer changed: its spokes send all
/// they have again, for the new user. The user's spokes know it by the id that it was sent as, which the body keeps, so
/// that nothing tells them of the other user. The new id is derived, so that an operation that is sent again is found.
fn renamed(mut record: Record, user: &str) -> Record {
    let mut body: serde_json::Map<String, Value> =
        serde_json::from_str(&record.body).unwrap_or_default();
    let id = derived_id(&record.id, user);
    body.insert(
        SENT_AS.to_owned(),
        std::mem::replace(&mut record.id, id).into(),
    );
    record.body = Value::Object(body).to_string();
    record
}

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

/// Returns where the log has the operation of `user` that `position` names, 0 without a position. `None` if it is not there,
/// or has another number.
fn locate(
    transaction: &Transaction<'_>,
    user: &str,
    position: Option<&Position>,
) -> rusqlite::Result<Option<i64>> {
    let Some(position) = position else {
        return Ok(Some(0));
    };
    match find(transaction, user, &position.id)? {
        Some(seq) if accounts::number(transaction, user, seq)? == position.seq => Ok(Some(seq)),
        _ => Ok(None),
    }
}

/// Returns the number in the log of the operation of `user` that its spokes know as `id`.
fn find(transaction: &Transaction<'_>, user: &str, id: &str) -> rusqlite::Result<Option<i64>> {
    let find = |id: &str| -> rusqlite::Result<Option<i64>> {
        let found = log::find(transaction, id)?;
        Ok(found.and_then(|(seq, record)| (record.content().user == user).then_some(seq)))
    };
    match find(id)? {
        None if !user.is_empty() => find(&derived_id(id, user)),
        found => Ok(found),
    }
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

/// Adds the operations of `user` behind `after` in the log, within `limits` but at least one, and moves the cursor past them.
fn add_page(
    transaction: &Transaction<'_>,
    user: &str,
    after: i64,
    limits: PageLimits,
    request_ids: &HashSet<String>,
    response: &mut Response,
) -> rusqlite::Result<()> {
    // A hub has users or it has not; one that changed from one to the other walks over what is not the owner's.
    let sql = if user.is_empty() {
        format!("SELECT seq, {COLUMNS} FROM ops WHERE seq > ?1 AND ?2 = '' ORDER BY seq")
    } else {
        format!(
            "SELECT number, {COLUMNS} FROM user_ops JOIN ops USING (seq)
             WHERE seq > ?1 AND user = ?2 ORDER BY seq"
        )
    };
    let mut statement = transaction.prepare_cached(&sql)?;
    let mut rows = statement.query((after, user))?;
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let record = Record::from_row(row, 1)?;
        let content = record.content();
        if content.user != user {
            continue;
        }
        if response.operations.len() >= limits.operations || bytes >= limits.bytes {
            response.more = true;
            return Ok(());
        }
        let number: i64 = row.get(0)?;
        let is_renamed = content.sent_as.is_some();
        let id = content.sent_as.unwrap_or_else(|| record.id.clone());
        response.cursor = Some(Position {
            seq: number.unsigned_abs(),
            id,
        });
        // What a body keeps of a renamed operation is not sent, and does not count.
        let is_sendable = record.is_sendable() || is_renamed;
        if is_sendable && !request_ids.contains(&record.id) {
            bytes += record.body.len() - if is_renamed { RENAMING } else { 0 };
            response.operations.push(to_wire(record));
        }
    }
    Ok(())
}
