//! The clock, read at the edge and passed in everywhere else.

use jiff::Timestamp;

/// Returns the time now, to the millisecond (what JSON and histories carry).
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

/// Returns the machine's monotonic clock in milliseconds: the same in every process, and never set.
pub fn monotonic_ms() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let millis = now.tv_sec * 1000 + now.tv_nsec / 1_000_000;
    u64::try_from(millis).unwrap_or_default()
}
