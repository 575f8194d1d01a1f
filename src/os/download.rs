//! Downloads of large files, which go on where an earlier try was cut off.
//!
//! What arrives is kept in a file whose name ends in `.partial`, with a note beside it that says of which version of the
//! remote file it is: its address and a strong validator. Only where the server confirms that validator (`If-Range`, RFC
//! 9110, section 13.1.5) does the next try go on from there; else it starts from nothing. A server that does not say how
//! large the file is, is not believed: nothing could bound the download or tell that it is complete, and one that
//! compresses on the way would spoil the digest.
//!
//! Whoever downloads is shown every byte of the file once and in order, those of an earlier try included, so a digest can
//! be computed on the way.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use ureq::http::{HeaderMap, header};

use super::http::{self, Failure, Get, Limits};
use super::{files, interrupt};
use crate::error::{Error, Kind, Result, ResultExt};

/// How many bytes are read at a time.
const CHUNK: usize = 64 * 1024;
/// The largest note.
const LARGEST_NOTE: u64 = 16 * 1024;

/// What is to be downloaded.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// Where from.
    pub url: &'a str,
    /// The file to keep it in; its name should end in `.partial`.
    pub partial: &'a Path,
    /// How large it is, where that is known beforehand.
    pub size: Option<u64>,
    /// How large it may be at most.
    pub limit: u64,
}

/// Somebody who watches a download.
pub trait Watcher {
    /// The file has `total` bytes, of which `there` are there already. Called once, before [`Watcher::bytes`].
    ///
    /// # Errors
    ///
    /// It must not go on, for example because the disk is too small.
    fn starts(&mut self, there: u64, total: u64) -> Result<()>;

    /// These are the next bytes of the file.
    fn bytes(&mut self, bytes: &[u8]);
}

/// A complete download, still under its temporary name.
#[derive(Debug)]
pub struct Download {
    /// The file, at its start.
    pub file: File,
    /// Whether some of it came from an earlier try.
    pub resumed: bool,
}

/// What a partial file is a part of.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    url: String,
    validator: String,
}

/// Returns the limits of a large download: half a minute without a byte, an hour and a half in all (a GiB at 200 kB/s).
pub fn limits() -> Limits {
    Limits {
        total: Duration::from_secs(90 * 60),
        idle: Duration::from_secs(30),
        ..Limits::default()
    }
}

/// Downloads `order`, from where an earlier try ended if that is possible.
///
/// # Errors
///
/// The server cannot be reached or breaks off (exit 75; what arrived stays for the next try), or answers something that is
/// not acceptable, or a signal asked to give up, or the disk is full.
pub fn download(order: &Order, limits: &Limits, watcher: &mut dyn Watcher) -> Result<Download> {
    get(order, limits, watcher).with_context(|| format!("cannot download '{}'", order.url))
}

/// Removes a partial file and its note.
pub fn forget(partial: &Path) -> io::Result<()> {
    files::remove_file_if_there(&note_of(partial))?;
    files::remove_file_if_there(partial).map(drop)
}

