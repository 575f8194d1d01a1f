//! A socket on which a process of another user listens, who may have put it there to read what this user sends. Pure.

use std::fmt;
use std::io;

use crate::os::peer::Peer;

/// Why a connection is not used.
#[derive(Debug)]
struct Foreign {
    uid: u32,
    pid: Option<u32>,
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uid = self.uid;
        match self.pid {
            Some(pid) => write!(f, "process {pid}, which listens there, is of user {uid}"),
            None => write!(f, "the process that listens there is of user {uid}"),
        }
    }
}

impl std::error::Error for Foreign {}

/// Checks that `peer` is of the user `us`, or of root, whose service manager may hold the socket of a hephd that is a service
/// of the system. Pure.
pub(super) fn check(peer: Peer, us: u32) -> io::Result<()> {
    let Peer { uid, pid } = peer;
    if uid == us || uid == 0 {
        return Ok(());
    }
    let kind = io::ErrorKind::PermissionDenied;
    Err(io::Error::new(kind, Foreign { uid, pid }))
}

/// Returns what helps, if `error` is of [`check`].
pub(super) fn hint(error: &io::Error) -> Option<String> {
    let Foreign { uid, .. } = error.get_ref()?.downcast_ref::<Foreign>()?;
    Some(format!(
        "`sudo -u '#{uid}' heph` talks to that user's hephd; for your own, unset HEPH_SOCKET, or set it to a path in a folder \
         where only you can write"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_sent_to_a_process_of_another_user() {
        let peer = |uid| Peer { uid, pid: Some(7) };
        for (uid, us) in [(1000, 1000), (0, 1000), (0, 0)] {
            check(peer(uid), us).unwrap();
        }
        for (uid, us) in [(1001, 1000), (1000, 0), (65534, 0)] {
            let error = check(peer(uid), us).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("process 7, which listens there, is of user {uid}")
            );
            assert!(hint(&error).unwrap().contains(&format!("'#{uid}'")));
        }
        assert_eq!(hint(&io::ErrorKind::PermissionDenied.into()), None);
    }
}
