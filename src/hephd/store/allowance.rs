//! How much a hub may store at its spoke. A hub is not trusted: it could send operations without end, also such that no list
//! shows. Pure, but for the two functions that load and save the count.

use rusqlite::Connection;

use super::accounts::mebibytes;
use super::has_table;
use super::log::Record;
use crate::error::{Error, Kind, Result};
use crate::hephd::protocol::OperationKind;

/// How many bytes a hub may store here, unless `--quota-bytes` says otherwise. An operation counts its body and 256 bytes.
pub(crate) const ALLOWANCE: u64 = 1 << 30;
/// What an operation takes beside its body, as a hub counts it.
const OPERATION: u64 = 256;
/// The part of the allowance that may be unknown to this release, beyond as much as is known.
const UNKNOWN_PART: u64 = 64;
/// What a body needs beside its title, at most. More of it is unknown to this release.
const FRAME: usize = 256;
/// What stays free on the disk: as much as the hub has stored, within these bounds.
const LEAST_RESERVE: u64 = 16 << 20;
const LARGEST_RESERVE: u64 = 256 << 20;

/// How much a hub has stored here since this release counts it, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Received {
    pub known: u64,
    /// Operations of unknown kinds, those on tasks that were never added, and what else is in a body.
    pub unknown: u64,
}

impl Received {
    /// Counts an operation that is new here. `has_task` says whether its task was ever added.
    pub fn count(&mut self, record: &Record, has_task: bool) {
        let body = record.body.len();
        let is_known = match record.kind {
            OperationKind::Other(_) => false,
            OperationKind::Add => true,
            _ => has_task,
        };
        let known = match is_known {
            false => 0,
            true if body <= FRAME => body,
            // Two bytes a character, for those that JSON escapes.
            true => {
                let title = record.content().title.map_or(0, |title| title.len());
                body.min(FRAME + 2 * title)
            }
        };
        let unknown = (body - known) as u64;
        if is_known {
            self.known += known as u64 + OPERATION;
            self.unknown += unknown;
        } else {
            self.unknown += unknown + OPERATION;
        }
    }

    /// Judges what the hub would have stored, of `allowance` bytes, where so much would be `free` on the disk.
    ///
    /// # Errors
    ///
    /// [`Kind::TooLarge`] beyond the allowance, [`Kind::Full`] where the disk is short of room.
    pub fn check(self, allowance: u64, free: Option<u64>) -> Result<()> {
        let stored = self.known + self.unknown;
        let beyond = |what: String, hint| {
            let message = format!("the hub sends more than this machine stores for it: {what}");
            Err(Error::new(message)
                .with_kind(Kind::TooLarge)
                .with_hint(hint))
        };
        if self.unknown > self.known + allowance / UNKNOWN_PART {
            return beyond(
                format!(
                    "{} that this release does not understand",
                    mebibytes(self.unknown)
                ),
                "install a newer heph; if that does not help, the hub is broken or hostile: `heph daemon restart --unset hub-url` leaves it",
            );
        }
        if stored > allowance {
            return beyond(
                format!("{} in all", mebibytes(allowance)),
                "if the hub is yours, allow more: `heph daemon restart --quota-bytes=4GiB`",
            );
        }
        let reserve = stored.clamp(LEAST_RESERVE, LARGEST_RESERVE);
        if let Some(free) = free.filter(|free| *free < reserve) {
            let message = format!(
                "this machine's disk is short of room for what the hub sends: {} are free",
                mebibytes(free)
            );
            return Err(Error::new(message)
                .with_kind(Kind::Full)
                .with_hint("free some space; the sync then goes on by itself"));
        }
        Ok(())
    }
}

/// Returns how much the hub has stored here. To be called in a transaction.
pub(super) fn load(connection: &Connection) -> rusqlite::Result<Received> {
    if !has_table(connection, "received")? {
        connection.execute_batch(
            "CREATE TABLE received (known INTEGER NOT NULL, unknown INTEGER NOT NULL) STRICT;
             INSERT INTO received VALUES (0, 0);",
        )?;
    }
    connection
        .prepare_cached("SELECT known, unknown FROM received")?
        .query_row([], |row| {
            let number = |column| row.get(column).map(i64::unsigned_abs);
            Ok(Received {
                known: number(0)?,
                unknown: number(1)?,
            })
        })
}

pub(super) fn save(connection: &Connection, received: Received) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE received SET known = ?1, unknown = ?2")?
        .execute((received.known.cast_signed(), received.unknown.cast_signed()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: &str, body: String) -> Record {
        Record {
            id: "01K9ZZZZZZABCDEFGHJKMNPQRS".to_owned(),
            kind: kind.to_owned().into(),
            task: "01K9ZZZZZZABCDEFGHJKMNPQRT".to_owned(),
            body,
            created_at: 1,
        }
    }

    #[test]
    fn what_no_release_knows_is_counted_apart() {
        let title = "\"".repeat(1000);
        let escaped = serde_json::json!({"title": title, "clock": [1, 0]}).to_string();
        let padded = format!(r#"{{"title":"x","p":"{}"}}"#, "p".repeat(10_000));
        for (kind, body, has_task, is_known) in [
            ("task.add", "{}".to_owned(), false, true),
            ("task.add", escaped, false, true),
            ("task.done", "{}".to_owned(), true, true),
            ("task.done", "{}".to_owned(), false, false),
            ("task.delete", "{}".to_owned(), false, false),
            ("task.paint", "{}".to_owned(), true, false),
        ] {
            let mut received = Received::default();
            let stored = body.len() as u64 + OPERATION;
            received.count(&record(kind, body), has_task);
            let counted = match is_known {
                true => (received.known, received.unknown),
                false => (received.unknown, received.known),
            };
            assert_eq!(counted, (stored, 0), "{kind}");
        }
        let mut received = Received::default();
        received.count(&record("task.edit", padded), true);
        assert!(
            received.unknown > 9_000 && received.known < 1_000,
            "{received:?}"
        );
    }

    #[test]
    fn a_hub_stores_no_more_than_its_allowance_and_little_that_is_unknown() {
        let mib = |number: u64| number << 20;
        for (known, unknown, free, error) in [
            (0, mib(16), None, None),
            (0, mib(16) + 1, None, Some(Kind::TooLarge)),
            (mib(500), mib(500), None, None),
            (mib(1024), 0, Some(mib(256)), None),
            (mib(1024) + 1, 0, None, Some(Kind::TooLarge)),
            (0, 0, Some(mib(16)), None),
            (0, 0, Some(mib(16) - 1), Some(Kind::Full)),
            (mib(1000), 0, Some(mib(255)), Some(Kind::Full)),
        ] {
            let received = Received { known, unknown };
            let checked = received.check(ALLOWANCE, free);
            let kind = checked.as_ref().err().map(Error::kind);
            assert_eq!(kind, error, "{received:?} {free:?}");
            assert!(checked.is_ok() || checked.unwrap_err().hint().is_some());
        }
    }
}
