//! zip, stored or compressed by deflate, bzip2, xz or zstd (PKWARE's APPNOTE.TXT).
//!
//! The central directory at the end counts. Entries that share data are rejected: they make a small zip huge while each
//! entry looks harmless.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};

use flate2::read::DeflateDecoder;
use rawzip::{CompressionMethod, RECOMMENDED_BUFFER_SIZE, ZipArchive};

use super::contents::Contents;
use super::{MOST_BYTES, MOST_ENTRIES, read_error, streams, unreadable};
use crate::error::{Error, Result, ResultExt};
use crate::os::text::quoted;

/// The type of a file in its mode (stat(2)).
const TYPE: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const FOLDER: u32 = 0o040_000;
const LINK: u32 = 0o120_000;
const LONGEST_LINK: u64 = 4096;

pub(super) fn read(archive: &File, contents: &mut Contents) -> Result<()> {
    let file = archive.try_clone().context("cannot read the archive")?;
    let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
    let zip = ZipArchive::from_file(file, &mut buffer).map_err(damaged)?;
    if zip.entries_hint() > MOST_ENTRIES as u64 {
        return Err(unreadable(format!(
            "it has more than {MOST_ENTRIES} files and folders"
        )));
    }
    let mut taken = 0;
    let mut ranges = BTreeMap::new();
    let mut entries = zip.entries(&mut buffer);
    while let Some(entry) = entries.next_entry().map_err(damaged)? {
        taken += 1;
        if taken > zip.entries_hint() {
            return Err(unreadable("it has more entries than it says"));
        }
        let path = entry.file_path().as_bytes().to_owned();
        let shown = quoted(&String::from_utf8_lossy(&path));
        let mode = entry.mode().value();
        if entry.flags().is_encrypted() {
            return Err(unreadable(format!("{shown} is encrypted")));
        }
        // The name counts: tools without modes give a folder none, or that of a file.
        let folder = path.ends_with(b"/") || path.ends_with(b"\\") || mode & TYPE == FOLDER;
        if folder {
            contents.path(&path)?;
            continue;
        }
        if !matches!(mode & TYPE, 0 | REGULAR | LINK) {
            return Err(unreadable(format!(
                "it has {shown}, which is neither file nor folder"
            )));
        }
        let body = zip.get_entry(entry.wayfinder()).map_err(damaged)?;
        claim(&mut ranges, body.compressed_data_range())?;
        let size = entry.uncompressed_size_hint();
        let packed = body.reader();
        let unpacked: Box<dyn Read> = match entry.compression_method() {
            CompressionMethod::STORE => Box::new(packed),
            CompressionMethod::DEFLATE => Box::new(DeflateDecoder::new(packed)),
            CompressionMethod::BZIP2 => Box::new(streams::bzip2(BufReader::new(packed))),
            CompressionMethod::XZ => Box::new(streams::xz(packed)),
            CompressionMethod::ZSTD => Box::new(streams::zstd(BufReader::new(packed))),
            other => {
                return Err(unreadable(format!(
                    "{shown} is compressed by a method that heph does not read: {other}"
                )));
            }
        };
        let content = body.verifying_reader(unpacked);
        let mut content = content.take(size.min(MOST_BYTES) + 1);
        if mode & TYPE == LINK {
            let mut target = Vec::new();
            let mut start = content.take(LONGEST_LINK);
            start.read_to_end(&mut target).map_err(read_error)?;
            contents.symlink(&path, &target)?;
        } else {
            contents.file(&path, mode, size, &mut content)?;
        }
    }
    if taken != zip.entries_hint() {
        return Err(unreadable("it has fewer entries than it says"));
    }
    Ok(())
}

fn claim(ranges: &mut BTreeMap<u64, u64>, (start, end): (u64, u64)) -> Result<()> {
    let before = ranges.range(..=start).next_back();
    let after = ranges.range(start..).next();
    if before.is_some_and(|(_, before)| *before > start)
        || after.is_some_and(|(after, _)| *after < end)
    {
        return Err(unreadable("two of its files share their data"));
    }
    if end > start {
        ranges.insert(start, end);
    }
    Ok(())
}

fn damaged(error: rawzip::Error) -> Error {
    unreadable(format!("it cannot be read: {error}"))
}
