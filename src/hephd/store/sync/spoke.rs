//! The spoke's half of an exchange.

use std::collections::HashSet;

use jiff::Timestamp;
use rusqlite::{Connection, Row, Transaction};
use ulid::Ulid;

use super::super::clock::DRIFT;
use super::super::log::{self, COLUMNS, Record};
use super::super::{Store, allowance, deletions, generations, validate};
use super::{Insertion, held, restamp, to_wire};
use crate::error::Result;
use crate::hephd::protocol::{
    self, LARGEST_OPERATION, Operation, PAGE_BYTES, PageLimits, Position, Request, Response,
};
use crate::os::files;

/// How much of a response is applied while others wait for the store: some milliseconds of work, as long as a write of this
/// machine waits for the disk.
const SLICE_OPERATIONS: usize = 100;
const SLICE_BYTES: usize = 32 << 10;

/// What a slice of a response did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    /// Where the next slice begins; `None` after the last one.
    pub next: Option<usize>,
    /// How many tasks were deleted.
    pub deleted: u64,
}

/// The methods of a spoke. An error leaves the store unchanged.
impl Store {
    /// Makes this store a spoke's, if it is not. The first time, everything of this machine's owner is to be sent.
    pub fn become_spoke(&mut self) -> Result<()> {
        if self.is_spoke {
            return Ok(());
        }
        let transaction = self.connection.transaction()?;
        let id = Ulid::generate().to_string();
        transaction.execute("INSERT INTO spoke (id) VALUES (?1)", [id])?;
        mark_everything_unsent(&transaction)?;
        transaction.commit()?;
        self.is_spoke = true;
        Ok(())
    }

    /// Returns the next request, with as many unacknowledged operations as `limits` allow. After [`Store::become_spoke`].
    pub fn next_request(&self, limits: PageLimits) -> Result<Request> {
        let mut request = empty_request(&self.connection)?;
        request.page_bytes = (limits.bytes < PAGE_BYTES).then_some(limits.bytes);
        let sql = format!("SELECT {COLUMNS} FROM unsent JOIN ops USING (seq) ORDER BY seq");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        let mut bytes = 0;
        while request.operations.len() < limits.operations && bytes < limits.bytes {
            let Some(row) = rows.next()? else { break };
            let record = Record::from_row(row, 0)?;
            bytes += record.body.len();
            request.operations.push(to_wire(record));
        }
        Ok(request)
    }

    /// Applies the hub's `response` to `request` as a whole. Returns how many tasks it deleted.
    #[cfg(test)]
    pub fn apply(&mut self, request: &Request, response: &Response, now: Timestamp) -> Result<u64> {
        let mut deleted = 0;
        let mut first = Some(0);
        while let Some(number) = first {
            let applied = self.apply_slice(request, response, number, now, || true)?;
            deleted += applied.deleted;
            first = applied.next;
        }
        Ok(deleted)
    }

    /// Applies the hub's `response` to `request`, beginning with the operation number `first`. Ends early where `must_yield`
    /// says that others wait for the store: it is asked after as much as takes about as long as a write of this machine. Cursor
    /// and acknowledgements are written at the end of the response; until then, all of it may be applied once more. Ignores the
    /// response to a request from before another response, because what it says of the hub may be outdated. The clock follows no
    /// operation that is too far ahead of `now`.
    ///
    /// # Errors
    ///
    /// [`Kind::TooLarge`](crate::error::Kind::TooLarge) and [`Kind::Full`](crate::error::Kind::Full) where the hub may store
    /// no more here; any other from the store. The slice was not applied.
    pub fn apply_slice(
        &mut self,
        request: &Request,
        response: &Response,
        first: usize,
        now: Timestamp,
        must_yield: impl Fn() -> bool,
    ) -> Result<Applied> {
        let latest = self.hub_clock.time(now).saturating_add(DRIFT);
        let free = files::free_space(&self.path).ok();
        let transaction = self.connection.transaction()?;
        let known = empty_request(&transaction)?;
        let is_outdated = (&known.epoch, &known.cursor, &known.sent)
            != (&request.epoch, &request.cursor, &request.sent);
        if is_outdated {
            return Ok(Applied::default());
        }
        if response.reset {
            save_hub(&transaction, None, None, None)?;
            mark_everything_unsent(&transaction)?;
            transaction.commit()?;
            return Ok(Applied::default());
        }
        deletions::note(&transaction)?;
        let deletions_before = deletions::count(&transaction)?;
        if first == 0 {
            note_refused(&transaction, request, response)?;
        }
        let mut received = allowance::load(&transaction)?;
        let is_guarded = held::is_on(&transaction)?;
        let mut clock = self.clock;
        let mut has_new = false;
        let mut restamped = HashSet::new();
        let mut end = first;
        let is_last = loop {
            let records;
            (records, end) = slice(&response.operations, end);
            for record in &records {
                match held::insert_from_hub(&transaction, record, &mut clock, latest, is_guarded)? {
                    Insertion::New(_) => {
                        has_new = true;
                        received.count(record, log::has_task(&transaction, &record.task)?);
                    }
                    // The hub has it, so it need not be sent.
                    Insertion::Known(seq) => acknowledge(&transaction, seq)?,
                    Insertion::OtherStamp(seq) => {
                        if restamp::takes_over(&transaction, seq, &record.id, latest)? {
                            generations::restamp(&transaction, seq, record)?;
                            restamped.insert(record.task.clone());
                        }
                        acknowledge(&transaction, seq)?;
                    }
                    Insertion::IdOfOtherUser | Insertion::Conflict => {}
                }
            }
            if end == response.operations.len() {
                break true;
            }
            if must_yield() {
                break false;
            }
        };
        if !restamped.is_empty() {
            log::rebuild_some(&transaction, &restamped, &HashSet::new())?;
        }
        if has_new {
            received.check(self.allowance, free)?;
            allowance::save(&transaction, received)?;
            log::save_clock(&transaction, clock)?;
        }
        if is_last {
            for operation in &request.operations {
                if let Some((seq, _)) = log::find(&transaction, &operation.id)? {
                    acknowledge(&transaction, seq)?;
                }
            }
            let (cursor, sent) = (response.cursor.as_ref(), response.sent.as_ref());
            save_hub(&transaction, Some(&response.epoch), cursor, sent)?;
        }
        let deleted = deletions::count(&transaction)? - deletions_before;
        transaction.commit()?;
        self.clock = clock;
        Ok(Applied {
            next: (!is_last).then_some(end),
            deleted,
        })
    }

