//! An exclusive lock between processes, released by the kernel however its holder ends.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Result, ResultExt, bail};
use crate::os::files;

/// A lock, held until it is dropped or its process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// How often a lock is taken anew because its path was replaced in between.
const REPLACED: u32 = 10;

/// Takes the lock at `path` without waiting; returns `None` if another process holds it.
pub fn try_exclusive(path: &Path) -> Result<Option<Lock>> {
    if let Some(folder) = path.parent() {
        files::create_private_dir(folder)?;
    }
    try_lock(path, || {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
    })
}

/// Takes the lock of the folder `path` itself, which is created if it is missing. There is no lock file that somebody could
/// remove.
pub fn try_exclusive_folder(path: &Path) -> Result<Option<Lock>> {
    files::create_private_dir(path)?;
    match try_lock(path, || File::open(path)) {
        // NFS emulates flock(2) by locks that need a file open for writing, which a folder never is.
        Err(_) if takes_no_lock(path) => try_exclusive(&file_instead(path)),
        ended => ended,
    }
}

/// Returns whether another process holds the lock at `path`, a file or a folder. Creates nothing.
pub fn is_held(path: &Path) -> bool {
    let held = |path: &Path| {
        let file = File::open(path).ok();
        file.is_some_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
    };
    held(path) || held(&file_instead(path))
}

fn try_lock(path: &Path, open: impl Fn() -> io::Result<File>) -> Result<Option<Lock>> {
    let cannot = |what: &str| format!("cannot {what} the lock '{}'", path.display());
    for _ in 0..REPLACED {
        let file = open().with_context(|| cannot("open"))?;
        match file.try_lock() {
            Ok(()) if is_still(&file, path) => return Ok(Some(Lock { _file: file })),
            // Another process may lock what is at the path now.
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error).with_context(|| cannot("take")),
        }
    }
    bail!("{}: it is replaced all the time", cannot("take"))
}

/// Returns whether `path` still leads to `file`.
fn is_still(file: &File, path: &Path) -> bool {
    let identity = |metadata: io::Result<fs::Metadata>| metadata.map(|it| (it.dev(), it.ino()));
    matches!(
        (identity(file.metadata()), identity(fs::metadata(path))),
        (Ok(one), Ok(other)) if one == other
    )
}

/// Returns whether the file system has no locks for the folder `path`.
fn takes_no_lock(path: &Path) -> bool {
    let tried = File::open(path).map(|folder| folder.try_lock());
    matches!(tried, Ok(Err(TryLockError::Error(_))))
}

/// The file that is locked where a file system has no locks for folders.
fn file_instead(folder: &Path) -> PathBuf {
    folder.join(".lock")
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
    fn a_folder_is_a_lock_of_its_own() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("data/versions");
        assert!(!is_held(&folder));
        let held = try_exclusive_folder(&folder)
            .unwrap()
            .expect("free at first");
        assert!(is_held(&folder));
        assert!(try_exclusive_folder(&folder).unwrap().is_none());
        // Spelled in another way, it is the same folder.
        let link = home.path().join("link");
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        assert!(try_exclusive_folder(&link).unwrap().is_none());
        drop(held);
        assert!(!is_held(&folder));
        assert!(try_exclusive_folder(&folder).unwrap().is_some());
    }

    #[test]
    fn a_lock_whose_path_was_replaced_is_not_the_lock_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let file = File::create(&path).unwrap();
        assert!(is_still(&file, &path));
        fs::remove_file(&path).unwrap();
        assert!(!is_still(&file, &path));
        File::create(&path).unwrap();
        assert!(!is_still(&file, &path));
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
