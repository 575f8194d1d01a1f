//! What a spoke sends and takes in.

use std::collections::HashSet;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use ulid::Ulid;

use super::super::log::{self, COLUMNS, Operation};
use super::super::{Refusal, Store};
use super::{Taken, admit, place, take, to_wire};
use crate::hephd::sync::wire::{self, Answer, LARGEST_OPERATION, Next, Page, Request};

impl Store {
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
        let mut request = what_is_known(&self.connection)?;
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

    /// As a spoke: takes in the hub's `answer` to `request`, and returns whether to go on at once. An answer to a request
    /// from before another answer is passed over: what it says of the hub may be true no more.
    ///
    /// # Errors
    ///
    /// [`Refusal::Failed`]; nothing was taken in, and the same request may be sent again.
    pub fn apply(&mut self, request: &Request, answer: &Answer) -> Result<Next, Refusal> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let known = what_is_known(&transaction)?;
        let in_time = (&known.epoch, &known.cursor, &known.sent)
            == (&request.epoch, &request.cursor, &request.sent);
        if !in_time {
            return Ok(Next::Again);
        }
        if answer.reset {
            let forget = "UPDATE spoke SET epoch = NULL, cursor_seq = NULL, cursor_id = NULL,
                 sent_seq = NULL, sent_id = NULL";
            transaction.execute(forget, [])?;
            send_all_again(&transaction)?;
            transaction.commit()?;
            // A hub that knows nothing better of a spoke that claims nothing would keep both busy for ever.
            let claimed =
                request.epoch.is_some() || request.cursor.is_some() || request.sent.is_some();
            return Ok(if claimed { Next::Again } else { Next::Done });
        }
        let asked: HashSet<&str> = request
            .operations
            .iter()
            .map(|operation| operation.id.as_str())
            .collect();
        for refused in &answer.refused {
            if asked.contains(refused.id.as_str()) {
                refuse(&transaction, &refused.id, &refused.reason)?;
            }
        }
        let mut clock = self.clock;
        let mut anything_new = false;
        for operation in &answer.operations {
            // What cannot be in a log is not worth stopping for.
            let Ok(admitted) = admit::from_hub(operation) else {
                continue;
            };
            match take(&transaction, &admitted, &mut clock)? {
                Taken::New(_) => anything_new = true,
                // What comes from the hub need not be sent to it.
                Taken::Known(seq) => acknowledge(&transaction, seq)?,
                Taken::Foreign | Taken::Clash => {}
            }
        }
        for operation in &request.operations {
            if let Some((seq, _)) = log::find(&transaction, &operation.id)? {
                acknowledge(&transaction, seq)?;
            }
        }
        let (cursor, sent) = (&answer.cursor, &answer.sent);
        let number = |place: &Option<wire::Place>| place.as_ref().map(|p| p.seq.cast_signed());
        let id = |place: &Option<wire::Place>| place.as_ref().map(|place| place.id.clone());
        transaction
            .prepare_cached(
                "UPDATE spoke SET epoch = ?1, cursor_seq = ?2, cursor_id = ?3, sent_seq = ?4, sent_id = ?5",
            )?
            .execute((&answer.epoch, number(cursor), id(cursor), number(sent), id(sent)))?;
        let left = transaction
            .prepare_cached("SELECT 1 FROM unsent LIMIT 1")?
            .exists([])?;
        if anything_new {
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

/// Returns a request without operations: what this spoke knows of the hub.
fn what_is_known(connection: &Connection) -> rusqlite::Result<Request> {
    let sql = "SELECT id, epoch, cursor_seq, cursor_id, sent_seq, sent_id FROM spoke";
    connection.prepare_cached(sql)?.query_row([], |row| {
        Ok(Request {
            schema: wire::SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            spoke: row.get(0)?,
            epoch: row.get(1)?,
            cursor: place(row, 2)?,
            sent: place(row, 4)?,
            operations: Vec::new(),
        })
    })
}

/// Has all that this machine's owner has be sent, but for what no hub would take because of its size.
fn send_all_again(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(&format!(
        "DELETE FROM refused;
         DELETE FROM unsent;
         INSERT INTO unsent SELECT seq FROM ops
           WHERE octet_length(body) <= {LARGEST_OPERATION} AND seq NOT IN (SELECT seq FROM user_ops);
         INSERT INTO refused SELECT seq, 'it is too large' FROM ops
           WHERE octet_length(body) > {LARGEST_OPERATION} AND seq NOT IN (SELECT seq FROM user_ops);"
    ))
}

fn refuse(transaction: &Transaction<'_>, id: &str, reason: &str) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO refused (seq, reason)
             SELECT seq, ?2 FROM ops JOIN unsent USING (seq) WHERE id = ?1",
        )?
        .execute([id, reason])?;
    Ok(())
}

/// Notes that the hub is done with the operation `seq`.
fn acknowledge(transaction: &Transaction<'_>, seq: i64) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("DELETE FROM unsent WHERE seq = ?1")?
        .execute([seq])?;
    Ok(())
}

fn count(connection: &Connection, sql: &str) -> Result<u64, Refusal> {
    let count: u32 = connection
        .prepare_cached(sql)?
        .query_row([], |row| row.get(0))?;
    Ok(u64::from(count))
}
