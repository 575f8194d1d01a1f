//! Any git remote over http(s), by the tags it advertises: one GET of `<url>/info/refs?service=git-upload-pack`
//! (gitprotocol-http(5), gitprotocol-pack(5)).

use std::collections::HashMap;

use semver::Version;

use super::{ReleaseFilter, Repository, Selection, choose, quoted};
use crate::release::{Release, Tag};

/// Returns where the remote advertises its refs.
pub fn url(repository: &Repository) -> String {
    format!("{}/info/refs?service=git-upload-pack", repository.url())
}

/// Chooses from the advertised tags.
///
/// # Errors
///
/// A sentence that says what is wrong with the advertisement.
pub fn parse(body: &[u8], wanted: &ReleaseFilter) -> Result<Selection, String> {
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

/// A tag of a release, as a git remote advertises it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertised {
    /// The tag.
    pub tag: Tag,
    /// The version in it.
    pub version: Version,
    /// What the tag points at: for an annotated one, the tag object. In lower-case hexadecimal.
    pub object: String,
    /// The commit it leads to in the end.
    pub commit: String,
}

impl Advertised {
    /// Returns whether the tag is an object of its own, which a signature can be in.
    pub fn is_annotated(&self) -> bool {
        self.object != self.commit
    }
}

/// Returns every advertised tag that is `prefix` and a semver. Others are none of heph's business.
///
/// # Errors
///
/// A sentence that says what is wrong with the advertisement; a tag that it names twice, for one.
pub fn advertised(body: &[u8], prefix: &str) -> Result<Vec<Advertised>, String> {
    let mut objects = HashMap::new();
    let mut tags = Vec::new();
    for (object, name) in refs(body)? {
        let Some(name) = name.strip_prefix("refs/tags/") else {
            continue;
        };
        if objects.insert(name, object.to_ascii_lowercase()).is_some() {
            return Err(format!("it names the tag {} twice", quoted(name)));
        }
        tags.extend(Tag::parse(prefix, name));
    }
    let with_objects = tags.into_iter().filter_map(|(tag, version)| {
        let object = objects.get(tag.as_str())?.clone();
        let peeled = objects.get(format!("{}^{{}}", tag.as_str()).as_str());
        let commit = peeled.unwrap_or(&object).clone();
        Some(Advertised {
            tag,
            version,
            object,
            commit,
        })
    });
    Ok(with_objects.collect())
}

/// Returns every advertised release.
fn releases(body: &[u8], prefix: &str) -> Result<Vec<Release>, String> {
    let release = |advertised: Advertised| Release {
        version: advertised.version,
        tag: advertised.tag,
        url: None,
        published_at: None,
        assets: Vec::new(),
    };
    Ok(advertised(body, prefix)?.into_iter().map(release).collect())
}

/// Returns the advertised refs, each with its object; those of peeled tags (`^{}`) included.
fn refs(body: &[u8]) -> Result<Vec<(&str, &str)>, String> {
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
            names.extend(object_and_name(line)?);
        }
        packet = packets.next()?;
    }
}

/// Returns object and name in `<object> <name>`, without the capabilities that follow the first; `None` where the name is
/// not UTF-8.
fn object_and_name(line: &[u8]) -> Result<Option<(&str, &str)>, String> {
    let end = line.iter().position(|byte| *byte == 0);
    let line = &line[..end.unwrap_or(line.len())];
    let space = line.iter().position(|byte| *byte == b' ');
    match space {
        Some(at @ (40 | 64)) if line[..at].iter().all(u8::is_ascii_hexdigit) => {
            let text = std::str::from_utf8(line).ok();
            Ok(text.map(|text| (&text[..at], &text[at + 1..])))
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
