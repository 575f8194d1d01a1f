//! Listeners that the service manager passes (sd_listen_fds(3)). It bound them before hephd started and keeps them when
//! hephd shuts down, so that clients that connect in between wait for the next hephd.
//!
//! Type and address distinguish them, not their position.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::Path;

use listenfd::ListenFd;

use super::log;
use crate::os::text::printable;

/// The listeners that were passed and are not in use yet; empty if hephd was started by hand.
#[derive(Debug, Default)]
pub(super) struct Inherited {
    unix: Vec<UnixListener>,
    tcp: Vec<TcpListener>,
}

impl Inherited {
    /// Takes the listeners that `LISTEN_FDS` and `LISTEN_PID` announce, and removes both variables. Call it once, before any
    /// thread runs.
    pub(super) fn take() -> Inherited {
        let mut passed = ListenFd::from_env();
        let mut inherited = Inherited::default();
        for place in 0..passed.len() {
            if let Ok(Some(listener)) = passed.take_unix_listener(place) {
                inherited.unix.push(listener);
            } else if let Ok(Some(listener)) = passed.take_tcp_listener(place) {
                inherited.tcp.push(listener);
            } else {
                log::line(format!(
                    "ignoring descriptor {} of the service manager, which is not a listener",
                    place + 1
                ));
            }
        }
        inherited
    }

    /// Takes the unix listener with this path, else the first one, if any was passed.
    pub(super) fn unix(&mut self, path: &Path) -> Option<UnixListener> {
        let fits = |listener: &UnixListener| has_path(listener, path);
        let place = self.unix.iter().position(fits).unwrap_or(0);
        (place < self.unix.len()).then(|| self.unix.swap_remove(place))
    }

    /// Takes the TCP listener that is bound to `address`, if one was passed. It may be blocking.
    pub(super) fn tcp(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let fits = |listener: &TcpListener| listener.local_addr().is_ok_and(|own| own == address);
        let place = self.tcp.iter().position(fits)?;
        Some(self.tcp.swap_remove(place))
    }

    /// Closes the other listeners, with a warning: the service manager goes on listening there, and no client is ever
    /// answered.
    pub(super) fn close_unused(self) {
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
            log::line(format!(
                "the service manager listens on '{}' for hephd, which does not serve that address",
                printable(&address)
            ));
        }
    }
}

pub(super) fn has_path(listener: &UnixListener, path: &Path) -> bool {
    listener
        .local_addr()
        .is_ok_and(|own| own.as_pathname() == Some(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_found_by_their_addresses() {
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
        assert!(
            inherited.unix(&path("elsewhere")).is_some(),
            "any unix socket"
        );
        assert!(inherited.unix(&path("elsewhere")).is_some());
        assert!(
            inherited.unix(&path("elsewhere")).is_none(),
            "no other was passed"
        );

        let taken = inherited.tcp(address).unwrap();
        assert_eq!(taken.local_addr().unwrap(), address);
        assert!(inherited.tcp(address).is_none(), "it is taken");
    }
}
