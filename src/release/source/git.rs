//! Any git remote over http(s), by the tags it advertises: one GET of `<url>/info/refs?service=git-upload-pack`
//! (gitprotocol-http(5), gitprotocol-pack(5)).

use semver::Version;

use super::{Choice, Repository, Wanted, choose, quoted};
use crate::release::{Release, Tag};

/// Returns where the remote advertises its refs.
pub fn url(repository: &Repository) -> String {
    format!("{}/info/refs?service=git-upload-pack", repository.url)
}

/// Chooses from the advertised tags.
///
/// # Errors
///
/// A sentence that says what is wrong with the advertisement.
pub fn parse(body: &[u8], wanted: &Wanted) -> Result<Choice, String> {
    Ok(choose(releases(body, wanted.prefix)?, wanted))
}

/// Returns the release with exactly `version`, or the names of the nearest below and above it.
///
/// # Errors
///
/// A sentence that says what is wrong with the advertisement.
pub fn named(
    body: &[u8],
    prefix: &str,
    version: &Version,
) -> Result<Result<Release, Vec<Tag>>, String> {
    let mut all = releases(body, prefix)?;
    all.sort_by(|a, b| a.version.cmp(&b.version));
    let at = all.partition_point(|release| release.version < *version);
    if all
        .get(at)
        .is_some_and(|release| release.version == *version)
    {
        return Ok(Ok(all.swap_remove(at)));
    }
    let near = &all[at.saturating_sub(1)..(at + 1).min(all.len())];
    Ok(Err(near
        .iter()
        .map(|release| release.tag.clone())
        .collect()))
}

/// Returns every tag that is `prefix` and a semver. Others are none of heph's business.
fn releases(body: &[u8], prefix: &str) -> Result<Vec<Release>, String> {
    let tags = refs(body)?
        .into_iter()
        .filter_map(|name| name.strip_prefix("refs/tags/"));
    Ok(tags
        .filter_map(|name| Tag::parse(prefix, name))
        .map(|(tag, version)| Release {
            version,
            tag,
            url: None,
            published_at: None,
        })
        .collect())
}

/// Returns the names of the advertised refs, those of peeled tags (`^{}`) included.
fn refs(body: &[u8]) -> Result<Vec<&str>, String> {
    if matches!(body.get(40), Some(b'\t')) && body[..40].iter().all(u8::is_ascii_hexdigit) {
        return Err(
            "it is an advertisement of git's dumb http, which heph does not read".to_owned(),
        );
    }
    let mut packets = Packets { rest: body };
    let mut names = Vec::new();
    let mut first = packets.next()?;
    // The smart server announces its service in a section of its own.
    if let Packet::Line(line) = first
        && line.starts_with(b"# service=git-upload-pack")
    {
        if packets.next()? != Packet::Flush {
            return Err("its announcement of the service does not end".to_owned());
        }
        first = packets.next()?;
    }
    let mut packet = first;
    loop {
        let line = match packet {
            Packet::Flush => return Ok(names),
            Packet::Line(line) => line.strip_suffix(b"\n").unwrap_or(line),
        };
        if let Some(message) = line.strip_prefix(b"ERR ") {
            let message = String::from_utf8_lossy(message);
            return Err(format!("the remote says {}", quoted(&message)));
        }
        if line == b"version 2" {
            return Err(
                "it speaks version 2 of git's protocol, which was not asked for".to_owned(),
            );
        }
        if line != b"version 1" && !line.starts_with(b"shallow ") {
            names.extend(ref_name(line)?);
        }
        packet = packets.next()?;
    }
}

/// Returns the name in `<object> <name>`, without the capabilities that follow the first; `None` where it is not UTF-8.
fn ref_name(line: &[u8]) -> Result<Option<&str>, String> {
    let end = line.iter().position(|byte| *byte == 0);
    let line = &line[..end.unwrap_or(line.len())];
    let space = line.iter().position(|byte| *byte == b' ');
    match space {
        Some(at @ (40 | 64)) if line[..at].iter().all(u8::is_ascii_hexdigit) => {
            Ok(std::str::from_utf8(&line[at + 1..]).ok())
        }
        _ => Err(format!(
            "{} is not a ref",
            quoted(&String::from_utf8_lossy(line))
        )),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packet<'a> {
    Line(&'a [u8]),
    Flush,
}

/// The pkt-lines of an answer (gitprotocol-common(5)).
struct Packets<'a> {
    rest: &'a [u8],
}

impl<'a> Packets<'a> {
    fn next(&mut self) -> Result<Packet<'a>, String> {
        let Some((digits, rest)) = self.rest.split_first_chunk::<4>() else {
            return Err(match self.rest {
                [] => "it ends too early".to_owned(),
                _ => "it is not an advertisement of git's smart http".to_owned(),
            });
        };
        let length = digits
            .iter()
            .all(u8::is_ascii_hexdigit)
            .then(|| std::str::from_utf8(digits).ok())
            .flatten()
            .and_then(|digits| usize::from_str_radix(digits, 16).ok())
            .ok_or("it is not an advertisement of git's smart http")?;
        match length.checked_sub(4) {
            None if length == 0 => {
                self.rest = rest;
                Ok(Packet::Flush)
            }
            None => Err("one of its lines has an impossible length".to_owned()),
            Some(length) => {
                let (line, rest) = rest
                    .split_at_checked(length)
                    .ok_or("it ends in the middle of a line")?;
                self.rest = rest;
                Ok(Packet::Line(line))
            }
        }
    }
}
