//! How the operations of many machines become one task, in whatever order and however often they arrive. Pure.
//!
//! The last writer of each field wins, by the clock of the operation and then by its id; a deletion is final. So a task is
//! a function of the *set* of its operations: merging is commutative, associative and idempotent.

use super::clock::Clock;
use crate::hephd::protocol::OperationKind;

/// What orders two writers of a field: the clock, and between equal clocks the operation id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp {
    pub clock: Clock,
    pub operation: String,
}

impl Stamp {
    /// Returns bytes that sort as stamps do, as long as their times are not before 1970.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Clock(milliseconds, counter) = self.clock;
        let mut bytes = milliseconds.to_be_bytes().to_vec();
        bytes.extend(counter.to_be_bytes());
        bytes.extend(self.operation.as_bytes());
        bytes
    }

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

/// A value with the stamp of its writer.
pub(super) type Field<T> = Option<(Stamp, T)>;

/// A task as far as its operations are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct MergedTask {
    /// When it was added, in milliseconds since 1970. Here the first writer wins.
    pub added: Field<i64>,
    pub title: Field<String>,
    /// When it was done, in milliseconds since 1970; a value of `None` where it was reopened.
    pub done: Field<Option<i64>>,
    pub deleted: bool,
}

impl MergedTask {
    /// Applies an operation. Returns whether this release understands it; otherwise the task is unchanged.
    pub fn apply(
        &mut self,
        kind: &OperationKind,
        title: Option<&str>,
        stamp: &Stamp,
        created_at: i64,
    ) -> bool {
        match (kind, title) {
            (OperationKind::Add, Some(title)) => {
                let is_first = self.added.as_ref().is_none_or(|(old, _)| stamp < old);
                if is_first {
                    self.added = Some((stamp.clone(), created_at));
                }
                write(&mut self.title, stamp, || title.to_owned());
                // It does not write `done`: the wall clock, which is all that orders operations without a clock, may have
                // been set back between adding the task and completing it.
            }
            (OperationKind::Edit, Some(title)) => {
                write(&mut self.title, stamp, || title.to_owned())
            }
            (OperationKind::Done, _) => write(&mut self.done, stamp, || Some(created_at)),
            (OperationKind::Reopen, _) => write(&mut self.done, stamp, || None),
            (OperationKind::Delete, _) => self.deleted = true,
            (OperationKind::Add | OperationKind::Edit, None) | (OperationKind::Other(_), _) => {
                return false;
            }
        }
        true
    }
}

fn write<T>(field: &mut Field<T>, stamp: &Stamp, value: impl FnOnce() -> T) {
    if field.as_ref().is_none_or(|(old, _)| stamp > old) {
        *field = Some((stamp.clone(), value()));
    }
}

#[cfg(test)]
mod tests {
    use super::OperationKind::*;
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    struct Operation {
        kind: OperationKind,
        title: String,
        stamp: Stamp,
        created_at: i64,
    }

    fn operations() -> impl Strategy<Value = Vec<Operation>> {
        let kind = proptest::sample::select(vec![
            Add,
            Edit,
            Done,
            Reopen,
            Delete,
            Other("task.paint".to_owned()),
        ]);
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

    fn merged(operations: &[Operation]) -> MergedTask {
        let mut task = MergedTask::default();
        for Operation {
            kind,
            title,
            stamp,
            created_at,
        } in operations
        {
            task.apply(kind, Some(title), stamp, *created_at);
        }
        task
    }

    /// The same, computed from the whole set at once.
    fn model(operations: &[Operation]) -> MergedTask {
        let last = |kinds: &[OperationKind]| {
            let writers = operations.iter().filter(|op| kinds.contains(&op.kind));
            writers.max_by_key(|op| op.stamp.clone())
        };
        let adds = operations.iter().filter(|op| op.kind == Add);
        let first = adds.min_by_key(|op| op.stamp.clone());
        MergedTask {
            added: first.map(|op| (op.stamp.clone(), op.created_at)),
            title: last(&[Add, Edit]).map(|op| (op.stamp.clone(), op.title.clone())),
            done: last(&[Done, Reopen]).map(|op| {
                let done = (op.kind == Done).then_some(op.created_at);
                (op.stamp.clone(), done)
            }),
            deleted: operations.iter().any(|op| op.kind == Delete),
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
        let is_visible = |task: &MergedTask| task.added.is_some() && !task.deleted;
        let mut task = MergedTask::default();
        task.apply(&Edit, Some("edited"), &stamp(2), 2);
        assert!(!is_visible(&task));
        task.apply(&Add, Some("added"), &stamp(1), 1);
        assert!(is_visible(&task));
        assert_eq!(task.title.as_ref().unwrap().1, "edited");
        task.apply(&Delete, None, &stamp(3), 3);
        task.apply(&Add, Some("added again"), &stamp(4), 4);
        assert!(!is_visible(&task));
    }
}
