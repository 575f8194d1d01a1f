//! Waiting, within a limit.

use std::io::{ErrorKind, Read};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before its test fails, on a machine that does much else.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until `holds` does.
#[track_caller]
pub fn eventually(what: &str, holds: impl FnMut() -> bool) {
    within(PATIENCE, what, holds);
}

/// Waits no longer than `limit` until `holds` does.
#[track_caller]
pub fn within(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    until(limit, || match holds() {
        true => Ok(()),
        false => Err(what.to_owned()),
    });
}

/// Returns whether the other side ends the connection before it sends one more byte. A read with a time-out fails with
/// `EINTR` where the process was stopped for a moment (signal(7)), so it is `read_exact`, which goes on.
pub fn is_at_end(stream: &mut impl Read) -> bool {
    let end = stream.read_exact(&mut [0]).map_err(|error| error.kind());
    matches!(
        end,
        Err(ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset)
    )
}

/// Returns the next connection.
#[track_caller]
pub fn accept(listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).unwrap();
    let stream = until(PATIENCE, || match listener.accept() {
        Ok((stream, _)) => Ok(stream),
        Err(error) => Err(error.to_string()),
    });
    stream.set_nonblocking(false).unwrap();
    stream
}

/// Returns what `find` does once it does; what it lacks until then is what the test fails with.
#[track_caller]
pub fn until<T>(limit: Duration, mut find: impl FnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + limit;
    loop {
        match find() {
            Ok(found) => return found,
            Err(lack) => assert!(Instant::now() < end, "not within {limit:?}: {lack}"),
        }
        thread::sleep(Duration::from_millis(10));
    }
}
