//! How long the log was, kept outside of the store: the high-water mark.
//!
//! To SQLite, a store without its write-ahead log is a valid store of an earlier hour. So the number of the last operation is
//! also in the lock file, which is written after each commit and not synced: after a power cut it may be lower than the log
//! is long, but it is never higher.
//!
//! It belongs to one epoch, which every copy of a store renews, so a backup in place of the store is no loss. Release 0.1.0
//! does not write it, and makes the log longer.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rusqlite::Connection;

use crate::paths::HephdPaths;

/// An epoch of a store, and the number of the last operation in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    epoch: String,
    last: u64,
}

/// The mark of an open store.
#[derive(Debug)]
pub(super) struct HighWater {
    file: Option<File>,
    mark: Option<Mark>,
}

/// Returns the mark of the store `path`, if there is one.
pub(super) fn read(path: &Path) -> Option<Mark> {
    Mark::parse(&fs::read_to_string(HephdPaths::store_lock(path)).ok()?)
}

impl Mark {
    pub fn of(connection: &Connection) -> rusqlite::Result<Mark> {
        connection
            .prepare_cached("SELECT epoch, (SELECT ifnull(max(seq), 0) FROM ops) FROM epoch")?
            .query_row([], |row| {
                let last: i64 = row.get(1)?;
                Ok(Mark {
                    epoch: row.get(0)?,
                    last: last.unsigned_abs(),
                })
            })
    }

    fn parse(text: &str) -> Option<Mark> {
        let (epoch, last) = text.trim_end().split_once(' ')?;
        Some(Mark {
            epoch: epoch.to_owned(),
            last: last.parse().ok()?,
        })
    }

    /// All of the same length, so that one replaces another in place.
    fn line(&self) -> String {
        format!("{} {:020}\n", self.epoch, self.last)
    }

    /// Returns a sentence about the operations that were stored once and that a store lacks whose mark is `now`.
    pub fn missing(&self, now: &Mark) -> Option<String> {
        let missing = self.last.saturating_sub(now.last);
        (self.epoch == now.epoch && missing > 0).then(|| {
            format!(
                "the last {missing} operations that hephd stored are missing: its write-ahead log (-wal) was removed or damaged, \
                 or the file was replaced by an older copy"
            )
        })
    }
}

impl HighWater {
    /// Opens the mark of the store `path`, whose lock this process holds.
    pub fn open(path: &Path) -> HighWater {
        let file = OpenOptions::new()
            .write(true)
            .open(HephdPaths::store_lock(path));
        HighWater {
            file: file.ok(),
            mark: read(path),
        }
    }

    /// Returns what is missing in a store whose mark is `now`, and which was created just now if `is_new`.
    pub fn missing(&self, now: &Mark, is_new: bool) -> Option<String> {
        let mark = self.mark.as_ref()?;
        if is_new && mark.last > 0 {
            return Some(format!(
                "there was no store, and this one is new: {} operations were stored at this path before",
                mark.last
            ));
        }
        mark.missing(now)
    }

    /// Raises the mark to `now`. A file that cannot be written leaves the loss of a log unnoticed, and does no other harm.
    pub fn raise(&mut self, now: Mark) {
        let is_higher = self
            .mark
            .as_ref()
            .is_none_or(|mark| mark.epoch != now.epoch || mark.last < now.last);
        if let (true, Some(file)) = (is_higher, &self.file) {
            let _ = file.write_all_at(now.line().as_bytes(), 0);
            self.mark = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(epoch: &str, last: u64) -> Mark {
        Mark {
            epoch: epoch.to_owned(),
            last,
        }
    }

    #[test]
    fn only_fewer_operations_in_the_same_epoch_are_missing() {
        for (kept, now, missing) in [
            (mark("a", 5), mark("a", 5), false),
            (mark("a", 5), mark("a", 6), false),
            (mark("a", 5), mark("a", 4), true),
            (mark("a", 5), mark("b", 4), false),
        ] {
            assert_eq!(kept.missing(&now).is_some(), missing, "{kept:?} {now:?}");
        }
    }

    #[test]
    fn a_mark_is_a_line_of_a_fixed_length_and_anything_else_is_none() {
        let one = mark("0123456789abcdef0123456789abcdef", 7);
        assert_eq!(Mark::parse(&one.line()), Some(one.clone()));
        let most = Mark {
            last: u64::MAX,
            ..one.clone()
        };
        assert_eq!(one.line().len(), most.line().len());
        assert_eq!(Mark::parse(&most.line()), Some(most));
        for text in ["", "\n", "a", "a ", "a b", "a -1", "a 1 2"] {
            assert_eq!(Mark::parse(text), None, "{text:?}");
        }
    }
}
