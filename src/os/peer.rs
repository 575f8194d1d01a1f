//! The process at the other end of a unix socket, as the kernel knows it.

use std::io;
use std::os::unix::net::UnixStream;

/// The process that listened when the connection was made. A service manager that holds a socket listens for its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    pub uid: u32,
    /// `None` where the process is of another namespace, or the system does not say.
    pub pid: Option<u32>,
}

/// Returns the peer of `stream`.
pub fn of(stream: &UnixStream) -> io::Result<Peer> {
    #[cfg(target_os = "linux")]
    if let Ok(peer) = rustix::net::sockopt::socket_peercred(stream) {
        return Ok(Peer {
            uid: peer.uid.as_raw(),
            pid: u32::try_from(peer.pid.as_raw_pid()).ok(),
        });
    }
    by_runtime(stream)
}

/// Asks through tokio, which knows the call of each system, and a process of another namespace, which has no id here.
fn by_runtime(stream: &UnixStream) -> io::Result<Peer> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let _entered = runtime.enter();
    let stream = stream.try_clone()?;
    stream.set_nonblocking(true)?;
    let stream = tokio::net::UnixStream::from_std(stream)?;
    let peer = stream.peer_cred();
    // The flag belongs to the connection, which the clone shares.
    stream.into_std()?.set_nonblocking(false)?;
    let peer = peer?;
    Ok(Peer {
        uid: peer.uid(),
        pid: peer.pid().and_then(|pid| u32::try_from(pid).ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn both_ways_name_this_process_and_leave_the_connection_as_it_was() {
        let (mut near, mut far) = UnixStream::pair().unwrap();
        let us = rustix::process::geteuid().as_raw();
        for peer in [of(&near).unwrap(), by_runtime(&near).unwrap()] {
            assert_eq!(peer.uid, us);
            if cfg!(target_os = "linux") {
                assert_eq!(peer.pid, Some(std::process::id()));
            }
        }
        far.write_all(b"x").unwrap();
        near.read_exact(&mut [0]).unwrap();
        let limit = std::time::Duration::from_millis(20);
        near.set_read_timeout(Some(limit)).unwrap();
        let start = std::time::Instant::now();
        near.read_exact(&mut [0]).unwrap_err();
        assert!(start.elapsed() >= limit, "reads still wait");
    }
}
