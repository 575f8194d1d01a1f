//! The clock, read at the edge and passed in everywhere else.

use jiff::Timestamp;

/// Returns the time now, to the millisecond (what JSON and histories carry).
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}
