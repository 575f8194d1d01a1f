//! The clock, read at the edge and passed in everywhere else.

use std::time::Duration;

use jiff::Timestamp;

/// Returns the time now, to the millisecond (what JSON and histories carry).
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

/// Returns `length` in words, rounded, so that it reads the same a while later.
pub(crate) fn roughly(length: Duration) -> String {
    let minutes = (length.as_secs() + 30) / 60;
    match minutes {
        0..120 => format!("{minutes} minutes"),
        120..2880 => format!("{} hours", (minutes + 30) / 60),
        _ => format!("{} days", (minutes + 720) / 1440),
    }
}

/// Returns the machine's monotonic clock in milliseconds: the same in every process, and never set.
pub fn monotonic_ms() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let millis = now.tv_sec * 1000 + now.tv_nsec / 1_000_000;
    u64::try_from(millis).unwrap_or_default()
}
