//! Lengths of time as people write them: `90s`, `30m`, `6h`, `1d`.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::time::Duration;

use super::values::Text;
use crate::error::{Error, Result};

const UNITS: [(&str, u64); 4] = [("d", 24 * 60 * 60), ("h", 60 * 60), ("m", 60), ("s", 1)];
const LONGEST: u64 = 3650 * 24 * 60 * 60;

/// A length of time that people write and read. What it displays, in whole seconds, it reads back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval(Duration);

impl Interval {
    /// Returns an interval of `seconds`.
    pub const fn from_secs(seconds: u64) -> Interval {
        Interval(Duration::from_secs(seconds))
    }
}

impl Deref for Interval {
    type Target = Duration;

    fn deref(&self) -> &Duration {
        &self.0
    }
}

impl From<Duration> for Interval {
    fn from(length: Duration) -> Interval {
        Interval(length)
    }
}

/// Accepts a whole number and one of `s`, `m`, `h`, `d`, up to ten years.
impl FromStr for Interval {
    type Err = Error;

    fn from_str(text: &str) -> Result<Interval> {
        let seconds = UNITS.iter().find_map(|(unit, seconds)| {
            let number = text.strip_suffix(unit)?;
            let digits = number.bytes().all(|byte| byte.is_ascii_digit());
            let number: u64 = number.parse().ok().filter(|_| digits)?;
            number.checked_mul(*seconds)
        });
        let seconds = seconds.filter(|seconds| *seconds <= LONGEST);
        seconds.map(Interval::from_secs).ok_or_else(|| {
            Error::usage(format!("'{text}' is not a length of time"))
                .with_hint("write it like 90s, 30m, 6h or 1d")
        })
    }
}

/// Displays it in the largest unit that divides it.
impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.as_secs();
        let divides = |(_, unit): &&(&str, u64)| seconds > 0 && seconds.is_multiple_of(*unit);
        let (name, unit) = UNITS.iter().find(divides).unwrap_or(&("s", 1));
        write!(f, "{}{name}", seconds / unit)
    }
}

impl Text for Interval {
    const EXPECTED: &'static str = "a length of time such as \"90s\", \"30m\", \"6h\" or \"1d\"";

    fn read(text: &str) -> Result<Interval, Option<Error>> {
        text.parse().map_err(|_| None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_four_units_are_read() {
        let read = |text: &str| text.parse::<Interval>().unwrap().as_secs();
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
            assert!(text.parse::<Interval>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(seconds in 0u64..=3650 * 86400) {
            let length = Interval::from_secs(seconds);
            prop_assert_eq!(length.to_string().parse::<Interval>().unwrap(), length);
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = text.parse::<Interval>();
        }
    }
}
