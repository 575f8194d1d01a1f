//! The process that holds a lock, for the error that has to name it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Returns the process that holds the lock at `path`, where the system says so (proc_locks(5)); `None` where it is free.
pub fn of(path: &Path) -> Option<u32> {
    let lock = fs::metadata(path).ok()?;
    let locks = fs::read_to_string("/proc/locks").ok()?;
    // The same number may be of a file on another device, whose name in this list is not that of stat(2) on every file
    // system. The descriptors of the process say for sure.
    holders(&locks, lock.ino()).find(|pid| {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd"));
        descriptors.into_iter().flatten().flatten().any(|entry| {
            let open = fs::metadata(entry.path());
            open.is_ok_and(|open| (open.dev(), open.ino()) == (lock.dev(), lock.ino()))
        })
    })
}

/// Returns the processes that hold an flock(2) of the file number `inode`, by the text of `/proc/locks`. Pure.
fn holders(locks: &str, inode: u64) -> impl Iterator<Item = u32> {
    locks.lines().filter_map(move |line| {
        // "1: FLOCK  ADVISORY  WRITE 4711 08:01:131423 0 EOF"; one that waits has "->" in second place.
        let mut words = line.split_ascii_whitespace().skip(1);
        let (kind, pid) = (words.next()?, words.nth(2)?);
        let (_, number) = words.next()?.rsplit_once(':')?;
        let is_it = kind == "FLOCK" && number.parse() == Ok(inode);
        pid.parse().ok().filter(|_| is_it)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::lock;

    #[test]
    fn the_holders_of_a_file_are_read_from_the_list_of_locks() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 08:01:77 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 12 08:01:78 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 13 08:01:77 0 EOF\n\
                     3: -> FLOCK  ADVISORY  WRITE 14 08:01:77 0 EOF\n\
                     4: OFDLCK ADVISORY  READ -1 08:01:77 0 EOF\n\
                     5: FLOCK  ADVISORY  WRITE 15 00:2a:77 0 EOF\n\
                     6: FLOCK\n";
        assert_eq!(holders(locks, 77).collect::<Vec<_>>(), [13, 15]);
        assert_eq!(holders(locks, 79).next(), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_process_that_holds_a_lock_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        assert_eq!(of(&path), None, "no file");
        let held = lock::try_exclusive(&path).unwrap().expect("free at first");
        assert_eq!(of(&path), Some(std::process::id()));
        drop(held);
        assert_eq!(of(&path), None, "a file that nobody holds");
    }
}
