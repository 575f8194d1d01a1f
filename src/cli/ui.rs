//! The edge that prints: the only place that writes to standard output and standard error.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is the edge that prints"
)]

use std::cell::RefCell;
use std::io::{self, BufWriter, IsTerminal, Write};

use jiff::Zoned;
use serde::Serialize;

use crate::error::{Error, Result, ResultExt};
use crate::os::clock;
use crate::os::text::multiline;

/// Where a command prints, and how.
#[derive(Debug)]
pub(crate) struct Ui {
    terminal: bool,
    colour: bool,
    printed: RefCell<Printed>,
}

/// What was printed so far.
#[derive(Debug, Default)]
struct Printed {
    /// Whether it contains an object for scripts.
    json: bool,
    /// The first failure other than a closed pipe.
    failure: Option<io::Error>,
    /// Whether the reader closed the pipe.
    unread: bool,
}

/// How much of an object is written at a time, in bytes.
const BUFFER: usize = 64 << 10;

// The codes of colours (ECMA-48, SGR).
pub(super) const BOLD: &str = "1";
pub(super) const RED: &str = "31";
pub(super) const GREEN: &str = "32";
pub(super) const YELLOW: &str = "33";

impl Ui {
    /// Returns the printing edge of this process: colour only on a terminal and without `NO_COLOR` (no-color.org).
    pub fn new() -> Ui {
        let terminal = io::stdout().is_terminal();
        Ui {
            terminal,
            colour: terminal && colour_wanted(),
            printed: RefCell::default(),
        }
    }

    /// Returns whether a person would read a remark beside the output: both streams are terminals and no JSON was printed.
    pub fn has_reader(&self) -> bool {
        self.terminal && io::stderr().is_terminal() && !self.printed.borrow_mut().json
    }

    /// Returns whether the reader of standard output closed the pipe (`heph daemon logs --follow | head -1`).
    pub fn is_unread(&self) -> bool {
        self.printed.borrow_mut().unread
    }

    /// Prints one line for people.
    pub fn say(&self, line: impl AsRef<str>) {
        self.raw(format!("{}\n", line.as_ref()).as_bytes());
    }

    /// Prints one step of a longer piece of work, with the time of day on the user's clock.
    pub fn step(&self, line: impl AsRef<str>) {
        let now = clock::now().to_zoned(jiff::tz::TimeZone::system());
        self.say(stamped(&now, line.as_ref()));
    }

    /// Prints text that ends in a newline already.
    pub fn raw(&self, text: &[u8]) {
        if let Err(error) = io::stdout().write_all(text) {
            self.failed(error);
        }
    }

    /// Prints one object for scripts, while it is serialized; nothing else may be printed to standard output then.
    pub fn json(&self, value: &impl Serialize) {
        self.printed.borrow_mut().json = true;
        let mut out = BufWriter::with_capacity(BUFFER, io::stdout().lock());
        let printed = serde_json::to_writer_pretty(&mut out, &object(value))
            .map_err(io::Error::from)
            .and_then(|()| out.write_all(b"\n"))
            .and_then(|()| out.flush());
        if let Err(error) = printed {
            self.failed(error);
        }
    }

    /// Prints a warning to standard error.
    pub fn warn(&self, line: impl AsRef<str>) {
        let _ = writeln!(io::stderr(), "warning: {}", multiline(line.as_ref()));
    }

    /// Shows on a terminal how much of a download has arrived. The line is cleared when all of it has.
    pub fn arrived(&self, done: u64, total: u64) {
        if !io::stderr().is_terminal() {
            return;
        }
        let line = (done < total).then(|| bar(done, total));
        let line = line.unwrap_or_default();
        // Back to the first column; the end of what was there before is cleared (ECMA-48, EL).
        let _ = write!(io::stderr(), "\r{line}\x1b[K");
    }

    /// Prints a remark to standard error, so that it never mixes with a command's output.
    pub fn note(&self, line: impl AsRef<str>) {
        let _ = writeln!(io::stderr(), "{}", multiline(line.as_ref()));
    }

    /// Returns `text` in `colour` where colours are on.
    pub fn painted(&self, colour: &str, text: &str) -> String {
        paint(self.colour, colour, text)
    }

