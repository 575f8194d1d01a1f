//! An exclusive lock between processes, released by the kernel however its holder ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Result, ResultExt};
use crate::os::files;

/// A lock, held until it is dropped or its process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Takes the lock at `path` without waiting; returns `None` if another process holds it.
pub fn try_exclusive(path: &Path) -> Result<Option<Lock>> {
    if let Some(folder) = path.parent() {
        files::create_private_dir(folder)?;
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot open the lock '{}'", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock { _file: file })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot take the lock '{}'", path.display()))
        }
    }
}

/// The interval between two attempts.
const AGAIN: Duration = Duration::from_millis(50);

/// Takes the lock at `path`, waiting for at most `limit`; returns `None` if another process holds it throughout.
pub fn exclusive(path: &Path, limit: Duration) -> Result<Option<Lock>> {
    let deadline = Instant::now() + limit;
    loop {
        let lock = try_exclusive(path)?;
        if lock.is_some() || Instant::now() >= deadline {
            return Ok(lock);
        }
        thread::sleep(AGAIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_waited_for_with_a_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = try_exclusive(&path).unwrap().expect("free at first");
        assert!(exclusive(&path, Duration::ZERO).unwrap().is_none());
        let waiting = thread::spawn({
            let path = path.clone();
            move || exclusive(&path, Duration::from_secs(60)).unwrap().is_some()
        });
        drop(held);
        assert!(waiting.join().unwrap());
    }

    #[test]
    fn a_held_lock_is_refused_and_a_dropped_one_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/lock");
        let held = try_exclusive(&path).unwrap().expect("free at first");
        assert!(
            try_exclusive(&path).unwrap().is_none(),
            "held by another descriptor"
        );
        drop(held);
        assert!(try_exclusive(&path).unwrap().is_some());
    }
}
