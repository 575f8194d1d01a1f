//! What went wrong: one type for the whole crate, on either side of the socket and of HTTP.
//!
//! An [`Error`] has a kind, a message, the causes behind it, and, where heph knows one, the command that helps. The kind
//! decides the exit code. Code that branches on more than the kind has an enum of its own.

use std::fmt::{self, Display};
use std::io;
use std::time::Duration;

use rusqlite::ffi;
use serde::{Deserialize, Serialize};

/// The result of whatever can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// How a run of `heph` ends, as the exit code that scripts see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// Failed; nothing was changed, or what was changed is named.
    Failed = 1,
    /// Wrong usage or configuration.
    Usage = 2,
    /// The new release was unhealthy and the old one is back.
    RolledBack = 3,
    /// Try again later: another run holds the lock, or the forge cannot be reached (`EX_TEMPFAIL` of sysexits.h).
    TryLater = 75,
    /// `check` only: a newer release exists.
    Available = 100,
}

impl Exit {
    /// Returns the number that the process exits with.
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// What kind of failure it is, as far as a caller branches on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Wrong usage or configuration.
    Usage,
    /// Another process is at it; later it may work.
    Busy,
    /// A host cannot be reached, or asks for a later try.
    Unreachable,
    /// hephd does not run, or listens elsewhere.
    Absent,
    /// A file, a program or a task does not exist.
    NotFound,
    /// A value is malformed or out of bounds.
    Invalid,
    /// An abbreviation fits more than one thing.
    Ambiguous,
    /// The same id was used for something else.
    Conflict,
    /// A request or an answer is larger than its receiver accepts.
    TooLarge,
    /// There is no room: a quota or a disk is used up.
    Full,
    /// The open files of the store are unusable; a process that opens them anew may succeed.
    Lost,
    /// The content of the store is damaged, which no process can change by opening it again.
    Damaged,
    /// The login is missing, expired or rejected.
    Unauthorized,
    /// The operating system does not permit it.
    Denied,
    /// The release itself is to blame, not this machine, the network or the settings.
    Unfit,
    /// A release could not be built: it may be to blame, or this machine, and nothing shows which.
    Build,
    /// A part of a release, such as its tag, is not published yet.
    NotYet,
    /// Any other, also one that only a newer heph knows.
    #[default]
    #[serde(other)]
    Failed,
}

impl Kind {
    /// Returns how a process ends that fails so.
    pub fn exit(self) -> Exit {
        match self {
            Kind::Usage => Exit::Usage,
            Kind::Busy | Kind::Unreachable | Kind::Full => Exit::TryLater,
            _ => Exit::Failed,
        }
    }

    fn of(error: &(dyn std::error::Error + 'static)) -> Kind {
        if let Some(error) = error.downcast_ref() {
            return Kind::of_database(error);
        }
        match error.downcast_ref().map(io::Error::kind) {
            Some(io::ErrorKind::NotFound) => Kind::NotFound,
            Some(io::ErrorKind::PermissionDenied) => Kind::Denied,
            _ => Kind::Failed,
        }
    }

    fn of_database(error: &rusqlite::Error) -> Kind {
        use rusqlite::Error::*;
        match error {
            // The tables are strict: no release writes a value of another type, or text that is not UTF-8.
            FromSqlConversionFailure(..)
            | IntegralValueOutOfRange(..)
            | InvalidColumnType(..)
            | Utf8Error(..) => Kind::Damaged,
            _ => error
                .sqlite_error()
                .map_or(Kind::Failed, |error| Kind::of_sqlite(error.extended_code)),
        }
    }

    /// Returns what an extended result code (sqlite.org/rescode.html) says about the files of a database.
    fn of_sqlite(code: i32) -> Kind {
        match code {
            // Out of memory, or of room for the index of the log: a later call of the same process may succeed.
            ffi::SQLITE_IOERR_NOMEM | ffi::SQLITE_IOERR_SHMSIZE => Kind::Failed,
            ffi::SQLITE_READONLY_DBMOVED => Kind::Lost,
            // The low byte is the primary code.
            _ => match code & 0xff {
                ffi::SQLITE_IOERR | ffi::SQLITE_PROTOCOL => Kind::Lost,
                ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB => Kind::Damaged,
                _ => Kind::Failed,
            },
        }
    }
}

/// Why something failed.
///
/// As with `anyhow`, any [`std::error::Error`] becomes one by `?`, so this type does not implement that trait.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Error(Box<Inner>);

#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Inner {
    #[serde(default)]
    kind: Kind,
    message: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    causes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_after: Option<Duration>,
}