    /// Flushes standard output, and reports a failed write. A closed pipe (`heph list | head -1`) is not an error.
    pub fn finish(&self) -> Result<()> {
        if let Err(error) = io::stdout().flush() {
            self.failed(error);
        }
        match self.printed.borrow_mut().failure.take() {
            Some(error) => Err(error).context("cannot write to standard output"),
            None => Ok(()),
        }
    }

    fn failed(&self, error: io::Error) {
        let mut printed = self.printed.borrow_mut();
        if error.kind() == io::ErrorKind::BrokenPipe {
            printed.unread = true;
        } else {
            printed.failure.get_or_insert(error);
        }
    }
}

/// Prints an error, its causes, and the hint it carries, to standard error.
pub fn report(error: &Error) {
    let colour = io::stderr().is_terminal() && colour_wanted();
    let _ = io::stderr().write_all(described(error, colour).as_bytes());
}

/// Returns what [`report`] prints.
fn described(error: &Error, colour: bool) -> String {
    let label = |code, text| paint(colour, code, text);
    let message = multiline(&error.to_string());
    let mut text = format!("{} {message}\n", label("1;31", "error:"));
    for cause in error.chain().skip(1) {
        text.push_str(&format!("  because: {}\n", multiline(cause)));
    }
    if let Some(hint) = error.hint() {
        text.push_str(&format!("{} {}\n", label("1;36", "hint:"), multiline(hint)));
    }
    text
}

/// Returns `value`, an object for scripts, with its schema before everything else.
pub(super) fn object<T: Serialize>(value: T) -> impl Serialize {
    #[derive(Serialize)]
    struct Object<T> {
        schema: u32,
        #[serde(flatten)]
        value: T,
    }
    Object { schema: 1, value }
}

fn stamped(now: &Zoned, line: &str) -> String {
    format!("{} {line}", now.strftime("%H:%M:%S"))
}

fn paint(on: bool, code: &str, text: &str) -> String {
    if on {
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    } else {
        text.to_owned()
    }
}

/// Returns a bar of how much of a download has arrived.
fn bar(done: u64, total: u64) -> String {
    const WIDTH: usize = 24;
    let share = done as f64 / total.max(1) as f64;
    let filled = ((share * WIDTH as f64) as usize).min(WIDTH);
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    format!(
        "downloading  {}{}  {:>3.0} %  {:.1} of {:.1} MiB",
        "#".repeat(filled),
        "-".repeat(WIDTH - filled),
        share * 100.0,
        mebibytes(done),
        mebibytes(total)
    )
}

fn colour_wanted() -> bool {
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !no_colour && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_as_message_causes_and_hint() {
        let error = Error::new("no space")
            .context("cannot write '/x'")
            .context(Error::new("cannot stage 1.0.3").with_hint("heph self-update clean"));
        let expected = "error: cannot stage 1.0.3\n  because: cannot write '/x'\n  because: no space\n\
                        hint: heph self-update clean\n";
        assert_eq!(described(&error, false), expected);
        assert!(described(&error, true).starts_with("\u{1b}[1;31merror:\u{1b}[0m cannot stage"));
    }

    #[test]
    fn a_hostile_message_cannot_steer_the_terminal() {
        let error = Error::new("tag \u{1b}]0;pwned\u{7}\r\u{9b}2J".to_string());
        assert!(!described(&error, false).contains(['\u{1b}', '\u{7}', '\r', '\u{9b}']));
    }

    #[test]
    fn objects_begin_with_their_schema_however_they_are_made() {
        let made = serde_json::to_string(&object(serde_json::json!({"a": 2})));
        assert_eq!(made.unwrap(), r#"{"schema":1,"a":2}"#);
        #[derive(Serialize)]
        struct Typed {
            z: u32,
            a: u32,
        }
        let typed = serde_json::to_string(&object(Typed { z: 3, a: 2 }));
        let expected = r#"{"schema":1,"z":3,"a":2}"#;
        assert_eq!(typed.unwrap(), expected, "the order of a type is kept");
    }

    #[test]
    fn a_step_begins_with_the_time_of_day() {
        let at = jiff::civil::date(2026, 11, 21)
            .at(12, 3, 4, 0)
            .to_zoned(jiff::tz::TimeZone::UTC)
            .unwrap();
        assert_eq!(stamped(&at, "staged 1.0.3"), "12:03:04 staged 1.0.3");
    }
}
