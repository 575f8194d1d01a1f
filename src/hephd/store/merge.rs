//! How the operations of many machines become one task, in whatever order and however often they arrive. Pure.
//!
//! The last writer of each field wins, by its generation, then by its clock, then by its id; a deletion is final. So a task
//! is a function of the *set* of its operations: merging is commutative, associative and idempotent.
//!
//! The clock usually puts a write behind what its writer saw. It cannot where that has a clock which this machine does not
//! follow because it is too far ahead, or the last clock and the last id there are. Then the write gets the next generation
//! and wins all the same. Generations have no reachable end: an operation counts only once its task has one that is at most
//! [`LARGEST_STEP`] generations below it, so nobody reaches the last one with fewer operations than any log can hold.

use super::clock::Clock;
use crate::hephd::protocol::OperationKind;

/// How many generations an operation may be above the highest of its task. More than one, so that an operation of the last
/// generation still counts where the hub refused some of those before it.
pub(super) const LARGEST_STEP: i64 = 1000;

/// Separates the generation in the bytes of a stamp. No operation id contains it.
const GENERATION: char = '~';

/// What orders two writers of a field: the generation, the clock, and between equal clocks the operation id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp {
    /// Not negative, and nearly always 0.
    pub generation: i64,
    pub clock: Clock,
    pub operation: String,
}

impl Stamp {
    /// Returns the stamp of a new `operation` that overwrites what `seen` has written. `None` where no generation is left.
    pub fn after(seen: Option<&Stamp>, clock: Clock, operation: String) -> Option<Stamp> {
        let mut stamp = Stamp {
            generation: seen.map_or(0, |seen| seen.generation),
            clock,
            operation,
        };
        if seen.is_some_and(|seen| stamp <= *seen) {
            stamp.generation = stamp.generation.checked_add(1)?;
        }
        Some(stamp)
    }

    /// Returns another stamp for `operation`, which had one that the hub does not accept: above `seen`, which it overwrote, and
    /// below `later`, which overwrote it. `raised` asks for the next generation, if it is below `later`. `None` where no
    /// generation is left.
    pub fn between(
        seen: Option<&Stamp>,
        later: Option<&Stamp>,
        raised: bool,
        clock: Clock,
        operation: &str,
    ) -> Option<Stamp> {
        let plain = Stamp::after(seen, clock, operation.to_owned())?;
        let next = seen.and_then(|seen| seen.generation.checked_add(1));
        let raised = next.filter(|_| raised).map(|generation| Stamp {
            generation,
            ..plain.clone()
        });
        let tight = later.and_then(|later| {
            Some(Stamp {
                generation: later.generation,
                clock: later.clock.previous()?,
                operation: operation.to_owned(),
            })
        });
        let fits = |stamp: &Stamp| {
            later.is_none_or(|later| stamp < later) && seen.is_none_or(|seen| stamp > seen)
        };
        let candidates = [raised, Some(plain.clone()), tight];
        let mut fitting = candidates.into_iter().flatten().filter(fits);
        Some(fitting.next().unwrap_or(plain))
    }