impl Error {
    /// Returns an error of [`Kind::Failed`].
    pub fn new(message: impl Into<String>) -> Error {
        Error(Box::new(Inner {
            message: message.into(),
            ..Inner::default()
        }))
    }

    /// Returns an error of wrong usage or configuration.
    pub fn usage(message: impl Into<String>) -> Error {
        Error::new(message).with_kind(Kind::Usage)
    }

    /// Returns an error that a later try may not meet.
    pub fn unreachable(message: impl Into<String>) -> Error {
        Error::new(message).with_kind(Kind::Unreachable)
    }

    /// Returns an error that blames the release.
    pub fn unfit(message: impl Into<String>) -> Error {
        Error::new(message).with_kind(Kind::Unfit)
    }

    /// Sets the kind.
    pub fn with_kind(mut self, kind: Kind) -> Error {
        self.0.kind = kind;
        self
    }

    /// Adds the command or step that helps.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Error {
        self.0.hint = Some(hint.into());
        self
    }

    /// Sets how long to wait before the next try.
    pub fn with_retry_after(mut self, wait: impl Into<Option<Duration>>) -> Error {
        self.0.retry_after = wait.into();
        self
    }

    /// Puts `outer` on top: this error becomes its cause, and gives it what it lacks of kind, hint and time to wait.
    pub fn context(self, outer: impl Into<Context>) -> Error {
        let Context(Error(mut outer)) = outer.into();
        let inner = *self.0;
        if outer.kind == Kind::Failed {
            outer.kind = inner.kind;
        }
        outer.causes.push(inner.message);
        outer.causes.extend(inner.causes);
        outer.hint = outer.hint.or(inner.hint);
        outer.retry_after = outer.retry_after.or(inner.retry_after);
        Error(outer)
    }

    /// Applies `f` to every text, for an error that another process sent.
    pub fn map_text(mut self, f: impl Fn(&str) -> String) -> Error {
        let hint = self.0.hint.iter_mut();
        for text in hint.chain(&mut self.0.causes).chain([&mut self.0.message]) {
            *text = f(text);
        }
        self
    }

    /// Returns the kind.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Returns how a process ends that fails so.
    pub fn exit(&self) -> Exit {
        self.0.kind.exit()
    }

    /// Returns the command or step that helps.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Returns how long to wait before the next try, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Returns the message and its causes, without those that merely repeat what is above them.
    pub fn chain(&self) -> impl Iterator<Item = &str> {
        let all = std::iter::once(&self.0.message).chain(&self.0.causes);
        let mut last = "";
        all.map(String::as_str).filter(move |text| {
            let stutters = last.ends_with(text);
            last = text;
            !stutters
        })
    }

    /// Returns the error and its causes in one line, for histories, JSON and logs.
    ///
    /// A cause may quote whatever another program printed, so the line has an end, and no control characters: state files
    /// that are read back are bounded, and a variable of a hook can hold no zero byte.
    pub fn one_line(&self) -> String {
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = self.chain().map(words).collect::<Vec<_>>().join(": ");
        bounded(&line.replace(char::is_control, "\u{fffd}"))
    }
}

/// Displays the message; `{:#}` also the causes.
impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if f.alternate() {
            for cause in self.chain().skip(1) {
                write!(f, ": {cause}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:#} ({:?}", self.0.kind)?;
        if let Some(hint) = &self.0.hint {
            write!(f, ", hint: {hint}")?;
        }
        f.write_str(")")
    }
}

