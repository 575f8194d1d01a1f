//! Any git remote over http(s), by the tags that it advertises (gitprotocol-http(5), gitprotocol-v2(5), gitprotocol-pack(5)).
//!
//! `GET <url>/info/refs?service=git-upload-pack` asks for version 2 of the protocol. A server that speaks it answers with its
//! capabilities, and lists the refs below `refs/tags/<prefix>` when it is asked with the command `ls-refs`. Any other lists all
//! its refs at once, of which there may be hundreds of thousands. So both lists are parsed as they arrive, and only tags of
//! releases are kept.

use semver::Version;

use super::foreign::ForeignTags;
use crate::config::Repository;
use crate::error::{Result, ResultExt, bail, ensure};
use crate::os::text::quoted;
use crate::release::{Release, Tag};

/// What the answer to [`url`] must be.
pub(crate) const ADVERTISEMENT: &str = "application/x-git-upload-pack-advertisement";
/// What the answer to [`Refs::command`] must be, and what that is itself.
pub(crate) const RESULT: &str = "application/x-git-upload-pack-result";
pub(crate) const REQUEST: &str = "application/x-git-upload-pack-request";

/// How many tags of releases are kept, the highest of them.
const MOST_TAGS: usize = 50_000;
/// How much of the start of an answer shows whether it is one of git's dumb http.
const OBJECT_AND_TAB: usize = 41;

pub(crate) fn url(repository: &Repository) -> String {
    format!("{}/info/refs?service=git-upload-pack", repository.url())
}

/// Returns where commands of version 2 are sent to.
pub(crate) fn command_url(repository: &Repository) -> String {
    format!("{}/git-upload-pack", repository.url())
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

/// The tags of a remote.
#[derive(Debug, Default)]
pub(crate) struct Refs {
    /// Those that are the prefix and a semver.
    pub tags: Vec<Advertised>,
    /// All others that were listed.
    pub foreign: ForeignTags,
}

/// What the server answered.
#[derive(Debug)]
pub(crate) enum Listing {
    Refs(Refs),
    /// It speaks version 2 of the protocol: the refs are listed on command. `object_format` is the one it names.
    OnCommand {
        object_format: Option<String>,
    },
}

/// Reads an advertisement, or the answer to `ls-refs`, piece by piece.
#[derive(Debug)]
pub(crate) struct RefsReader<'a> {
    prefix: &'a str,
    /// The one tag that is kept even among too many.
    wanted: Option<&'a Tag>,
    expected: Expected,
    /// What has arrived and is not yet a whole line.
    pending: Vec<u8>,
    refs: Refs,
    can_list: bool,
    object_format: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// The first line of an advertisement.
    Start,
    /// The end of the section in which the smart server announces its service.
    EndOfService,
    /// Refs of version 0 or 1, the first of which has the capabilities behind it.
    Advertised,
    /// Capabilities of version 2.
    Capabilities,
    /// Refs of version 2.
    Listed,
    /// Nothing more.
    End,
}

