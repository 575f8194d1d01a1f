//! Chooses which connection to evict at the limit. The choice is a pure function.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// How long a connection that has sent part of a request is spared.
const UNFINISHED: Duration = Duration::from_secs(5);

/// A connection that waits for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Idle {
    /// The time of its last answer, or of the last bytes of an unfinished request.
    since: Instant,
    /// Whether part of a request has arrived.
    unfinished: bool,
}

/// Returns the connection to evict: the one idle for longest. A connection whose request is being processed is never
/// evicted. One with an unfinished request is evicted only after 5 s without a byte, and only if no other is idle.
fn longest_idle(
    connections: impl IntoIterator<Item = (u64, Option<Idle>)>,
    now: Instant,
) -> Option<u64> {
    let stalled = |idle: &Idle| now.saturating_duration_since(idle.since) >= UNFINISHED;
    connections
        .into_iter()
        .filter_map(|(number, idle)| Some((number, idle?)))
        .filter(|(_, idle)| !idle.unfinished || stalled(idle))
        .min_by_key(|(number, idle)| (idle.unfinished, idle.since, *number))
        .map(|(number, _)| number)
}

/// The open connections of one listener, and how many there may be.
#[derive(Clone, Debug)]
pub(super) struct Registry(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit: usize,
    open: Mutex<Open>,
    /// A connection became idle or ended.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Open {
    last: u64,
    connections: HashMap<u64, State>,
}

#[derive(Debug)]
struct State {
    idle: Option<Idle>,
    is_evicted: bool,
    evict: Arc<Notify>,
}

impl Registry {
    pub(super) fn new(limit: usize) -> Registry {
        Registry(Arc::new(Inner {
            limit,
            open: Mutex::default(),
            changed: Notify::new(),
        }))
    }

    /// Registers a connection until the entry is dropped.
    pub(super) fn register(&self) -> Entry {
        let evict = Arc::new(Notify::new());
        let mut open = self.lock();
        open.last += 1;
        let number = open.last;
        let state = State {
            idle: None,
            is_evicted: false,
            evict: Arc::clone(&evict),
        };
        open.connections.insert(number, state);
        drop(open);
        Entry {
            registry: self.clone(),
            number,
            evict,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.lock().connections.len()
    }

    /// Returns whether there are more connections than the limit; if so, evicts one, unless one is being evicted already
    /// or none is idle.
    pub(super) fn evict_above_limit(&self) -> bool {
        let connections = &mut self.lock().connections;
        if connections.len() <= self.0.limit {
            return false;
        }
        if connections.values().all(|state| !state.is_evicted) {
            let idle = connections
                .iter()
                .map(|(number, state)| (*number, state.idle));
            if let Some(number) = longest_idle(idle, Instant::now())
                && let Some(state) = connections.get_mut(&number)
            {
                state.is_evicted = true;
                state.evict.notify_one();
            }
        }
        true
    }

    /// Returns once a connection has become idle or ended.
    pub(super) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // A panic leaves nothing half done: each change is one assignment.
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The registration of one connection.
#[derive(Debug)]
pub(super) struct Entry {
    registry: Registry,
    number: u64,
    evict: Arc<Notify>,
}

impl Entry {
    /// Notes that the connection waits for its client.
    pub(super) fn idle(&self, unfinished: bool) {
        self.set(Some(Idle {
            since: Instant::now(),
            unfinished,
        }));
        self.registry.0.changed.notify_one();
    }

    /// Notes that a request is being processed. If the connection was to be evicted, another one will be.
    pub(super) fn busy(&self) {
        self.set(None);
    }

    /// Returns once the connection is to end.
    pub(super) async fn evicted(&self) {
        loop {
            self.evict.notified().await;
            // A request may have arrived since.
            let connections = &self.registry.lock().connections;
            if connections
                .get(&self.number)
                .is_some_and(|state| state.is_evicted)
            {
                return;
            }
        }
    }

    fn set(&self, idle: Option<Idle>) {
        if let Some(state) = self.registry.lock().connections.get_mut(&self.number) {
            state.is_evicted &= idle.is_some();
            state.idle = idle;
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.registry.lock().connections.remove(&self.number);
        self.registry.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_idle_is_evicted_and_never_one_with_a_request_under_way() {
        let start = Instant::now();
        let now = start + Duration::from_secs(100);
        let idle = |second| {
            Some(Idle {
                since: start + Duration::from_secs(second),
                unfinished: false,
            })
        };
        let half = |second| {
            Some(Idle {
                since: start + Duration::from_secs(second),
                unfinished: true,
            })
        };
        let cases: &[(&[Option<Idle>], Option<u64>)] = &[
            (&[], None),
            (&[None, None], None),
            (&[idle(9), idle(8), None, idle(10)], Some(1)),
            (&[idle(8), idle(8)], Some(0)),
            (&[half(1), idle(99)], Some(1)),
            (&[None, half(94), half(95)], Some(1)),
            (&[half(96)], None),
            (&[idle(200)], Some(0)),
        ];
        for (connections, chosen) in cases {
            let numbered = (0..).zip(connections.iter().copied());
            assert_eq!(longest_idle(numbered, now), *chosen, "{connections:?}");
        }
    }

    #[test]
    fn one_connection_is_evicted_at_a_time_and_only_above_the_limit() {
        let registry = Registry::new(2);
        let evicted = |entry: &Entry| registry.lock().connections[&entry.number].is_evicted;
        let [first, second, third] = [(); 3].map(|()| {
            assert!(!registry.evict_above_limit());
            let entry = registry.register();
            entry.idle(false);
            entry
        });
        assert!(registry.evict_above_limit());
        assert!(registry.evict_above_limit());
        assert_eq!([&first, &second, &third].map(evicted), [true, false, false]);
        // A request arrived in time: another connection goes.
        first.busy();
        assert!(registry.evict_above_limit());
        assert_eq!([&first, &second, &third].map(evicted), [false, true, false]);
        drop(second);
        assert!(!registry.evict_above_limit());
        assert_eq!([&first, &third].map(evicted), [false, false]);
    }
}