impl<E: std::error::Error + 'static> From<E> for Error {
    fn from(error: E) -> Error {
        let mut outer = Error::new(error.to_string()).with_kind(Kind::of(&error));
        let causes = std::iter::successors(error.source(), |cause| cause.source());
        outer.0.causes = causes.map(|cause| cause.to_string()).collect();
        outer
    }
}

/// So that a function that parses serves clap.
impl From<Error> for Box<dyn std::error::Error + Send + Sync> {
    fn from(error: Error) -> Self {
        format!("{error:#}").into()
    }
}

/// What is put on top of an error: a sentence, or an error with a kind or a hint of its own.
#[derive(Debug)]
pub struct Context(Error);

impl<T: Into<String>> From<T> for Context {
    fn from(message: T) -> Context {
        Context(Error::new(message))
    }
}

impl From<Error> for Context {
    fn from(error: Error) -> Context {
        Context(error)
    }
}

/// Puts a sentence on top of a failure: which object, and what was being done.
pub trait ResultExt<T> {
    /// As [`Error::context`].
    fn context(self, outer: impl Into<Context>) -> Result<T>;

    /// As [`ResultExt::context`], made only when it is needed.
    fn with_context<C: Into<Context>>(self, outer: impl FnOnce() -> C) -> Result<T>;
}

impl<T, E: Into<Error>> ResultExt<T> for std::result::Result<T, E> {
    fn context(self, outer: impl Into<Context>) -> Result<T> {
        self.map_err(|error| error.into().context(outer))
    }

    fn with_context<C: Into<Context>>(self, outer: impl FnOnce() -> C) -> Result<T> {
        self.map_err(|error| error.into().context(outer()))
    }
}

impl<T> ResultExt<T> for Option<T> {
    fn context(self, outer: impl Into<Context>) -> Result<T> {
        self.with_context(|| outer)
    }

    fn with_context<C: Into<Context>>(self, outer: impl FnOnce() -> C) -> Result<T> {
        self.ok_or_else(|| outer().into().0)
    }
}

/// Returns early with an error of this message.
macro_rules! bail {
    ($($message:tt)*) => {
        return Err($crate::error::Error::new(format!($($message)*)).into())
    };
}

/// Returns early with an error of this message unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)*) => {
        if !$condition {
            $crate::error::bail!($($message)*);
        }
    };
}

pub(crate) use {bail, ensure};

/// How much of the beginning, and of the end, of a longer line is kept, in characters.
const HALF_A_LINE: usize = 500;

