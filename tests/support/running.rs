//! Programs that run, and what they print meanwhile.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, Once};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use super::call::Ended;

/// How long a program may take before its test fails: a build with a cold cache on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(600);

/// A program that runs.
#[derive(Debug)]
pub struct Running {
    child: Child,
    out: Lines,
    err: Lines,
    shown: String,
}

impl Running {
    pub fn of(mut child: Child, shown: String) -> Running {
        Running {
            out: Lines::of(child.stdout.take().unwrap()),
            err: Lines::of(child.stderr.take().unwrap()),
            child,
            shown,
        }
    }

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
    pub fn finish(mut self) -> (ExitStatus, Vec<u8>, Vec<u8>) {
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
