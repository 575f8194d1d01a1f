//! The hybrid logical clock that orders the operations of many machines. Pure.
//!
//! It follows the wall clock, does not go back with it, and is ahead of every operation seen unless that is too far ahead of
//! this machine's time. So an operation that is made after another was seen counts as later, although the times of machines
//! differ (Kulkarni et al., "Logical Physical Clocks", 2014). Where they differ by more than [`DRIFT`], generations do that
//! (`merge`).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How far ahead of this machine's time a clock may be that it follows, and that a hub accepts by default, in milliseconds.
pub(super) const DRIFT: i64 = 24 * 60 * 60 * 1000;

/// The latest time that an operation may have: the end of the year 9999, the limit of timestamps. There the clock stops,
/// and only the ids of operations order them, so an operation with this time keeps no machine from writing.
pub(super) const LATEST: i64 = 253_402_207_200_999;

/// Milliseconds since 1970, and a counter within them.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub(super) struct Clock(pub i64, pub u32);

impl Clock {
    /// Returns the time of the next operation, where `self` is the highest so far and `wall` the wall clock's time.
    pub fn next(self, wall: i64) -> Clock {
        match self.1.checked_add(1) {
            _ if wall > self.0 => Clock(wall, 0),
            Some(counter) => Clock(self.0, counter),
            None if self.0 < LATEST => Clock(self.0 + 1, 0),
            None => self,
        }
    }

    /// Returns the time just before.
    pub fn previous(self) -> Option<Clock> {
        match self.1.checked_sub(1) {
            Some(counter) => Some(Clock(self.0, counter)),
            None if self.0 > 0 => Some(Clock(self.0 - 1, u32::MAX)),
            None => None,
        }
    }

    /// Returns the highest time after one of another machine was seen. A clock later than `latest` is not followed: its machine
    /// has the wrong time, which all others would keep.
    pub fn follow(self, seen: Clock, latest: i64) -> Clock {
        if seen.0 <= latest {
            self.max(seen)
        } else {
            self
        }
    }

    /// Returns whether an operation may have this time.
    pub fn is_possible(self) -> bool {
        (0..=LATEST).contains(&self.0)
    }
}

/// From which difference on, in milliseconds, a spoke goes by the clock of its hub. Below, the time of a request would count.
const NOTABLE: i64 = 2 * 60 * 1000;

/// How much the clock of a spoke's hub differs from this machine's, where that is known, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HubClock(pub Option<i64>);

impl HubClock {
    /// Returns the time that new operations get on a machine whose clock says `now`, in milliseconds since 1970: the hub's
    /// where this machine's clock is ahead of it. A hub cannot put a machine's time forward.
    pub(super) fn time(self, now: Timestamp) -> i64 {
        let now = now.as_millisecond();
        match self.0 {
            Some(offset) if offset < -NOTABLE => now.saturating_add(offset).max(0),
            _ => now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_follows_the_wall_clock_and_counts_while_that_stands_still_or_goes_back() {
        for (last, wall, next) in [
            (Clock(0, 0), 5, Clock(5, 0)),
            (Clock(5, 7), 6, Clock(6, 0)),
            (Clock(5, 7), 5, Clock(5, 8)),
            (Clock(5, 7), 1, Clock(5, 8)),
            (Clock(5, u32::MAX), 1, Clock(6, 0)),
            (Clock(LATEST, u32::MAX), 1, Clock(LATEST, u32::MAX)),
        ] {
            assert_eq!(last.next(wall), next, "{last:?} {wall}");
        }
    }

    proptest! {
        #[test]
        fn it_only_goes_up(ms in 0..LATEST, counter: u32, wall in 0..LATEST) {
            prop_assert!(Clock(ms, counter).next(wall) > Clock(ms, counter));
            prop_assert!(Clock(ms, counter).next(wall).0 >= wall);
        }
    }
}