    /// Limits what the hub may store here, in bytes.
    pub fn set_allowance(&mut self, bytes: u64) {
        self.allowance = bytes;
    }

    /// Returns how many operations the hub has not acknowledged.
    pub fn pending(&self) -> Result<u64> {
        self.count("SELECT count(*) FROM unsent")
    }

    /// Returns how many operations the hub rejected.
    pub fn refused(&self) -> Result<u64> {
        self.count("SELECT count(*) FROM refused")
    }
}

/// Returns the records of the next slice of `operations`, and where it ends.
fn slice(operations: &[Operation], first: usize) -> (Vec<Record>, usize) {
    let mut records = Vec::new();
    let (mut end, mut bytes) = (first, 0);
    for operation in operations.iter().skip(first).take(SLICE_OPERATIONS) {
        if bytes >= SLICE_BYTES {
            break;
        }
        end += 1;
        // An operation that no log can hold must not stop the sync.
        if let Ok(record) = validate::from_hub(operation) {
            bytes += record.body.len();
            records.push(record);
        }
    }
    (records, end)
}

fn note_refused(
    transaction: &Transaction<'_>,
    request: &Request,
    response: &Response,
) -> rusqlite::Result<()> {
    let sent: HashSet<&str> = request
        .operations
        .iter()
        .map(|operation| operation.id.as_str())
        .collect();
    for refused in &response.refused {
        if sent.contains(refused.id.as_str()) {
            mark_refused(transaction, &refused.id, &refused.reason)?;
        }
    }
    Ok(())
}

/// Returns a request without operations: what this spoke knows of the hub.
fn empty_request(connection: &Connection) -> rusqlite::Result<Request> {
    let sql = "SELECT id, epoch, cursor_seq, cursor_id, sent_seq, sent_id FROM spoke";
    connection.prepare_cached(sql)?.query_row([], |row| {
        Ok(Request {
            schema: protocol::SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            spoke: row.get(0)?,
            epoch: row.get(1)?,
            cursor: position(row, 2)?,
            sent: position(row, 4)?,
            operations: Vec::new(),
            page_bytes: None,
        })
    })
}

fn position(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Position>> {
    let seq: Option<i64> = row.get(column)?;
    let id: Option<String> = row.get(column + 1)?;
    Ok(seq.zip(id).map(|(seq, id)| Position {
        seq: seq.cast_unsigned(),
        id,
    }))
}

/// Saves what this spoke knows of the hub.
fn save_hub(
    transaction: &Transaction<'_>,
    epoch: Option<&str>,
    cursor: Option<&Position>,
    sent: Option<&Position>,
) -> rusqlite::Result<()> {
    let seq = |position: Option<&Position>| position.map(|position| position.seq.cast_signed());
    let id = |position: Option<&Position>| position.map(|position| position.id.clone());
    transaction
        .prepare_cached(
            "UPDATE spoke SET epoch = ?1, cursor_seq = ?2, cursor_id = ?3, sent_seq = ?4, sent_id = ?5",
        )?
        .execute((epoch, seq(cursor), id(cursor), seq(sent), id(sent)))?;
    Ok(())
}

/// Marks everything of this machine's owner as unsent, except what every hub rejects for its size.
fn mark_everything_unsent(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    // A deletion that the user has not accepted is not passed on to another hub.
    held::create(transaction)?;
    transaction.execute_batch(&format!(
        "DELETE FROM refused;
         DELETE FROM unsent;
         INSERT INTO unsent SELECT seq FROM ops
           WHERE octet_length(body) <= {LARGEST_OPERATION} AND seq NOT IN (SELECT seq FROM user_ops)
             AND seq NOT IN (SELECT seq FROM held_deletions);
         INSERT INTO refused SELECT seq, 'the operation is too large' FROM ops
           WHERE octet_length(body) > {LARGEST_OPERATION} AND seq NOT IN (SELECT seq FROM user_ops);"
    ))
}

fn mark_refused(transaction: &Transaction<'_>, id: &str, reason: &str) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO refused (seq, reason)
             SELECT seq, ?2 FROM ops JOIN unsent USING (seq) WHERE id = ?1",
        )?
        .execute([id, reason])?;
    Ok(())
}

/// Notes that the operation number `seq` need not be sent any more.
fn acknowledge(transaction: &Transaction<'_>, seq: i64) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("DELETE FROM unsent WHERE seq = ?1")?
        .execute([seq])?;
    Ok(())
}
