//! How long a client waits for a hephd that is not there. Pure.
//!
//! Where systemd holds the socket, nobody comes here: a connection is taken even while hephd restarts. Elsewhere the
//! socket is gone for that long, and a command that gave up at once would fail in the middle of every update.

use std::time::Duration;

/// How long a socket may be away, counted from when it vanished.
pub const AWAY: Duration = Duration::from_secs(5);

/// What is found where nobody listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// No socket. hephd removes it when it ends, which is a change of its folder: how long ago the last one was; `None`
    /// where there is no folder.
    Missing {
        /// Since the last change of the folder.
        folder_changed: Option<Duration>,
    },
    /// A socket that refuses: hephd was killed, and how long ago cannot be told.
    Refused,
}

/// Returns how long to go on waiting after `absence` was found, by who has waited for `waited` already; zero: give up.
///
/// A hephd that has been stopped for long costs no wait at all.
pub fn left(absence: Absence, waited: Duration) -> Duration {
    let away = match absence {
        Absence::Missing {
            folder_changed: None,
        } => return Duration::ZERO,
        // Others may change the folder as well; that does not make the wait longer than it would have been.
        Absence::Missing {
            folder_changed: Some(since),
        } => since.max(waited),
        Absence::Refused => waited,
    };
    AWAY.saturating_sub(away)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_socket_is_waited_for_until_5_s_after_it_vanished() {
        let ms = Duration::from_millis;
        let missing = |since: u64| Absence::Missing {
            folder_changed: Some(ms(since)),
        };
        let nowhere = Absence::Missing {
            folder_changed: None,
        };
        for (absence, waited, left_) in [
            (nowhere, 0, 0),
            (missing(0), 0, 5000),
            (missing(1200), 0, 3800),
            (missing(1300), 100, 3700),
            (missing(5000), 0, 0),
            (missing(86_400_000), 0, 0),
            // Somebody else keeps changing the folder.
            (missing(0), 4000, 1000),
            (missing(0), 5000, 0),
            (Absence::Refused, 0, 5000),
            (Absence::Refused, 4999, 1),
            (Absence::Refused, 60_000, 0),
        ] {
            assert_eq!(left(absence, ms(waited)), ms(left_), "{absence:?} {waited}");
        }
    }

    proptest! {
        #[test]
        fn no_wait_is_longer_than_5_s_in_all(changed in prop::option::of(0u64..10_000), refused: bool, waited in 0u64..10_000) {
            let absence = if refused {
                Absence::Refused
            } else {
                Absence::Missing { folder_changed: changed.map(Duration::from_millis) }
            };
            let waited = Duration::from_millis(waited);
            prop_assert!(left(absence, waited) <= AWAY.saturating_sub(waited));
        }
    }
}
