//! When a spoke syncs next: after a write, every half minute, when somebody asks, and later after failures. Pure.
//!
//! Time is counted from the start of hephd, on a clock that nobody sets.

use std::time::Duration;

use crate::os::backoff::Backoff;

/// A moment, as the time since hephd started.
pub type Moment = Duration;

/// How long writes are gathered before they are sent.
pub const GATHER: Duration = Duration::from_secs(1);
/// How often the hub is asked for news.
pub const EVERY: Duration = Duration::from_secs(30);

/// How long a hub is left alone after failures.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(5 * 60),
};

/// What decides about the next attempt. The first one is due at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// When the last attempt ended well, if the last one did.
    last_success: Option<Moment>,
    /// How many attempts failed since one ended well.
    failures: u32,
    /// After a failure: when its pause is over.
    again: Moment,
    /// Until when the hub asked to be left alone.
    not_before: Moment,
    /// Since when there are writes that no attempt has taken up.
    dirty_since: Option<Moment>,
    /// Whether somebody waits for an attempt.
    asked: bool,
}

impl Schedule {
    /// Returns when the next attempt is due; it may be past.
    pub fn next(&self) -> Moment {
        let due = if self.asked {
            Moment::ZERO
        } else if self.failures > 0 {
            // Writes do not hasten it: a hub that is away under writes would be asked every second.
            self.again
        } else {
            let news = self.last_success.map_or(Moment::ZERO, |last| last + EVERY);
            let writes = self.dirty_since.map_or(Moment::MAX, |since| since + GATHER);
            news.min(writes)
        };
        // A person who asks hears what the hub asked for; it is not asked against its word.
        due.max(self.not_before)
    }

    /// Notes a write at `now`. The first one counts: under constant writes, waiting for the last would never end.
    pub fn wrote(&mut self, now: Moment) {
        self.dirty_since.get_or_insert(now);
    }

    /// Notes that somebody waits for an attempt.
    pub fn ask(&mut self) {
        self.asked = true;
    }

    /// Notes that an attempt begins: it takes up what was written until now.
    pub fn begin(&mut self) {
        self.dirty_since = None;
        self.asked = false;
    }

    /// Notes that the attempt ended well at `now`.
    pub fn succeed(&mut self, now: Moment) {
        self.last_success = Some(now);
        self.failures = 0;
        self.not_before = Moment::ZERO;
    }

    /// Notes that the attempt failed at `now`: the next one waits as long as the hub asked for (`retry_after`), or else
    /// backs off, with `entropy` for the jitter. Who asked meanwhile hears of this failure and asks no more.
    pub fn fail(&mut self, now: Moment, retry_after: Option<Duration>, entropy: u64) {
        self.failures = self.failures.saturating_add(1);
        self.asked = false;
        self.again = now + BACKOFF.jittered(self.failures, entropy);
        if let Some(pause) = retry_after {
            self.not_before = now + BACKOFF.clamp(pause);
            self.again = self.not_before;
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

    /// Returns the schedule after an attempt that ended well.
    fn healthy(ended: Moment) -> Schedule {
        let mut schedule = Schedule::default();
        schedule.begin();
        schedule.succeed(ended);
        schedule
    }

    #[test]
    fn the_first_attempt_is_due_at_once_and_the_next_in_half_a_minute() {
        assert_eq!(Schedule::default().next(), Moment::ZERO);
        assert_eq!(healthy(at(500)).next(), at(30_500));
    }

    #[test]
    fn writes_are_sent_a_second_after_the_first_of_them() {
        let mut schedule = healthy(at(0));
        schedule.wrote(at(5_000));
        schedule.wrote(at(5_900));
        assert_eq!(schedule.next(), at(6_000));
    }

    #[test]
    fn a_write_just_before_the_half_minute_does_not_delay_it() {
        let mut schedule = healthy(at(0));
        schedule.wrote(at(29_900));
        assert_eq!(schedule.next(), at(30_000));
    }

    #[test]
    fn what_is_written_during_an_attempt_is_sent_by_another() {
        let mut schedule = healthy(at(0));
        schedule.wrote(at(1_000));
        schedule.begin();
        schedule.wrote(at(2_100));
        schedule.succeed(at(9_000));
        assert_eq!(schedule.next(), at(3_100), "which is past: at once");
    }

    #[test]
    fn failures_back_off_whatever_is_written() {
        let mut schedule = healthy(at(0));
        for (ended, next) in [(1_000, 2_000), (3_000, 5_000), (6_000, 10_000)] {
            schedule.begin();
            schedule.wrote(at(ended - 500));
            schedule.fail(at(ended), None, u64::MAX);
            assert_eq!(schedule.next(), at(next));
        }
        schedule.begin();
        schedule.succeed(at(11_000));
        assert_eq!(schedule.next(), at(41_000));
    }

    #[test]
    fn a_hub_that_asks_to_be_left_alone_is_and_also_when_somebody_asks() {
        let mut schedule = healthy(at(0));
        schedule.begin();
        schedule.fail(at(1_000), Some(Duration::from_secs(20)), 0);
        assert_eq!(schedule.next(), at(21_000));
        schedule.ask();
        assert_eq!(schedule.next(), at(21_000));
        // The next one fails otherwise: the request of then is over.
        schedule.begin();
        schedule.fail(at(21_000), None, u64::MAX);
        schedule.ask();
        assert_eq!(schedule.next(), at(21_000));
    }

    #[test]
    fn who_asks_does_not_wait_for_the_back_off() {
        let mut schedule = healthy(at(0));
        schedule.begin();
        schedule.fail(at(1_000), None, u64::MAX);
        schedule.ask();
        assert_eq!(schedule.next(), Moment::ZERO);
        schedule.begin();
        schedule.fail(at(1_500), None, u64::MAX);
        assert_eq!(schedule.next(), at(3_500));
    }

    /// What may happen to a schedule, with how long after the thing before.
    #[derive(Clone, Debug)]
    enum Event {
        Write,
        Ask,
        Succeed,
        Fail(Option<u64>, u64),
    }

    fn any_event() -> impl Strategy<Value = Event> {
        prop_oneof![
            Just(Event::Write),
            Just(Event::Ask),
            Just(Event::Succeed),
            (proptest::option::of(any::<u64>()), any::<u64>())
                .prop_map(|(asked, entropy)| Event::Fail(asked, entropy)),
        ]
    }

    proptest! {
        #[test]
        fn the_next_attempt_is_never_further_than_five_minutes(
            events in proptest::collection::vec((0u64..600_000, any_event()), 1..40),
        ) {
            let mut schedule = Schedule::default();
            let mut now = Moment::ZERO;
            for (later, event) in events {
                now += at(later);
                match event {
                    Event::Write => schedule.wrote(now),
                    Event::Ask => schedule.ask(),
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
