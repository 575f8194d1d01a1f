//! New stamps for operations that a hub does not accept because their clocks are too far ahead of its own.
//!
//! This machine's clock was wrong when they were made, or another hub had taken them from such a machine. They keep their ids
//! and their order, and count as if they had been made when the right time became known. The log keeps what was appended; the
//! table `restamped` has what counts. Where two machines do this to the same operation, both take over the stamp of the hub,
//! which is that of the first.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use rusqlite::Transaction;

use super::super::clock::{Clock, DRIFT, HubClock};
use super::super::log::{self, COLUMNS, Record};
use super::super::merge::Stamp;
use super::super::validate::AHEAD;
use super::super::{Store, generations};
use super::mark_unsent;
use crate::error::Result;
use crate::hephd::protocol::OperationKind;

impl Store {
    /// Notes how much the hub's clock differs from this machine's.
    pub fn set_hub_clock(&mut self, clock: HubClock) {
        self.hub_clock = clock;
    }

    /// Returns how many operations the hub rejected because of their clocks.
    pub fn refused_for_clock(&self) -> Result<u64> {
        self.count(&format!(
            "SELECT count(*) FROM refused WHERE reason LIKE '{AHEAD}%'"
        ))
    }

    /// Gives new stamps to the operations that the hub rejected because of their clocks, or would reject at `now`, and returns
    /// how many they are. They are to be sent then.
    pub fn restamp(&mut self, now: Timestamp) -> Result<u64> {
        let now = self.hub_clock.time(now);
        let latest = now.saturating_add(DRIFT);
        // Operations of this machine are not above its clock, so usually there is nothing to look for.
        if self.clock.0 <= latest && self.refused_for_clock()? == 0 {
            return Ok(0);
        }
        let transaction = self.connection.transaction()?;
        let rejected = take_rejected(&transaction)?;
        let mut late = Vec::new();
        let mut tasks = HashSet::new();
        let mut numbers = HashSet::new();
        for (seq, record) in unsent(&transaction)? {
            let clock = record.stamp(&record.content()).clock;
            if clock.0 > latest || rejected.contains(&seq) {
                numbers.insert(seq);
                tasks.insert(record.task.clone());
                late.push((seq, record));
            }
        }
        let mut clock = if self.clock.0 > latest {
            Clock(now, 0)
        } else {
            self.clock
        };
        let mut fields = Fields::default();
        if !late.is_empty() {
            for (seq, record) in log::rebuild_some(&transaction, &tasks, &numbers)? {
                let stamp = record.stamp(&record.content());
                fields.add(seq, &record, stamp, false);
            }
        }
        for (seq, record) in &late {
            clock = clock.next(now);
            // Where no generation is left it cannot win, and keeps what it has.
            if let Some(stamp) = fields.place(*seq, record, clock) {
                fields.add(*seq, record, stamp.clone(), true);
                let record = record.stamped(&stamp);
                generations::restamp(&transaction, *seq, &record)?;
                log::apply(&transaction, *seq, &record, &record.content())?;
            }
        }
        log::save_clock(&transaction, clock)?;
        transaction.commit()?;
        self.clock = clock;
        Ok(late.len() as u64)
    }
}

/// The operations of each field, by their numbers.
#[derive(Default)]
struct Fields(HashMap<(String, bool), BTreeMap<i64, Placed>>);

struct Placed {
    stamp: Stamp,
    /// Whether it got this stamp here, so that the hub may have another one.
    is_new: bool,
}

impl Fields {
    fn add(&mut self, seq: i64, record: &Record, stamp: Stamp, is_new: bool) {
        if let Some(field) = field(record) {
            let placed = Placed { stamp, is_new };
            self.0.entry(field).or_default().insert(seq, placed);
        }
    }

    /// Returns the stamp of the operation number `seq` that puts it where it was: above those before it in the log, and below
    /// those after it, which were made when it was known.
    fn place(&self, seq: i64, record: &Record, clock: Clock) -> Option<Stamp> {
        let placed = field(record).and_then(|field| self.0.get(&field));
        let before = placed.into_iter().flat_map(|placed| placed.range(..seq));
        let before = before.max_by(|(_, one), (_, other)| one.stamp.cmp(&other.stamp));
        let seen = before.map(|(_, placed)| &placed.stamp);
        let after = placed.into_iter().flat_map(|placed| placed.range(seq..));
        let after = after.map(|(_, placed)| &placed.stamp);
        let later = after
            .filter(|stamp| seen.is_none_or(|seen| *stamp > seen))
            .min();
        let is_uncertain = before.is_some_and(|(_, placed)| placed.is_new);
        Stamp::between(seen, later, is_uncertain, clock, &record.id)
    }
}

/// Returns the field that an operation writes: the title or not.
fn field(record: &Record) -> Option<(String, bool)> {
    let is_title = match record.kind {
        OperationKind::Add | OperationKind::Edit => true,
        OperationKind::Done | OperationKind::Reopen => false,
        OperationKind::Delete | OperationKind::Other(_) => return None,
    };
    Some((record.task.clone(), is_title))
}

/// Returns whether the operation number `seq` takes over the stamp that the hub has: it got another one here, or would. The
/// hub may not put off any other operation of this machine.
pub(super) fn takes_over(
    transaction: &Transaction<'_>,
    seq: i64,
    id: &str,
    latest: i64,
) -> rusqlite::Result<bool> {
    let was_restamped = transaction
        .prepare_cached("SELECT 1 FROM restamped WHERE seq = ?1")?
        .exists([seq])?;
    if was_restamped {
        return Ok(true);
    }
    let known = log::find(transaction, id)?;
    Ok(known.is_some_and(|(_, known)| known.stamp(&known.content()).clock.0 > latest))
}

/// Marks the operations that the hub rejected because of their clocks as unsent, and returns their numbers.
fn take_rejected(transaction: &Transaction<'_>) -> rusqlite::Result<HashSet<i64>> {
    let sql = format!("DELETE FROM refused WHERE reason LIKE '{AHEAD}%' RETURNING seq");
    let rejected: HashSet<i64> = transaction
        .prepare(&sql)?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for seq in &rejected {
        mark_unsent(transaction, *seq)?;
    }
    Ok(rejected)
}

/// Returns the operations that the hub lacks, in order.
fn unsent(transaction: &Transaction<'_>) -> rusqlite::Result<Vec<(i64, Record)>> {
    let sql = format!("SELECT seq, {COLUMNS} FROM unsent JOIN ops USING (seq) ORDER BY seq");
    transaction
        .prepare(&sql)?
        .query_map([], |row| Ok((row.get(0)?, Record::from_row(row, 1)?)))?
        .collect()
}