impl<'a> RefsReader<'a> {
    /// Returns a reader of the answer to [`url`].
    pub(crate) fn of_advertisement(prefix: &'a str, wanted: Option<&'a Tag>) -> RefsReader<'a> {
        RefsReader {
            prefix,
            wanted,
            expected: Expected::Start,
            pending: Vec::new(),
            refs: Refs::default(),
            can_list: false,
            object_format: None,
        }
    }

    /// Returns a reader of the answer to [`Refs::command`].
    pub(crate) fn of_list(prefix: &'a str, wanted: Option<&'a Tag>) -> RefsReader<'a> {
        RefsReader {
            expected: Expected::Listed,
            ..RefsReader::of_advertisement(prefix, wanted)
        }
    }

    /// Takes the next piece.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<()> {
        self.pending.extend_from_slice(piece);
        if self.expected == Expected::Start && self.pending.len() < OBJECT_AND_TAB {
            return Ok(());
        }
        self.take_lines()
    }

    /// Returns how many tags of another form there were so far.
    pub(crate) fn foreign(&self) -> &ForeignTags {
        &self.refs.foreign
    }

    /// Returns what the whole answer says.
    ///
    /// # Errors
    ///
    /// It is not a valid one; it names a tag twice, for example.
    pub(crate) fn finish(mut self) -> Result<Listing> {
        self.take_lines()?;
        if !self.pending.is_empty() {
            // Too short even for its length.
            ensure!(self.pending.len() >= 4, "{NOT_GIT}");
            bail!("it ends in the middle of a line");
        }
        ensure!(self.expected == Expected::End, "it ends too early");
        if self.can_list {
            return Ok(Listing::OnCommand {
                object_format: self.object_format,
            });
        }
        let tags = &mut self.refs.tags;
        tags.sort_unstable_by(|a, b| a.tag.as_str().cmp(b.tag.as_str()));
        if let Some(twice) = tags.windows(2).find(|two| two[0].tag == two[1].tag) {
            bail!("it names the tag {} twice", quoted(twice[0].tag.as_str()));
        }
        Ok(Listing::Refs(self.refs))
    }

    fn take_lines(&mut self) -> Result<()> {
        if self.expected == Expected::Start
            && self.pending.get(OBJECT_AND_TAB - 1) == Some(&b'\t')
            && self.pending[..OBJECT_AND_TAB - 1]
                .iter()
                .all(u8::is_ascii_hexdigit)
        {
            bail!("it is an advertisement of git's dumb http, which heph does not support");
        }
        let pending = std::mem::take(&mut self.pending);
        let mut rest = &pending[..];
        while self.expected != Expected::End
            && let Some(line) = next_line(&mut rest)?
        {
            self.take(line)?;
        }
        // What follows the end has no meaning.
        if self.expected != Expected::End {
            self.pending = rest.to_vec();
        }
        Ok(())
    }

    fn take(&mut self, line: Line) -> Result<()> {
        let text = match line {
            Line::Flush => {
                self.expected = match self.expected {
                    Expected::EndOfService => Expected::Start,
                    Expected::Capabilities if !self.can_list => {
                        bail!("it speaks version 2 of git's protocol, but not its command ls-refs")
                    }
                    _ => Expected::End,
                };
                return Ok(());
            }
            Line::Text(text) => text.strip_suffix(b"\n").unwrap_or(text),
        };
        if let Some(message) = text.strip_prefix(b"ERR ") {
            let message = String::from_utf8_lossy(message);
            bail!("the remote says {}", quoted(&message));
        }
        match self.expected {
            Expected::Start if text.starts_with(b"# service=git-upload-pack") => {
                self.expected = Expected::EndOfService;
            }
            Expected::Start if text == b"version 2" => self.expected = Expected::Capabilities,
            Expected::Start if text == b"version 1" => self.expected = Expected::Advertised,
            Expected::Start | Expected::Advertised => {
                self.expected = Expected::Advertised;
                if !text.starts_with(b"shallow ") {
                    let end = text.iter().position(|byte| *byte == 0);
                    self.advertised(&text[..end.unwrap_or(text.len())])?;
                }
            }
            Expected::EndOfService => bail!("its announcement of the service does not end"),
            Expected::Capabilities => {
                let is_list = text == b"ls-refs" || text.starts_with(b"ls-refs=");
                self.can_list |= is_list;
                if let Some(format) = text.strip_prefix(b"object-format=") {
                    // It is sent back: one word.
                    let plain = format.iter().all(u8::is_ascii_alphanumeric);
                    ensure!(plain, "its object format is not a word");
                    self.object_format = Some(String::from_utf8_lossy(format).into_owned());
                }
            }
            Expected::Listed => self.listed(text)?,
            Expected::End => {}
        }
        Ok(())
    }

    /// Takes `<object> <name>`; the commit of an annotated tag follows as `<commit> <name>^{}`.
    fn advertised(&mut self, line: &[u8]) -> Result<()> {
        let Some((object, name)) = object_and_name(line)? else {
            return Ok(());
        };
        let Some(name) = name.strip_prefix("refs/tags/") else {
            return Ok(());
        };
        match name.strip_suffix("^{}") {
            Some(peeled) => {
                let last = self.refs.tags.last_mut();
                if let Some(last) = last.filter(|last| last.tag.as_str() == peeled) {
                    last.commit = object.to_ascii_lowercase();
                }
            }
            None => self.add(object, object, name),
        }
        Ok(())
    }

    /// Takes `<object> <name>`, with ` peeled:<commit>` behind an annotated tag.
    fn listed(&mut self, line: &[u8]) -> Result<()> {
        if line.starts_with(b"unborn ") {
            return Ok(());
        }
        let Some((object, attributes)) = object_and_name(line)? else {
            return Ok(());
        };
        let mut words = attributes.split(' ');
        let name = words
            .next()
            .and_then(|name| name.strip_prefix("refs/tags/"));
        let Some(name) = name else { return Ok(()) };
        let peeled = words.find_map(|word| word.strip_prefix("peeled:"));
        let commit = peeled.unwrap_or(object);
        let is_object = matches!(commit.len(), 40 | 64);
        if !is_object || !commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            bail!("{} is not a ref", quoted(&String::from_utf8_lossy(line)));
        }
        self.add(object, commit, name);
        Ok(())
    }

    fn add(&mut self, object: &str, commit: &str, name: &str) {
        let Some((tag, version)) = Tag::parse(self.prefix, name) else {
            self.refs.foreign.add(name);
            return;
        };
        let tags = &mut self.refs.tags;
        if tags.len() >= 2 * MOST_TAGS {
            let wanted = self.wanted;
            tags.sort_by(|a, b| {
                let rank = |found: &Advertised| Some(&found.tag) == wanted;
                (rank(b), &b.version).cmp(&(rank(a), &a.version))
            });
            tags.truncate(MOST_TAGS);
        }
        tags.push(Advertised {
            tag,
            version,
            object: object.to_ascii_lowercase(),
            commit: commit.to_ascii_lowercase(),
        });
    }
}

