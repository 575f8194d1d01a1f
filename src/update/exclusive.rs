//! The lock: one run at a time for one installation.

use crate::error::{Error, Kind, Result};
use crate::os::{host, lock};
use crate::paths::Paths;

/// The lock of a run, held until it is dropped.
#[derive(Debug)]
pub struct Exclusive {
    _versions: lock::Lock,
    /// What release 0.1.0 locks.
    _state: lock::Lock,
}

/// Takes the lock: one run at a time, and never as root in another user's home.
///
/// It is the folder of the slots itself that is locked: runs with other state folders, and those that find no lock file, share
/// it. The lock file keeps runs of release 0.1.0 out.
pub fn exclusive(paths: &Paths) -> Result<Exclusive> {
    host::check_owner(&paths.home)?;
    let busy = || {
        Error::new("another run of heph self-update is under way")
            .with_kind(Kind::Busy)
            .with_hint("try again when it has ended: `heph self-update status`")
    };
    Ok(Exclusive {
        _state: lock::try_exclusive(&paths.lock())?.ok_or_else(busy)?,
        _versions: lock::try_exclusive_folder(&paths.versions())?.ok_or_else(busy)?,
    })
}

/// Returns whether a run is under way.
pub(crate) fn is_under_way(paths: &Paths) -> bool {
    lock::is_held(&paths.versions()) || lock::is_held(&paths.lock())
}
