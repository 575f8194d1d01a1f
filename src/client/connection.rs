//! Calls over hephd's socket: one connection a call, made again where hephd restarts in the middle of it.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::foreign;
use super::reconnect::{self, Absence};
use super::wire::Call;
use super::{check_length, read_answer};
use crate::error::{Error, Kind, Result, ResultExt};
use crate::os::backoff::Backoff;
use crate::os::clock;
use crate::os::peer;

/// The largest answer, in bytes.
const LARGEST_ANSWER: u64 = 1 << 30;
/// The interval between two attempts to connect.
const INTERVAL: Duration = Duration::from_millis(20);
/// How often a call that was cut off is retried. A hephd that hangs up each time is not restarting.
const RETRIES: u32 = 10;
/// How much earlier than this client gives up hephd begins nothing more: what it has begun may take a sync of the disk.
const MARGIN: Duration = Duration::from_secs(2);
const BACKOFF: Backoff = Backoff {
    first: INTERVAL,
    longest: Duration::from_millis(500),
};

/// A client of a hephd that must be running.
pub(super) struct Caller {
    socket: PathBuf,
    connection: Connection,
}

impl Caller {
    /// Connects to `socket`; waits for one that has just vanished, for `limit` at most.
    pub fn connect(socket: &Path, limit: Duration) -> Result<Caller> {
        let deadline = Instant::now() + limit;
        let connection = connect(socket, deadline)?.ok_or_else(not_running)?;
        Ok(Caller {
            socket: socket.to_owned(),
            connection,
        })
    }

    /// Allows `limit` from now on for the next call.
    pub fn extend(&mut self, limit: Duration) {
        self.connection.deadline = Instant::now() + limit;
    }

    /// Makes a call, which must be idempotent, and returns its result. Where the connection ends before the answer, the
    /// very same bytes are sent again to the hephd that comes next. A hephd that reads them only after this client has given up
    /// does not do what was reported as failed.
    pub fn call<T: DeserializeOwned>(&mut self, call: &Call) -> Result<T> {
        let left = self.connection.left().unwrap_or_default();
        let left = left.saturating_sub(MARGIN);
        let deadline =
            clock::monotonic_ms() + u64::try_from(left.as_millis()).unwrap_or(u64::MAX >> 1);
        let request = request(call, Some(deadline))?;
        for failures in 1..=RETRIES {
            match self.connection.exchange(&request) {
                Err(error) if was_cut_off(&error) => {
                    thread::sleep(BACKOFF.wait(failures));
                    match connect(&self.socket, self.connection.deadline)? {
                        Some(connection) => self.connection = connection,
                        None => return Err(vanished(error)),
                    }
                }
                ended => return finish(ended),
            }
        }
        finish(self.connection.exchange(&request))
    }

    /// Makes a call once and returns its result.
    pub fn call_once<T: DeserializeOwned>(&mut self, call: &Call) -> Result<T> {
        finish(self.connection.exchange(&request(call, None)?))
    }
}

/// Makes a call to the hephd that listens on `socket` right now, once; `None` without one.
pub(super) fn call_if_there<T: DeserializeOwned>(
    socket: &Path,
    call: &Call,
    limit: Duration,
) -> Result<Option<T>> {
    check_length(socket)?;
    match Connection::open(socket, Instant::now() + limit) {
        Ok(mut connection) => finish(connection.exchange(&request(call, None)?)).map(Some),
        Err(error) => absence(error, socket).map(|_| None),
    }
}

/// Returns whether a process of this user listens on `socket`, also one whose queue is full.
pub(super) fn listens(socket: &Path, limit: Duration) -> bool {
    let connected = || Connection::open(socket, Instant::now() + limit);
    check_length(socket).is_ok()
        && connected().map_or_else(|error| error.kind() == io::ErrorKind::TimedOut, |_| true)
}

/// Returns the line that makes `call`, which is void after `deadline_ms` of the monotonic clock.
fn request(call: &Call, deadline_ms: Option<u64>) -> Result<Vec<u8>> {
    #[derive(Serialize)]
    struct Request<'a> {
        jsonrpc: &'static str,
        id: u32,
        // Beside the parameters, where release 0.1.0 ignores it.
        #[serde(skip_serializing_if = "Option::is_none")]
        deadline_ms: Option<u64>,
        #[serde(flatten)]
        call: &'a Call,
    }
    let request = Request {
        jsonrpc: "2.0",
        id: 1,
        deadline_ms,
        call,
    };
    let mut line = serde_json::to_vec(&request)?;
    line.push(b'\n');
    Ok(line)
}

