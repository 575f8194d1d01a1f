//! Releases as forges list them, and the selection among them.

use jiff::Timestamp;
use semver::VersionReq;
use serde::de::DeserializeOwned;
use ureq::http::HeaderMap;

use crate::config::Repository;
use crate::error::{Error, Result, bail};
use crate::os::text::{excerpt, quoted};
use crate::release::asset::{self, Asset};
use crate::release::{Release, Tag, decide};

const LONGEST_PAGE: usize = 1024;

pub(crate) struct Source {
    pub hosts: &'static [&'static str],
    pub accept: &'static str,
    /// Returns whether it is what answered the probe with these headers and this body.
    pub answers_probe: fn(&HeaderMap, &[u8]) -> bool,
    pub releases: fn(&Repository) -> Result<String>,
    /// What that URL ends in for the latest release.
    pub latest: &'static str,
    /// What that URL ends in for the list of releases: enough to find a pinned one, few enough for the limit on an answer.
    pub list: &'static str,
    /// What stands between that URL and a tag for the release of that tag; `None` if it lists no files.
    pub by_tag: Option<&'static str>,
    /// Selects from the answer; `None` if the forge's latest does not count and only its list can tell which one does.
    pub parse: fn(Question, &[u8], &ReleaseFilter) -> Result<Option<Selection>>,
    /// Returns the files of the one release that an answer describes.
    pub assets: fn(&[u8]) -> Result<Vec<Asset>>,
}

/// What is asked of a forge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// The one release that the forge calls its latest.
    Latest,
    /// The last releases.
    List,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReleaseFilter<'a> {
    pub prefix: &'a str,
    pub prereleases: bool,
    /// Releases that match are preferred to higher ones.
    pub pin: Option<&'a VersionReq>,
    /// Releases that are not younger than this are preferred to higher ones.
    pub ripe: Option<Timestamp>,
}

impl ReleaseFilter<'_> {
    /// Returns the question that finds the release: the forge's own latest unless the settings want another.
    pub(crate) fn question(&self) -> Question {
        if self.prereleases || self.pin.is_some() || self.ripe.is_some() {
            Question::List
        } else {
            Question::Latest
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// The highest that the settings admit, or else the highest that they hold back, so that the decision can say why.
    pub latest: Option<Release>,
    pub highest: Option<Release>,
    /// Whether the same answer leads to the same selection tomorrow. It does not while a release has to ripen.
    pub lasting: bool,
}

/// A release in the terms that forges share.
pub(crate) struct Entry {
    pub tag: String,
    /// Neither a draft nor announced for later.
    pub published: bool,
    pub prerelease: bool,
    pub page: Option<String>,
    pub published_at: Option<Timestamp>,
    pub assets: Vec<Asset>,
}

impl Entry {
    fn into_release(self, filter: &ReleaseFilter) -> Result<Release> {
        let prefix = filter.prefix;
        let Some((tag, version)) = Tag::parse(prefix, &self.tag) else {
            bail!(
                "the tag {} is not {} and a version, as in '{prefix}1.2.3'",
                quoted(&self.tag),
                quoted(prefix)
            );
        };
        Ok(Release {
            version,
            tag,
            url: self.page.filter(|page| is_page(page)),
            published_at: self.published_at,
            assets: self.assets,
        })
    }
}

/// Returns the usable assets among names, URLs and sizes as the forge lists them.
pub(crate) fn usable(listed: impl Iterator<Item = (String, String, Option<u64>)>) -> Vec<Asset> {
    listed
        .filter_map(|(name, url, size)| Asset::new(name, url, size))
        .take(asset::MOST)
        .collect()
}

fn is_page(url: &str) -> bool {
    (url.starts_with("https://") || url.starts_with("http://"))
        && url.len() <= LONGEST_PAGE
        && url.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Selects from JSON in which `P` is one release.
pub(crate) fn parse_json<P: DeserializeOwned + Into<Entry>>(
    question: Question,
    body: &[u8],
    filter: &ReleaseFilter,
) -> Result<Option<Selection>> {
    match question {
        Question::Latest => latest(json::<P>(body, b'{')?.into(), filter),
        Question::List => {
            let list = json::<Vec<P>>(body, b'[')?;
            newest(list.into_iter().map(P::into), filter).map(Some)
        }
    }
}

pub(crate) fn assets_in_json<P: DeserializeOwned + Into<Entry>>(body: &[u8]) -> Result<Vec<Asset>> {
    Ok(json::<P>(body, b'{')?.into().assets)
}

/// Parses JSON that has to start with `opening`, because serde takes a list for an object if the fields fit.
fn json<T: DeserializeOwned>(body: &[u8], opening: u8) -> Result<T> {
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => bail!("it is empty"),
        Some(b'<') => bail!("it is a page of HTML or XML, not JSON"),
        Some(b'[') if opening == b'{' => bail!("it is a list, not one release"),
        Some(b'{') if opening == b'[' => bail!("it is not a list of releases"),
        Some(_) => {}
    }
    if std::str::from_utf8(body).is_err() {
        bail!("it is not UTF-8");
    }
    serde_json::from_slice(body).map_err(|error| {
        let short = excerpt(&error.to_string(), 160);
        Error::new(match error.classify() {
            serde_json::error::Category::Data => format!("it is not a release: {short}"),
            serde_json::error::Category::Eof => format!("its JSON ends too early: {short}"),
            _ => format!("it is not JSON: {short}"),
        })
    })
}

fn latest(entry: Entry, filter: &ReleaseFilter) -> Result<Option<Selection>> {
    if !entry.published || entry.prerelease {
        return Ok(None);
    }
    let release = entry.into_release(filter)?;
    let counts = release.version.pre.is_empty();
    Ok(counts.then(|| select(vec![release], filter)))
}

/// Selects from a list. Tags of another form are ignored, unless all are.
fn newest(list: impl Iterator<Item = Entry>, filter: &ReleaseFilter) -> Result<Selection> {
    let mut releases = Vec::new();
    let mut unreadable = None;
    for entry in list.filter(|entry| entry.published && (filter.prereleases || !entry.prerelease)) {
        match entry.into_release(filter) {
            Ok(release) => releases.push(release),
            Err(error) => unreadable = unreadable.or(Some(error)),
        }
    }
    match unreadable {
        Some(error) if releases.is_empty() => Err(error),
        _ => Ok(select(releases, filter)),
    }
}

pub(crate) fn select(mut releases: Vec<Release>, filter: &ReleaseFilter) -> Selection {
    releases.retain(|release| filter.prereleases || release.version.pre.is_empty());
    releases.sort_by(|a, b| a.version.cmp(&b.version));
    let is_pinned = |release: &Release| {
        filter
            .pin
            .is_none_or(|pin| decide::admits(pin, &release.version))
    };
    let is_ripe = |release: &Release| match (filter.ripe, release.published_at) {
        (Some(ripe), Some(published)) => published <= ripe,
        _ => true,
    };
    let latest = releases.iter().max_by_key(|release| {
        let pinned = is_pinned(release);
        (pinned && is_ripe(release), pinned)
    });
    Selection {
        latest: latest.cloned(),
        highest: releases.last().cloned(),
        lasting: releases.iter().all(is_ripe),
    }
}
