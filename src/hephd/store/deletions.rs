//! When tasks were deleted, and under which id a deleted task comes back.

use rusqlite::{Connection, OptionalExtension};
use ulid::Ulid;

use super::{has_table, validate};
use crate::error::Result;

const SQL: &str = include_str!("deletions.sql");

/// How often a task may have been deleted and brought back before it gets an id that is not derived. A hub could delete the
/// derived ones beforehand, since every machine computes the same.
const LONGEST_CHAIN: usize = 64;

/// Returns the ids of deleted tasks that begin with `prefix`, two of them at most.
pub(super) fn find(connection: &Connection, prefix: &str) -> Result<Vec<String>> {
    validate::prefix(prefix)?;
    let mut statement = connection.prepare_cached(
        "SELECT id FROM tasks WHERE user = '' AND created_at IS NOT NULL AND deleted = 1
           AND id >= ?1 AND id < ?1 || '~' LIMIT 2",
    )?;
    let ids = statement.query_map([prefix.to_ascii_uppercase()], |row| row.get(0))?;
    Ok(ids.collect::<rusqlite::Result<_>>()?)
}

/// Begins to note when tasks are deleted, if that has not begun. To be called before a deletion.
pub(super) fn note(connection: &Connection) -> rusqlite::Result<()> {
    if has_table(connection, "deletions")? {
        return Ok(());
    }
    connection.execute_batch(&format!("SAVEPOINT deletions; {SQL} RELEASE deletions;"))
}

/// Returns how many deletions were noted. After [`note`].
pub(super) fn count(connection: &Connection) -> rusqlite::Result<u64> {
    super::count(connection, "SELECT ifnull(max(number), 0) FROM deletions")
}

/// What a deleted task is today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Successor {
    /// The visible task with this id.
    Visible(String),
    /// It is not back. The task `deleted` was the last one, and `id` is the next.
    Lacking { deleted: String, id: String },
}

/// Returns what became of the deleted task `id`.
pub(super) fn successor(connection: &Connection, id: &str) -> rusqlite::Result<Successor> {
    let mut deleted = id.to_owned();
    let mut next = derived_id(id);
    for _ in 0..LONGEST_CHAIN {
        let state: Option<(bool, bool)> = connection
            .prepare_cached(
                "SELECT deleted, created_at IS NOT NULL FROM tasks WHERE user = '' AND id = ?1",
            )?
            .query_row([&next], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        match state {
            Some((false, true)) => return Ok(Successor::Visible(next)),
            None | Some((false, false)) => return Ok(Successor::Lacking { deleted, id: next }),
            Some((true, was_added)) => {
                let after = derived_id(&next);
                if was_added {
                    deleted = next;
                }
                next = after;
            }
        }
    }
    let id = Ulid::from_parts(time_of(id), Ulid::generate().random()).to_string();
    Ok(Successor::Lacking { deleted, id })
}

/// Returns the id under which the deleted task `id` comes back. It sorts near the old one.
pub(super) fn derived_id(id: &str) -> String {
    let text = format!("heph undelete\n{id}");
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    let random = digest.as_ref().iter().take(10);
    let random = random.fold(0_u128, |random, byte| (random << 8) | u128::from(*byte));
    Ulid::from_parts(time_of(id), random).to_string()
}

fn time_of(id: &str) -> u64 {
    Ulid::from_string(id).map_or(0, |id| id.timestamp_ms())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derived_id_is_always_the_same_and_sorts_near_the_old_one() {
        let id = "01K9ZZZZZZABCDEFGHJKMNPQRS";
        let derived = derived_id(id);
        assert_eq!(derived, derived_id(id));
        assert_ne!(derived, id);
        assert_eq!(derived[..10], id[..10]);
        assert_ne!(derived_id(&derived), id);
    }
}
