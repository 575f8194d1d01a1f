//! Any git remote over http(s), by the tags it advertises: one GET of `<url>/info/refs?service=git-upload-pack`
//! (gitprotocol-http(5), gitprotocol-pack(5)).

use std::collections::HashMap;

use semver::Version;

use super::selection::{Source, select};
use crate::config::Repository;
use crate::error::{Result, ResultExt, bail, ensure};
use crate::os::text::quoted;
use crate::release::{Release, Tag};

pub(crate) const SOURCE: Source = Source {
    hosts: &[],
    accept: "application/x-git-upload-pack-advertisement",
    answers_probe: |_, _| false,
    releases: |repository| Ok(url(repository)),
    latest: "",
    list: "",
    by_tag: None,
    parse: |_, body, filter| {
        let all = advertised(body, filter.prefix)?;
        let releases = all.into_iter().map(Release::from).collect();
        Ok(Some(select(releases, filter)))
    },
    assets: |_| Ok(Vec::new()),
};

pub(crate) fn url(repository: &Repository) -> String {
    format!("{}/info/refs?service=git-upload-pack", repository.url())
}

/// A tag of a release, as a git remote advertises it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertised {
    pub tag: Tag,
    pub version: Version,
    /// What the tag points at: for an annotated one, the tag object. In lower-case hexadecimal.
    pub object: String,
    /// The commit it leads to in the end.
    pub commit: String,
}

impl Advertised {
    /// Returns whether the tag is an object of its own, which can hold a signature.
    pub fn is_annotated(&self) -> bool {
        self.object != self.commit
    }
}

impl From<Advertised> for Release {
    fn from(advertised: Advertised) -> Release {
        Release {
            version: advertised.version,
            tag: advertised.tag,
            url: None,
            published_at: None,
            assets: Vec::new(),
        }
    }
}

/// Returns every advertised tag that is `prefix` and a semver, and ignores all others.
///
/// # Errors
///
/// It is not a valid advertisement; it names a tag twice, for example.
pub(crate) fn advertised(body: &[u8], prefix: &str) -> Result<Vec<Advertised>> {
    let mut objects = HashMap::new();
    let mut tags = Vec::new();
    for (object, name) in refs(body)? {
        let Some(name) = name.strip_prefix("refs/tags/") else {
            continue;
        };
        if objects.insert(name, object.to_ascii_lowercase()).is_some() {
            bail!("it names the tag {} twice", quoted(name));
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

/// Returns the tag with exactly `version`, or else the nearest tags below and above it.
pub(crate) fn find(mut all: Vec<Advertised>, version: &Version) -> Result<Advertised, Vec<Tag>> {
    all.sort_by(|a, b| a.version.cmp(&b.version));
    let at = all.partition_point(|found| found.version < *version);
    if all.get(at).is_some_and(|found| found.version == *version) {
        return Ok(all.swap_remove(at));
    }
    let near = &all[at.saturating_sub(1)..(at + 1).min(all.len())];
    Err(near.iter().map(|found| found.tag.clone()).collect())
}

/// Returns the advertised refs, each with its object; those of peeled tags (`^{}`) included.
fn refs(body: &[u8]) -> Result<Vec<(&str, &str)>> {
    if matches!(body.get(40), Some(b'\t')) && body[..40].iter().all(u8::is_ascii_hexdigit) {
        bail!("it is an advertisement of git's dumb http, which heph does not support");
    }
    let mut rest = body;
    let mut names = Vec::new();
    let mut packet = next_line(&mut rest)?;
    // The smart server announces its service in a section of its own.
    if packet.is_some_and(|line| line.starts_with(b"# service=git-upload-pack")) {
        if next_line(&mut rest)?.is_some() {
            bail!("its announcement of the service does not end");
        }
        packet = next_line(&mut rest)?;
    }
    while let Some(line) = packet {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if let Some(message) = line.strip_prefix(b"ERR ") {
            let message = String::from_utf8_lossy(message);
            bail!("the remote says {}", quoted(&message));
        }
        if line == b"version 2" {
            bail!("it speaks version 2 of git's protocol, which was not asked for");
        }
        if line != b"version 1" && !line.starts_with(b"shallow ") {
            names.extend(object_and_name(line)?);
        }
        packet = next_line(&mut rest)?;
    }
    Ok(names)
}

/// Returns object and name in `<object> <name>`, without the capabilities that follow the first; `None` if the name is
/// not UTF-8.
fn object_and_name(line: &[u8]) -> Result<Option<(&str, &str)>> {
    let end = line.iter().position(|byte| *byte == 0);
    let line = &line[..end.unwrap_or(line.len())];
    let space = line.iter().position(|byte| *byte == b' ');
    match space {
        Some(at @ (40 | 64)) if line[..at].iter().all(u8::is_ascii_hexdigit) => {
            let text = std::str::from_utf8(line).ok();
            Ok(text.map(|text| (&text[..at], &text[at + 1..])))
        }
        _ => bail!("{} is not a ref", quoted(&String::from_utf8_lossy(line))),
    }
}

/// Takes the next pkt-line off `rest` (gitprotocol-common(5)); `None` is the flush packet, which ends a section.
fn next_line<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>> {
    const NOT_GIT: &str = "it is not an advertisement of git's smart http";
    ensure!(!rest.is_empty(), "it ends too early");
    let (digits, after) = rest.split_first_chunk::<4>().context(NOT_GIT)?;
    ensure!(digits.iter().all(u8::is_ascii_hexdigit), "{NOT_GIT}");
    let length = usize::from_str_radix(std::str::from_utf8(digits)?, 16)?;
    if length == 0 {
        *rest = after;
        return Ok(None);
    }
    let length = length
        .checked_sub(4)
        .context("one of its lines has an impossible length")?;
    let (line, after) = after
        .split_at_checked(length)
        .context("it ends in the middle of a line")?;
    *rest = after;
    Ok(Some(line))
}
