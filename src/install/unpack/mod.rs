//! Unpacking: from a hostile archive to the commands of a slot.
//!
//! Only commands are written, into one flat folder, under validated names, as new files. Everything else in the archive
//! (man pages, completions, licences) is read to its end and ignored. So no path in the archive can lead out of the slot, and
//! nothing can be written through a link. All of it is validated nevertheless: an archive with a link, a device or `..`
//! anywhere in it is malicious, and rejected as a whole.
//!
//! Everything streams: no entry, table of contents or header is ever in memory as a whole, whatever size it claims. The
//! memory of the decompressors is bounded as well.

mod contents;
mod tar;
mod zip;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use crate::error::{Error, Result};
use crate::release::asset::Format;
use contents::Contents;

const MOST_ENTRIES: usize = 10_000;
const MOST_BYTES: u64 = 4 << 30;
/// The largest window of xz or zstd, in bytes: what `xz -9` uses. Smaller ones take less memory.
const WINDOW: u64 = 64 << 20;
/// Room for headers and padding beyond [`MOST_BYTES`].
const MOST_OVERHEAD: u64 = 64 << 20;

/// Blames the machine for errors of the operating system, and the archive for all other errors of reading it.
fn read_error(error: io::Error) -> Error {
    match error.raw_os_error() {
        Some(_) => Error::from(error).context("cannot read the archive"),
        None => Error::unfit(format!("it is damaged: {error}")),
    }
}

/// Unpacks the commands of `archive`, whose package is `package`, into the folder `bin`. Returns their names, sorted.
///
/// # Errors
///
/// An error of [`Kind::Unfit`](crate::error::Kind) blames the archive. `bin` may hold some of the commands then.
pub fn unpack(archive: &File, format: Format, package: &str, bin: &Path) -> Result<Vec<String>> {
    let mut contents = Contents::new(package, bin);
    let packed = || BufReader::with_capacity(64 * 1024, archive);
    match format {
        Format::Zip => zip::read(archive, &mut contents)?,
        Format::TarGz => tar::read(bounded(gzip(packed())), &mut contents)?,
        Format::TarXz => tar::read(bounded(xz(packed())), &mut contents)?,
        Format::TarZst => tar::read(bounded(Zstd::new(packed())), &mut contents)?,
    }
    contents.commands()
}

fn gzip(packed: impl io::BufRead) -> impl Read {
    flate2::bufread::MultiGzDecoder::new(packed)
}

fn xz(packed: impl Read) -> impl Read {
    // Besides its window, the decoder needs a little memory.
    let kilobytes = u32::try_from((WINDOW >> 10) + 1024).unwrap_or(u32::MAX);
    lzma_rust2::XzReader::new_mem_limit(packed, true, kilobytes)
}

/// The frames of a zstd stream, one after the other (RFC 8878, section 3).
struct Zstd<R: Read> {
    packed: Option<R>,
    frame: Option<Frame<R>>,
}

type Frame<R> = ruzstd::decoding::StreamingDecoder<R, ruzstd::decoding::FrameDecoder>;

impl<R: io::BufRead> Zstd<R> {
    fn new(packed: R) -> Zstd<R> {
        Zstd {
            packed: Some(packed),
            frame: None,
        }
    }

    fn next(&mut self) -> io::Result<Option<Frame<R>>> {
        let Some(mut packed) = self.packed.take() else {
            return Ok(None);
        };
        if packed.fill_buf()?.is_empty() {
            return Ok(None);
        }
        Frame::new_with_max_window_size(packed, WINDOW)
            .map(Some)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
    }
}

impl<R: io::BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut frame = match self.frame.take() {
                Some(frame) => frame,
                None => match self.next()? {
                    Some(frame) => frame,
                    None => return Ok(0),
                },
            };
            match frame.read(buffer)? {
                0 if !buffer.is_empty() => {
                    check_sum(&frame.decoder)?;
                    self.packed = Some(frame.into_inner());
                }
                read => {
                    self.frame = Some(frame);
                    return Ok(read);
                }
            }
        }
    }
}

/// Compares the checksum of a frame, which the decoder only computes.
fn check_sum(decoder: &ruzstd::decoding::FrameDecoder) -> io::Result<()> {
    match (
        decoder.get_checksum_from_data(),
        decoder.get_calculated_checksum(),
    ) {
        (Some(said), Some(found)) if said != found => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a checksum in the zstd stream is wrong",
        )),
        _ => Ok(()),
    }
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
