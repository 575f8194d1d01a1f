//! A home, a daemon that ends with its test, and a bare connection to it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::programs;
use heph::client;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// How long anything may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A home with an odd name and nothing in it.
pub struct Home {
    _folder: tempfile::TempDir,
    pub path: PathBuf,
}

impl Home {
    pub fn new() -> Home {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a b%20&'\"ž");
        fs::create_dir_all(path.join("run")).unwrap();
        Home {
            _folder: folder,
            path,
        }
    }

    pub fn socket(&self) -> PathBuf {
        self.path.join("run/heph/hephd.sock")
    }

    pub fn data(&self) -> PathBuf {
        self.path.join(".local/share/heph")
    }

    pub fn store(&self) -> PathBuf {
        self.data().join("heph.db")
    }

    /// Returns `program` in an environment that has nothing but this home.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", &self.path)
            .env("XDG_RUNTIME_DIR", self.path.join("run"))
            .env("PATH", "/usr/bin:/bin")
            .current_dir(&self.path)
            .stdin(Stdio::null());
        command
    }

    pub fn hephd(&self) -> Command {
        self.command(programs::hephd())
    }

    pub fn heph(&self) -> Command {
        self.command(programs::heph())
    }

    /// Starts hephd and waits until it answers.
    pub fn start(&self) -> Daemon {
        Daemon::start(self.hephd(), &self.path).until_ready(&self.socket())
    }

    /// Runs hephd, which must end by itself.
    pub fn refused(&self, mut hephd: Command) -> (Option<i32>, String) {
        let log = self.path.join("refused.log");
        hephd.stderr(File::create(&log).unwrap());
        let mut daemon = Daemon {
            child: hephd.spawn().unwrap(),
            log,
        };
        let status = daemon.wait();
        (status.code(), daemon.log())
    }
}

/// A running hephd, killed when dropped.
pub struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts `hephd` with a log in `folder`.
    pub fn start(mut hephd: Command, folder: &Path) -> Daemon {
        let log = folder.join("stderr.log");
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let child = hephd.stdout(Stdio::null()).stderr(file).spawn().unwrap();
        Daemon { child, log }
    }

    pub fn until_ready(mut self, socket: &Path) -> Daemon {
        let until = Instant::now() + PATIENCE;
        while !matches!(client::status(socket, PATIENCE), Ok(Some(_))) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "hephd ended: {}", self.log());
            assert!(
                Instant::now() < until,
                "hephd does not answer: {}",
                self.log()
            );
            thread::sleep(Duration::from_millis(5));
        }
        self
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits until it has ended by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "hephd does not end: {}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it as a service manager does.
    pub fn stop(mut self) {
        self.signal(Signal::TERM);
        assert_eq!(self.wait().code(), Some(0), "{}", self.log());
    }

    /// Ends it as a power loss does, as far as a process can tell.
    pub fn kill(mut self) {
        self.signal(Signal::KILL);
        self.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A connection, request by request and byte by byte.
pub struct Wire {
    stream: BufReader<UnixStream>,
}

impl Wire {
    pub fn open(socket: &Path) -> Wire {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Wire {
            stream: BufReader::new(stream),
        }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// Says that nothing more will be sent.
    pub fn finish(&mut self) {
        let stream = self.stream.get_mut();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
    }

    /// Returns the next answer, or `None` at the end. An answer cut short is none.
    pub fn receive(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.stream.read_line(&mut line).ok()?;
        line.ends_with('\n')
            .then(|| serde_json::from_str(&line).unwrap())
    }

    /// Returns whether hephd has ended the connection.
    pub fn at_end(&mut self) -> bool {
        matches!(self.stream.read(&mut [0]), Ok(0))
    }

    /// Returns the answer to one request; `None` where hephd is gone.
    pub fn ask(&mut self, method: &str, params: Value) -> Option<Value> {
        let line = request(1, method, params);
        self.stream.get_mut().write_all(line.as_bytes()).ok()?;
        self.receive()
    }

    /// Returns the result of one request that must succeed.
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        let answer = self.ask(method, params).unwrap();
        assert!(answer.get("error").is_none(), "{answer}");
        answer["result"].clone()
    }
}

/// Returns the line of a request.
pub fn request(id: u64, method: &str, params: Value) -> String {
    let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
    format!("{request}\n")
}

/// Returns what a program that must succeed printed.
pub fn text(output: Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert_eq!(stderr, "", "nothing on standard error");
    String::from_utf8(output.stdout).unwrap()
}
