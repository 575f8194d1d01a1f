//! A hephd that ends with the value, a bare connection to it, and what the kernel knows of it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use heph::client;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::measure::Program;

const PATIENCE: Duration = Duration::from_secs(30);
/// The kernel counts processor time in this many ticks a second (proc_pid_stat(5), on all of Linux).
const TICKS: f64 = 100.0;

/// A running hephd. It is asked to end, and waited for, when the value is dropped.
pub struct Daemon {
    child: Child,
    socket: PathBuf,
    started: Duration,
}

impl Daemon {
    /// Starts the hephd in `bin` with all it owns in `folder`, and waits until it answers.
    pub fn start(bin: &Path, folder: &Path, arguments: &[&str]) -> Daemon {
        fs::create_dir_all(folder).unwrap();
        let socket = folder.join("hephd.sock");
        let program = Program::new(bin.join("hephd"), arguments)
            .env("HOME", folder)
            .env("HEPH_DB", folder.join("heph.db"))
            .env("HEPH_SOCKET", &socket);
        let mut command = program.command();
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let start = Instant::now();
        let mut daemon = Daemon {
            child: command.spawn().unwrap(),
            socket,
            started: Duration::ZERO,
        };
        while !daemon.answers() {
            assert!(start.elapsed() < PATIENCE, "hephd does not answer");
            thread::sleep(Duration::from_micros(200));
        }
        daemon.started = start.elapsed();
        daemon
    }

    fn answers(&self) -> bool {
        self.socket.exists()
            && client::status(&self.socket, PATIENCE).is_ok_and(|status| status.is_some())
    }

    /// Returns how long it took from its start to its first answer.
    pub fn started(&self) -> Duration {
        self.started
    }

    /// Returns a new connection.
    pub fn connect(&self) -> Wire {
        Wire::open(&self.socket)
    }

    /// Returns the most memory it has had at once, in bytes.
    pub fn peak(&self) -> u64 {
        let status = self.proc("status");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        let kib: u64 = line.split_whitespace().next().unwrap().parse().unwrap();
        kib << 10
    }

    /// Returns the processor time it has had.
    pub fn cpu(&self) -> Duration {
        let stat = self.proc("stat");
        // The name, in parentheses, may hold anything; utime and stime are the 12th and 13th after it.
        let (_, rest) = stat.rsplit_once(')').unwrap();
        let ticks: f64 = rest
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|ticks| ticks.parse::<f64>().unwrap())
            .sum();
        Duration::from_secs_f64(ticks / TICKS)
    }

    fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(pid) = self.child.id().try_into().ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        drop(self.child.wait());
    }
}

/// A connection that stays open.
pub struct Wire(BufReader<UnixStream>);

impl Wire {
    /// Connects.
    pub fn open(socket: &Path) -> Wire {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Wire(BufReader::new(stream))
    }

    /// Returns the result of one request.
    pub fn call(&mut self, method: &str, params: &Value) -> Value {
        let answer = self.exchange(&request(method, params));
        let mut answer: Value = serde_json::from_str(&answer).unwrap();
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    /// Returns the line that answers `line`.
    pub fn exchange(&mut self, line: &str) -> String {
        self.0.get_mut().write_all(line.as_bytes()).unwrap();
        let mut answer = String::new();
        self.0.read_line(&mut answer).unwrap();
        answer
    }
}

/// Returns the line of a request.
pub fn request(method: &str, params: &Value) -> String {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    format!("{request}\n")
}

/// Returns an address on loopback that nobody listens on.
pub fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}
