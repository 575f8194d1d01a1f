//! tar, as GNU, BSD and POSIX write it (pax(1), tar(5)).
//!
//! The crate reads headers; what extends them is read here, within bounds: a long name may not fill the memory.

use std::io::Read;

use tar::{Archive, Entry, EntryType, PaxExtensions};

use super::Trouble;
use super::contents::Contents;

/// The largest extended header, in bytes.
const LARGEST_HEADER: u64 = 64 << 10;
/// What an extended header may not say: each would make the file another than its own header does.
const FORBIDDEN: [&str; 3] = ["size", "linkpath", "GNU.sparse."];

/// Takes every entry of the uncompressed archive `tar`, and reads it to its end.
pub(super) fn read(tar: impl Read, contents: &mut Contents) -> Result<(), Trouble> {
    let mut archive = Archive::new(tar);
    let entries = archive.entries().map_err(Trouble::reading)?.raw(true);
    let mut long_name = None;
    for entry in entries {
        let mut entry = entry.map_err(Trouble::reading)?;
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
                    return Err(Trouble::archive("it gives all files one name"));
                }
                continue;
            }
            _ => long_name
                .take()
                .unwrap_or_else(|| entry.header().path_bytes().into_owned()),
        };
        let size = entry.header().entry_size().map_err(Trouble::reading)?;
        let mode = entry.header().mode().map_err(Trouble::reading)?;
        match kind {
            EntryType::Regular => contents.file(&name, mode, size, &mut entry)?,
            EntryType::Directory if size == 0 => contents.folder(&name)?,
            other => {
                let what = match other {
                    EntryType::Link | EntryType::Symlink | EntryType::GNULongLink => "a link",
                    EntryType::Char | EntryType::Block => "a device",
                    EntryType::Fifo => "a fifo",
                    EntryType::GNUSparse => "a file with holes",
                    _ => "something that is neither file nor folder",
                };
                let name = String::from_utf8_lossy(&name);
                let name = crate::os::text::quoted(&name);
                return Err(Trouble::Archive(format!("it has {what}, {name}")));
            }
        }
    }
    if long_name.is_some() {
        return Err(Trouble::archive("it ends after the name of a file"));
    }
    rest(archive.into_inner())
}

/// Reads what is behind the end: nothing but zeros, so that every checksum on the way is compared and nothing hides there.
fn rest(mut tar: impl Read) -> Result<(), Trouble> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match tar.read(&mut buffer).map_err(Trouble::reading)? {
            0 => return Ok(()),
            read if buffer[..read].iter().all(|byte| *byte == 0) => {}
            _ => return Err(Trouble::archive("there is something behind its end")),
        }
    }
}

/// Reads the content of an extended header.
fn header(entry: &mut Entry<impl Read>) -> Result<Vec<u8>, Trouble> {
    let mut bytes = Vec::new();
    entry
        .take(LARGEST_HEADER + 1)
        .read_to_end(&mut bytes)
        .map_err(Trouble::reading)?;
    if bytes.len() as u64 > LARGEST_HEADER {
        return Err(Trouble::archive("one of its headers is too large"));
    }
    Ok(bytes)
}

fn given(long_name: &mut Option<Vec<u8>>, name: Vec<u8>) -> Result<(), Trouble> {
    match long_name.replace(name) {
        None => Ok(()),
        Some(_) => Err(Trouble::archive("it gives a file two names")),
    }
}

/// Returns the path that an extended header gives.
fn extended(bytes: &[u8]) -> Result<Option<Vec<u8>>, Trouble> {
    let mut path = None;
    for record in PaxExtensions::new(bytes) {
        let record = record.map_err(Trouble::reading)?;
        let key = String::from_utf8_lossy(record.key_bytes());
        if FORBIDDEN.iter().any(|forbidden| key.starts_with(forbidden)) {
            let key = crate::os::text::quoted(&key);
            return Err(Trouble::Archive(format!(
                "one of its headers changes {key}"
            )));
        }
        if key == "path" {
            given(&mut path, record.value_bytes().to_owned())?;
        }
    }
    Ok(path)
}
