//! A hephd that ends with its test, and a bare connection to it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::Instant;

use heph::client;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::call::Call;
use super::running::wait;
use super::wait::{PATIENCE, is_at_end, until};

/// A running hephd, killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts `hephd` with a log in `folder`.
    pub fn start(hephd: Call, folder: &Path) -> Daemon {
        let log = folder.join("stderr.log");
        let options = File::options().create(true).append(true).open(&log);
        let mut command = hephd.into_command();
        if command.get_program() != "/bin/sh" {
            command.stdin(Stdio::null());
        }
        let child = command.stdout(Stdio::null()).stderr(options.unwrap());
        Daemon {
            child: child.spawn().unwrap(),
            log,
        }
    }

    #[track_caller]
    pub fn until_ready(mut self, socket: &Path) -> Daemon {
        until(PATIENCE, || {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "hephd ended: {}", self.log());
            match client::status(socket, PATIENCE) {
                Ok(Some(_)) => Ok(()),
                _ => Err(format!("hephd does not answer: {}", self.log())),
            }
        });
        self
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let ended = wait(&mut self.child, Instant::now() + PATIENCE);
        ended.unwrap_or_else(|| panic!("hephd does not end: {}", self.log()))
    }

    /// Ends it as a service manager does.
    #[track_caller]
    pub fn stop(mut self) {
        self.signal(Signal::TERM);
        assert_eq!(self.wait().code(), Some(0), "{}", self.log());
    }

    /// Ends it as a power loss does, as far as a process can tell.
    #[track_caller]
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
#[derive(Debug)]
pub struct Wire {
    stream: BufReader<UnixStream>,
}

impl Wire {
    #[track_caller]
    pub fn open(socket: &Path) -> Wire {
        Wire::try_open(socket).unwrap()
    }

    pub fn try_open(socket: &Path) -> std::io::Result<Wire> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Wire {
            stream: BufReader::new(stream),
        })
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
        is_at_end(&mut self.stream)
    }

    /// Returns the answer to one request; `None` where hephd is gone.
    pub fn ask(&mut self, method: &str, params: Value) -> Option<Value> {
        let line = request(1, method, params);
        self.stream.get_mut().write_all(line.as_bytes()).ok()?;
        self.receive()
    }

    /// Returns the result of one request that must succeed.
    #[track_caller]
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
