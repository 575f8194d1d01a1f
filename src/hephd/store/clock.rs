//! The hybrid logical clock that orders the operations of many machines. Pure.
//!
//! It follows the wall clock, never goes back, and is always ahead of every operation seen. So an operation that is made
//! after another was seen counts as later, however wrong a machine's time is (Kulkarni et al., "Logical Physical Clocks",
//! 2014).

use serde::{Deserialize, Serialize};

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

    /// Returns whether an operation may have this time.
    pub fn is_possible(self) -> bool {
        (0..=LATEST).contains(&self.0)
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
