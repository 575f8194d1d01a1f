//! Memory that clients can make hephd hold, shared by user: bodies on their way in, and answers on their way out.
//!
//! Where the room is used up, the user with the most of it gives way. So a user who needs less than the others gets in at
//! once, however many slow bodies or unread answers another one has. The choice is a pure function.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// After so many parts of an answer, its client is known to read.
const READS: u32 = 3;

/// Room for so many bytes.
#[derive(Clone, Debug)]
pub(super) struct Room(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit: usize,
    spared: Duration,
    state: Mutex<State>,
    /// Some of it became free.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    last: u64,
    shares: BTreeMap<u64, Share>,
}

#[derive(Debug)]
struct Share {
    user: String,
    bytes: usize,
    /// When it was taken, or its client last read some of it.
    since: Instant,
    /// How often its client has read some of it.
    reads: u32,
    eviction: Eviction,
    is_evicted: bool,
}

/// What ends the holder of a share.
struct Eviction(Box<dyn Fn() + Send>);

impl fmt::Debug for Eviction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Eviction")
    }
}

/// How a request for room is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Fits,
    /// The share with this number has to go first.
    Evict(u64),
    Wait,
}

/// One share, as far as a choice depends on it. Shares are numbered in the order in which they were taken.
#[derive(Clone, Copy, Debug)]
struct Taken<'a> {
    number: u64,
    user: &'a str,
    bytes: usize,
    is_evicted: bool,
}

/// Returns the oldest share of the user with the most room, and that user's total. What is being evicted does not count.
fn heaviest<'a>(shares: &[Taken<'a>]) -> Option<(u64, &'a str, usize)> {
    let mut users: HashMap<&str, (usize, u64)> = HashMap::new();
    for share in shares.iter().filter(|share| !share.is_evicted) {
        let (total, oldest) = users.entry(share.user).or_insert((0, share.number));
        *total += share.bytes;
        *oldest = share.number.min(*oldest);
    }
    let most = users
        .into_iter()
        .max_by_key(|(_, (total, oldest))| (*total, u64::MAX - oldest));
    most.map(|(user, (total, oldest))| (oldest, user, total))
}

/// Decides how `user` gets `bytes` more within `limit`. Only a user who would still have more than this one gives way. What is
/// being evicted is as good as free: its holder ends before the runtime does anything else with it.
fn choose(shares: &[Taken<'_>], limit: usize, user: &str, bytes: usize) -> Choice {
    let kept = || shares.iter().filter(|share| !share.is_evicted);
    if sum(kept()) + bytes <= limit {
        return Choice::Fits;
    }
    let own = sum(kept().filter(|share| share.user == user));
    match heaviest(shares) {
        Some((oldest, heaviest, total)) if heaviest != user && total > own + bytes => {
            Choice::Evict(oldest)
        }
        _ => Choice::Wait,
    }
}

fn sum<'a>(shares: impl Iterator<Item = &'a Taken<'a>>) -> usize {
    shares.map(|share| share.bytes).sum()
}

impl Room {
    /// Returns room for `limit` bytes. A claim is spared for so long since it was made, or since the client read some of it.
    pub(super) fn new(limit: usize, spared: Duration) -> Room {
        Room(Arc::new(Inner {
            limit,
            spared,
            state: Mutex::default(),
            changed: Notify::new(),
        }))
    }

    /// Waits for room for `bytes` of `user`, at most the whole. It may be taken back ([`Reservation::evicted`]).
    pub(super) async fn reserve(&self, user: &str, bytes: usize) -> Reservation {
        let bytes = bytes.min(self.0.limit);
        let evicted = Arc::new(Notify::new());
        loop {
            // Created before the look, so that no change is missed.
            let changed = self.0.changed.notified();
            {
                let mut state = self.lock();
                let choice = choose(&state.taken(), self.0.limit, user, bytes);
                match choice {
                    Choice::Fits => {
                        let evict = Arc::clone(&evicted);
                        let number = state.take(user, bytes, move || evict.notify_one());
                        drop(state);
                        return self.reservation(number, evicted);
                    }
                    Choice::Evict(number) => {
                        state.evict(number);
                        continue;
                    }
                    Choice::Wait => {}
                }
            }
            changed.await;
        }
    }

    /// Takes room for `bytes` of `user`, and calls `evict` to get it back. Where there is not enough, the user with the most
    /// gives way, share by share. If that is `user` itself, a share is spared while its client may be reading.
    pub(super) async fn claim(
        &self,
        user: &str,
        bytes: usize,
        evict: impl Fn() + Send + 'static,
    ) -> Reservation {
        loop {
            let changed = self.0.changed.notified();
            let wait = {
                let mut state = self.lock();
                match state.in_the_way(self.0.limit, user, bytes, self.0.spared) {
                    None => {
                        let number = state.take(user, bytes, evict);
                        drop(state);
                        return self.reservation(number, Arc::default());
                    }
                    Some((_, Some(until))) if until > Instant::now() => until,
                    Some((number, _)) => {
                        state.evict(number);
                        continue;
                    }
                }
            };
            drop(timeout_at(wait, changed).await);
        }
    }

