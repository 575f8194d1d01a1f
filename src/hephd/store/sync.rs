//! The store's side of syncing, for a hub and for a spoke. Each exchange is one transaction on either side: a spoke keeps
//! its cursor and what it has not sent together with the data, so that a crash between the two is impossible.
//!
//! A spoke trusts neither its memory of the hub nor the hub's of it. The hub gets restored from backups: then its epoch
//! is another one, or, where somebody copied a file by hand, its log no longer has at a number what the spoke knows to be
//! there. Either way the spoke begins anew: it sends all it has, of which the hub takes what it lacks, and fetches all.

use std::collections::HashSet;
use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, Row, Transaction, TransactionBehavior};
use serde_json::Value;
use ulid::Ulid;

use super::clock::Clock;
use super::log::{self, COLUMNS, Operation};
use super::merge::{ADD, EDIT};
use super::tasks::check_title;
use super::{Refusal, Store, file};
use crate::hephd::sync::wire::{
    self, Answer, LARGEST_OPERATION, Next, Page, Place, Refused, Request,
};

/// The longest name of a kind, in bytes.
const LONGEST_KIND: usize = 64;

impl Store {
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
        let mut clock = self.clock;
        let transaction = self.connection.transaction_with_behavior(behavior)?;
        let epoch = epoch(&transaction)?;
        let mut answer = Answer {
            schema: wire::SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch,
            reset: false,
            refused: Vec::new(),
            sent: request.sent.clone(),
            operations: Vec::new(),
            cursor: request.cursor.clone(),
            more: false,
        };
        if !is_of_this_log(&transaction, &answer.epoch, request)? {
            answer.reset = true;
            (answer.sent, answer.cursor) = (None, None);
            return Ok(answer);
        }
        for operation in &request.operations {
            let taken = match admit(operation, user) {
                Ok(operation) => take(&transaction, &operation, &mut clock)?,
                Err(reason) => Err(reason),
            };
            match taken {
                Ok(seq) if answer.sent.as_ref().is_none_or(|sent| sent.seq < seq) => {
                    let id = operation.id.clone();
                    answer.sent = Some(Place { seq, id });
                }
                Ok(_) => {}
                Err(reason) => answer.refused.push(Refused {
                    id: operation.id.clone(),
                    reason,
                }),
            }
        }
        fill(&transaction, user, request, &mut answer)?;
        if clock != self.clock {
            log::keep_clock(&transaction, clock)?;
        }
        transaction.commit()?;
        self.clock = clock;
        Ok(answer)
    }

    /// As a spoke: begins to be one, or goes on. The first time, all that this machine's owner has is to be sent.
    ///
    /// # Errors
    ///
    /// [`Refusal::Failed`].
    pub fn become_spoke(&mut self) -> Result<(), Refusal> {
        if self.is_spoke {
            return Ok(());
        }
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let id = Ulid::generate().to_string();
        transaction.execute("INSERT INTO spoke (id) VALUES (?1)", [id])?;
        send_all_again(&transaction)?;
        transaction.commit()?;
        self.is_spoke = true;
        Ok(())
    }

    /// As a spoke: returns the next request, with as much as `page` allows of what the hub has not acknowledged. After
    /// [`Store::become_spoke`].
    ///
    /// # Errors
    ///
    /// [`Refusal::Failed`].
    pub fn next_request(&self, page: Page) -> Result<Request, Refusal> {
        let sql = "SELECT id, epoch, cursor_seq, cursor_id, sent_seq, sent_id FROM spoke";
        let mut request = self.connection.prepare_cached(sql)?.query_row([], |row| {
            Ok(Request {
                schema: wire::SCHEMA,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                spoke: row.get(0)?,
                epoch: row.get(1)?,
                cursor: place(row, 2)?,
                sent: place(row, 4)?,
                operations: Vec::new(),
            })
        })?;
        let sql = format!("SELECT {COLUMNS} FROM unsent JOIN ops USING (seq) ORDER BY seq");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        let mut bytes = 0;
        while request.operations.len() < page.operations && bytes < page.bytes {
            let Some(row) = rows.next()? else { break };
            let operation = Operation::from_row(row, 0)?;
            bytes += operation.body.len();
            request.operations.push(to_wire(operation));
        }
        Ok(request)
    }

    /// As a spoke: takes in the hub's `answer` to `request`, and returns whether to go on at once.
    ///
    /// # Errors
    ///
    /// [`Refusal::Failed`]; nothing was taken in, and the same request may be sent again.
    pub fn apply(&mut self, request: &Request, answer: &Answer) -> Result<Next, Refusal> {
        let mut clock = self.clock;
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        if answer.reset {
            let forget = "UPDATE spoke SET epoch = NULL, cursor_seq = NULL, cursor_id = NULL,
                 sent_seq = NULL, sent_id = NULL";
            transaction.execute(forget, [])?;
            send_all_again(&transaction)?;
            transaction.commit()?;
            return Ok(Next::Again);
        }
        for refused in &answer.refused {
            transaction
                .prepare_cached(
                    "INSERT OR REPLACE INTO refused (seq, reason)
                     SELECT seq, ?2 FROM ops JOIN unsent USING (seq) WHERE id = ?1",
                )?
                .execute([&refused.id, &refused.reason])?;
        }
        for operation in &answer.operations {
            // What another release of the hub let pass is not taken in here either; it is not worth stopping for.
            if let Ok(operation) = admit(operation, "") {
                drop(take(&transaction, &operation, &mut clock)?);
            }
        }
        // What comes from the hub need not be sent to it either.
        for id in request
            .operations
            .iter()
            .chain(&answer.operations)
            .map(|operation| &operation.id)
        {
            transaction
                .prepare_cached(
                    "DELETE FROM unsent WHERE seq = (SELECT seq FROM ops WHERE id = ?1)",
                )?
                .execute([id])?;
        }
        let (cursor, sent) = (&answer.cursor, &answer.sent);
        let number = |place: &Option<Place>| place.as_ref().map(|place| place.seq.cast_signed());
        let id = |place: &Option<Place>| place.as_ref().map(|place| place.id.clone());
        transaction
            .prepare_cached(
                "UPDATE spoke SET epoch = ?1, cursor_seq = ?2, cursor_id = ?3, sent_seq = ?4, sent_id = ?5",
            )?
            .execute((&answer.epoch, number(cursor), id(cursor), number(sent), id(sent)))?;
        let left = transaction
            .prepare_cached("SELECT 1 FROM unsent LIMIT 1")?
            .exists([])?;
        if clock != self.clock {
            log::keep_clock(&transaction, clock)?;
        }
        transaction.commit()?;
        self.clock = clock;
        // A hub that promises more and sends nothing would keep both busy for ever.
        let moved = answer.cursor != request.cursor || !request.operations.is_empty();
        Ok(if (answer.more && moved) || left {
            Next::Again
        } else {
            Next::Done
        })
    }

    /// As a spoke: returns how many operations the hub has not acknowledged.
    ///
    /// # Errors
    ///
    /// [`Refusal::Failed`].
    pub fn pending(&self) -> Result<u64, Refusal> {
        count(&self.connection, "SELECT count(*) FROM unsent")
    }

    /// As a spoke: returns how many operations the hub does not take.
    ///
    /// # Errors
    ///
    /// [`Refusal::Failed`].
    pub fn refused(&self) -> Result<u64, Refusal> {
        count(&self.connection, "SELECT count(*) FROM refused")
    }
}

