//! Decompressors as streams. Each needs as much memory as the archive's window, and no more than [`WINDOW`] of it.

use std::io::{self, BufRead, Read};

use bzip2::bufread::BzDecoder;
use flate2::bufread::GzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// The largest window of xz or zstd, in bytes: what `zstd --ultra -22` and `--long` use. Smaller ones take less memory.
const WINDOW: u64 = 128 << 20;
/// The most streams in one file. Tools that compress block by block write one for every 64 KiB or so.
const MOST_STREAMS: u32 = 500_000;

pub(super) fn gzip<R: BufRead>(packed: R) -> impl Read {
    Streams::<R, GzDecoder<R>>::new(packed)
}

pub(super) fn bzip2<R: BufRead>(packed: R) -> impl Read {
    Streams::<R, BzDecoder<R>>::new(packed)
}

pub(super) fn xz(packed: impl Read) -> impl Read {
    // Besides its window, the decoder needs a little memory.
    let kilobytes = u32::try_from((WINDOW >> 10) + 1024).unwrap_or(u32::MAX);
    XzReader::new_mem_limit(packed, true, kilobytes)
}

pub(super) fn zstd<R: BufRead>(packed: R) -> impl Read {
    Streams::<R, ZstdFrame<R>>::new(packed)
}

/// One of the streams in a file: a member of gzip, a frame of zstd.
trait Stream<R>: Read + Sized {
    fn open(packed: R) -> io::Result<Self>;

    /// Ends the stream, which has been read to its end, and returns what follows it.
    fn close(self) -> io::Result<R>;
}

/// All streams of a file, one after the other. Zeros behind the last are padding, which tapes and some tools leave.
struct Streams<R, S> {
    packed: Option<R>,
    stream: Option<S>,
    opened: u32,
}

impl<R: BufRead, S: Stream<R>> Streams<R, S> {
    fn new(packed: R) -> Self {
        Streams {
            packed: Some(packed),
            stream: None,
            opened: 0,
        }
    }
}

impl<R: BufRead, S: Stream<R>> Read for Streams<R, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if let Some(stream) = &mut self.stream {
                match stream.read(buffer)? {
                    0 => {}
                    read => return Ok(read),
                }
            }
            let closed = self.stream.take().map(S::close).transpose()?;
            let Some(mut packed) = closed.or_else(|| self.packed.take()) else {
                return Ok(0);
            };
            if only_zeros(&mut packed)? {
                return Ok(0);
            }
            self.opened += 1;
            if self.opened > MOST_STREAMS {
                return Err(invalid("it has too many streams"));
            }
            self.stream = Some(S::open(packed)?);
        }
    }
}

/// Reads zeros to the end of `packed`; returns whether nothing else is there.
fn only_zeros(packed: &mut impl BufRead) -> io::Result<bool> {
    let mut zeros = false;
    loop {
        let buffer = packed.fill_buf()?;
        match buffer.iter().position(|byte| *byte != 0) {
            Some(0) if !zeros => return Ok(false),
            Some(_) => return Err(invalid("there is something behind its end")),
            None if buffer.is_empty() => return Ok(true),
            None => {}
        }
        zeros = true;
        let length = buffer.len();
        packed.consume(length);
    }
}

impl<R: BufRead> Stream<R> for GzDecoder<R> {
    fn open(packed: R) -> io::Result<Self> {
        Ok(GzDecoder::new(packed))
    }

    fn close(self) -> io::Result<R> {
        Ok(self.into_inner())
    }
}

impl<R: BufRead> Stream<R> for BzDecoder<R> {
    fn open(packed: R) -> io::Result<Self> {
        Ok(BzDecoder::new(packed))
    }

    fn close(self) -> io::Result<R> {
        Ok(self.into_inner())
    }
}

/// A frame of zstd (RFC 8878, section 3.1).
struct ZstdFrame<R> {
    packed: R,
    /// `None` for a frame of other data, which decoders skip.
    decoder: Option<FrameDecoder>,
}

impl<R: BufRead> Stream<R> for ZstdFrame<R> {
    fn open(mut packed: R) -> io::Result<Self> {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW);
        let decoder = match decoder.init(&mut packed) {
            Ok(()) => Some(decoder),
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length,
                ..
            })) => {
                let length = u64::from(length);
                let skipped = io::copy(&mut packed.by_ref().take(length), &mut io::sink())?;
                if skipped < length {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                None
            }
            Err(error) => return Err(invalid(error)),
        };
        Ok(ZstdFrame { packed, decoder })
    }

    /// Compares the checksum of the frame, which the decoder only computes.
    fn close(self) -> io::Result<R> {
        let Some(decoder) = self.decoder else {
            return Ok(self.packed);
        };
        let found = decoder.get_calculated_checksum();
        match decoder.get_checksum_from_data() {
            Some(written) if found != Some(written) => {
                Err(invalid("a checksum in the zstd stream is wrong"))
            }
            _ => Ok(self.packed),
        }
    }
}

