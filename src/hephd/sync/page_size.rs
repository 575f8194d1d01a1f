//! How large the pages are that a spoke and its hub exchange: small at first, larger while they pass quickly, smaller where
//! they are rejected or take long. Pure.
//!
//! A page that does not pass within the time limit is lost, and all of it is sent again. So on a link of unknown speed, the
//! size is found from below.

use std::time::Duration;

use crate::hephd::protocol::{PAGE_BYTES, PAGE_OPERATIONS, PageLimits};

/// The first page, in bytes of bodies before compression. At 64 kbit/s it takes some seconds.
const FIRST: usize = 64 << 10;
/// The smallest page. An operation that is larger goes alone.
const SMALLEST: usize = 4 << 10;
/// A full page that passes faster is followed by larger ones.
const QUICK: Duration = Duration::from_secs(2);
/// A page that takes longer is followed by smaller ones, long before a time-out.
const SLOW: Duration = Duration::from_secs(10);

/// The size of the next page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageSize {
    bytes: usize,
    /// The largest size that no host on the way has rejected.
    ceiling: usize,
}

impl Default for PageSize {
    fn default() -> PageSize {
        PageSize {
            bytes: FIRST,
            ceiling: PAGE_BYTES,
        }
    }
}

impl PageSize {
    pub fn limits(self) -> PageLimits {
        PageLimits {
            operations: PAGE_OPERATIONS,
            bytes: self.bytes,
        }
    }

    /// Notes that a page passed in the time `took`, and whether another one follows it. Only then it was full, and says
    /// something of the link.
    pub fn passed(&mut self, took: Duration, is_full: bool) {
        if took > SLOW {
            self.bytes = (self.bytes / 2).max(SMALLEST);
        } else if took < QUICK && is_full {
            self.bytes = (self.bytes * 4).min(self.ceiling);
        }
    }

    /// Notes that a page was rejected for its size. Returns whether a smaller one is worth a try.
    pub fn rejected(&mut self) -> bool {
        let smaller = (self.bytes / 2).max(SMALLEST);
        let is_smaller = smaller < self.bytes;
        self.bytes = smaller;
        self.ceiling = smaller;
        is_smaller
    }

    /// Notes that a page failed after the time `took`, which may be the link's fault if it is long.
    pub fn failed(&mut self, took: Duration) {
        if took > SLOW {
            self.bytes = (self.bytes / 2).max(SMALLEST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TIMEOUT: Duration = Duration::from_secs(30);

    /// Returns the sizes of the pages after each of these, on a link that passes so many bytes a second both ways.
    fn on_a_link(speed: u32, pages: usize) -> Vec<usize> {
        let mut size = PageSize::default();
        let next = |_| {
            let sent = size.bytes;
            let took = Duration::from_secs_f64(sent as f64 / f64::from(speed));
            if took > TIMEOUT {
                size.failed(TIMEOUT);
            } else {
                size.passed(took, true);
            }
            sent
        };
        (0..pages).map(next).collect()
    }

    #[test]
    fn pages_grow_on_a_fast_link_and_shrink_on_a_slow_one() {
        let kib = |sizes: &[usize]| sizes.iter().map(|bytes| bytes >> 10).collect::<Vec<_>>();
        assert_eq!(kib(&on_a_link(10 << 20, 4)), [64, 256, 1024, 1024]);
        // 64 kbit/s: no page is lost.
        assert_eq!(kib(&on_a_link(8 << 10, 4)), [64; 4]);
        // 9600 bit/s, with a time-out on the way.
        assert_eq!(kib(&on_a_link(1200, 6)), [64, 32, 16, 8, 8, 8]);
        // A link that is never fast enough gets the smallest page, not none.
        assert_eq!(on_a_link(10, 9).last(), Some(&SMALLEST));
    }

    #[test]
    fn a_size_that_was_rejected_is_not_tried_again() {
        let mut size = PageSize::default();
        for _ in 0..4 {
            size.passed(Duration::ZERO, true);
        }
        assert_eq!(size.limits().bytes, PAGE_BYTES);
        assert!(size.rejected());
        size.passed(Duration::ZERO, true);
        assert_eq!(size.limits().bytes, PAGE_BYTES / 2);
        // One that only took long is, once the link is fast again.
        size.failed(TIMEOUT);
        size.passed(Duration::ZERO, true);
        assert_eq!(size.limits().bytes, PAGE_BYTES / 2);
        while size.rejected() {}
        assert_eq!(size.limits().bytes, SMALLEST);
    }

    #[test]
    fn what_was_small_or_failed_at_once_says_nothing_of_the_link() {
        let mut size = PageSize::default();
        size.passed(Duration::ZERO, false);
        size.failed(Duration::from_secs(1));
        assert_eq!(size, PageSize::default());
    }

    proptest! {
        #[test]
        fn whatever_happens_a_page_is_neither_empty_nor_too_large(
            events in proptest::collection::vec((0..4_u8, 0..40_u64), 0..60),
        ) {
            let mut size = PageSize::default();
            for (event, seconds) in events {
                let took = Duration::from_secs(seconds);
                match event {
                    0 => drop(size.rejected()),
                    1 => size.failed(took),
                    _ => size.passed(took, event == 2),
                }
                prop_assert!((SMALLEST..=PAGE_BYTES).contains(&size.limits().bytes));
                prop_assert!(size.bytes <= size.ceiling);
            }
        }
    }
}