    /// Returns bytes that release 0.1.0 reads as well, which knows no generations.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Clock(milliseconds, counter) = self.clock;
        let mut bytes = milliseconds.to_be_bytes().to_vec();
        bytes.extend(counter.to_be_bytes());
        bytes.extend(self.operation.as_bytes());
        if self.generation > 0 {
            bytes.extend(format!("{GENERATION}{}", self.generation).as_bytes());
        }
        bytes
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Stamp> {
        let (milliseconds, rest) = bytes.split_first_chunk()?;
        let (counter, operation) = rest.split_first_chunk()?;
        let operation = String::from_utf8(operation.to_vec()).ok()?;
        let (operation, generation) = match operation.split_once(GENERATION) {
            Some((operation, generation)) => (operation.to_owned(), generation.parse().ok()?),
            None => (operation, 0),
        };
        Some(Stamp {
            generation,
            clock: Clock(
                i64::from_be_bytes(*milliseconds),
                u32::from_be_bytes(*counter),
            ),
            operation,
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
    /// Returns the highest generation that it can take.
    pub fn highest_generation(&self) -> i64 {
        let title = self.title.as_ref().map_or(0, |(stamp, _)| stamp.generation);
        let done = self.done.as_ref().map_or(0, |(stamp, _)| stamp.generation);
        title.max(done).saturating_add(LARGEST_STEP)
    }

    /// Returns the stamp of the last writer of the field that an operation of this kind writes.
    pub fn writer(&self, kind: &OperationKind) -> Option<&Stamp> {
        match kind {
            OperationKind::Add | OperationKind::Edit => self.title.as_ref().map(|(stamp, _)| stamp),
            OperationKind::Done | OperationKind::Reopen => {
                self.done.as_ref().map(|(stamp, _)| stamp)
            }
            OperationKind::Delete | OperationKind::Other(_) => None,
        }
    }

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
    use super::super::clock::LATEST;
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
        let one = (kind, 0..2_i64, 0..4_i64, 0..2_u32, 0..100_i64);
        proptest::collection::vec(one, 0..12).prop_map(|all| {
            let numbered = all.into_iter().enumerate();
            numbered
                .map(
                    |(number, (kind, generation, ms, counter, created_at))| Operation {
                        kind,
                        title: format!("title {number}"),
                        stamp: Stamp {
                            generation,
                            clock: Clock(ms, counter),
                            operation: format!("OP{:02}", (number * 7) % 13),
                        },
                        created_at,
                    },
                )
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
        fn stamps_are_kept_as_bytes(generation in prop_oneof![Just(0), 0..=i64::MAX], ms in 0..1_i64 << 50, counter: u32, operation in "[0-9A-Z]{0,26}") {
            let stamp = Stamp { generation, clock: Clock(ms, counter), operation };
            prop_assert_eq!(Stamp::from_bytes(&stamp.to_bytes()), Some(stamp));
        }

        #[test]
        fn a_stamp_between_two_is_between_them_where_there_is_room(
            generations in (0..3_i64, 0..3_i64), ms in (0..9_i64, 1..9_i64), clock in 0..20_i64, raised: bool,
        ) {
            let stamp = |generation, ms, counter| Stamp { generation, clock: Clock(ms, counter), operation: "OP5".to_owned() };
            let (seen, later) = (stamp(generations.0, ms.0, 3), stamp(generations.1, ms.1, 9));
            prop_assume!(seen < later);
            let found = Stamp::between(Some(&seen), Some(&later), raised, Clock(clock, 0), "OP1").unwrap();
            prop_assert!(seen < found && found < later, "{found:?}");
            let last = Stamp::between(Some(&seen), None, raised, Clock(clock, 0), "OP1").unwrap();
            prop_assert!(seen < last);
        }

        #[test]
        fn a_new_operation_is_always_behind_what_it_overwrites(
            generation in 0..3_i64, seen in (0..=LATEST, any::<u32>()), clock in (0..=LATEST, any::<u32>()), id: bool,
        ) {
            let name = |id: bool| if id { "7ZZZ" } else { "0000" }.to_owned();
            for seen in [Clock(seen.0, seen.1), Clock(LATEST, u32::MAX)] {
                for clock in [Clock(clock.0, clock.1), Clock(LATEST, u32::MAX)] {
                    let seen = Stamp { generation, clock: seen, operation: name(id) };
                    let new = Stamp::after(Some(&seen), clock, name(!id)).unwrap();
                    prop_assert!(new > seen);
                    prop_assert!(new.generation <= generation + 1);
                }
            }
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = Stamp::from_bytes(&bytes);
        }
    }

    #[test]
    fn what_was_deleted_stays_deleted_and_what_was_only_edited_is_not_shown() {
        let stamp = |ms| Stamp {
            generation: 0,
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