fn get(order: &Order, limits: &Limits, watcher: &mut dyn Watcher) -> Result<Download> {
    let had = earlier(order)?;
    let range = had.as_ref().map(|(_, length)| format!("bytes={length}-"));
    let mut headers = vec![(header::ACCEPT_ENCODING, "identity")];
    if let (Some((validator, _)), Some(range)) = (&had, &range) {
        headers.extend([
            (header::RANGE, range.as_str()),
            (header::IF_RANGE, validator),
        ]);
    }
    let request = Get {
        url: order.url,
        accept: "application/octet-stream, */*",
        headers: &headers,
        ..Get::default()
    };
    let (host, response) = http::open(&request, limits).map_err(fault)?;
    let (parts, body) = response.into_parts();
    let there = had.map_or(0, |(_, length)| length);
    let start = match parts.status.as_u16() {
        200 => 0,
        206 if there > 0 => there,
        // The file became shorter, or the note is about another one: from nothing, then.
        416 if there > 0 => {
            forget(order.partial).with_context(|| cannot_write(order))?;
            return get(order, limits, watcher);
        }
        status @ (429 | 500..=599) => {
            let why = format!("{host} answers with status {status}");
            return Err(fault(Failure::Unreachable(why)));
        }
        status => {
            let why = format!("{host} answers with status {status}");
            return Err(fault(Failure::Refused(why)));
        }
    };
    let total = total(&parts.headers, start)
        .and_then(|total| acceptable(order, total))
        .map_err(|why| fault(Failure::Refused(format!("{host} {why}"))))?;

    let mut file = open(order.partial, start == 0).with_context(|| cannot_write(order))?;
    note(order, &parts.headers)?;
    watcher.starts(start, total)?;
    repeat(&file, start, watcher).with_context(|| cannot_write(order))?;
    file.seek(SeekFrom::Start(start))?;

    let mut body = body.into_with_config().limit(u64::MAX).reader();
    let mut buffer = vec![0; CHUNK];
    let mut length = start;
    while length < total {
        if interrupt::requested() {
            return Err(Error::new("interrupted; nothing was changed")
                .with_hint("the next run goes on where this one stopped"));
        }
        let read = match body.read(&mut buffer) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read,
        };
        let read = read.map_err(|error| {
            fault(http::failure(
                error.into(),
                &host,
                &Default::default(),
                limits,
            ))
        })?;
        length += read as u64;
        if length > total {
            forget(order.partial).with_context(|| cannot_write(order))?;
            let why = format!("{host} sends more than the {total} bytes that it announced");
            return Err(fault(Failure::Refused(why)));
        }
        file.write_all(&buffer[..read])
            .with_context(|| cannot_write(order))?;
        watcher.bytes(&buffer[..read]);
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(Download {
        file,
        resumed: start > 0,
    })
}

/// Returns the validator and the length of what an earlier try left of this file.
fn earlier(order: &Order) -> Result<Option<(String, u64)>> {
    let length = match std::fs::symlink_metadata(order.partial) {
        Ok(file) if file.is_file() => file.len(),
        _ => 0,
    };
    let note = files::read_if_there(&note_of(order.partial), LARGEST_NOTE)
        .ok()
        .flatten()
        .and_then(|text| serde_json::from_slice::<Note>(&text).ok())
        .filter(|note| note.url == order.url && is_strong(&note.validator));
    Ok(note
        .filter(|_| length > 0 && length < order.limit)
        .map(|note| (note.validator, length)))
}

/// Remembers what the partial file is a part of; nothing where the server gives no strong validator.
fn note(order: &Order, headers: &HeaderMap) -> Result<()> {
    let validator = headers
        .get(header::ETAG)
        .and_then(|etag| etag.to_str().ok())
        .filter(|etag| is_strong(etag));
    let path = note_of(order.partial);
    let Some(validator) = validator else {
        return files::remove_file_if_there(&path)
            .map(drop)
            .with_context(|| cannot_write(order));
    };
    let note = Note {
        url: order.url.to_owned(),
        validator: validator.to_owned(),
    };
    files::write_atomic(&path, &serde_json::to_vec(&note)?, files::PRIVATE)
}

