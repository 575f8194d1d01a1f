//! Chooses which connection to evict at the limit. The choice is a pure function.

use std::cmp::Reverse;
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

/// What a connection does.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Doing {
    /// It waits for its client.
    Idle(Idle),
    /// The body of a request of `user` is arriving.
    Receiving { user: Arc<str>, since: Instant },
    /// A request is being processed.
    Busy,
}

/// Returns the connection to evict. That is the one idle for longest; one with an unfinished request only after 5 s without
/// a byte, and only if no other is idle. Without any, it is the oldest whose body is arriving, of the user with the most of
/// these; the only one of a user is spared for 5 s. A connection whose request is being processed is never evicted.
fn choose<'a>(
    connections: impl Iterator<Item = (u64, &'a Doing)> + Clone,
    now: Instant,
) -> Option<u64> {
    let stalled = |since: Instant| now.saturating_duration_since(since) >= UNFINISHED;
    let idle = connections
        .clone()
        .filter_map(|(number, doing)| match doing {
            Doing::Idle(idle) if !idle.unfinished || stalled(idle.since) => Some((number, *idle)),
            _ => None,
        });
    if let Some((number, _)) =
        idle.min_by_key(|(number, idle)| (idle.unfinished, idle.since, *number))
    {
        return Some(number);
    }
    let receiving = || {
        connections
            .clone()
            .filter_map(|(number, doing)| match doing {
                Doing::Receiving { user, since } => Some((number, user, *since)),
                _ => None,
            })
    };
    let mut users: HashMap<&str, usize> = HashMap::new();
    for (_, user, _) in receiving() {
        *users.entry(user).or_default() += 1;
    }
    receiving()
        .filter(|(_, user, since)| users[&***user] > 1 || stalled(*since))
        .min_by_key(|(number, user, since)| (Reverse(users[&***user]), *since, *number))
        .map(|(number, ..)| number)
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
    doing: Doing,
    is_evicted: bool,
    /// Whether it ends whatever it does ([`Entry::end`]).
    is_ended: bool,
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
            doing: Doing::Busy,
            is_evicted: false,
            is_ended: false,
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
    /// or none can be.
    pub(super) fn evict_above_limit(&self) -> bool {
        let connections = &mut self.lock().connections;
        if connections.len() <= self.0.limit {
            return false;
        }
        if connections.values().all(|state| !state.is_evicted) {
            let each = connections
                .iter()
                .map(|(number, state)| (*number, &state.doing));
            if let Some(number) = choose(each, Instant::now())
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
        self.set(Doing::Idle(Idle {
            since: Instant::now(),
            unfinished,
        }));
        self.registry.0.changed.notify_one();
    }

    /// Notes that the body of a request of `user` is arriving.
    pub(super) fn receiving(&self, user: &str) {
        self.set(Doing::Receiving {
            user: user.into(),
            since: Instant::now(),
        });
        self.registry.0.changed.notify_one();
    }

    /// Notes that a request is being processed. If the connection was to be evicted, another one will be.
    pub(super) fn busy(&self) {
        self.set(Doing::Busy);
    }

    /// Ends the connection, whatever it does.
    pub(super) fn end(&self) {
        if let Some(state) = self.registry.lock().connections.get_mut(&self.number) {
            state.is_ended = true;
            state.evict.notify_one();
        }
    }

    /// Returns once the connection is to end.
    pub(super) async fn evicted(&self) {
        loop {
            self.evict.notified().await;
            // A request may have arrived since.
            let connections = &self.registry.lock().connections;
            if connections
                .get(&self.number)
                .is_some_and(|state| state.is_evicted || state.is_ended)
            {
                return;
            }
        }
    }

    fn set(&self, doing: Doing) {
        if let Some(state) = self.registry.lock().connections.get_mut(&self.number) {
            state.is_evicted &= doing != Doing::Busy;
            state.doing = doing;
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
        let since = |second| start + Duration::from_secs(second);
        let idle = |second| {
            Doing::Idle(Idle {
                since: since(second),
                unfinished: false,
            })
        };
        let half = |second| {
            Doing::Idle(Idle {
                since: since(second),
                unfinished: true,
            })
        };
        let body = |user: &str, second| Doing::Receiving {
            user: user.into(),
            since: since(second),
        };
        let busy = || Doing::Busy;
        let cases = [
            (vec![], None),
            (vec![busy(), busy()], None),
            (vec![idle(9), idle(8), busy(), idle(10)], Some(1)),
            (vec![idle(8), idle(8)], Some(0)),
            (vec![half(1), idle(99)], Some(1)),
            (vec![busy(), half(94), half(95)], Some(1)),
            (vec![half(96)], None),
            (vec![idle(200)], Some(0)),
            // Bodies give way only where nothing is idle, and those of the user with the most.
            (vec![body("m", 1), idle(99)], Some(1)),
            (vec![body("m", 99), body("b", 1), body("m", 98)], Some(2)),
            (vec![body("m", 99), body("m", 99), busy()], Some(0)),
            (vec![body("a", 99), body("b", 96)], None),
            (vec![body("a", 99), body("b", 95)], Some(1)),
        ];
        for (connections, chosen) in cases {
            let numbered = (0..).zip(&connections);
            assert_eq!(choose(numbered, now), chosen, "{connections:?}");
        }
    }

    #[test]
    fn a_connection_that_is_to_end_ends_whatever_it_does() {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().build().unwrap().block_on(async {
            let registry = Registry::new(2);
            let entry = registry.register();
            entry.idle(false);
            entry.end();
            entry.busy();
            let limit = Duration::from_secs(5);
            tokio::time::timeout(limit, entry.evicted()).await.unwrap();
        });
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
