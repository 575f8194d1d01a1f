//! Exponential back-off. Pure.

use std::time::Duration;

/// How long to wait after failures: `first` after one, twice as long after each further one, `longest` at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
}

impl Backoff {
    /// Returns the wait after so many `failures` in a row.
    pub(crate) fn wait(self, failures: u32) -> Duration {
        let factor = 2_u32.saturating_pow(failures.saturating_sub(1));
        self.first.saturating_mul(factor).min(self.longest)
    }

    /// Returns a wait in the upper half of [`Backoff::wait`], placed by `entropy`, so that the clients of a server that was
    /// down do not come back all at once.
    pub(crate) fn jittered(self, failures: u32, entropy: u64) -> Duration {
        let half = self.wait(failures) / 2;
        half + half.mul_f64(entropy as f64 / u64::MAX as f64)
    }

    /// Returns the wait that a server asked for, within bounds: `first` at least, so that no server makes its clients spin,
    /// and `longest` at most, so that no server silences them.
    pub(crate) fn clamp(self, asked: Duration) -> Duration {
        asked.clamp(self.first, self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BACKOFF: Backoff = Backoff {
        first: Duration::from_secs(1),
        longest: Duration::from_secs(300),
    };

    #[test]
    fn the_wait_doubles_up_to_the_longest() {
        let waits: Vec<u64> = (1..=11).map(|n| BACKOFF.wait(n).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(BACKOFF.wait(u32::MAX).as_secs(), 300);
        assert_eq!(BACKOFF.jittered(3, u64::MAX), Duration::from_secs(4));
        assert_eq!(BACKOFF.jittered(3, 0), Duration::from_secs(2));
    }

    #[test]
    fn a_requested_wait_is_kept_within_bounds() {
        let clamped = |seconds| BACKOFF.clamp(Duration::from_secs(seconds)).as_secs();
        assert_eq!(
            [0, 1, 90, 300, 301, u64::MAX].map(clamped),
            [1, 1, 90, 300, 300, 300]
        );
    }

    proptest! {
        #[test]
        fn a_jittered_wait_is_in_the_upper_half(failures: u32, entropy: u64) {
            let wait = BACKOFF.wait(failures);
            let jittered = BACKOFF.jittered(failures, entropy);
            prop_assert!(wait / 2 <= jittered && jittered <= wait, "{jittered:?} of {wait:?}");
        }

        #[test]
        fn one_more_failure_never_shortens_the_wait(failures in 0..u32::MAX) {
            prop_assert!(BACKOFF.wait(failures) <= BACKOFF.wait(failures + 1));
        }
    }
}
