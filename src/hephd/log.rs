//! hephd's output: log lines to standard error, and what `hephd store` prints to standard output.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is hephd's edge that prints; that of `heph` is out of its reach"
)]

use std::fmt::{Display, Write as _};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::OFlags;
use serde::Serialize;

use crate::error::Result;
use crate::os::clock;
use crate::os::text::printable;

/// A log of more bytes is moved to `<log>.1`.
const LIMIT: u64 = 8 << 20;
/// How many bytes are written between two looks at its size.
const LOOK_EVERY: u64 = 64 << 10;

/// The log, where standard error leads to it.
static LOG: OnceLock<PathBuf> = OnceLock::new();
/// How many bytes were written since the last look.
static WRITTEN: AtomicU64 = AtomicU64::new(0);

/// Logs one line with the time. A log that cannot be written does not stop hephd.
pub(super) fn line(line: impl AsRef<str>) {
    let line = format!("{} {}\n", clock::now(), line.as_ref());
    let _ = io::stderr().write_all(line.as_bytes());
    let length = line.len() as u64;
    if WRITTEN.fetch_add(length, Ordering::Relaxed) + length > LOOK_EVERY {
        WRITTEN.store(0, Ordering::Relaxed);
        rotate_if_large();
    }
}

/// Keeps the file `log` within bounds from now on, if standard error appends to it, whatever started hephd: a service manager
/// that starts it again and again, or a shell. What else standard error leads to is somebody else's.
pub(super) fn keep_bounded(log: PathBuf) {
    if appended(&log).is_some() {
        let _ = LOG.set(log);
        rotate_if_large();
    }
}

/// Returns standard error, if it appends to the file `log`.
fn appended(log: &Path) -> Option<File> {
    let open = File::from(io::stderr().as_fd().try_clone_to_owned().ok()?);
    let appends = rustix::fs::fcntl_getfl(&open).is_ok_and(|flags| flags.contains(OFlags::APPEND));
    let place = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let is_it = appends && place(open.metadata().ok()?) == place(fs::metadata(log).ok()?);
    is_it.then_some(open)
}

/// Copies the log to `<log>.1` and empties it: others that have it open, such as the service manager, go on appending to it.
fn rotate_if_large() {
    // It may have been moved away by now.
    let Some((log, open)) = LOG.get().and_then(|log| Some((log, appended(log)?))) else {
        return;
    };
    if open.metadata().is_ok_and(|metadata| metadata.len() > LIMIT) {
        let mut old = log.clone().into_os_string();
        old.push(".1");
        // Emptied in any case: a disk that is full is no reason to let it grow.
        let _ = fs::copy(log, old);
        let _ = open.set_len(0);
    }
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
