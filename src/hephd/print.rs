//! hephd's own edge that prints: log lines to standard error, and what `hephd store` says to standard output.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is hephd's edge that prints; that of `heph` is out of its reach"
)]

use std::io::{self, Write};

use serde::Serialize;

use crate::os::clock;

/// Logs one line with the time. A log that is full or gone stops nothing.
pub fn log(line: impl AsRef<str>) {
    let _ = writeln!(io::stderr(), "{} {}", clock::now(), line.as_ref());
}

/// Prints one line for people.
pub fn say(line: impl AsRef<str>) {
    let _ = writeln!(io::stdout(), "{}", line.as_ref());
}

/// Prints one object for scripts.
///
/// # Errors
///
/// It could not be printed; a script must not take silence for an answer.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    writeln!(io::stdout(), "{text}")?;
    Ok(())
}