fn finish<T: DeserializeOwned>(answer: io::Result<Vec<u8>>) -> Result<T> {
    let answer = answer.context(
        Error::new("hephd did not answer").with_hint("`heph daemon status` shows its state"),
    )?;
    read_answer(&answer)
}

fn not_running() -> Error {
    Error::new("hephd is not running")
        .with_kind(Kind::Absent)
        .with_hint("`heph daemon start`, or run `hephd`")
}

fn vanished(error: io::Error) -> Error {
    Error::from(error).context(
        Error::new("hephd shut down before it answered, and was not started again").with_hint(
            "`heph daemon start`, or run `hephd`; `heph list --all` then shows whether it was done",
        ),
    )
}

/// Returns whether the connection ended, as it does when hephd restarts.
fn was_cut_off(error: &io::Error) -> bool {
    use io::ErrorKind::*;
    matches!(
        error.kind(),
        UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe
    )
}

/// Connects to `socket`, and waits for one that has just vanished; `None` if it does not return.
fn connect(socket: &Path, deadline: Instant) -> Result<Option<Connection>> {
    check_length(socket)?;
    let start = Instant::now();
    loop {
        let absence = match Connection::open(socket, deadline) {
            Ok(connection) => return Ok(Some(connection)),
            Err(error) => absence(error, socket)?,
        };
        let left = reconnect::time_left(absence, start.elapsed());
        let left = left.min(deadline.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return Ok(None);
        }
        thread::sleep(INTERVAL.min(left));
    }
}

/// Returns how the socket is not there, where `error` of connecting to it says so.
fn absence(error: io::Error, socket: &Path) -> Result<Absence> {
    match error.kind() {
        io::ErrorKind::NotFound => Ok(Absence::Missing {
            folder_changed: folder_changed(socket),
        }),
        io::ErrorKind::ConnectionRefused => Ok(Absence::Refused),
        _ => {
            let cannot = Error::new(format!("cannot connect to hephd at '{}'", socket.display()));
            let cannot = match foreign::hint(&error) {
                Some(hint) => cannot.with_hint(hint),
                None => cannot,
            };
            Err(error).context(cannot)
        }
    }
}

/// Returns how long ago the folder of `socket` changed; `None` without a folder.
fn folder_changed(socket: &Path) -> Option<Duration> {
    let changed = fs::metadata(socket.parent()?).ok()?.modified().ok()?;
    // Zero where the clock was set back since.
    Some(changed.elapsed().unwrap_or_default())
}

/// One connection, good for one call.
struct Connection {
    stream: UnixStream,
    deadline: Instant,
}

impl Connection {
    fn open(socket: &Path, deadline: Instant) -> io::Result<Connection> {
        let (sender, receiver) = mpsc::channel();
        let path = socket.to_owned();
        // connect(2) blocks while the queue of a listener that does not accept is full, and has no time-out.
        thread::spawn(move || drop(sender.send(UnixStream::connect(path))));
        let connected = receiver.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        let stream = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        foreign::check(peer::of(&stream)?, rustix::process::geteuid().as_raw())?;
        Ok(Connection { stream, deadline })
    }

    /// Sends the line `request` and returns the line that answers it.
    fn exchange(&mut self, request: &[u8]) -> io::Result<Vec<u8>> {
        // hephd may answer and hang up before it has read all: its answer says more than the broken pipe.
        let sent = self.send(request);
        match (self.receive(), sent) {
            (Ok(answer), _) => Ok(answer),
            (Err(_), Err(error)) | (Err(error), Ok(())) => Err(error),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write_all(bytes).map_err(timed_out)
    }

    /// Reads one line.
    fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut answer = Vec::new();
        let mut chunk = vec![0; 64 * 1024];
        loop {
            self.stream.set_read_timeout(Some(self.left()?))?;
            let read = match self.stream.read(&mut chunk) {
                Ok(0) => {
                    let kind = io::ErrorKind::UnexpectedEof;
                    return Err(io::Error::new(kind, "it closed the connection"));
                }
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(timed_out(error)),
            };
            let end = chunk[..read].iter().position(|byte| *byte == b'\n');
            answer.extend_from_slice(&chunk[..end.unwrap_or(read)]);
            if end.is_some() {
                return Ok(answer);
            }
            if answer.len() as u64 > LARGEST_ANSWER {
                return Err(io::Error::other("its answer is too large"));
            }
        }
    }

    /// Returns the time left until the limit.
    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(timed_out(io::ErrorKind::WouldBlock.into()));
        }
        Ok(left)
    }
}

