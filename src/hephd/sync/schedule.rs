//! When the next round of sync is due: after a write, every half minute, on request, and with back-off after failures. Pure.
//!
//! Time is monotonic, counted from the start of hephd.

use std::time::Duration;

use crate::os::backoff::Backoff;

/// A time since hephd started.
pub(super) type Moment = Duration;

/// How long writes are collected before they are sent.
const WRITE_DELAY: Duration = Duration::from_secs(1);
/// How often the hub is polled.
const INTERVAL: Duration = Duration::from_secs(30);

/// The pauses after failed rounds, and the bounds of those that the hub asks for.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(5 * 60),
};

/// The state that decides when the next round is due. The first one is due at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Schedule {
    /// When the last successful round ended.
    last_success: Option<Moment>,
    /// How many rounds have failed since.
    failures: u32,
    /// When the back-off after a failure is over.
    retry_at: Moment,
    /// When the pause that the hub asked for (`Retry-After`) is over.
    not_before: Moment,
    /// When the first write was made that no round has taken up.
    unsent_since: Option<Moment>,
    /// Whether a client waits for a round.
    is_requested: bool,
}

impl Schedule {
    /// Returns when the next round is due; it may be past.
    pub fn next(&self) -> Moment {
        let due = if self.is_requested {
            Moment::ZERO
        } else if self.failures > 0 {
            // Whatever is written: under constant writes, an unreachable hub would get a request every second.
            self.retry_at
        } else {
            let poll = self
                .last_success
                .map_or(Moment::ZERO, |last| last + INTERVAL);
            let writes = self
                .unsent_since
                .map_or(Moment::MAX, |since| since + WRITE_DELAY);
            poll.min(writes)
        };
        // A request skips the back-off, but not the pause that the hub asked for.
        due.max(self.not_before)
    }

    /// Notes a write at `now`. The first one counts: under constant writes, a delay after the last one would never end.
    pub fn note_write(&mut self, now: Moment) {
        self.unsent_since.get_or_insert(now);
    }

    /// Requests a round now.
    pub fn request(&mut self) {
        self.is_requested = true;
    }

    /// Notes that a round begins, which takes up all writes until now.
    pub fn begin(&mut self) {
        self.unsent_since = None;
        self.is_requested = false;
    }

    /// Notes that the round succeeded at `now`.
    pub fn succeed(&mut self, now: Moment) {
        self.last_success = Some(now);
        self.failures = 0;
        self.not_before = Moment::ZERO;
    }

    /// Notes that the round failed at `now`. The next one waits as long as the hub asked for (`retry_after`), or else backs
    /// off, with `entropy` for the jitter. The failure also answers the requests that were made meanwhile.
    pub fn fail(&mut self, now: Moment, retry_after: Option<Duration>, entropy: u64) {
        self.failures = self.failures.saturating_add(1);
        self.is_requested = false;
        self.retry_at = now + BACKOFF.jittered(self.failures, entropy);
        if let Some(pause) = retry_after {
            self.not_before = now + BACKOFF.clamp(pause);
            self.retry_at = self.not_before;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(milliseconds: u64) -> Moment {
        Moment::from_millis(milliseconds)
    }

    /// Returns the schedule after a round that succeeded.
    fn healthy(ended: Moment) -> Schedule {
        let mut schedule = Schedule::default();
        schedule.begin();
        schedule.succeed(ended);
        schedule
    }

    #[test]
    fn the_first_round_is_due_at_once_and_the_next_in_half_a_minute() {
        assert_eq!(Schedule::default().next(), Moment::ZERO);
        assert_eq!(healthy(at(500)).next(), at(30_500));
    }

    #[test]
    fn writes_are_sent_a_second_after_the_first_of_them() {
        let mut schedule = healthy(at(0));
        schedule.note_write(at(5_000));
        schedule.note_write(at(5_900));
        assert_eq!(schedule.next(), at(6_000));
    }

    #[test]
    fn a_write_just_before_the_half_minute_does_not_delay_it() {
        let mut schedule = healthy(at(0));
        schedule.note_write(at(29_900));
        assert_eq!(schedule.next(), at(30_000));
    }

    #[test]
    fn what_is_written_during_a_round_is_sent_by_another() {
        let mut schedule = healthy(at(0));
        schedule.note_write(at(1_000));
        schedule.begin();
        schedule.note_write(at(2_100));
        schedule.succeed(at(9_000));
        assert_eq!(schedule.next(), at(3_100), "which is past: at once");
    }

    #[test]
    fn failures_back_off_whatever_is_written() {
        let mut schedule = healthy(at(0));
        for (ended, next) in [(1_000, 2_000), (3_000, 5_000), (6_000, 10_000)] {
            schedule.begin();
            schedule.note_write(at(ended - 500));
            schedule.fail(at(ended), None, u64::MAX);
            assert_eq!(schedule.next(), at(next));
        }
        schedule.begin();
        schedule.succeed(at(11_000));
        assert_eq!(schedule.next(), at(41_000));
    }

    #[test]
    fn a_pause_that_the_hub_asks_for_is_kept_even_on_request() {
        let mut schedule = healthy(at(0));
        schedule.begin();
        schedule.fail(at(1_000), Some(Duration::from_secs(20)), 0);
        assert_eq!(schedule.next(), at(21_000));
        schedule.request();
        assert_eq!(schedule.next(), at(21_000));
        // The next round fails without such a pause.
        schedule.begin();
        schedule.fail(at(21_000), None, u64::MAX);
        schedule.request();
        assert_eq!(schedule.next(), at(21_000));
    }

    #[test]
    fn a_request_skips_the_back_off() {
        let mut schedule = healthy(at(0));
        schedule.begin();
        schedule.fail(at(1_000), None, u64::MAX);
        schedule.request();
        assert_eq!(schedule.next(), Moment::ZERO);
        schedule.begin();
        schedule.fail(at(1_500), None, u64::MAX);
        assert_eq!(schedule.next(), at(3_500));
    }

    #[derive(Clone, Debug)]
    enum Event {
        Write,
        Request,
        Succeed,
        Fail(Option<u64>, u64),
    }

    fn any_event() -> impl Strategy<Value = Event> {
        prop_oneof![
            Just(Event::Write),
            Just(Event::Request),
            Just(Event::Succeed),
            (proptest::option::of(any::<u64>()), any::<u64>())
                .prop_map(|(asked, entropy)| Event::Fail(asked, entropy)),
        ]
    }

    proptest! {
        #[test]
        fn the_next_round_is_never_further_away_than_five_minutes(
            events in proptest::collection::vec((0u64..600_000, any_event()), 1..40),
        ) {
            let mut schedule = Schedule::default();
            let mut now = Moment::ZERO;
            for (later, event) in events {
                now += at(later);
                match event {
                    Event::Write => schedule.note_write(now),
                    Event::Request => schedule.request(),
                    Event::Succeed => {
                        schedule.begin();
                        schedule.succeed(now);
                    }
                    Event::Fail(asked, entropy) => {
                        schedule.begin();
                        schedule.fail(now, asked.map(Duration::from_secs), entropy);
                    }
                }
                prop_assert!(schedule.next() <= now + BACKOFF.longest);
            }
        }
    }
}
