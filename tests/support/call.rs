//! Running programs, each within a limit.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use serde_json::Value;

use super::running::{LIMIT, Running, default_signals, wait};

/// Arguments: one line as for a shell, or one by one.
pub trait Words {
    fn words(&self) -> Vec<OsString>;
}

impl Words for str {
    fn words(&self) -> Vec<OsString> {
        let words = shlex::split(self).unwrap_or_else(|| panic!("an open quote in {self:?}"));
        words.into_iter().map(OsString::from).collect()
    }
}

impl Words for String {
    fn words(&self) -> Vec<OsString> {
        self.as_str().words()
    }
}

impl<S: AsRef<OsStr>> Words for [S] {
    fn words(&self) -> Vec<OsString> {
        self.iter().map(|word| word.as_ref().to_owned()).collect()
    }
}

impl<S: AsRef<OsStr>, const N: usize> Words for [S; N] {
    fn words(&self) -> Vec<OsString> {
        self.as_slice().words()
    }
}

impl<S: AsRef<OsStr>> Words for Vec<S> {
    fn words(&self) -> Vec<OsString> {
        self.as_slice().words()
    }
}

/// A program that is about to be run.
#[must_use = "it has not run yet"]
#[derive(Debug)]
pub struct Call {
    command: Command,
    /// `None`: standard input stays open, with nothing in it.
    input: Option<Vec<u8>>,
}

impl Call {
    /// Prepares `program` with the environment of the tests.
    pub fn of(program: impl AsRef<OsStr>) -> Call {
        Call::from(Command::new(program))
    }

    /// Prepares `program` with these variables as its whole environment.
    pub fn clean(
        program: impl AsRef<OsStr>,
        environment: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
    ) -> Call {
        let mut command = Command::new(program);
        command.env_clear().envs(environment);
        Call::from(command)
    }

    pub fn args(mut self, words: &(impl Words + ?Sized)) -> Call {
        self.command.args(words.words());
        self
    }

    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Call {
        self.command.env(name, value);
        self
    }

    pub fn envs(
        mut self,
        variables: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
    ) -> Call {
        self.command.envs(variables);
        self
    }

    pub fn current_dir(mut self, folder: impl AsRef<Path>) -> Call {
        self.command.current_dir(folder);
        self
    }

    /// Passes `input` on standard input, which is empty otherwise.
    pub fn input(mut self, input: impl AsRef<[u8]>) -> Call {
        self.input = Some(input.as_ref().to_owned());
        self
    }

    /// Keeps standard input open, which tells a program that its test still runs.
    pub fn open_input(mut self) -> Call {
        self.input = None;
        self
    }

    /// Returns what the standard library runs, for what has no end or no output of its own.
    pub fn into_command(self) -> Command {
        default_signals();
        self.command
    }

    /// Starts it; it is killed when the value is dropped.
    #[track_caller]
    pub fn start(self) -> Running {
        let shown = format!("{:?}", self.command);
        let input = self.input.clone();
        let mut command = self.into_command();
        let stdin = match &input {
            Some(input) if input.is_empty() => Stdio::null(),
            _ => Stdio::piped(),
        };
        let child = command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.unwrap_or_else(|error| panic!("cannot start {shown}: {error}"));
        if let Some(input) = input
            && let Some(mut stdin) = child.stdin.take()
        {
            // A program that does not read it may have ended already.
            thread::spawn(move || drop(stdin.write_all(&input)));
        }
        Running::of(child, shown)
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn ends(self) -> Ended {
        self.start().ends()
    }

    #[track_caller]
    pub fn exits(self, code: i32) -> Ended {
        self.ends().exits(code)
    }

    /// Runs it to its end without a word; returns which signal ended it. What it leaves behind is not waited for.
    #[track_caller]
    pub fn signal(self) -> Option<i32> {
        let shown = format!("{:?}", self.command);
        let mut command = self.into_command();
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let status = wait(&mut child, Instant::now() + LIMIT);
        let status = status.unwrap_or_else(|| panic!("{shown} does not end"));
        status.signal()
    }

    /// Runs it with success, and nothing on standard error.
    #[track_caller]
    pub fn succeeds(self) -> Ended {
        self.exits(0).quietly()
    }

    /// Runs it with success, and returns what it printed.
    #[track_caller]
    pub fn prints(self) -> String {
        self.exits(0).out
    }

    /// Runs it to its end, and returns what it printed, byte for byte.
    #[track_caller]
    pub fn bytes(self) -> Vec<u8> {
        self.start().finish().1
    }

    /// Runs it with success, and returns the JSON that it printed.
    #[track_caller]
    pub fn json(self) -> Value {
        self.exits(0).json()
    }
}

impl From<Command> for Call {
    fn from(command: Command) -> Call {
        Call {
            command,
            input: Some(Vec::new()),
        }
    }
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    pub(super) shown: String,
    /// -1 where a signal ended it.
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ended {
    #[track_caller]
    pub fn exits(self, code: i32) -> Ended {
        assert_eq!(self.code, code, "{self}");
        self
    }

    /// Asserts that standard error is empty.
    #[track_caller]
    pub fn quietly(self) -> Ended {
        assert_eq!(self.err, "", "{self}");
        self
    }

    /// Asserts that standard output has `text`.
    #[track_caller]
    pub fn says(self, text: &str) -> Ended {
        assert!(self.out.contains(text), "no {text:?} in: {self}");
        self
    }

    /// Asserts that standard error has `text`.
    #[track_caller]
    pub fn complains(self, text: &str) -> Ended {
        assert!(self.err.contains(text), "no {text:?} in: {self}");
        self
    }

    /// Returns standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self}"))
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let Ended {
            shown,
            code,
            out,
            err,
        } = self;
        write!(f, "{shown} exited with {code}\nout: {out}\nerr: {err}")
    }
}
