//! Unpacking: from a hostile archive to the commands of a slot.
//!
//! Only commands are written, into one flat folder, under validated names, as new files. Everything else in the archive
//! (man pages, completions, licences, links) is read to its end and ignored. So no path in the archive can lead out of the
//! slot, and nothing can be written through a link. A path or a link that would lead out is malicious nevertheless, and the
//! archive is rejected as a whole. What else heph does not read (devices, encryption, too much of anything, damage) is no
//! reason to blame the owner: the archive has the digest that he published.
//!
//! Everything streams: no entry, table of contents or header is ever in memory as a whole, whatever size it claims. The
//! memory of the decompressors is bounded as well ([`streams`]).

mod contents;
mod streams;
mod tar;
mod zip;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use crate::error::{Error, Kind, Result};
use crate::release::asset::Format;
use contents::Contents;

const MOST_ENTRIES: usize = 10_000;
const MOST_BYTES: u64 = 4 << 30;
/// Room for headers and padding beyond [`MOST_BYTES`].
const MOST_OVERHEAD: u64 = 64 << 20;

/// Returns the error of an archive that heph does not read, which blames nobody.
fn unreadable(why: impl Into<String>) -> Error {
    Error::new(why).with_kind(Kind::Invalid)
}

/// Blames the machine for errors of the operating system, and takes all others for an archive that heph does not read.
fn read_error(error: io::Error) -> Error {
    match error.raw_os_error() {
        Some(_) => Error::from(error).context("cannot read the archive"),
        None => unreadable(format!("it cannot be read: {error}")),
    }
}

/// Unpacks the commands of `archive`, whose package is `package`, into the folder `bin`. `installed` are the commands that the
/// package has so far. Returns the names of those that are there now, sorted.
///
/// # Errors
///
/// [`Kind::Unfit`]: the archive is malicious. [`Kind::Invalid`]: heph cannot read it. `bin` may hold some of the commands then.
pub fn unpack(
    archive: &File,
    format: Format,
    package: &str,
    installed: &[String],
    bin: &Path,
) -> Result<Vec<String>> {
    let mut contents = Contents::new(package, installed, bin);
    let packed = || BufReader::with_capacity(64 * 1024, archive);
    match format {
        Format::Zip => zip::read(archive, &mut contents)?,
        Format::TarGz => tar::read(bounded(streams::gzip(packed())), &mut contents)?,
        Format::TarBz2 => tar::read(bounded(streams::bzip2(packed())), &mut contents)?,
        Format::TarXz => tar::read(bounded(streams::xz(packed())), &mut contents)?,
        Format::TarZst => tar::read(bounded(streams::zstd(packed())), &mut contents)?,
    }
    contents.commands()
}

fn bounded<R: Read>(unpacked: R) -> Bounded<R> {
    Bounded {
        unpacked,
        left: MOST_BYTES + MOST_OVERHEAD,
    }
}

struct Bounded<R> {
    unpacked: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.unpacked.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "it unpacks to more than 4 GiB")
        })?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;
    use std::io::{Seek, Write};

    /// The archives that the fuzzer begins with; the first byte of each is its own.
    const ARCHIVES: [(Format, &[u8]); 4] = [
        (
            Format::TarGz,
            include_bytes!("../../../fuzz/corpus/unpack/gzip"),
        ),
        (
            Format::TarXz,
            include_bytes!("../../../fuzz/corpus/unpack/xz"),
        ),
        (
            Format::TarZst,
            include_bytes!("../../../fuzz/corpus/unpack/zstd"),
        ),
        (
            Format::Zip,
            include_bytes!("../../../fuzz/corpus/unpack/zip"),
        ),
    ];

    proptest! {
        #[test]
        fn no_damage_panics_or_writes_anything_but_commands(
            (format, archive) in prop::sample::select(ARCHIVES.to_vec()),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            cut in prop::option::of(any::<prop::sample::Index>()),
        ) {
            let mut bytes = archive[1..].to_owned();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&bytes).unwrap();
            file.rewind().unwrap();
            let folder = tempfile::tempdir().unwrap();
            let unpacked = unpack(&file, format, "heph", &[], folder.path());
            let mut written: Vec<String> = fs::read_dir(folder.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            written.sort_unstable();
            match unpacked {
                Ok(names) => prop_assert_eq!(names, written),
                Err(error) => prop_assert!(matches!(error.kind(), Kind::Unfit | Kind::Invalid), "{error:?}"),
            }
        }
    }
}
