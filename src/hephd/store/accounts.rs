//! What a hub keeps of each user but its owner: numbers for the user's operations, and how much they take.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

use super::{Store, has_table};
use crate::error::{Error, Kind, Result};
use crate::os::files;

const SQL: &str = include_str!("accounts.sql");

/// What a hub keeps free on its disk, in bytes: it has to write its log back, and to start again.
const RESERVE: u64 = 16 << 20;
/// For how long a disk counts as full after it had no room.
const FULL: Duration = Duration::from_secs(60);

/// How much each user may store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    pub bytes: u64,
    /// `None` for no limit but the bytes.
    pub operations: Option<u64>,
}

/// How much a user has stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub bytes: u64,
    pub operations: u64,
}

impl Quota {
    /// Judges what a user would have stored, where so much would be `free` on the disk. A user takes no more than what is
    /// left for the others, so that no user fills a disk that is smaller than the quotas.
    pub(super) fn check(&self, usage: Usage, free: Option<u64>) -> Result<()> {
        let used_up = |what: String| {
            let error = full(format!("the quota of this user is used up: {what}"));
            Err(error.with_hint(
                "the hub's administrator sets it: `heph daemon restart --quota-bytes=2GiB`",
            ))
        };
        if usage.bytes > self.bytes {
            return used_up(mebibytes(self.bytes));
        }
        if let Some(most) = self.operations
            && usage.operations > most
        {
            return used_up(format!("{most} operations"));
        }
        if free.is_some_and(|free| free < usage.bytes) {
            let error =
                full("the hub's disk is short of room, and this user has more than is left");
            return Err(error.with_hint("the hub's administrator has to make room there"));
        }
        Ok(())
    }
}

/// Judges how much is free on the disk of a hub that would store more.
pub(super) fn check_disk(free: Option<u64>) -> Result<()> {
    match free {
        Some(free) if free < RESERVE => Err(disk_full()),
        _ => Ok(()),
    }
}

pub(super) fn disk_full() -> Error {
    full("the hub's disk is full").with_hint("the hub's administrator has to make room there")
}

fn full(message: impl Into<String>) -> Error {
    Error::new(message).with_kind(Kind::Full)
}

pub(super) fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

impl Store {
    /// Limits what each user but the owner may store here.
    pub fn set_quota(&mut self, quota: Option<Quota>) {
        self.quota = quota;
    }

    /// Returns the bytes free on the disk of the store, where the system says.
    pub fn free_space(&self) -> Option<u64> {
        files::free_space(&self.path).ok()
    }

    /// Checks that the disk has room for an exchange.
    pub fn check_disk(&self) -> Result<()> {
        // A quota of the file system fills up without a word of it in `free_space`. After a while a hub is tried again.
        if self.full_since.is_some_and(|since| since.elapsed() < FULL) {
            return Err(disk_full());
        }
        check_disk(self.free_space())
    }
}

/// Creates the accounts, unless they exist. To be called in a transaction.
pub(super) fn create_if_missing(connection: &Connection) -> rusqlite::Result<()> {
    if has_table(connection, "accounts")? {
        return Ok(());
    }
    connection.execute_batch(SQL)
}

pub(super) fn usage(connection: &Connection, user: &str) -> rusqlite::Result<Usage> {
    let sql = "SELECT bytes, operations FROM accounts WHERE user = ?1";
    let usage = connection.prepare_cached(sql)?.query_row([user], |row| {
        let number = |column: usize| row.get(column).map(i64::unsigned_abs);
        Ok(Usage {
            bytes: number(0)?,
            operations: number(1)?,
        })
    });
    Ok(usage.optional()?.unwrap_or_default())
}

/// Returns the number of the operation of `user` at `seq` in the log.
pub(super) fn number(connection: &Connection, user: &str, seq: i64) -> rusqlite::Result<u64> {
    if user.is_empty() {
        return Ok(seq.unsigned_abs());
    }
    let sql = "SELECT number FROM user_ops WHERE user = ?1 AND seq = ?2";
    let number: i64 = connection
        .prepare_cached(sql)?
        .query_row((user, seq), |row| row.get(0))?;
    Ok(number.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_may_store_the_quota_and_no_more_than_is_left_for_the_others() {
        let quota = Quota {
            bytes: 100,
            operations: Some(10),
        };
        for (bytes, operations, free, said) in [
            (100, 10, None, None),
            (100, 10, Some(100), None),
            (101, 10, None, Some("quota")),
            (100, 11, None, Some("10 operations")),
            (0, 0, Some(0), None),
            (60, 1, Some(59), Some("short of room")),
        ] {
            let checked = quota.check(Usage { bytes, operations }, free);
            match said {
                None => checked.unwrap(),
                Some(said) => {
                    let error = checked.unwrap_err();
                    assert_eq!(error.kind(), Kind::Full);
                    assert!(
                        error.hint().is_some() && error.to_string().contains(said),
                        "{error}"
                    );
                }
            }
        }
        let endless = Quota {
            operations: None,
            ..quota
        };
        let many = Usage {
            bytes: 1,
            operations: u64::MAX,
        };
        endless.check(many, None).unwrap();
    }

    #[test]
    fn a_disk_is_full_before_its_last_byte() {
        for (free, fits) in [
            (None, true),
            (Some(RESERVE), true),
            (Some(RESERVE - 1), false),
        ] {
            assert_eq!(check_disk(free).is_ok(), fits, "{free:?}");
        }
    }
}
