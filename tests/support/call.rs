//! Running programs, each within a limit.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, Once};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

/// How long a program may take before its test fails: a build with a cold cache on a busy machine.
const LIMIT: Duration = Duration::from_secs(600);

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
        Running {
            out: Lines::of(child.stdout.take().unwrap()),
            err: Lines::of(child.stderr.take().unwrap()),
            child,
            shown,
        }
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

/// A program that runs.
#[derive(Debug)]
pub struct Running {
    child: Child,
    out: Lines,
    err: Lines,
    shown: String,
}

impl Running {
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Returns the next line on standard output that has `text`, without the spaces around it.
    #[track_caller]
    pub fn line(&mut self, text: &str) -> String {
        self.out.next_with(text, &self.shown)
    }

    /// The same on standard error.
    #[track_caller]
    pub fn note(&mut self, text: &str) -> String {
        self.err.next_with(text, &self.shown)
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn ends(self) -> Ended {
        let shown = self.shown.clone();
        let (status, out, err) = self.finish();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ended {
            shown,
            code: status.code().unwrap_or(-1),
            out: text(out),
            err: text(err),
        }
    }

    #[track_caller]
    fn finish(mut self) -> (ExitStatus, Vec<u8>, Vec<u8>) {
        let until = Instant::now() + LIMIT;
        let ended = self.out.read_to_end(until) && self.err.read_to_end(until);
        let status = wait(&mut self.child, until);
        let (out, err) = (&mut self.out.read, &mut self.err.read);
        let (out, err) = (std::mem::take(out), std::mem::take(err));
        match status {
            Some(status) if ended => (status, out, err),
            _ => {
                let [out, err] = [&out, &err].map(|bytes| String::from_utf8_lossy(bytes));
                panic!("{} does not end\nout: {out}\nerr: {err}", self.shown);
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Waits for the end of `child`; `None` where it does not come in time.
pub fn wait(child: &mut Child, until: Instant) -> Option<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if Instant::now() > until {
            return None;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// The lines of a stream, as far as they were read.
#[derive(Debug)]
struct Lines {
    lines: Mutex<Receiver<Vec<u8>>>,
    read: Vec<u8>,
}

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Lines {
        let (send, lines) = channel();
        thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while matches!(stream.read_until(b'\n', &mut line), Ok(1..)) {
                if send.send(std::mem::take(&mut line)).is_err() {
                    return;
                }
            }
        });
        Lines {
            lines: Mutex::new(lines),
            read: Vec::new(),
        }
    }

    #[track_caller]
    fn next_with(&mut self, text: &str, of: &str) -> String {
        let until = Instant::now() + LIMIT;
        while let Ok(line) = self.receive(until) {
            self.read.extend(&line);
            let line = String::from_utf8_lossy(&line);
            if line.contains(text) {
                return line.trim().to_owned();
            }
        }
        let read = String::from_utf8_lossy(&self.read);
        panic!("no {text:?} from {of} in: {read}");
    }

    fn receive(&mut self, until: Instant) -> Result<Vec<u8>, RecvTimeoutError> {
        let left = until.saturating_duration_since(Instant::now());
        self.lines.get_mut().unwrap().recv_timeout(left)
    }

    /// Reads all that there is; returns whether it has ended.
    fn read_to_end(&mut self, until: Instant) -> bool {
        loop {
            match self.receive(until) {
                Ok(line) => self.read.extend(line),
                Err(error) => return error == RecvTimeoutError::Disconnected,
            }
        }
    }
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    shown: String,
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

/// Has children start with the default reaction to signals. What is ignored here, as with `nohup` or by `&` in a script,
/// would be ignored there, too; what is handled here is not (signal(7)).
pub fn default_signals() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
            if ignored.unwrap_or(0) >> (signal - 1) & 1 == 1 {
                // Nobody looks at the flag: here, it stays ignored.
                signal_hook::flag::register(signal, Arc::default()).unwrap();
            }
        }
    });
}