fn count(connection: &Connection, sql: &str) -> Result<u64, Refusal> {
    let count: u32 = connection
        .prepare_cached(sql)?
        .query_row([], |row| row.get(0))?;
    Ok(u64::from(count))
}

fn epoch(connection: &Connection) -> rusqlite::Result<String> {
    connection
        .prepare_cached("SELECT epoch FROM epoch")?
        .query_row([], |row| row.get(0))
}

/// Returns whether the store has been that of a spoke.
pub fn is_spoke(connection: &Connection) -> rusqlite::Result<bool> {
    connection.prepare("SELECT 1 FROM spoke")?.exists([])
}

/// Gives the copy `path`, which nobody has open, a life of its own.
pub fn begin_another_epoch(path: &Path) -> rusqlite::Result<()> {
    let copy = file::open_writable(path)?;
    // The copy is synced as a whole, and does not have its name before that.
    copy.execute_batch("PRAGMA journal_mode = memory; PRAGMA synchronous = off;")?;
    copy.execute(ANOTHER_EPOCH, [])?;
    copy.close().map_err(|(_, error)| error)
}

/// Has the store begin anew with any hub, and be another hub to any spoke.
pub fn forget_the_hub(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("DELETE FROM spoke; DELETE FROM unsent; DELETE FROM refused;")?;
    connection.execute(ANOTHER_EPOCH, [])?;
    Ok(())
}

const ANOTHER_EPOCH: &str = "UPDATE epoch SET epoch = lower(hex(randomblob(16)))";

fn send_all_again(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(
        "DELETE FROM refused;
         DELETE FROM unsent;
         INSERT INTO unsent SELECT seq FROM ops WHERE seq NOT IN (SELECT seq FROM user_ops);",
    )
}

