//! Other programs, run with a time limit and bounded output, and killed with everything they started.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::error::{Result, ResultExt, bail};
use crate::os::interrupt;
use crate::os::text;

/// How many of the last bytes of each output stream are kept.
const KEPT: usize = 256 * 1024;
/// How long a program has between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(5);

/// A program to run, in a process group of its own, so that everything it starts ends with it.
#[derive(Debug)]
pub struct Run {
    command: Command,
    shown: String,
    limit: Duration,
    input: Vec<u8>,
    log: Option<PathBuf>,
    stdout: Option<PathBuf>,
    show: bool,
    interruptible: bool,
}

/// The exit status of a program and the end of its output.
#[derive(Debug)]
pub struct Output {
    pub status: ExitStatus,
    /// The last 256 KiB; empty where the output went to a log or a terminal.
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Output {
    /// Returns standard output as text, with what is not UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Returns the last `lines` lines of standard error, or of standard output where standard error is blank.
    pub fn last_lines(&self, lines: usize) -> String {
        let is_silent = self.stderr.trim_ascii().is_empty();
        let bytes = if is_silent {
            &self.stdout
        } else {
            &self.stderr
        };
        text::last_lines(&String::from_utf8_lossy(bytes), lines)
    }
}

impl Run {
    /// Returns a run of `program`, found by PATH where it has no slash, limited to 60 s, with no input.
    pub fn new(program: impl AsRef<OsStr>) -> Run {
        let program = program.as_ref();
        let mut command = Command::new(program);
        command.process_group(0);
        Run {
            command,
            shown: program.to_string_lossy().into_owned(),
            limit: Duration::from_secs(60),
            input: Vec::new(),
            log: None,
            stdout: None,
            show: false,
            interruptible: false,
        }
    }

    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Run {
        self.shown.push(' ');
        self.shown.push_str(&argument.as_ref().to_string_lossy());
        self.command.arg(argument);
        self
    }

    pub fn args<A: AsRef<OsStr>>(self, arguments: impl IntoIterator<Item = A>) -> Run {
        arguments.into_iter().fold(self, Run::arg)
    }

    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Run {
        self.command.env(name, value);
        self
    }

    /// Replaces its whole environment.
    pub fn only_env(mut self, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Run {
        self.command.env_clear().envs(variables);
        self
    }

    pub fn dir(mut self, folder: impl AsRef<Path>) -> Run {
        self.command.current_dir(folder);
        self
    }

    pub fn limit(mut self, limit: Duration) -> Run {
        self.limit = limit;
        self
    }

    /// Gives it `bytes` on standard input.
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Run {
        self.input = bytes.into();
        self
    }

    /// Redirects both output streams to the file `log`, which is created or truncated.
    pub fn log(mut self, log: impl Into<PathBuf>) -> Run {
        self.log = Some(log.into());
        self
    }

    /// Redirects standard output to `file`, which is created or truncated, wherever standard error goes.
    pub fn stdout(mut self, file: impl Into<PathBuf>) -> Run {
        self.stdout = Some(file.into());
        self
    }

    /// Passes both output streams on to this process's standard error, never to standard output, which may be JSON.
    pub fn show(mut self) -> Run {
        self.show = true;
        self
    }

    /// Ends it early when this process is asked to end ([`interrupt::requested`]).
    pub fn interruptible(mut self) -> Run {
        self.interruptible = true;
        self
    }

    /// Runs it to its end, whatever its exit status.
    pub fn output(mut self) -> Result<Output> {
        self.command.stdin(if self.input.is_empty() {
            Stdio::null()
        } else {
            Stdio::piped()
        });
        if let Some(log) = &self.log {
            let file = create(log)?;
            self.command.stderr(file.try_clone()?).stdout(file);
        } else if self.show {
            self.command.stdout(io::stderr()).stderr(Stdio::inherit());
        } else {
            self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        }
        if let Some(path) = &self.stdout {
            self.command.stdout(create(path)?);
        }
        let mut child =
            spawn(&mut self.command).with_context(|| format!("cannot start `{}`", self.shown))?;
        if let Some(mut stdin) = child.stdin.take() {
            let input = std::mem::take(&mut self.input);
            // A program may ignore its input; the thread ends with the pipe.
            thread::spawn(move || stdin.write_all(&input));
        }
        let stdout = child.stdout.take().map(keep_last);
        let stderr = child.stderr.take().map(keep_last);
        let status = self.wait(&mut child)?;
        // A grandchild may hold the pipes open; do not wait for its output.
        let until = Instant::now() + Duration::from_millis(500);
        Ok(Output {
            status,
            stdout: collect(stdout, until),
            stderr: collect(stderr, until),
        })
    }

    /// Runs it and returns its output if it exits with 0. Otherwise the error quotes the last lines of its output.
    pub fn success(self) -> Result<Output> {
        let shown = self.shown.clone();
        let output = self.output()?;
        if output.status.success() {
            return Ok(output);
        }
        let how = describe(output.status);
        match output.last_lines(12).as_str() {
            "" => bail!("`{shown}` {how}"),
            said => bail!("`{shown}` {how}: {said}"),
        }
    }

    fn wait(&self, child: &mut Child) -> Result<ExitStatus> {
        let deadline = Instant::now() + self.limit;
        // Each pause is a share of the wait so far: a short run is noticed at once, a long one costs few polls.
        let mut pause = Duration::from_micros(200);
        loop {
            if let Some(status) = child
                .try_wait()
                .with_context(|| format!("cannot wait for `{}`", self.shown))?
            {
                return Ok(status);
            }
            if self.interruptible && interrupt::requested() {
                end(child);
                bail!("`{}` was interrupted", self.shown);
            }
            if Instant::now() >= deadline {
                end(child);
                bail!(
                    "`{}` timed out after {:?} and was killed",
                    self.shown,
                    self.limit
                );
            }
            thread::sleep(pause);
            pause = (pause * 5 / 4).min(Duration::from_millis(50));
        }
    }
}

/// Returns the words for an exit status: "exited with 3" or "was killed by signal 9".
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// Ends the process group of `child`: SIGTERM, a grace, SIGKILL.
fn end(child: &mut Child) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let signal = |signal| group.map(|group| kill_process_group(group, signal));
    signal(Signal::TERM);
    let until = Instant::now() + GRACE;
    while Instant::now() < until {
        if matches!(child.try_wait(), Ok(Some(_))) {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    // Children of the child may have ignored SIGTERM even where the child obeyed.
    signal(Signal::KILL);
    drop(child.wait());
}

fn create(path: &Path) -> Result<File> {
    File::create(path).with_context(|| format!("cannot make the file '{}'", path.display()))
}

/// Drains `stream` on a thread, so that the program never blocks on a full pipe, and keeps its last bytes.
fn keep_last(mut stream: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut kept = Vec::new();
        let mut buffer = [0; 8192];
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            kept.extend_from_slice(&buffer[..read]);
            if kept.len() > 2 * KEPT {
                kept.drain(..kept.len() - KEPT);
            }
        }
        kept.drain(..kept.len().saturating_sub(KEPT));
        drop(sender.send(kept));
    });
    receiver
}

