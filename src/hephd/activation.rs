//! Listeners that a service manager passes on (sd_listen_fds(3)). It bound them before hephd started and keeps them when
//! hephd ends, so that who connects in between waits for the next hephd.
//!
//! Which one is which is told by its type and its address, not by its place.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::Path;

use listenfd::ListenFd;

use super::print;
use crate::os::text::printable;

/// The listeners that were passed on and that nobody has taken yet; empty where hephd was started by hand.
#[derive(Debug, Default)]
pub struct Inherited {
    unix: Vec<UnixListener>,
    tcp: Vec<TcpListener>,
}

impl Inherited {
    /// Takes what `LISTEN_FDS` and `LISTEN_PID` tell of, and removes both variables. Call it once, before any thread runs.
    pub fn take() -> Inherited {
        let mut passed = ListenFd::from_env();
        let mut inherited = Inherited::default();
        for place in 0..passed.len() {
            if let Ok(Some(listener)) = passed.take_unix_listener(place) {
                inherited.unix.push(listener);
            } else if let Ok(Some(listener)) = passed.take_tcp_listener(place) {
                inherited.tcp.push(listener);
            } else {
                print::log(format!(
                    "number {} of what the service manager passed is no listener, and is left alone",
                    place + 1
                ));
            }
        }
        inherited
    }

    /// Takes the unix listener for `path`: the one that has this path, else the first; `None` where none was passed.
    pub fn unix(&mut self, path: &Path) -> Option<UnixListener> {
        let fits = |listener: &UnixListener| has_path(listener, path);
        let place = self.unix.iter().position(fits).unwrap_or(0);
        (place < self.unix.len()).then(|| self.unix.swap_remove(place))
    }

    /// Takes the TCP listener that is bound to `address`; `None` where none was passed. It is as the service manager made
    /// it: set it non-blocking before an event loop gets it.
    pub fn tcp(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let fits = |listener: &TcpListener| listener.local_addr().is_ok_and(|own| own == address);
        let place = self.tcp.iter().position(fits)?;
        Some(self.tcp.swap_remove(place))
    }

    /// Tells of what nobody took, and closes it. The service manager goes on listening there, and nobody is ever answered.
    pub fn leave(self) {
        let unix = self.unix.iter().map(|listener| {
            let address = listener.local_addr().ok();
            let path = address.as_ref().and_then(|own| own.as_pathname());
            path.map_or_else(String::new, |path| path.display().to_string())
        });
        let tcp = self.tcp.iter().map(|listener| {
            let address = listener.local_addr();
            address.map_or_else(|_| String::new(), |own| own.to_string())
        });
        for address in unix.chain(tcp) {
            print::log(format!(
                "the service manager listens on '{}' for hephd, which has no use for it",
                printable(&address)
            ));
        }
    }
}

/// Returns whether `listener` is bound to `path`.
pub fn has_path(listener: &UnixListener, path: &Path) -> bool {
    listener
        .local_addr()
        .is_ok_and(|own| own.as_pathname() == Some(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_told_apart_by_their_addresses() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let tcp = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (first, second) = (tcp(), tcp());
        let address = second.local_addr().unwrap();
        let mut inherited = Inherited {
            unix: ["a", "b", "c"]
                .map(|name| UnixListener::bind(path(name)).unwrap())
                .into(),
            tcp: vec![first, second],
        };
        let taken = inherited.unix(&path("b")).unwrap();
        assert!(has_path(&taken, &path("b")));
        assert!(inherited.unix(&path("elsewhere")).is_some(), "any will do");
        assert!(inherited.unix(&path("elsewhere")).is_some());
        assert!(inherited.unix(&path("elsewhere")).is_none(), "none is left");

        let taken = inherited.tcp(address).unwrap();
        assert_eq!(taken.local_addr().unwrap(), address);
        assert!(inherited.tcp(address).is_none(), "it is taken");
    }
}
