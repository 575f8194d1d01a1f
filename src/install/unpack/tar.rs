//! tar, as GNU, BSD and POSIX write it (pax(1), tar(5)).
//!
//! The crate parses headers; their extensions are parsed here, within bounds: a long name must not fill the memory.

use std::io::Read;

use tar::{Archive, Entry, EntryType, PaxExtensions};

use super::contents::Contents;
use super::{read_error, unreadable};
use crate::error::Result;
use crate::os::text::quoted;

const LARGEST_HEADER: u64 = 64 << 10;
/// The keys that an extended header must not have: each would contradict the file's own header.
const FORBIDDEN: [&str; 2] = ["size", "GNU.sparse."];

/// What extended headers say of the next entry.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

/// Adds every entry of the uncompressed archive `tar` to `contents`, and reads it to its end.
pub(super) fn read(tar: impl Read, contents: &mut Contents) -> Result<()> {
    let mut archive = Archive::new(tar);
    let entries = archive.entries().map_err(read_error)?.raw(true);
    let mut extended = Extended::default();
    for entry in entries {
        let mut entry = entry.map_err(read_error)?;
        let kind = entry.header().entry_type();
        match kind {
            EntryType::GNULongName => {
                given(&mut extended.path, name(&mut entry)?)?;
                continue;
            }
            EntryType::GNULongLink => {
                given(&mut extended.link, name(&mut entry)?)?;
                continue;
            }
            EntryType::XHeader => {
                extend(&mut extended, &header(&mut entry)?)?;
                continue;
            }
            EntryType::XGlobalHeader => {
                let mut global = Extended::default();
                extend(&mut global, &header(&mut entry)?)?;
                if global.path.is_some() || global.link.is_some() {
                    return Err(unreadable("it gives all files one name"));
                }
                continue;
            }
            _ => {}
        }
        let Extended { path, link } = std::mem::take(&mut extended);
        let path = path.unwrap_or_else(|| entry.header().path_bytes().into_owned());
        let size = entry.header().entry_size().map_err(read_error)?;
        // Some tools leave the mode blank.
        let mode = entry.header().mode().unwrap_or(0);
        match kind {
            EntryType::Regular => contents.file(&path, mode, size, &mut entry)?,
            EntryType::Directory if size == 0 => contents.path(&path)?,
            EntryType::Symlink | EntryType::Link => {
                let own = || {
                    entry
                        .header()
                        .link_name_bytes()
                        .map(|name| name.into_owned())
                };
                let target = link.or_else(own).unwrap_or_default();
                if kind == EntryType::Symlink {
                    contents.symlink(&path, &target)?;
                } else {
                    contents.hard_link(&path, &target)?;
                }
            }
            other => {
                let what = match other {
                    EntryType::Char | EntryType::Block => "a device",
                    EntryType::Fifo => "a fifo",
                    EntryType::GNUSparse => "a file with holes",
                    _ => "an entry that is neither file nor folder",
                };
                contents.path(&path)?;
                let path = quoted(&String::from_utf8_lossy(&path));
                return Err(unreadable(format!("it has {what}, {path}")));
            }
        }
    }
    if extended.path.is_some() || extended.link.is_some() {
        return Err(unreadable("it ends after the name of a file"));
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
            _ => return Err(unreadable("there is something behind its end")),
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
        return Err(unreadable("one of its headers is too large"));
    }
    Ok(bytes)
}

/// Returns a name that GNU tar wrote in place of a file.
fn name(entry: &mut Entry<impl Read>) -> Result<Vec<u8>> {
    let mut name = header(entry)?;
    if name.last() == Some(&0) {
        name.pop();
    }
    Ok(name)
}

fn given(known: &mut Option<Vec<u8>>, name: Vec<u8>) -> Result<()> {
    match known.replace(name) {
        None => Ok(()),
        Some(_) => Err(unreadable("it gives a file two names")),
    }
}

fn extend(extended: &mut Extended, bytes: &[u8]) -> Result<()> {
    for record in PaxExtensions::new(bytes) {
        let record = record.map_err(read_error)?;
        let key = String::from_utf8_lossy(record.key_bytes());
        if FORBIDDEN.iter().any(|forbidden| key.starts_with(forbidden)) {
            let key = quoted(&key);
            return Err(unreadable(format!("one of its headers changes {key}")));
        }
        match &*key {
            "path" => given(&mut extended.path, record.value_bytes().to_owned())?,
            "linkpath" => given(&mut extended.link, record.value_bytes().to_owned())?,
            _ => {}
        }
    }
    Ok(())
}
