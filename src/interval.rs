//! Lengths of time as people write them: `90s`, `30m`, `6h`, `1d`.

use crate::error::Error;
use std::time::Duration;

/// Returns the length that `text` names: a whole number and one of `s`, `m`, `h`, `d`.
///
/// # Errors
///
/// `text` is anything else, or does not fit.
pub fn parse(text: &str) -> Result<Duration, Error> {
    let bad = || {
        Error::usage(format!("'{text}' is not a length of time"))
            .with_hint("write it like 90s, 30m, 6h or 1d")
    };
    let (number, unit) = text
        .split_at_checked(text.len().saturating_sub(1))
        .ok_or_else(bad)?;
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err(bad()),
    };
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad());
    }
    let number: u64 = number.parse().map_err(|_| bad())?;
    number
        .checked_mul(seconds)
        .filter(|seconds| *seconds <= 3650 * 24 * 60 * 60)
        .map(Duration::from_secs)
        .ok_or_else(bad)
}

/// Returns `length`, in whole seconds, in the largest unit that divides it: what [`parse`] reads back.
pub fn show(length: Duration) -> String {
    let seconds = length.as_secs();
    for (unit, name) in [(24 * 60 * 60, 'd'), (60 * 60, 'h'), (60, 'm')] {
        if seconds > 0 && seconds.is_multiple_of(unit) {
            return format!("{}{name}", seconds / unit);
        }
    }
    format!("{seconds}s")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_four_units_are_read() {
        let read = |text| parse(text).unwrap().as_secs();
        assert_eq!(
            (read("90s"), read("30m"), read("6h"), read("1d"), read("0s")),
            (90, 1800, 21600, 86400, 0)
        );
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "s",
            "6",
            "6 h",
            "-6h",
            "+6h",
            "1.5h",
            "6H",
            "6hours",
            "h6",
            "99999999999999999999d",
            "9999999d",
            "6é",
            "٣h",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(seconds in 0u64..=3650 * 86400) {
            let length = Duration::from_secs(seconds);
            prop_assert_eq!(parse(&show(length)).unwrap(), length);
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = parse(&text);
        }
    }
}
