//! How long a client waits for hephd to return. Pure.
//!
//! Where systemd holds the socket, there is nothing to wait for: a connection is accepted even while hephd restarts.
//! Elsewhere the socket is away for that long, and a command that failed at once would fail during every update.

use std::time::Duration;

/// How long to wait, counted from when the socket vanished.
const AWAY: Duration = Duration::from_secs(5);

/// How the socket is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absence {
    /// There is no socket. hephd removes it at shutdown, which changes the folder.
    Missing {
        /// The time since the last change of the folder; `None` without a folder.
        folder_changed: Option<Duration>,
    },
    /// The socket refuses connections: hephd was killed, at an unknown time.
    Refused,
}

/// Returns how long a client that has waited for `waited` should go on waiting. Zero means to give up.
///
/// A hephd that was stopped long ago costs no wait at all.
pub(super) fn time_left(absence: Absence, waited: Duration) -> Duration {
    let away = match absence {
        Absence::Missing {
            folder_changed: None,
        } => return Duration::ZERO,
        // Other programs may change the folder as well; that does not prolong the wait.
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
        for (absence, waited, left) in [
            (nowhere, 0, 0),
            (missing(0), 0, 5000),
            (missing(1200), 0, 3800),
            (missing(1300), 100, 3700),
            (missing(5000), 0, 0),
            (missing(86_400_000), 0, 0),
            // Another program keeps changing the folder.
            (missing(0), 4000, 1000),
            (missing(0), 5000, 0),
            (Absence::Refused, 0, 5000),
            (Absence::Refused, 4999, 1),
            (Absence::Refused, 60_000, 0),
        ] {
            assert_eq!(
                time_left(absence, ms(waited)),
                ms(left),
                "{absence:?} {waited}"
            );
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
            prop_assert!(time_left(absence, waited) <= AWAY.saturating_sub(waited));
        }
    }
}