/// Returns whether an `ETag` promises the same bytes, and may be sent back (RFC 9110, section 8.8.3).
fn is_strong(etag: &str) -> bool {
    etag.len() > 2
        && etag.len() <= 512
        && etag.starts_with('"')
        && etag.ends_with('"')
        && etag.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Returns how large the whole file is, whose bytes from `start` on an answer with these headers has.
///
/// # Errors
///
/// The end of a sentence that begins with the host.
fn total(headers: &HeaderMap, start: u64) -> Result<u64, String> {
    let number = |name| {
        let mut values = headers.get_all(name).iter();
        let value = values.next()?.to_str().ok()?;
        values.next().is_none().then_some(value)
    };
    let length: u64 = number(header::CONTENT_LENGTH)
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or("does not say how large the file is, or compresses it on the way")?;
    if start == 0 {
        return Ok(length);
    }
    let end = length
        .checked_add(start)
        .ok_or("announces an impossible length")?;
    let expected = format!("bytes {start}-{}/{end}", end.saturating_sub(1));
    match number(header::CONTENT_RANGE) {
        Some(range) if range == expected => Ok(end),
        other => Err(format!(
            "sends another part of the file ({other:?}) than the one that is missing"
        )),
    }
}

fn acceptable(order: &Order, total: u64) -> Result<u64, String> {
    let limit = order.limit;
    match order.size {
        _ if total == 0 => Err("sends an empty file".to_owned()),
        _ if total > limit => Err(format!(
            "announces {total} bytes, and no more than {limit} are accepted"
        )),
        Some(size) if size != total => Err(format!(
            "announces {total} bytes, and the release lists the file with {size}"
        )),
        _ => Ok(total),
    }
}

fn open(partial: &Path, anew: bool) -> io::Result<File> {
    if anew {
        // Never through a link that somebody put there.
        files::remove_file_if_there(partial)?;
    }
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(anew)
        .mode(files::PRIVATE)
        .open(partial)
}

/// Shows the watcher the first `length` bytes of the file.
fn repeat(mut file: &File, length: u64, watcher: &mut dyn Watcher) -> io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    let mut left = file.take(length);
    let mut buffer = vec![0; CHUNK];
    loop {
        match left.read(&mut buffer)? {
            0 if left.limit() > 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            0 => return Ok(()),
            read => watcher.bytes(&buffer[..read]),
        }
    }
}

fn note_of(partial: &Path) -> PathBuf {
    let mut name = partial.file_name().unwrap_or_default().to_owned();
    name.push(".json");
    partial.with_file_name(name)
}

fn cannot_write(order: &Order) -> String {
    format!("cannot write '{}'", order.partial.display())
}

fn fault(failure: Failure) -> Error {
    match failure {
        Failure::Unreachable(why) => Error::new(why)
            .with_kind(Kind::Unreachable)
            .with_hint("the next run goes on where this one stopped"),
        Failure::Refused(why) => Error::new(why).with_hint(
            "look at the files of the release on its forge; `delivery = \"cargo\"` in [self-update] builds it instead",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_an_answer_that_continues_the_part_at_hand_is_one() {
        let whole = |value| total(&headers(&[("content-length", value)]), 0);
        assert_eq!(whole("10"), Ok(10));
        for hostile in [
            "",
            "-1",
            "+1",
            "1e3",
            "0x10",
            "10, 10",
            "99999999999999999999",
        ] {
            assert!(whole(hostile).is_err(), "{hostile}");
        }
        assert!(total(&headers(&[]), 0).is_err());
        let twice = [("content-length", "10"), ("content-length", "11")];
        assert!(total(&headers(&twice), 0).is_err());

        let part = |range| {
            let pairs = [("content-length", "6"), ("content-range", range)];
            total(&headers(&pairs), 4)
        };
        assert_eq!(part("bytes 4-9/10"), Ok(10));
        for other in [
            "bytes 0-5/10",
            "bytes 4-9/11",
            "bytes 4-9/*",
            "bytes 4-8/10",
            "bytes */10",
            "4-9/10",
            "",
        ] {
            assert!(part(other).is_err(), "{other}");
        }
        let huge = [
            ("content-length", "18446744073709551615"),
            ("content-range", "bytes 4-2/3"),
        ];
        assert!(total(&headers(&huge), 4).is_err());
    }

    #[test]
    fn a_file_is_neither_empty_nor_larger_than_announced_or_allowed() {
        let order = |size| Order {
            url: "",
            partial: Path::new(""),
            size,
            limit: 100,
        };
        assert_eq!(acceptable(&order(None), 100), Ok(100));
        assert_eq!(acceptable(&order(Some(5)), 5), Ok(5));
        for (size, total) in [(None, 0), (None, 101), (Some(5), 6), (Some(5), 4)] {
            assert!(acceptable(&order(size), total).is_err());
        }
    }

    #[test]
    fn a_weak_validator_promises_nothing() {
        for (etag, strong) in [
            ("\"abc\"", true),
            ("W/\"abc\"", false),
            ("\"\"", false),
            ("abc", false),
            ("\"a b\"", false),
            ("\"a\r\nX: y\"", false),
        ] {
            assert_eq!(is_strong(etag), strong, "{etag}");
        }
    }
}
