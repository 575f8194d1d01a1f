//! Brings deleted tasks back.
//!
//! A deletion is final in every release, and all machines must derive the same tasks from the same operations. So a task comes
//! back as a new one: operations that every release knows add it again as it was, under an id that is derived from the old one.
//! Two machines that bring back the same task make one task, and to repeat it changes nothing.

use jiff::Timestamp;
use rusqlite::Connection;
use ulid::Ulid;

use super::deletions::{self, Successor, successor};
use super::log::{self, Content, Record};
use super::merge::Stamp;
use super::{Store, generations, sync, tasks, validate};
use crate::client::wire::{LONGEST_TITLE, Task};
use crate::error::{Error, Kind, Result};
use crate::hephd::protocol::OperationKind;

/// The title of a task that had none.
const UNTITLED: &str = "(untitled)";

impl Store {
    /// Brings the deleted task `id`, or the only one with this prefix, back as it was, and returns it under its new id. One
    /// that is back already is only returned.
    ///
    /// # Errors
    ///
    /// [`Kind::NotFound`] and [`Kind::Ambiguous`] as for every task, [`Kind::Invalid`] for one that is not deleted.
    pub fn undelete(&mut self, id: &str, operation: Option<Ulid>, now: Timestamp) -> Result<Task> {
        let id = match deletions::find(&self.connection, id)?.as_slice() {
            [] => {
                let id = self.resolve_prefix(id)?;
                let message = format!("the task '{id}' is not deleted");
                return Err(Error::new(message).with_kind(Kind::Invalid));
            }
            [id] => id.clone(),
            _ => return Err(tasks::ambiguous(id)),
        };
        if let Successor::Visible(back) = successor(&self.connection, &id)? {
            return self.task(&back);
        }
        let back = self.bring_back(&[id], operation, now)?;
        let back = back.first().ok_or_else(|| {
            Error::new("the operation id was used for another operation").with_kind(Kind::Conflict)
        })?;
        self.task(back)
    }

    /// Brings back what was deleted at `since` or later, of the deletions here after the number `after`: at most `limit` of
    /// them. Returns the tasks under their new ids, and the number to continue after, if there may be more.
    pub fn undelete_since(
        &mut self,
        since: Timestamp,
        after: u64,
        limit: usize,
        now: Timestamp,
    ) -> Result<(Vec<Task>, Option<u64>)> {
        deletions::note(&self.connection)?;
        let deleted: Vec<(i64, String)> = {
            let mut statement = self.connection.prepare_cached(
                "SELECT number, task FROM deletions WHERE number > ?1 AND at >= ?2 ORDER BY number LIMIT ?3",
            )?;
            let rows = statement.query_map(
                (
                    after.cast_signed(),
                    since.as_millisecond(),
                    limit.cast_signed(),
                ),
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            rows.collect::<rusqlite::Result<_>>()?
        };
        let next = deleted.last().filter(|_| deleted.len() == limit);
        let next = next.map(|(number, _)| number.unsigned_abs());
        let ids: Vec<String> = deleted.into_iter().map(|(_, id)| id).collect();
        let back = self.bring_back(&ids, None, now)?;
        let back = back.iter().map(|id| self.task(id));
        Ok((back.collect::<Result<_>>()?, next))
    }

    /// Brings the deleted tasks `ids` back, except those that are back already, in one transaction. Returns the new ids.
    /// `operation` is the id of the first operation.
    fn bring_back(
        &mut self,
        ids: &[String],
        mut operation: Option<Ulid>,
        now: Timestamp,
    ) -> Result<Vec<String>> {
        let operations: Vec<String> = ids
            .iter()
            .flat_map(|_| [operation.take().map(|id| id.to_string()), None])
            .map(|id| id.unwrap_or_else(|| self.new_id(now)))
            .collect();
        let transaction = self.connection.transaction()?;
        let mut clock = self.clock;
        let mut back = Vec::new();
        for (id, operations) in ids.iter().zip(operations.chunks_exact(2)) {
            let Successor::Lacking { deleted, id } = successor(&transaction, id)? else {
                continue;
            };
            let (title, created_at, done_at) = read_deleted(&transaction, &deleted)?;
            let mut append = |kind, operation: &str, title: Option<&str>, at| -> Result<bool> {
                clock = clock.next(self.hub_clock.time(now));
                let stamp = generations::stamp_above(&transaction, &kind, &id, clock, operation)?;
                let stamp = stamp.ok_or_else(|| tasks::out_of_stamps(&id))?;
                let record = Record::new(kind, id.clone(), title, &stamp, at);
                Ok(append(&transaction, &record, &stamp, title, self.is_spoke)?)
            };
            let [adds, does] = operations else { continue };
            if !append(OperationKind::Add, adds, Some(&title), created_at)? {
                continue;
            }
            if let Some(done_at) = done_at {
                append(OperationKind::Done, does, None, done_at)?;
            }
            back.push(id);
        }
        transaction.commit()?;
        self.clock = clock;
        Ok(back)
    }
}

/// Returns title, `created_at` and `done_at` of the deleted task `id`.
fn read_deleted(connection: &Connection, id: &str) -> rusqlite::Result<(String, i64, Option<i64>)> {
    connection
        .prepare_cached(
            "SELECT ifnull(title, ''), created_at, done_at FROM tasks WHERE user = '' AND id = ?1",
        )?
        .query_row([id], |row| {
            let title: String = row.get(0)?;
            Ok((sendable(&title), row.get(1)?, row.get(2)?))
        })
}

/// Returns `title` as every hub accepts it: another machine may have given one that this release would reject.
fn sendable(title: &str) -> String {
    if validate::title(title).is_ok_and(|valid| valid == title) {
        return title.to_owned();
    }
    let line: String = title
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let line = line.trim();
    let mut end = line.len().min(LONGEST_TITLE);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    match line[..end].trim_end() {
        "" => UNTITLED.to_owned(),
        line => line.to_owned(),
    }
}

/// Appends `record` and applies it. Returns `false` if the log has its id already.
fn append(
    connection: &Connection,
    record: &Record,
    stamp: &Stamp,
    title: Option<&str>,
    is_spoke: bool,
) -> rusqlite::Result<bool> {
    let content = Content {
        title: title.map(str::to_owned),
        clock: Some(stamp.clock),
        generation: stamp.generation,
        ..Content::default()
    };
    let Some((seq, _)) = log::append_and_apply(connection, record, &content)? else {
        return Ok(false);
    };
    if is_spoke {
        sync::mark_unsent(connection, seq)?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_one_that_every_hub_accepts() {
        for (title, sent) in [
            ("milk", "milk"),
            (" milk\n", "milk"),
            ("a\u{7}b", "a b"),
            ("", UNTITLED),
            ("\n", UNTITLED),
        ] {
            assert_eq!(sendable(title), sent, "{title:?}");
            validate::title(&sendable(title)).unwrap();
        }
        validate::title(&sendable(&"ž".repeat(LONGEST_TITLE))).unwrap();
    }
}
