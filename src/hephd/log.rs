//! hephd's output: log lines to standard error, and what `hephd store` prints to standard output.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is hephd's edge that prints; that of `heph` is out of its reach"
)]

use std::fmt::{Display, Write as _};
use std::io::{self, Write};

use serde::Serialize;

use crate::error::Result;
use crate::os::clock;
use crate::os::text::printable;

/// Logs one line with the time. A log that cannot be written does not stop hephd.
pub(super) fn line(line: impl AsRef<str>) {
    let _ = writeln!(io::stderr(), "{} {}", clock::now(), line.as_ref());
}

/// Logs one event as `event=… key=value …`. A value with more than plain characters is written as a JSON string, so that one
/// event is one line and a value cannot pass for a key.
pub(super) fn event(name: &str, fields: &[(&str, &dyn Display)]) {
    line(event_line(name, fields));
}

/// Prints one line for people.
pub(super) fn say(line: impl AsRef<str>) {
    let _ = writeln!(io::stdout(), "{}", line.as_ref());
}

/// Prints one object for scripts.
///
/// # Errors
///
/// It could not be printed; a script must not take silence for success.
pub(super) fn json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    writeln!(io::stdout(), "{text}")?;
    Ok(())
}

fn event_line(name: &str, fields: &[(&str, &dyn Display)]) -> String {
    let mut line = format!("event={name}");
    for (key, value) in fields {
        let value = value.to_string();
        let plain = |c: char| c.is_ascii_alphanumeric() || "._:/@+-[]".contains(c);
        let shown = if !value.is_empty() && value.chars().all(plain) {
            value
        } else {
            // JSON leaves what is not ASCII as it is; C1 controls and marks of direction could steer a terminal.
            let quoted = serde_json::Value::from(value).to_string();
            printable(&quoted)
        };
        // Writing to a string does not fail.
        let _ = write!(line, " {key}={shown}");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_whose_values_pass_for_nothing_else() {
        let odd = "a b=\"c\"\nevent=x \u{9b}\u{202e}";
        let line = event_line(
            "sync",
            &[
                ("user", &odd),
                ("took", &3),
                ("spoke", &"01X"),
                ("none", &""),
            ],
        );
        assert_eq!(
            line,
            r#"event=sync user="a b=\"c\"\nevent=x \u{9b}\u{202e}" took=3 spoke=01X none="""#
        );
    }
}
