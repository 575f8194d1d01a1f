//! The edge that prints: the only place that writes to standard output and standard error.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is the edge that prints"
)]

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Zoned;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::{Error, Result, ResultExt};
use crate::os::clock;
use crate::os::text::multiline;

/// Where a command prints, and how. Clones share what was printed.
#[derive(Clone, Debug)]
pub(crate) struct Ui {
    terminal: bool,
    colour: bool,
    printed: Arc<Mutex<Printed>>,
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

impl Ui {
    /// Returns the printing edge of this process: colour only on a terminal and without `NO_COLOR` (no-color.org).
    pub fn new() -> Ui {
        let terminal = io::stdout().is_terminal();
        Ui {
            terminal,
            colour: terminal && colour_wanted(),
            printed: Arc::default(),
        }
    }

    /// Returns whether a person would read a remark beside the output: both streams are terminals and no JSON was printed.
    pub fn has_reader(&self) -> bool {
        self.terminal && io::stderr().is_terminal() && !self.printed().json
    }

    /// Returns whether the reader of standard output closed the pipe (`heph daemon logs --follow | head -1`).
    pub fn is_unread(&self) -> bool {
        self.printed().unread
    }

    /// Prints one line for people.
    pub fn say(&self, line: impl AsRef<str>) {
        self.out(format!("{}\n", line.as_ref()).as_bytes());
    }

    /// Prints one step of a longer piece of work, with the time of day on the user's clock.
    pub fn step(&self, line: impl AsRef<str>) {
        let now = clock::now().to_zoned(jiff::tz::TimeZone::system());
        self.say(stamped(&now, line.as_ref()));
    }

    /// Prints text that ends in a newline already.
    pub fn raw(&self, text: &[u8]) {
        self.out(text);
    }

    /// Prints one object for scripts; nothing else may be printed to standard output then.
    pub fn json(&self, value: &impl Serialize) {
        self.printed().json = true;
        match object(value) {
            Ok(text) => self.out(format!("{text}\n").as_bytes()),
            Err(error) => self.failed(error.into()),
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
        let line = if done < total {
            bar(done, total)
        } else {
            String::new()
        };
        // Back to the first column; the end of what was there before is cleared (ECMA-48, EL).
        let _ = write!(io::stderr(), "\r{line}\x1b[K");
    }

    /// Prints a remark to standard error, so that it never mixes with a command's output.
    pub fn note(&self, line: impl AsRef<str>) {
        let _ = writeln!(io::stderr(), "{}", multiline(line.as_ref()));
    }

    pub fn bold(&self, text: &str) -> String {
        self.painted("1", text)
    }

    pub fn green(&self, text: &str) -> String {
        self.painted("32", text)
    }

    pub fn yellow(&self, text: &str) -> String {
        self.painted("33", text)
    }

    pub fn red(&self, text: &str) -> String {
        self.painted("31", text)
    }

    /// Flushes standard output, and reports a failed write.
    ///
    /// # Errors
    ///
    /// A write failed, such as on a full disk. A closed pipe (`heph list | head -1`) is not an error.
    pub fn finish(&self) -> Result<()> {
        if let Err(error) = io::stdout().flush() {
            self.failed(error);
        }
        match self.printed().failure.take() {
            Some(error) => Err(error).context("cannot write to standard output"),
            None => Ok(()),
        }
    }

    fn painted(&self, code: &str, text: &str) -> String {
        if self.colour {
            paint(code, text)
        } else {
            text.to_owned()
        }
    }

    fn out(&self, text: &[u8]) {
        if let Err(error) = io::stdout().write_all(text) {
            self.failed(error);
        }
    }

    fn failed(&self, error: io::Error) {
        let mut printed = self.printed();
        if error.kind() == io::ErrorKind::BrokenPipe {
            printed.unread = true;
        } else {
            printed.failure.get_or_insert(error);
        }
    }

    fn printed(&self) -> std::sync::MutexGuard<'_, Printed> {
        // A thread that panicked while printing leaves nothing half done here.
        self.printed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Prints an error, its causes, and the hint it carries, to standard error.
pub fn report(error: &Error) {
    let colour = io::stderr().is_terminal() && colour_wanted();
    let _ = io::stderr().write_all(described(error, colour).as_bytes());
}

/// Returns what [`report`] prints.
fn described(error: &Error, colour: bool) -> String {
    let label = |code: &str, text: &str| {
        if colour {
            paint(code, text)
        } else {
            text.to_owned()
        }
    };
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

/// Returns `value` as JSON text, with `schema` first: `json!` sorts its keys.
fn object(value: &impl Serialize) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct SchemaFirst {
        schema: Value,
        #[serde(flatten)]
        rest: Map<String, Value>,
    }
    let text = serde_json::to_string_pretty(value)?;
    if text.starts_with("{\n  \"schema\"") {
        return Ok(text);
    }
    let mut rest: Map<String, Value> = serde_json::from_str(&text)?;
    let schema = rest.remove("schema").unwrap_or_else(|| 1.into());
    serde_json::to_string_pretty(&SchemaFirst { schema, rest })
}

fn stamped(now: &Zoned, line: &str) -> String {
    format!("{} {line}", now.strftime("%H:%M:%S"))
}

fn paint(code: &str, text: &str) -> String {
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
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
        let expected = "{\n  \"schema\": 1,\n  \"a\": 2\n}";
        assert_eq!(
            object(&serde_json::json!({"a": 2, "schema": 1})).unwrap(),
            expected
        );
        #[derive(Serialize)]
        struct Typed {
            schema: u32,
            z: u32,
            a: u32,
        }
        let typed = Typed {
            schema: 1,
            z: 3,
            a: 2,
        };
        let text = object(&typed).unwrap();
        assert!(
            text.find("z") < text.find("\"a\""),
            "the order of a type is kept: {text}"
        );
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
