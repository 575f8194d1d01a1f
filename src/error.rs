//! Faults: what went wrong, which exit code it earns, and the command that helps.
//!
//! Errors travel as [`anyhow::Error`]. Where heph knows a remedy or a special exit code, the error carries a [`Fault`],
//! as its root or as a context; the outermost one found decides how the process ends.

use std::fmt;

/// How a run of `heph` ends, as the exit code that scripts see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing to do: 0.
    Done,
    /// Failed; nothing was changed, or what was changed is named: 1.
    Failed,
    /// Wrong usage or configuration: 2.
    Usage,
    /// The new release was unhealthy and the old one is back: 3.
    RolledBack,
    /// Try again later: another run holds the lock, or the forge cannot be reached: 75 (`EX_TEMPFAIL` of sysexits.h).
    TryLater,
    /// `check` only: a newer release exists: 100.
    Available,
}

impl Exit {
    /// Returns the number that the process exits with.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::RolledBack => 3,
            Exit::TryLater => 75,
            Exit::Available => 100,
        }
    }
}

/// An error with an exit code and, where there is one, a remedy.
///
/// Usable as a root (`Err(Fault::new("…").into())`) and as a context (`.context(Fault::new("…"))`).
#[derive(Clone, Debug)]
pub struct Fault {
    message: String,
    hint: Option<String>,
    exit: Exit,
}

impl Fault {
    /// Returns a fault that exits with [`Exit::Failed`] and has no hint yet.
    pub fn new(message: impl Into<String>) -> Self {
        Fault {
            message: message.into(),
            hint: None,
            exit: Exit::Failed,
        }
    }

    /// Returns a fault of wrong usage or configuration.
    pub fn usage(message: impl Into<String>) -> Self {
        Fault::new(message).exit(Exit::Usage)
    }

    /// Adds the command or step that helps.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Sets how the process ends.
    pub fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// Returns the outermost fault that `error` carries, if it carries one.
    pub fn of(error: &anyhow::Error) -> Option<&Fault> {
        error.downcast_ref::<Fault>()
    }

    /// Returns the exit code that `error` earns: its outermost fault's, else [`Exit::Failed`].
    pub fn exit_of(error: &anyhow::Error) -> Exit {
        Fault::of(error).map_or(Exit::Failed, |fault| fault.exit)
    }

    /// Returns the hint that `error` carries.
    pub fn hint_of(error: &anyhow::Error) -> Option<&str> {
        Fault::of(error).and_then(|fault| fault.hint.as_deref())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

/// How much of the beginning, and of the end, of a longer line is kept, in characters.
const HALF_A_LINE: usize = 500;

/// Returns `error` and its causes in one line, for histories, JSON and logs.
///
/// A cause may quote whatever another program printed, so the line has an end, and no control characters: state files
/// that are read back are bounded, and a variable of a hook can hold no zero byte.
pub fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        // A context that merely repeats its cause would read as stutter.
        if line.ends_with(&text) {
            continue;
        }
        if !line.is_empty() {
            line.push_str(": ");
        }
        line.push_str(&text.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    bounded(&line.replace(char::is_control, "\u{fffd}"))
}

/// Returns `line` without its middle where it is too long: the beginning names the object, the end the cause.
fn bounded(line: &str) -> String {
    let place = |(place, _)| place;
    let start = line.char_indices().nth(HALF_A_LINE).map(place);
    let end = line.char_indices().nth_back(HALF_A_LINE - 1).map(place);
    match (start, end) {
        (Some(start), Some(end)) if start < end => format!("{} … {}", &line[..start], &line[end..]),
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    #[test]
    fn a_fault_is_found_below_and_above_other_contexts() {
        let below = anyhow::Error::from(Fault::usage("bad").hint("fix it")).context("outer");
        assert_eq!(Fault::exit_of(&below), Exit::Usage);
        assert_eq!(Fault::hint_of(&below), Some("fix it"));

        let above = Err::<(), _>(anyhow!("cause"))
            .context(
                Fault::new("cannot do it")
                    .hint("do that")
                    .exit(Exit::TryLater),
            )
            .unwrap_err();
        assert_eq!(Fault::exit_of(&above).code(), 75);
        assert_eq!(one_line(&above), "cannot do it: cause");
    }

    #[test]
    fn a_line_that_quotes_a_talkative_program_has_an_end() {
        let error = anyhow!("{} the cause", "x\0\u{1b}".repeat(100_000)).context("the object");
        let line = one_line(&error);
        assert!(line.starts_with("the object: x") && line.ends_with(" the cause"));
        assert_eq!(line.chars().count(), 2 * HALF_A_LINE + 3);
        assert!(!line.contains(char::is_control));

        let just = "é".repeat(2 * HALF_A_LINE);
        assert_eq!(one_line(&anyhow!("{just}")), just);
    }

    #[test]
    fn an_error_without_a_fault_has_failed() {
        assert_eq!(Fault::exit_of(&anyhow!("plain")), Exit::Failed);
        assert_eq!(Fault::hint_of(&anyhow!("plain")), None);
    }
}