fn place(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Place>> {
    let seq: Option<i64> = row.get(column)?;
    let id: Option<String> = row.get(column + 1)?;
    Ok(seq.zip(id).map(|(seq, id)| Place {
        seq: seq.cast_unsigned(),
        id,
    }))
}

/// Returns whether what the spoke knows of the hub is true of this log.
fn is_of_this_log(
    transaction: &Transaction<'_>,
    epoch: &str,
    request: &Request,
) -> rusqlite::Result<bool> {
    if request.epoch.as_deref().is_some_and(|known| known != epoch) {
        return Ok(false);
    }
    for place in [&request.cursor, &request.sent].into_iter().flatten() {
        let Ok(seq) = i64::try_from(place.seq) else {
            return Ok(false);
        };
        let is_there = transaction
            .prepare_cached("SELECT 1 FROM ops WHERE seq = ?1 AND id = ?2")?
            .exists((seq, &place.id))?;
        if !is_there {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Takes an operation of somebody else. Returns its number here, or why it is not taken.
fn take(
    transaction: &Transaction<'_>,
    operation: &Operation,
    clock: &mut Clock,
) -> rusqlite::Result<Result<u64, String>> {
    if let Some(seq) = log::record(transaction, operation)? {
        let theirs = operation.stamp(&operation.content()).clock;
        *clock = theirs.max(*clock);
        return Ok(Ok(seq.unsigned_abs()));
    }
    let known = log::find(transaction, &operation.id)?;
    Ok(match known {
        Some((seq, known)) if is_same(&known, operation) => Ok(seq.unsigned_abs()),
        _ => Err("its id belongs to another operation".to_owned()),
    })
}

/// Returns whether both are one operation. Members of a JSON object have no order.
fn is_same(one: &Operation, other: &Operation) -> bool {
    let body = |operation: &Operation| serde_json::from_str::<Value>(&operation.body).ok();
    (&one.kind, &one.task, one.created_at) == (&other.kind, &other.task, other.created_at)
        && body(one) == body(other)
}

/// Adds what `user` has beyond the cursor to the answer, and moves the cursor.
fn fill(
    transaction: &Transaction<'_>,
    user: &str,
    request: &Request,
    answer: &mut Answer,
) -> rusqlite::Result<()> {
    let of_request: HashSet<&str> = request
        .operations
        .iter()
        .map(|operation| operation.id.as_str())
        .collect();
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
        if !of_request.contains(operation.id.as_str()) {
            bytes += operation.body.len();
            answer.operations.push(to_wire(operation));
        }
    }
    Ok(())
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

/// Returns what is kept of an operation that somebody sent for `user`, or why it is not taken. Pure.
///
/// A kind that this release does not know is taken: the spokes may be newer than their hub.
fn admit(operation: &wire::Operation, user: &str) -> Result<Operation, String> {
    let is_ulid = |id: &str| Ulid::from_string(id).is_ok_and(|ulid| ulid.to_string() == id);
    if !is_ulid(&operation.id) {
        return Err("its id is not a ULID".to_owned());
    }
    if !is_ulid(&operation.task) {
        return Err("the id of its task is not a ULID".to_owned());
    }
    let kind = &operation.kind;
    let plain = kind
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
    if kind.is_empty() || kind.len() > LONGEST_KIND || !plain {
        return Err("its kind is no name".to_owned());
    }
    if Timestamp::from_millisecond(operation.created_at).is_err() {
        return Err("its time is none".to_owned());
    }
    let clock = match operation.body.get("clock") {
        None => Some(Clock(operation.created_at, 0)),
        Some(clock) => serde_json::from_value(clock.clone()).ok(),
    };
    if !clock.is_some_and(Clock::is_possible) {
        return Err("its clock is none".to_owned());
    }
    if [ADD, EDIT].contains(&kind.as_str()) {
        let title = operation.body.get("title").and_then(Value::as_str);
        let title = title.ok_or("it has no title")?;
        let kept = check_title(title).map_err(|why| format!("its title {why}"))?;
        if kept != title {
            return Err("its title begins or ends with a space".to_owned());
        }
    }
    let mut body = operation.body.clone();
    body.remove("user");
    if !user.is_empty() {
        body.insert("user".to_owned(), user.into());
    }
    let body = Value::Object(body).to_string();
    if body.len() > LARGEST_OPERATION {
        return Err(format!(
            "it has {} bytes; {LARGEST_OPERATION} is the most",
            body.len()
        ));
    }
    Ok(Operation {
        id: operation.id.clone(),
        kind: kind.clone(),
        task: operation.task.clone(),
        body,
        created_at: operation.created_at,
    })
}