    fn reservation(&self, number: u64, evicted: Arc<Notify>) -> Reservation {
        Reservation {
            room: self.clone(),
            number,
            evicted,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic leaves nothing half done: each change is one statement.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Returns whether its client is known to read: it has read more than the kernel takes by itself.
    fn has_reader(&self) -> bool {
        self.reads >= READS
    }

    fn spared_until(&self, spared: Duration) -> Instant {
        // A client that reads may have little of the processor now.
        let factor = if self.has_reader() { 20 } else { 1 };
        self.since + spared * factor
    }
}

impl State {
    fn taken(&self) -> Vec<Taken<'_>> {
        let shares = self.shares.iter();
        shares
            .map(|(number, share)| Taken {
                number: *number,
                user: &share.user,
                bytes: share.bytes,
                is_evicted: share.is_evicted,
            })
            .collect()
    }

    /// Returns the share to evict before `bytes` more of `user` fit within `limit`, and if it is the user's own, until when it
    /// is spared. `None` if they fit, or if nothing is left to evict: what is larger than all room goes out
    /// alone.
    fn in_the_way(
        &self,
        limit: usize,
        user: &str,
        bytes: usize,
        spared: Duration,
    ) -> Option<(u64, Option<Instant>)> {
        let taken = self.taken();
        let kept = taken.iter().filter(|share| !share.is_evicted);
        if sum(kept) + bytes <= limit {
            return None;
        }
        let (oldest, heaviest, _) = heaviest(&taken)?;
        if heaviest != user {
            return Some((oldest, None));
        }
        let own = self
            .shares
            .iter()
            .filter(|(_, share)| share.user == user && !share.is_evicted);
        let stalled =
            own.min_by_key(|(number, share)| (share.has_reader(), share.since, **number))?;
        Some((*stalled.0, Some(stalled.1.spared_until(spared))))
    }

    fn take(&mut self, user: &str, bytes: usize, evict: impl Fn() + Send + 'static) -> u64 {
        self.last += 1;
        let share = Share {
            user: user.to_owned(),
            bytes,
            since: Instant::now(),
            reads: 0,
            eviction: Eviction(Box::new(evict)),
            is_evicted: false,
        };
        self.shares.insert(self.last, share);
        self.last
    }

    fn evict(&mut self, number: u64) {
        if let Some(share) = self.shares.get_mut(&number) {
            share.is_evicted = true;
            (share.eviction.0)();
        }
    }
}

/// Room that is taken until this is dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    room: Room,
    number: u64,
    evicted: Arc<Notify>,
}

impl Reservation {
    /// Notes that the client has read some of an answer.
    pub(super) fn progressed(&self) {
        if let Some(share) = self.room.lock().shares.get_mut(&self.number) {
            share.since = Instant::now();
            share.reads += 1;
        }
    }

