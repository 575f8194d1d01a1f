//! How long a spoke leaves a hub alone that it failed to sync with. Pure.

use std::time::Duration;

/// The longest pause after the first failure.
pub const FIRST: Duration = Duration::from_secs(1);
/// The longest pause of all, also of those that a hub asks for.
pub const LONGEST: Duration = Duration::from_secs(5 * 60);

/// Returns the pause after so many `failures` in a row: its bound doubles with each, from [`FIRST`] to [`LONGEST`], and
/// `entropy` chooses a place in the upper half. So the spokes of a hub that went away do not come back all at once.
pub fn pause(failures: u32, entropy: u64) -> Duration {
    let doubled = 1_u32
        .checked_shl(failures.saturating_sub(1))
        .unwrap_or(u32::MAX);
    let bound = FIRST.saturating_mul(doubled).min(LONGEST);
    let half = bound / 2;
    // The upper 32 bits, as a share of the half.
    let share = entropy >> 32;
    let nanos = u128::from(share) * half.as_nanos() / u128::from(u32::MAX);
    half + Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
}

/// Returns the pause that a hub asked for (`Retry-After`, RFC 9110, section 10.2.3), as far as it is followed: a second
/// at least, so that no hub makes a spoke spin, and [`LONGEST`] at most, so that none silences it.
pub fn asked_for(pause: Duration) -> Duration {
    pause.clamp(FIRST, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_pause_doubles_up_to_five_minutes() {
        let most = |failures| pause(failures, u64::MAX).as_secs();
        let bounds: Vec<u64> = (1..=11).map(most).collect();
        assert_eq!(bounds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(most(u32::MAX), 300);
        assert_eq!(pause(3, 0), Duration::from_secs(2));
    }

    #[test]
    fn what_a_hub_asks_for_is_followed_within_reason() {
        let followed = |seconds| asked_for(Duration::from_secs(seconds)).as_secs();
        assert_eq!(
            [0, 1, 90, 300, 301, u64::MAX].map(followed),
            [1, 1, 90, 300, 300, 300]
        );
    }

    proptest! {
        #[test]
        fn a_pause_is_in_the_upper_half_of_its_bound(failures: u32, entropy: u64) {
            let bound = pause(failures, u64::MAX);
            let this = pause(failures, entropy);
            prop_assert!(bound / 2 <= this && this <= bound, "{this:?} of {bound:?}");
            prop_assert!(bound <= LONGEST);
        }

        #[test]
        fn one_more_failure_never_shortens_the_bound(failures in 0..u32::MAX) {
            prop_assert!(pause(failures, u64::MAX) <= pause(failures + 1, u64::MAX));
        }
    }
}
