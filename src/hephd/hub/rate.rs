//! Rate limits: a token bucket for each user. Pure: the time is passed in.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The most buckets that are kept.
const MOST: usize = 10_000;

/// A bucket for each user, with one minute of tokens.
#[derive(Debug)]
pub(super) struct Rate {
    per_minute: u32,
    buckets: HashMap<String, Bucket>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Rate {
    pub(super) fn new(per_minute: u32) -> Rate {
        Rate {
            per_minute,
            buckets: HashMap::new(),
        }
    }

    /// Takes a token from the bucket of `user`. If it is empty, returns the time until the next token.
    pub(super) fn take(&mut self, user: &str, now: Instant) -> Result<(), Duration> {
        let full = f64::from(self.per_minute);
        let per_second = full / 60.0;
        if !self.buckets.contains_key(user) && self.buckets.len() >= MOST {
            self.evict(now);
        }
        let fresh = Bucket {
            tokens: full,
            at: now,
        };
        let bucket = self.buckets.entry(user.to_owned()).or_insert(fresh);
        bucket.tokens = bucket.after(now, per_second).min(full);
        bucket.at = now;
        if bucket.tokens < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - bucket.tokens) / per_second));
        }
        bucket.tokens -= 1.0;
        Ok(())
    }

    /// Drops the buckets that are full again, which has no effect; without any, the fullest.
    fn evict(&mut self, now: Instant) {
        let full = f64::from(self.per_minute);
        let per_second = full / 60.0;
        self.buckets
            .retain(|_, bucket| bucket.after(now, per_second) < full);
        if self.buckets.len() < MOST {
            return;
        }
        let fullest = self.buckets.iter().max_by(|(_, a), (_, b)| {
            a.after(now, per_second)
                .total_cmp(&b.after(now, per_second))
        });
        if let Some(user) = fullest.map(|(user, _)| user.clone()) {
            self.buckets.remove(&user);
        }
    }
}

impl Bucket {
    fn after(&self, now: Instant, per_second: f64) -> f64 {
        self.tokens + now.saturating_duration_since(self.at).as_secs_f64() * per_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_user_at_the_limit_gets_the_time_to_wait_and_others_are_not_affected() {
        let start = Instant::now();
        let mut rate = Rate::new(60);
        for _ in 0..60 {
            assert_eq!(rate.take("a", start), Ok(()));
        }
        let wait = rate.take("a", start).unwrap_err();
        assert_eq!(wait, Duration::from_secs(1));
        assert_eq!(rate.take("b", start), Ok(()));
        assert_eq!(rate.take("a", start + wait), Ok(()));
        assert!(rate.take("a", start + wait).is_err());
        // A clock that stands still, or is read out of order, adds no tokens.
        assert!(rate.take("a", start).is_err());
    }

    #[test]
    fn many_users_neither_fill_the_memory_nor_reset_a_limit() {
        let start = Instant::now();
        let mut rate = Rate::new(2);
        assert_eq!(rate.take("busy", start), Ok(()));
        assert_eq!(rate.take("busy", start), Ok(()));
        for n in 0..MOST + 100 {
            assert_eq!(rate.take(&n.to_string(), start), Ok(()));
        }
        assert!(rate.buckets.len() <= MOST);
        assert!(rate.take("busy", start).is_err());
        let later = start + Duration::from_secs(3600);
        assert_eq!(rate.take("new", later), Ok(()));
        assert_eq!(rate.buckets.len(), 1);
    }

    proptest! {
        #[test]
        fn no_more_than_a_bucket_and_its_refill_is_taken(
            per_minute in 1u32..1000,
            pauses in proptest::collection::vec(0u64..5_000, 1..300),
        ) {
            let start = Instant::now();
            let mut rate = Rate::new(per_minute);
            let mut now = start;
            let mut taken = 0u32;
            for pause in pauses {
                now += Duration::from_millis(pause);
                taken += u32::from(rate.take("a", now).is_ok());
            }
            let flowed = (now - start).as_secs_f64() * f64::from(per_minute) / 60.0;
            prop_assert!(f64::from(taken) <= f64::from(per_minute) + flowed + 1e-6);
        }
    }
}