    /// Returns once the room is needed for another user.
    pub(super) async fn evicted(&self) {
        self.evicted.notified().await;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.room.lock().shares.remove(&self.number);
        self.room.0.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::time::timeout;

    const LIMIT: usize = 16;

    /// Returns shares by user and size, in order; a size below zero is that of one being evicted.
    fn shares<'a>(sizes: &[(&'a str, i64)]) -> Vec<Taken<'a>> {
        let numbered = (1..).zip(sizes);
        numbered
            .map(|(number, (user, bytes))| Taken {
                number,
                user,
                bytes: usize::try_from(bytes.unsigned_abs()).unwrap(),
                is_evicted: *bytes < 0,
            })
            .collect()
    }

    #[test]
    fn the_user_with_the_most_room_gives_way_to_one_who_needs_less() {
        use Choice::*;
        for (taken, user, bytes, choice) in [
            (&[][..], "b", LIMIT, Fits),
            (&[("m", 4), ("m", 4), ("m", 4)][..], "b", 4, Fits),
            (&[("m", 4), ("m", 4), ("m", 4), ("m", 4)], "b", 1, Evict(1)),
            (&[("m", 4), ("m", 4), ("m", 4), ("m", 4)], "b", 4, Evict(1)),
            // Its own bodies wait for one another, those in progress are not disturbed.
            (&[("m", 4), ("m", 4), ("m", 4), ("m", 4)], "m", 1, Wait),
            (&[("c", 4), ("m", 6), ("m", 6)], "b", 4, Evict(2)),
            // Those of another user with as much are as good.
            (&[("c", 8), ("m", 8)], "b", 8, Wait),
            (&[("c", 8), ("m", 8)], "b", 7, Evict(1)),
            (&[("c", 8), ("b", 4), ("m", 4)], "b", 4, Wait),
            // One is on its way out already.
            (&[("m", -4), ("m", 4), ("m", 8)], "b", 4, Fits),
            (&[("m", -4), ("m", 4), ("m", 8)], "b", 5, Evict(2)),
        ] {
            let chosen = choose(&shares(taken), LIMIT, user, bytes);
            assert_eq!(chosen, choice, "{taken:?} {user} {bytes}");
        }
    }

    fn run(test: impl Future<Output = ()>) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().build().unwrap().block_on(test);
    }

    async fn soon<T>(wanted: impl Future<Output = T>) -> Option<T> {
        timeout(Duration::from_millis(50), wanted).await.ok()
    }

    #[test]
    fn a_reservation_evicts_a_heavier_user_and_waits_for_its_own() {
        run(async {
            let room = Room::new(LIMIT, Duration::ZERO);
            let first = room.reserve("m", 8).await;
            let second = room.reserve("m", 8).await;
            let mut own = std::pin::pin!(room.reserve("m", 1));
            assert!(soon(&mut own).await.is_none());
            // What is evicted for another user is not given to those that waited before.
            let bob = soon(room.reserve("b", 4)).await.unwrap();
            first.evicted().await;
            drop(first);
            assert!(soon(second.evicted()).await.is_none(), "one is enough");
            let third = soon(own).await.unwrap();
            drop((second, bob, third));
            // More than the whole is the whole.
            assert!(soon(room.reserve("m", LIMIT * 2)).await.is_some());
        });
    }

    #[test]
    fn a_claim_ends_the_oldest_of_the_heaviest_user_and_spares_its_own_while_they_are_new() {
        run(async {
            let ended: [Arc<AtomicUsize>; 4] = Default::default();
            let end = |number: usize| {
                let ended = Arc::clone(&ended[number]);
                move || {
                    ended.fetch_add(1, Ordering::Relaxed);
                }
            };
            let count = || ended.each_ref().map(|one| one.load(Ordering::Relaxed));
            let room = Room::new(LIMIT, Duration::from_millis(200));
            let first = room.claim("m", 8, end(0)).await;
            let second = room.claim("m", 8, end(1)).await;
            assert!(soon(room.claim("m", 4, end(2))).await.is_none());
            assert_eq!(count(), [0; 4], "they may be reading");
            // Another user does not wait for that.
            let bob = soon(room.claim("b", 4, end(2))).await.unwrap();
            assert_eq!(count(), [1, 0, 0, 0]);
            // One that is larger than all room goes out all the same, alone.
            let large = room.claim("m", LIMIT * 4, end(3)).await;
            assert_eq!(count(), [1, 1, 1, 0]);
            drop((first, second, bob, large));
            assert!(soon(room.claim("m", LIMIT, end(0))).await.is_some());
        });
    }

    #[test]
    fn a_claim_whose_client_reads_is_spared_and_one_that_stalls_goes() {
        run(async {
            let spared = Duration::from_millis(100);
            let room = Room::new(LIMIT, spared);
            let ended = Arc::new(AtomicUsize::new(0));
            let end = |number: usize| {
                let ended = Arc::clone(&ended);
                move || {
                    ended.fetch_add(number, Ordering::Relaxed);
                }
            };
            let reads = room.claim("", 8, end(1)).await;
            let _stalls = room.claim("", 8, end(10)).await;
            tokio::time::sleep(spared).await;
            reads.progressed();
            let _third = soon(room.claim("", 8, end(100))).await.unwrap();
            assert_eq!(ended.load(Ordering::Relaxed), 10);
        });
    }

    proptest! {
        #[test]
        fn whoever_needs_less_than_the_heaviest_gets_in_and_nobody_lighter_is_evicted(
            sizes in proptest::collection::vec((0..4_u8, 1..9_usize), 0..20),
            bytes in 1..9_usize,
        ) {
            let names = ["a", "b", "c", "d"];
            let mut taken: Vec<Taken<'_>> = Vec::new();
            for (number, (user, bytes)) in (1..).zip(&sizes) {
                let user = names[usize::from(*user)];
                taken.push(Taken { number, user, bytes: *bytes, is_evicted: false });
            }
            let total = |taken: &[Taken<'_>], user: &str| {
                sum(taken.iter().filter(|share| share.user == user))
            };
            // As long as somebody has more, room is made, one share after the other.
            while let Choice::Evict(number) = choose(&taken, LIMIT, "a", bytes) {
                let victim = taken.iter().find(|share| share.number == number).unwrap().user;
                prop_assert!(victim != "a" && total(&taken, victim) > total(&taken, "a") + bytes);
                taken.retain(|share| share.number != number);
            }
            if choose(&taken, LIMIT, "a", bytes) == Choice::Wait {
                let own = total(&taken, "a") + bytes;
                prop_assert!(names[1..].iter().all(|user| total(&taken, user) <= own));
            }
        }
    }
}
