//! Downloads of large files, resumed where an earlier attempt was cut off.
//!
//! What arrives is kept in a file whose name ends in `.partial`, with a note beside it that says which version of the
//! remote file it belongs to: its URL and a strong validator. Only where the server confirms that validator (`If-Range`,
//! RFC 9110, section 13.1.5) does the next attempt resume; else it starts from scratch. A server that does not say how
//! large the file is, is rejected: nothing could bound the download or tell that it is complete, and one that compresses on
//! the way would spoil the digest.
//!
//! A [`Watcher`] sees every byte of the file once and in order, those of an earlier attempt included, so it can compute a
//! digest on the way.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use ureq::http::{HeaderMap, header};

use super::http::{self, Get, Limits};
use super::{files, interrupt};
use crate::error::{Error, Kind, Result, ResultExt, bail, ensure};

const CHUNK: usize = 64 * 1024;
const LARGEST_NOTE: u64 = 16 * 1024;
const RESUMES: &str = "the next run resumes the download";

/// What to download.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) url: &'a str,
    /// The address that the user chose; see [`Get::base`].
    pub(crate) base: &'a str,
    /// The file to keep it in; its name should end in `.partial`.
    pub(crate) partial: &'a Path,
    /// Its size, where that is known beforehand.
    pub(crate) size: Option<u64>,
    pub(crate) limit: u64,
}

/// An observer of a download.
pub(crate) trait Watcher {
    /// Called once, before [`Watcher::bytes`]: the file has `total` bytes, of which `present` are on disk already. An error
    /// ends the download.
    fn starts(&mut self, present: u64, total: u64) -> Result<()>;

    fn bytes(&mut self, bytes: &[u8]);
}

/// A complete download, still under its temporary name.
#[derive(Debug)]
pub(crate) struct Download {
    /// The file, at its start.
    pub(crate) file: File,
    /// Whether some of it came from an earlier attempt.
    pub(crate) resumed: bool,
}

/// Which remote file a partial file belongs to.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    url: String,
    validator: String,
}

/// Returns the limits of a large download: half a minute without a byte, an hour and a half in all (a GiB at 200 kB/s).
pub(crate) fn limits() -> Limits {
    Limits {
        total: Duration::from_secs(90 * 60),
        idle: Duration::from_secs(30),
        ..Limits::default()
    }
}

/// Downloads a file, from where an earlier attempt ended if that is possible. What arrives before an error stays for the next
/// attempt.
pub(crate) fn download(
    request: &Request,
    limits: &Limits,
    watcher: &mut dyn Watcher,
) -> Result<Download> {
    get(request, limits, watcher).with_context(|| format!("cannot download '{}'", request.url))
}

/// Removes a partial file and its note.
pub(crate) fn discard(partial: &Path) -> Result<()> {
    files::remove_file_if_there(&note_of(partial))
        .and_then(|_| files::remove_file_if_there(partial))
        .map(drop)
        .with_context(|| format!("cannot remove '{}'", partial.display()))
}

fn get(request: &Request, limits: &Limits, watcher: &mut dyn Watcher) -> Result<Download> {
    let partial = partial(request);
    let range = partial.as_ref().map(|(_, len)| format!("bytes={len}-"));
    let mut headers = vec![(header::ACCEPT_ENCODING, "identity")];
    if let (Some((validator, _)), Some(range)) = (&partial, &range) {
        headers.extend([
            (header::RANGE, range.as_str()),
            (header::IF_RANGE, validator),
        ]);
    }
    let asked = Get {
        url: request.url,
        base: Some(request.base),
        accept: "application/octet-stream, */*",
        headers: &headers,
        ..Get::default()
    };
    let (host, response) = http::open(&asked, limits).map_err(with_hint)?;
    let (answer, body) = http::answer(host, response);
    let host = &answer.host;
    let present = partial.map_or(0, |(_, len)| len);
    let start = match answer.status {
        200 => 0,
        206 if present > 0 => present,
        // The file became shorter, or the note is about another one.
        416 if present > 0 => {
            discard(request.partial)?;
            return get(request, limits, watcher);
        }
        _ => return Err(with_hint(answer.failure())),
    };
    let total = total(host, &answer.headers, start).map_err(with_hint)?;
    check_size(request, host, total).map_err(with_hint)?;

    let cannot_write = || format!("cannot write '{}'", request.partial.display());
    let mut file = open(request.partial, start == 0).with_context(cannot_write)?;
    write_note(request, answer.header("etag")).with_context(cannot_write)?;
    watcher.starts(start, total)?;
    replay(&file, start, watcher).with_context(cannot_write)?;
    file.seek(SeekFrom::Start(start))?;

    let mut body = body.into_with_config().limit(u64::MAX).reader();
    let mut buffer = vec![0; CHUNK];
    let mut length = start;
    while length < total {
        interrupt::check().map_err(|error| error.with_hint(RESUMES))?;
        let read = match body.read(&mut buffer) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read,
        };
        let read = read.map_err(|error| with_hint(http::failure(error.into(), host, limits)))?;
        length += read as u64;
        if length > total {
            discard(request.partial)?;
            return Err(with_hint(Error::new(format!(
                "{host} sends more than the {total} bytes that it announced"
            ))));
        }
        file.write_all(&buffer[..read]).with_context(cannot_write)?;
        watcher.bytes(&buffer[..read]);
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(Download {
        file,
        resumed: start > 0,
    })
}

