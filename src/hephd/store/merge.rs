//! How the operations of many machines become one task, in whatever order they arrive and however often. Pure.
//!
//! Each field has its last writer, by the clock of the operation and then by its id; a deletion is for good. So a task
//! is a function of the *set* of its operations: merging is commutative, associative and idempotent.

use super::clock::Clock;

/// Adds a task; the body has its `title`.
pub const ADD: &str = "task.add";
/// Gives a task another `title`.
pub const EDIT: &str = "task.edit";
/// Marks a task as done.
pub const DONE: &str = "task.done";
/// Marks a task as open again.
pub const REOPEN: &str = "task.reopen";
/// Deletes a task.
pub const DELETE: &str = "task.delete";

/// What decides between two writers of a field: the later clock, and of equal ones the higher operation id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// When.
    pub clock: Clock,
    /// The operation.
    pub operation: String,
}

impl Stamp {
    /// Returns it as bytes that sort as stamps do, as long as their times are not before 1970.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Clock(milliseconds, counter) = self.clock;
        let mut bytes = milliseconds.to_be_bytes().to_vec();
        bytes.extend(counter.to_be_bytes());
        bytes.extend(self.operation.as_bytes());
        bytes
    }

    /// Reads what [`Stamp::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Option<Stamp> {
        let (milliseconds, rest) = bytes.split_first_chunk()?;
        let (counter, operation) = rest.split_first_chunk()?;
        Some(Stamp {
            clock: Clock(
                i64::from_be_bytes(*milliseconds),
                u32::from_be_bytes(*counter),
            ),
            operation: String::from_utf8(operation.to_vec()).ok()?,
        })
    }
}

/// A value with the stamp of its last writer.
pub type Field<T> = Option<(Stamp, T)>;

/// What is known of one task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// When it was added, in milliseconds since 1970; the first writer has this one.
    pub added: Field<i64>,
    /// What to do.
    pub title: Field<String>,
    /// When it was done, in milliseconds since 1970; a value of `None` where it was opened again.
    pub done: Field<Option<i64>>,
    /// Whether it was deleted.
    pub deleted: bool,
}

impl Entry {
    /// Changes it as an operation says: its kind, its title where it has one, its stamp, and when it was made. Returns
    /// whether it understands the operation; one that it does not understand changes nothing.
    pub fn apply(
        &mut self,
        kind: &str,
        title: Option<&str>,
        stamp: &Stamp,
        created_at: i64,
    ) -> bool {
        match (kind, title) {
            (ADD, Some(title)) => {
                let first = self.added.as_ref().is_none_or(|(old, _)| stamp < old);
                if first {
                    self.added = Some((stamp.clone(), created_at));
                }
                write(&mut self.title, stamp, || title.to_owned());
                // A task is open until it is done, so adding it says nothing of that. Operations without a clock have the
                // wall clock's time, which may have been set back between adding a task and doing it.
            }
            (EDIT, Some(title)) => write(&mut self.title, stamp, || title.to_owned()),
            (DONE, _) => write(&mut self.done, stamp, || Some(created_at)),
            (REOPEN, _) => write(&mut self.done, stamp, || None),
            (DELETE, _) => self.deleted = true,
            _ => return false,
        }
        true
    }

    /// Returns whether people see it: it was added, and not deleted.
    #[cfg(test)]
    pub fn is_visible(&self) -> bool {
        self.added.is_some() && !self.deleted
    }
}

fn write<T>(field: &mut Field<T>, stamp: &Stamp, value: impl FnOnce() -> T) {
    if field.as_ref().is_none_or(|(old, _)| stamp > old) {
        *field = Some((stamp.clone(), value()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    struct Operation {
        kind: &'static str,
        title: String,
        stamp: Stamp,
        created_at: i64,
    }

    fn operations() -> impl Strategy<Value = Vec<Operation>> {
        let kind = proptest::sample::select(vec![ADD, EDIT, DONE, REOPEN, DELETE, "task.paint"]);
        // Few clocks, so that they meet. An id belongs to one operation, so the ids are numbered afterwards.
        let one = (kind, 0..4_i64, 0..2_u32, 0..100_i64);
        proptest::collection::vec(one, 0..12).prop_map(|all| {
            let numbered = all.into_iter().enumerate();
            numbered
                .map(|(number, (kind, ms, counter, created_at))| Operation {
                    kind,
                    title: format!("title {number}"),
                    stamp: Stamp {
                        clock: Clock(ms, counter),
                        operation: format!("OP{:02}", (number * 7) % 13),
                    },
                    created_at,
                })
                .collect()
        })
    }

    fn merged(operations: &[Operation]) -> Entry {
        let mut entry = Entry::default();
        for Operation {
            kind,
            title,
            stamp,
            created_at,
        } in operations
        {
            entry.apply(kind, Some(title), stamp, *created_at);
        }
        entry
    }

    /// The same, told of the whole set at once.
    fn model(operations: &[Operation]) -> Entry {
        let last = |kinds: &[&str]| {
            let writers = operations.iter().filter(|op| kinds.contains(&op.kind));
            writers.max_by_key(|op| op.stamp.clone())
        };
        let adds = operations.iter().filter(|op| op.kind == ADD);
        let first = adds.min_by_key(|op| op.stamp.clone());
        Entry {
            added: first.map(|op| (op.stamp.clone(), op.created_at)),
            title: last(&[ADD, EDIT]).map(|op| (op.stamp.clone(), op.title.clone())),
            done: last(&[DONE, REOPEN]).map(|op| {
                let done = (op.kind == DONE).then_some(op.created_at);
                (op.stamp.clone(), done)
            }),
            deleted: operations.iter().any(|op| op.kind == DELETE),
        }
    }

    proptest! {
        #[test]
        fn any_order_and_any_repetition_make_the_task_that_the_set_makes(
            (one, other) in operations().prop_flat_map(|all| {
                let twice = [all.clone(), all.clone()].concat();
                (Just(all), Just(twice).prop_shuffle())
            })
        ) {
            prop_assert_eq!(merged(&one), model(&one));
            prop_assert_eq!(merged(&other), model(&one));
        }

        #[test]
        fn stamps_are_kept_and_sort_as_bytes_as_they_do(ms in 0..1_i64 << 50, other in 0..1_i64 << 50, counter: u32, operation in "[0-9A-Z]{0,26}") {
            let stamp = |ms| Stamp { clock: Clock(ms, counter), operation: operation.clone() };
            prop_assert_eq!(Stamp::from_bytes(&stamp(ms).to_bytes()), Some(stamp(ms)));
            prop_assert_eq!(stamp(ms).cmp(&stamp(other)), stamp(ms).to_bytes().cmp(&stamp(other).to_bytes()));
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = Stamp::from_bytes(&bytes);
        }
    }

    #[test]
    fn what_was_deleted_stays_deleted_and_what_was_only_edited_is_not_shown() {
        let stamp = |ms| Stamp {
            clock: Clock(ms, 0),
            operation: "OP".to_owned(),
        };
        let mut entry = Entry::default();
        entry.apply(EDIT, Some("edited"), &stamp(2), 2);
        assert!(!entry.is_visible());
        entry.apply(ADD, Some("added"), &stamp(1), 1);
        assert!(entry.is_visible());
        assert_eq!(entry.title.as_ref().unwrap().1, "edited");
        entry.apply(DELETE, None, &stamp(3), 3);
        entry.apply(ADD, Some("added again"), &stamp(4), 4);
        assert!(!entry.is_visible());
    }
}