impl Refs {
    /// Returns the body of the request for all refs whose names start with `prefix`.
    pub(crate) fn command(prefix: &str, object_format: Option<&str>) -> Vec<u8> {
        let line = |text: &str| format!("{:04x}{text}\n", text.len() + 5);
        let mut body = line("command=ls-refs");
        if let Some(format) = object_format {
            body += &line(&format!("object-format={format}"));
        }
        body += "0001";
        body += &line("peel");
        body += &line(&format!("ref-prefix {prefix}"));
        body += "0000";
        body.into_bytes()
    }
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

const NOT_GIT: &str = "it is not an advertisement of git's smart http";

enum Line<'a> {
    Text(&'a [u8]),
    /// The end of a section.
    Flush,
}

/// Returns object and name in `<object> <name>`; `None` if the name is not UTF-8.
fn object_and_name(line: &[u8]) -> Result<Option<(&str, &str)>> {
    let space = line.iter().position(|byte| *byte == b' ');
    match space {
        Some(at @ (40 | 64)) if line[..at].iter().all(u8::is_ascii_hexdigit) => {
            let text = std::str::from_utf8(line).ok();
            Ok(text.map(|text| (&text[..at], &text[at + 1..])))
        }
        _ => bail!("{} is not a ref", quoted(&String::from_utf8_lossy(line))),
    }
}

/// Takes the next pkt-line off `rest` (gitprotocol-common(5)); `None` if it has not arrived as a whole.
fn next_line<'a>(rest: &mut &'a [u8]) -> Result<Option<Line<'a>>> {
    let Some((digits, after)) = rest.split_first_chunk::<4>() else {
        return Ok(None);
    };
    ensure!(digits.iter().all(u8::is_ascii_hexdigit), "{NOT_GIT}");
    let length = usize::from_str_radix(std::str::from_utf8(digits)?, 16)?;
    if length == 0 {
        *rest = after;
        return Ok(Some(Line::Flush));
    }
    let length = length
        .checked_sub(4)
        .context("one of its lines has an impossible length")?;
    let Some((line, after)) = after.split_at_checked(length) else {
        return Ok(None);
    };
    *rest = after;
    Ok(Some(Line::Text(line)))
}