/// Returns the validator and the length of what an earlier attempt left of this file.
fn partial(request: &Request) -> Option<(String, u64)> {
    let file = std::fs::symlink_metadata(request.partial).ok()?;
    let note: Note = files::read_json_if_there(&note_of(request.partial), LARGEST_NOTE).ok()??;
    let resumable = file.is_file()
        && (1..request.limit).contains(&file.len())
        && note.url == request.url
        && is_strong(&note.validator);
    resumable.then_some((note.validator, file.len()))
}

/// Records which remote file the partial file belongs to; a server without a strong validator leaves no note.
fn write_note(request: &Request, etag: Option<&str>) -> Result<()> {
    let path = note_of(request.partial);
    match etag.filter(|etag| is_strong(etag)) {
        Some(validator) => {
            let note = Note {
                url: request.url.to_owned(),
                validator: validator.to_owned(),
            };
            files::write_json(&path, &note)
        }
        None => Ok(files::remove_file_if_there(&path).map(drop)?),
    }
}

/// Returns whether an `ETag` promises the same bytes, and may be sent back (RFC 9110, section 8.8.3).
fn is_strong(etag: &str) -> bool {
    etag.len() > 2
        && etag.len() <= 512
        && etag.starts_with('"')
        && etag.ends_with('"')
        && etag.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Returns the size of the whole file, of which an answer with these headers has the bytes from `start` on.
fn total(host: &str, headers: &HeaderMap, start: u64) -> Result<u64> {
    let only = |name| {
        let mut values = headers.get_all(name).iter();
        let value = values.next()?.to_str().ok()?;
        values.next().is_none().then_some(value)
    };
    let digits = only(header::CONTENT_LENGTH).filter(|text| !text.starts_with('+'));
    let length: u64 = digits.and_then(|text| text.parse().ok()).with_context(|| {
        format!("{host} does not say how large the file is, or compresses it on the way")
    })?;
    if start == 0 {
        return Ok(length);
    }
    let end = length
        .checked_add(start)
        .with_context(|| format!("{host} announces an impossible length"))?;
    let expected = format!("bytes {start}-{}/{end}", end.saturating_sub(1));
    match only(header::CONTENT_RANGE) {
        Some(range) if range == expected => Ok(end),
        other => bail!("{host} sends another part of the file ({other:?}) than the missing one"),
    }
}

fn check_size(request: &Request, host: &str, total: u64) -> Result<()> {
    let limit = request.limit;
    ensure!(total > 0, "{host} sends an empty file");
    ensure!(
        total <= limit,
        "{host} announces {total} bytes, and at most {limit} are accepted"
    );
    if let Some(size) = request.size.filter(|size| *size != total) {
        bail!("{host} announces {total} bytes, but the release lists the file with {size}");
    }
    Ok(())
}

fn open(partial: &Path, from_scratch: bool) -> io::Result<File> {
    if from_scratch {
        // Never through a symbolic link that another user placed here.
        files::remove_file_if_there(partial)?;
    }
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(from_scratch)
        .mode(files::PRIVATE)
        .open(partial)
}

/// Shows the watcher the first `length` bytes of the file.
fn replay(mut file: &File, length: u64, watcher: &mut dyn Watcher) -> io::Result<()> {
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

fn with_hint(error: Error) -> Error {
    match error.kind() {
        Kind::Unreachable => error.with_hint(RESUMES),
        _ => error.with_hint(
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
    fn only_an_answer_that_continues_the_partial_file_is_accepted() {
        let whole = |value| total("a", &headers(&[("content-length", value)]), 0);
        assert_eq!(whole("10").unwrap(), 10);
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
        assert!(total("a", &headers(&[]), 0).is_err());
        let twice = [("content-length", "10"), ("content-length", "11")];
        assert!(total("a", &headers(&twice), 0).is_err());

        let part = |range| {
            let pairs = [("content-length", "6"), ("content-range", range)];
            total("a", &headers(&pairs), 4)
        };
        assert_eq!(part("bytes 4-9/10").unwrap(), 10);
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
        assert!(total("a", &headers(&huge), 4).is_err());
    }

    #[test]
    fn a_file_is_neither_empty_nor_larger_than_announced_or_allowed() {
        let request = |size| Request {
            url: "",
            base: "",
            partial: Path::new(""),
            size,
            limit: 100,
        };
        assert!(check_size(&request(None), "a", 100).is_ok());
        assert!(check_size(&request(Some(5)), "a", 5).is_ok());
        for (size, total) in [(None, 0), (None, 101), (Some(5), 6), (Some(5), 4)] {
            assert!(check_size(&request(size), "a", total).is_err());
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