/// Returns `line` without its middle where it is too long: the beginning names the object, the end the cause.
fn bounded(line: &str) -> String {
    let start = line.char_indices().nth(HALF_A_LINE);
    let end = line.char_indices().nth_back(HALF_A_LINE - 1);
    match (start, end) {
        (Some((start, _)), Some((end, _))) if start < end => {
            format!("{} … {}", &line[..start], &line[end..])
        }
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_and_hint_come_from_the_outermost_error_that_has_one() {
        let inner = Error::usage("bad")
            .with_hint("fix it")
            .with_retry_after(Duration::from_secs(3));
        let plain = inner.clone().context("outer");
        assert_eq!(plain.exit(), Exit::Usage);
        assert_eq!(plain.hint(), Some("fix it"));
        assert_eq!(plain.retry_after(), Some(Duration::from_secs(3)));

        let above = inner.context(Error::unreachable("cannot do it").with_hint("do that"));
        assert_eq!(above.exit().code(), 75);
        assert_eq!(above.hint(), Some("do that"));
        assert_eq!(above.one_line(), "cannot do it: bad");
        assert_eq!(above.to_string(), "cannot do it");
    }

    #[test]
    fn what_the_operating_system_says_becomes_the_kind() {
        let of = |kind| Error::from(io::Error::from(kind)).context("x").kind();
        assert_eq!(of(io::ErrorKind::NotFound), Kind::NotFound);
        assert_eq!(of(io::ErrorKind::PermissionDenied), Kind::Denied);
        assert_eq!(of(io::ErrorKind::Other), Kind::Failed);
    }

    #[test]
    fn a_result_code_of_sqlite_tells_whether_its_files_are_of_use() {
        for (code, kind) in [
            (ffi::SQLITE_BUSY, Kind::Failed),
            (ffi::SQLITE_BUSY_RECOVERY, Kind::Failed),
            (ffi::SQLITE_LOCKED, Kind::Failed),
            (ffi::SQLITE_FULL, Kind::Failed),
            (ffi::SQLITE_NOMEM, Kind::Failed),
            (ffi::SQLITE_CANTOPEN, Kind::Failed),
            (ffi::SQLITE_READONLY, Kind::Failed),
            (ffi::SQLITE_CONSTRAINT_UNIQUE, Kind::Failed),
            (ffi::SQLITE_IOERR_NOMEM, Kind::Failed),
            (ffi::SQLITE_IOERR_SHMSIZE, Kind::Failed),
            (ffi::SQLITE_IOERR, Kind::Lost),
            (ffi::SQLITE_IOERR_READ, Kind::Lost),
            (ffi::SQLITE_IOERR_SHORT_READ, Kind::Lost),
            (ffi::SQLITE_IOERR_WRITE, Kind::Lost),
            (ffi::SQLITE_IOERR_FSYNC, Kind::Lost),
            (ffi::SQLITE_IOERR_LOCK, Kind::Lost),
            (ffi::SQLITE_IOERR_SHMMAP, Kind::Lost),
            (ffi::SQLITE_PROTOCOL, Kind::Lost),
            (ffi::SQLITE_READONLY_DBMOVED, Kind::Lost),
            (ffi::SQLITE_CORRUPT, Kind::Damaged),
            (ffi::SQLITE_CORRUPT_INDEX, Kind::Damaged),
            (ffi::SQLITE_NOTADB, Kind::Damaged),
        ] {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            assert_eq!(Error::from(error).kind(), kind, "{code}");
        }
        let odd = rusqlite::Error::IntegralValueOutOfRange(2, i64::MAX);
        assert_eq!(Error::from(odd).kind(), Kind::Damaged);
        let none = rusqlite::Error::QueryReturnedNoRows;
        assert_eq!(Error::from(none).kind(), Kind::Failed);
    }

    #[test]
    fn an_error_is_the_same_after_a_way_through_json() {
        let error = Error::new("no")
            .with_kind(Kind::Busy)
            .with_hint("later")
            .with_retry_after(Duration::from_millis(1500))
            .context("outer");
        let json = serde_json::to_string(&error).unwrap();
        assert_eq!(serde_json::from_str::<Error>(&json).unwrap(), error);
        let newer = r#"{"kind":"of-a-newer-heph","message":"x","more":1}"#;
        assert_eq!(
            serde_json::from_str::<Error>(newer).unwrap(),
            Error::new("x")
        );
    }

    #[test]
    fn a_line_that_quotes_a_talkative_program_has_an_end() {
        let talk = format!("{} the cause", "x\0\u{1b}".repeat(100_000));
        let line = Error::new(talk).context("the object").one_line();
        assert!(line.starts_with("the object: x") && line.ends_with(" the cause"));
        assert_eq!(line.chars().count(), 2 * HALF_A_LINE + 3);
        assert!(!line.contains(char::is_control));

        let just = "é".repeat(2 * HALF_A_LINE);
        assert_eq!(Error::new(just.clone()).one_line(), just);
    }

    #[test]
    fn a_cause_that_is_quoted_already_is_not_repeated() {
        let error = Error::new("no space").context("cannot write: no space");
        assert_eq!(format!("{error:#}"), "cannot write: no space");
    }
}