fn collect(kept: Option<Receiver<Vec<u8>>>, until: Instant) -> Vec<u8> {
    let left = until.saturating_duration_since(Instant::now());
    let kept = kept.and_then(|kept| kept.recv_timeout(left).ok());
    kept.unwrap_or_default()
}

/// Starts `command`. A file that was just written is busy (ETXTBSY) for an instant, while a child forked by another thread
/// still has it open for writing; so the start is retried for up to a second.
fn spawn(command: &mut Command) -> io::Result<Child> {
    for _ in 0..100 {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                thread::sleep(Duration::from_millis(10));
            }
            result => return result,
        }
    }
    command.spawn()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_program_is_quoted_in_the_error() {
        let error = Run::new("sh")
            .args(["-c", "echo to-stderr >&2; exit 7"])
            .success()
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("exited with 7") && error.contains("to-stderr"),
            "{error}"
        );
    }

    #[test]
    fn a_program_over_its_limit_is_killed_with_everything_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let script = format!(
            "trap '' TERM; sleep 300 & echo $! > '{}'; wait; wait",
            pid.display()
        );
        let error = Run::new("sh")
            .args(["-c", &script])
            .limit(Duration::from_millis(300))
            .output()
            .unwrap_err();
        assert!(error.to_string().contains("timed out"), "{error}");
        let pid: i32 = std::fs::read_to_string(&pid)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        let gone = || rustix::process::test_kill_process(Pid::from_raw(pid).unwrap()).is_err();
        let until = Instant::now() + Duration::from_secs(5);
        // A killed orphan stays visible until it is reaped.
        let zombie = || {
            std::fs::read_to_string(format!("/proc/{pid}/stat"))
                .is_ok_and(|stat| stat.contains(") Z "))
        };
        while !gone() && !zombie() {
            assert!(Instant::now() < until, "the grandchild is still running");
            thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn much_output_neither_blocks_nor_fills_memory() {
        let output = Run::new("sh")
            .args(["-c", "yes | head -c 3000000; echo end"])
            .output()
            .unwrap();
        assert!(output.stdout.len() <= KEPT);
        assert!(output.text().ends_with("end\n"));
    }

    #[test]
    fn input_reaches_the_program() {
        assert_eq!(
            Run::new("cat").input("hello").success().unwrap().text(),
            "hello"
        );
    }
}
