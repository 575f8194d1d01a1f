//! Who of the connections makes room when there are too many. The choice is a pure function.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// How long a connection that has sent a part of a request is left alone.
const UNFINISHED: Duration = Duration::from_secs(5);

/// A connection that waits for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    /// Since when: since its last answer, or since the last that came of an unfinished request.
    pub since: Instant,
    /// Whether a part of a request has come.
    pub unfinished: bool,
}

/// Returns which of `places` makes room: the one at rest the longest. One whose request is being done never does, and one
/// whose request is on its way only after 5 s without a byte, and where no other is at rest. Pure.
pub fn longest_at_rest(
    places: impl IntoIterator<Item = (u64, Option<Rest>)>,
    now: Instant,
) -> Option<u64> {
    let silent = |rest: &Rest| now.saturating_duration_since(rest.since) >= UNFINISHED;
    places
        .into_iter()
        .filter_map(|(number, rest)| Some((number, rest?)))
        .filter(|(_, rest)| !rest.unfinished || silent(rest))
        .min_by_key(|(number, rest)| (rest.unfinished, rest.since, *number))
        .map(|(number, _)| number)
}

/// The connections that are served.
#[derive(Clone, Debug, Default)]
pub struct Places(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    taken: Mutex<Taken>,
    // Somebody has come to rest.
    rested: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    places: HashMap<u64, One>,
}

#[derive(Debug)]
struct One {
    rest: Option<Rest>,
    // It was asked to end, and has not begun with a request since.
    leaves: bool,
    leave: Arc<Notify>,
}

impl Places {
    /// Returns a place for a connection, until it is dropped.
    pub fn take(&self) -> Place {
        let leave = Arc::new(Notify::new());
        let mut taken = self.lock();
        taken.next += 1;
        let number = taken.next;
        let one = One {
            rest: None,
            leaves: false,
            leave: Arc::clone(&leave),
        };
        taken.places.insert(number, one);
        drop(taken);
        Place {
            places: self.clone(),
            number,
            leave,
        }
    }

    /// Asks the connection at rest the longest to end, if there is one and none is about to end already.
    pub fn make_room(&self) {
        let places = &mut self.lock().places;
        if places.values().any(|one| one.leaves) {
            return;
        }
        let resting = places.iter().map(|(number, one)| (*number, one.rest));
        if let Some(number) = longest_at_rest(resting, Instant::now())
            && let Some(one) = places.get_mut(&number)
        {
            one.leaves = true;
            one.leave.notify_one();
        }
    }

    /// Returns once a connection has come to rest.
    pub async fn rested(&self) {
        self.0.rested.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // Nothing is left half done by a panic: each change is one assignment.
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one connection.
#[derive(Debug)]
pub struct Place {
    places: Places,
    number: u64,
    leave: Arc<Notify>,
}

impl Place {
    /// Notes that the connection waits for its client.
    pub fn rests(&self, unfinished: bool) {
        self.set(Some(Rest {
            since: Instant::now(),
            unfinished,
        }));
        self.places.0.rested.notify_one();
    }

    /// Notes that a request is being done. If the connection was to make room, another one will.
    pub fn works(&self) {
        self.set(None);
    }

    /// Returns what tells that it is worth asking whether the connection [`Place::is_wanted`].
    pub fn leave(&self) -> Arc<Notify> {
        Arc::clone(&self.leave)
    }

    /// Returns whether the connection is to make room.
    pub fn is_wanted(&self) -> bool {
        let places = &self.places.lock().places;
        places.get(&self.number).is_some_and(|one| one.leaves)
    }

    fn set(&self, rest: Option<Rest>) {
        if let Some(one) = self.places.lock().places.get_mut(&self.number) {
            one.leaves &= rest.is_some();
            one.rest = rest;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().places.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_idle_makes_room_and_never_one_with_a_request_under_way() {
        let start = Instant::now();
        let now = start + Duration::from_secs(100);
        let idle = |second| {
            Some(Rest {
                since: start + Duration::from_secs(second),
                unfinished: false,
            })
        };
        let half = |second| {
            Some(Rest {
                since: start + Duration::from_secs(second),
                unfinished: true,
            })
        };
        let cases: &[(&[Option<Rest>], Option<u64>)] = &[
            (&[], None),
            (&[None, None], None),
            (&[idle(9), idle(8), None, idle(10)], Some(1)),
            (&[idle(8), idle(8)], Some(0)),
            (&[half(1), idle(99)], Some(1)),
            (&[None, half(94), half(95)], Some(1)),
            (&[half(96)], None),
            (&[idle(200)], Some(0)),
        ];
        for (places, chosen) in cases {
            let numbered = (0..).zip(places.iter().copied());
            assert_eq!(longest_at_rest(numbered, now), *chosen, "{places:?}");
        }
    }
}