/// A socket's time-out shows as `EAGAIN` (socket(7), `SO_RCVTIMEO`), whose own message would help no user.
fn timed_out(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            io::Error::new(io::ErrorKind::TimedOut, "timed out")
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::os::unix::net::UnixListener;

    /// Takes one request from `listener`, answers with `answer`, byte for byte, and hangs up. Returns the request.
    fn serve(listener: &UnixListener, answer: &[u8]) -> String {
        let (mut stream, _) = listener.accept().unwrap();
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).unwrap();
        stream.write_all(answer).unwrap();
        line
    }

    const LIMIT: Duration = Duration::from_secs(60);
    const NEXT: Call = Call::TaskNext {};
    const WELL: &[u8] = b"{\"result\":7}\n";

    #[test]
    fn a_call_that_is_cut_off_is_sent_again_byte_for_byte() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let hephd = thread::spawn(move || {
            // Killed at once, killed in the middle of its answer, then there.
            [b"".as_slice(), b"{\"resu", WELL].map(|answer| serve(&listener, answer))
        });
        let mut caller = Caller::connect(&socket, LIMIT).unwrap();
        let id = "01K9ZZZZZZABCDEFGHJKMNPQRS";
        let call = Call::TaskAdd {
            title: "x".to_owned(),
            op_id: Some(id.to_owned().try_into().unwrap()),
        };
        assert_eq!(caller.call::<u32>(&call).unwrap(), 7);
        let [first, second, third] = hephd.join().unwrap();
        let mut sent: serde_json::Value = serde_json::from_str(&first).unwrap();
        let deadline = sent.as_object_mut().unwrap().remove("deadline_ms").unwrap();
        let expected = serde_json::json!({
            "jsonrpc": "2.0", "id": 1, "method": "task.add", "params": {"title": "x", "op_id": id},
        });
        assert_eq!(sent, expected);
        let left = deadline.as_u64().unwrap() - clock::monotonic_ms();
        let limit = u64::try_from(LIMIT.as_millis()).unwrap();
        assert!((limit / 2..limit).contains(&left), "{left} ms are left");
        assert_eq!([&second, &third], [&first, &first]);
    }

    #[test]
    fn a_call_that_is_not_to_be_repeated_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let hephd = thread::spawn(move || (serve(&listener, b""), listener));
        let mut caller = Caller::connect(&socket, LIMIT).unwrap();
        let error = caller.call_once::<u32>(&NEXT).unwrap_err();
        assert!(format!("{error:#}").contains("it closed the connection"));
        hephd.join().unwrap();
    }

    #[test]
    fn a_socket_that_has_just_gone_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        for is_there in [false, true] {
            // A killed hephd leaves the name; one that ended does not.
            drop(UnixListener::bind(&socket).unwrap());
            if !is_there {
                fs::remove_file(&socket).unwrap();
            }
            let (new, at) = (folder.path().join("new"), socket.clone());
            let hephd = thread::spawn(move || {
                thread::sleep(Duration::from_millis(200));
                let listener = UnixListener::bind(&new).unwrap();
                fs::rename(&new, at).unwrap();
                serve(&listener, WELL);
            });
            let mut caller = Caller::connect(&socket, LIMIT).unwrap();
            assert_eq!(caller.call::<u32>(&NEXT).unwrap(), 7);
            hephd.join().unwrap();
            fs::remove_file(&socket).unwrap();
        }
    }

    #[test]
    fn a_hephd_that_hangs_up_each_time_is_an_error_in_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let hephd = thread::spawn(move || {
            for _ in 0..=RETRIES {
                serve(&listener, b"");
            }
            listener
        });
        let mut caller = Caller::connect(&socket, LIMIT).unwrap();
        let error = caller.call::<u32>(&NEXT).unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "hephd did not answer: it closed the connection"
        );
        hephd.join().unwrap();
    }

    #[test]
    fn a_hephd_that_goes_away_for_good_leaves_it_open_whether_it_was_done() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("gone/s");
        fs::create_dir(socket.parent().unwrap()).unwrap();
        let listener = UnixListener::bind(&socket).unwrap();
        let mut caller = Caller::connect(&socket, LIMIT).unwrap();
        // Before the connection ends: then nothing is waited for.
        fs::remove_dir_all(socket.parent().unwrap()).unwrap();
        let hephd = thread::spawn(move || serve(&listener, b""));
        let error = caller.call::<u32>(&NEXT).unwrap_err();
        assert!(error.to_string().contains("shut down"), "{error}");
        assert!(error.hint().unwrap().contains("whether"));
        hephd.join().unwrap();
    }
}
