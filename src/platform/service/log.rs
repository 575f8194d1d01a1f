//! hephd's log: private, rotated when hephd is started, and read from its end.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Result, ResultExt};
use crate::os::files;

/// A log of more bytes is rotated when hephd is started.
const LIMIT: u64 = 8 << 20;

/// Creates the log, for its owner alone, before a service manager would create it for everyone. Moves a large one to `<log>.1`
/// first; a hephd that still runs continues to write to that file.
pub fn prepare(log: &Path) -> Result<()> {
    if let Some(folder) = log.parent() {
        files::create_private_dir(folder)?;
    }
    if size(log) > LIMIT {
        fs::rename(log, rotated(log))
            .with_context(|| format!("cannot rotate the log '{}'", log.display()))?;
    }
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(files::PRIVATE)
        .open(log)
        .map(drop)
        .with_context(|| format!("cannot create the log '{}'", log.display()))
}

/// Returns the size of `log` in bytes, 0 where it does not exist.
pub fn size(log: &Path) -> u64 {
    fs::metadata(log).map_or(0, |metadata| metadata.len())
}

/// Returns the last `lines` lines that were added to `log` since its size was `mark`, and its size now. A log that does not
/// exist is empty; one that shrank was truncated or rotated, so all of it is new.
///
/// Reads backwards from the end, so that a large log costs no more than the requested lines.
pub fn added(log: &Path, mark: u64, lines: usize) -> io::Result<(Vec<u8>, u64)> {
    const BLOCK: u64 = 64 * 1024;
    let mut file = match File::open(log) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        Err(error) => return Err(error),
    };
    let end = file.metadata()?.len();
    let mark = if end < mark { 0 } else { mark };
    let mut start = end;
    let mut text = Vec::new();
    while start > mark && text.iter().filter(|byte| **byte == b'\n').count() <= lines {
        let next = start.saturating_sub(BLOCK).max(mark);
        let mut block = Vec::new();
        file.seek(SeekFrom::Start(next))?;
        (&mut file).take(start - next).read_to_end(&mut block)?;
        block.append(&mut text);
        text = block;
        start = next;
    }
    let last = text
        .split_inclusive(|byte| *byte == b'\n')
        .rev()
        .take(lines);
    let length: usize = last.map(<[u8]>::len).sum();
    Ok((text.split_off(text.len() - length), end))
}

fn rotated(log: &Path) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(".1");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_last_lines_are_found_in_logs_of_any_size() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        assert_eq!(added(&log, 0, 5).unwrap(), (Vec::new(), 0), "no log yet");
        for length in [1, 100, 40_000] {
            let lines: Vec<String> = (0..10)
                .map(|n| format!("{n}{}", "x".repeat(length)))
                .collect();
            for end in ["", "\n"] {
                let text = lines.join("\n") + end;
                fs::write(&log, &text).unwrap();
                for wanted in [0, 1, 3, 10, 11] {
                    let expected =
                        lines[10 - wanted.min(10)..].join("\n") + if wanted > 0 { end } else { "" };
                    let (read, size) = added(&log, 0, wanted).unwrap();
                    assert_eq!(
                        String::from_utf8(read).unwrap(),
                        expected,
                        "{wanted} of {length}"
                    );
                    assert_eq!(size, text.len() as u64);
                }
            }
        }
    }

    #[test]
    fn only_what_is_new_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        fs::write(&log, "old\n").unwrap();
        let mark = size(&log);
        fs::write(&log, "old\none\ntwo\n").unwrap();
        let since = |lines| added(&log, mark, lines).unwrap();
        assert_eq!(since(5).0, b"one\ntwo\n");
        assert_eq!(since(1).0, b"two\n");
        assert_eq!(since(usize::MAX), (b"one\ntwo\n".to_vec(), 12));
        fs::write(&log, "n\n").unwrap();
        assert_eq!(since(5).0, b"n\n", "emptied in between");
    }

    #[test]
    fn the_log_is_private_and_rotated_when_large() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("heph/hephd.log");
        prepare(&log).unwrap();
        let mode = fs::metadata(&log).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(&log, "kept\n").unwrap();
        prepare(&log).unwrap();
        assert_eq!(fs::read(&log).unwrap(), b"kept\n");
        File::options()
            .write(true)
            .open(&log)
            .unwrap()
            .set_len(LIMIT + 1)
            .unwrap();
        prepare(&log).unwrap();
        assert_eq!((size(&log), size(&rotated(&log))), (0, LIMIT + 1));
    }
}