impl<R: BufRead> Read for ZstdFrame<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(decoder) = &mut self.decoder else {
            return Ok(0);
        };
        while decoder.can_collect() == 0 && !decoder.is_finished() {
            let one = BlockDecodingStrategy::UptoBlocks(1);
            decoder
                .decode_blocks(&mut self.packed, one)
                .map_err(invalid)?;
        }
        decoder.read(buffer)
    }
}

fn invalid(error: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// "x" as gzip(1), bzip2(1) and zstd(1) pack it.
    const GZIP: &[u8] = &[
        31, 139, 8, 0, 0, 0, 0, 0, 0, 3, 171, 0, 0, 131, 22, 220, 140, 1, 0, 0, 0,
    ];
    const BZIP2: &[u8] = &[
        66, 90, 104, 57, 49, 65, 89, 38, 83, 89, 119, 75, 176, 20, 0, 0, 0, 0, 128, 0, 64, 32, 0,
        33, 24, 70, 130, 238, 72, 167, 10, 18, 14, 233, 118, 2, 128,
    ];
    const ZSTD: &[u8] = &[40, 181, 47, 253, 4, 88, 9, 0, 0, 120, 35, 17, 4, 131];
    /// A frame that decoders skip, with four bytes.
    const SKIPPED: &[u8] = &[0x5a, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4];

    fn all(mut unpacked: impl Read) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        unpacked.read_to_end(&mut bytes).map(|_| bytes)
    }

    fn unpacked(one: &[u8], packed: &[u8]) -> io::Result<Vec<u8>> {
        match one {
            GZIP => all(gzip(packed)),
            BZIP2 => all(bzip2(packed)),
            _ => all(zstd(packed)),
        }
    }

    #[test]
    fn streams_follow_each_other_and_zeros_follow_the_last() {
        for one in [GZIP, BZIP2, ZSTD] {
            let zeros = [0; 100_000];
            assert_eq!(unpacked(one, one).unwrap(), b"x");
            assert_eq!(unpacked(one, &[one, one].concat()).unwrap(), b"xx");
            assert_eq!(unpacked(one, &[one, &zeros].concat()).unwrap(), b"x");
            for bad in [
                [one, b"more"].concat(),
                [one, &zeros[..], one].concat(),
                [&[0], one].concat(),
                one[..one.len() - 1].to_owned(),
            ] {
                assert!(unpacked(one, &bad).is_err(), "{bad:?}");
            }
        }
    }

    #[test]
    fn frames_that_decoders_skip_are_skipped() {
        for packed in [
            [SKIPPED, ZSTD].concat(),
            [ZSTD, SKIPPED].concat(),
            [SKIPPED, SKIPPED, ZSTD, SKIPPED].concat(),
        ] {
            assert_eq!(all(zstd(&packed[..])).unwrap(), b"x");
        }
        assert!(all(zstd(&SKIPPED[..9])).is_err());
    }

    #[test]
    fn a_wrong_checksum_in_a_frame_is_noticed() {
        let mut wrong = ZSTD.to_owned();
        *wrong.last_mut().unwrap() ^= 1;
        assert!(all(zstd(&wrong[..])).is_err());
    }

    #[test]
    fn a_window_beyond_the_bound_is_refused_before_it_takes_memory() {
        // Frame_Header_Descriptor 0, then the Window_Descriptor.
        for (descriptor, good) in [(17 << 3, true), ((17 << 3) + 1, false), (0xff, false)] {
            let frame = [&ZSTD[..4], &[0, descriptor, 9, 0, 0, 120]].concat();
            assert_eq!(all(zstd(&frame[..])).is_ok(), good, "{descriptor}");
        }
    }

    #[test]
    fn there_is_an_end_to_streams_of_nothing() {
        let empty = [0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0];
        let packed = empty.repeat(usize::try_from(MOST_STREAMS).unwrap() + 1);
        assert!(all(zstd(&packed[..])).is_err());
        assert!(all(zstd(&packed[8..])).unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..60),
            one in prop::sample::select(vec![GZIP, BZIP2, ZSTD]),
            at: prop::sample::Index,
        ) {
            let mut changed = one.to_owned();
            let at = at.index(changed.len());
            changed.splice(at..at, bytes.iter().copied());
            let _ = unpacked(one, &bytes);
            let _ = unpacked(one, &changed);
        }
    }
}
