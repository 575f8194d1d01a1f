//! tar, as GNU, BSD and POSIX write it (pax(1), tar(5)).
//!
//! The crate parses headers; their extensions are parsed here, within bounds: a long name must not fill the memory.

use std::io::Read;

use tar::{Archive, Entry, EntryType, PaxExtensions};

use super::contents::Contents;
use super::read_error;
use crate::error::{Error, Result};

const LARGEST_HEADER: u64 = 64 << 10;
/// The keys that an extended header must not have: each would contradict the file's own header.
const FORBIDDEN: [&str; 3] = ["size", "linkpath", "GNU.sparse."];

/// Adds every entry of the uncompressed archive `tar` to `contents`, and reads it to its end.
pub(super) fn read(tar: impl Read, contents: &mut Contents) -> Result<()> {
    let mut archive = Archive::new(tar);
    let entries = archive.entries().map_err(read_error)?.raw(true);
    let mut long_name = None;
    for entry in entries {
        let mut entry = entry.map_err(read_error)?;
        let kind = entry.header().entry_type();
        let name = match kind {
            EntryType::GNULongName => {
                let mut name = header(&mut entry)?;
                if name.last() == Some(&0) {
                    name.pop();
                }
                given(&mut long_name, name)?;
                continue;
            }
            EntryType::XHeader => {
                if let Some(path) = extended(&header(&mut entry)?)? {
                    given(&mut long_name, path)?;
                }
                continue;
            }
            EntryType::XGlobalHeader => {
                if extended(&header(&mut entry)?)?.is_some() {
                    return Err(Error::unfit("it gives all files one name"));
                }
                continue;
            }
            _ => long_name
                .take()
                .unwrap_or_else(|| entry.header().path_bytes().into_owned()),
        };
        let size = entry.header().entry_size().map_err(read_error)?;
        let mode = entry.header().mode().map_err(read_error)?;
        match kind {
            EntryType::Regular => contents.file(&name, mode, size, &mut entry)?,
            EntryType::Directory if size == 0 => contents.folder(&name)?,
            other => {
                let what = match other {
                    EntryType::Link | EntryType::Symlink | EntryType::GNULongLink => "a link",
                    EntryType::Char | EntryType::Block => "a device",
                    EntryType::Fifo => "a fifo",
                    EntryType::GNUSparse => "a file with holes",
                    _ => "an entry that is neither file nor folder",
                };
                let name = String::from_utf8_lossy(&name);
                let name = crate::os::text::quoted(&name);
                return Err(Error::unfit(format!("it has {what}, {name}")));
            }
        }
    }
    if long_name.is_some() {
        return Err(Error::unfit("it ends after the name of a file"));
    }
    rest(archive.into_inner())
}

/// Reads past the end, where only zeros may be, so that every checksum is compared and nothing is hidden there.
fn rest(mut tar: impl Read) -> Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match tar.read(&mut buffer).map_err(read_error)? {
            0 => return Ok(()),
            read if buffer[..read].iter().all(|byte| *byte == 0) => {}
            _ => return Err(Error::unfit("there is something behind its end")),
        }
    }
}

fn header(entry: &mut Entry<impl Read>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    entry
        .take(LARGEST_HEADER + 1)
        .read_to_end(&mut bytes)
        .map_err(read_error)?;
    if bytes.len() as u64 > LARGEST_HEADER {
        return Err(Error::unfit("one of its headers is too large"));
    }
    Ok(bytes)
}

fn given(long_name: &mut Option<Vec<u8>>, name: Vec<u8>) -> Result<()> {
    match long_name.replace(name) {
        None => Ok(()),
        Some(_) => Err(Error::unfit("it gives a file two names")),
    }
}

fn extended(bytes: &[u8]) -> Result<Option<Vec<u8>>> {
    let mut path = None;
    for record in PaxExtensions::new(bytes) {
        let record = record.map_err(read_error)?;
        let key = String::from_utf8_lossy(record.key_bytes());
        if FORBIDDEN.iter().any(|forbidden| key.starts_with(forbidden)) {
            let key = crate::os::text::quoted(&key);
            return Err(Error::unfit(format!("one of its headers changes {key}")));
        }
        if key == "path" {
            given(&mut path, record.value_bytes().to_owned())?;
        }
    }
    Ok(path)
}
