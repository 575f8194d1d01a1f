//! Sources: one file a forge. Each knows the address of its feed and how to read it; nothing here asks the network.

pub mod forgejo;
pub mod git;
pub mod github;
pub mod gitlab;

use jiff::Timestamp;
use semver::VersionReq;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::asset::{self, Asset};
use super::{Release, Tag, decide};
use crate::config::{Forge, Repository};
use crate::error::Error;
use crate::os::text::{excerpt, quoted};

/// How many releases a list asks for: enough to find a pinned one, few enough for the limit on an answer.
const LISTED: usize = 50;
/// The longest address of a release's page that is kept.
const LONGEST_PAGE: usize = 1024;

/// A forge whose kind is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForgeKind {
    /// Forgejo or Gitea.
    Forgejo,
    /// GitHub, also an Enterprise Server.
    Github,
    /// GitLab.
    Gitlab,
    /// Any git remote over http(s).
    Git,
}

/// What is asked of a forge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// The one release that the forge calls its latest.
    Latest,
    /// The last releases, to choose from.
    List,
}

/// Which releases count.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReleaseFilter<'a> {
    /// What stands before the version in a tag.
    pub prefix: &'a str,
    /// Whether pre-releases count.
    pub prereleases: bool,
    /// Releases that match are preferred to higher ones.
    pub pin: Option<&'a VersionReq>,
    /// Releases that are not younger than this are preferred to higher ones.
    pub ripe: Option<Timestamp>,
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedAnswer {
    /// These are the releases that count.
    Releases(Box<Selection>),
    /// The forge's latest does not count; only its list can tell which one does.
    NeedsList,
}

/// What was chosen from the releases that count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The highest that the settings admit; where they admit none, the highest that they hold back, so that the user hears
    /// of it.
    pub latest: Option<Release>,
    /// The highest at all.
    pub highest: Option<Release>,
    /// Whether the same answer leads to the same choice tomorrow. It does not where a release has to ripen.
    pub lasting: bool,
}

impl ForgeKind {
    /// Returns the kind that the settings name, or that the host makes plain.
    pub fn known(forge: Forge, repository: &Repository) -> Option<ForgeKind> {
        match forge {
            Forge::Forgejo => Some(ForgeKind::Forgejo),
            Forge::Github => Some(ForgeKind::Github),
            Forge::Gitlab => Some(ForgeKind::Gitlab),
            Forge::Git => Some(ForgeKind::Git),
            Forge::Auto => match repository.host() {
                "github.com" | "www.github.com" => Some(ForgeKind::Github),
                "gitlab.com" => Some(ForgeKind::Gitlab),
                "codeberg.org" => Some(ForgeKind::Forgejo),
                _ => None,
            },
        }
    }

    /// Returns the kind that the answer to [`forgejo::version_url`] gives away. `body` is empty unless the status is 200.
    pub fn from_probe(body: &[u8], gitlab_header: bool) -> ForgeKind {
        if gitlab_header {
            ForgeKind::Gitlab
        } else if forgejo::is_version(body) {
            ForgeKind::Forgejo
        } else {
            ForgeKind::Git
        }
    }

    /// Returns the question that finds the release: a forge's own latest unless the settings want another.
    pub fn question(self, wanted: &ReleaseFilter) -> Question {
        if wanted.prereleases || wanted.pin.is_some() || wanted.ripe.is_some() {
            Question::List
        } else {
            Question::Latest
        }
    }

    /// Returns where to ask.
    ///
    /// # Errors
    ///
    /// The repository's address has no owner and name, which this forge needs.
    pub fn url(self, repository: &Repository, question: Question) -> Result<String, Error> {
        match self {
            ForgeKind::Forgejo => forgejo::url(repository, question),
            ForgeKind::Github => github::url(repository, question),
            ForgeKind::Gitlab => Ok(gitlab::url(repository, question)),
            ForgeKind::Git => Ok(git::url(repository)),
        }
    }

    /// Returns where to ask about the release with exactly this tag; `None` where there is nothing but git.
    pub fn tagged_url(self, repository: &Repository, tag: &Tag) -> Option<String> {
        let list = |url: String| url.split('?').next().unwrap_or_default().to_owned();
        let releases = self.url(repository, Question::List).map(list).ok()?;
        let tag = tag.as_str().replace('/', "%2F");
        match self {
            ForgeKind::Forgejo | ForgeKind::Github => Some(format!("{releases}/tags/{tag}")),
            ForgeKind::Gitlab => Some(format!("{releases}/{tag}")),
            ForgeKind::Git => None,
        }
    }

    /// Reads the files of the one release that `body` describes.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong with it.
    pub fn assets(self, body: &[u8]) -> Result<Vec<Asset>, String> {
        let entry: Entry = match self {
            ForgeKind::Forgejo | ForgeKind::Github => {
                json::<forgejo::Published>(body, b'{')?.into()
            }
            ForgeKind::Gitlab => json::<gitlab::Published>(body, b'{')?.into(),
            ForgeKind::Git => return Ok(Vec::new()),
        };
        Ok(entry.assets)
    }

    /// Returns the media type to ask for.
    pub fn accept(self) -> &'static str {
        match self {
            ForgeKind::Github => "application/vnd.github+json",
            ForgeKind::Forgejo | ForgeKind::Gitlab => "application/json",
            ForgeKind::Git => "application/x-git-upload-pack-advertisement",
        }
    }

    /// Reads the answer to `question`.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong with it.
    pub fn parse(
        self,
        question: Question,
        body: &[u8],
        wanted: &ReleaseFilter,
    ) -> Result<FeedAnswer, String> {
        match self {
            // GitHub's releases have the fields of Forgejo's, which imitates them.
            ForgeKind::Forgejo | ForgeKind::Github => {
                parse::<forgejo::Published>(question, body, wanted)
            }
            ForgeKind::Gitlab => parse::<gitlab::Published>(question, body, wanted),
            ForgeKind::Git => {
                git::parse(body, wanted).map(|choice| FeedAnswer::Releases(Box::new(choice)))
            }
        }
    }
}

/// A release as its forge writes it, in the words they share.
struct Entry {
    tag: String,
    /// Whether it is out: neither a draft nor announced for later.
    out: bool,
    prerelease: bool,
    page: Option<String>,
    published_at: Option<Timestamp>,
    assets: Vec<Asset>,
}

impl Entry {
    fn into_release(self, wanted: &ReleaseFilter) -> Result<Release, String> {
        let prefix = wanted.prefix;
        let (tag, version) = Tag::parse(prefix, &self.tag).ok_or_else(|| {
            format!(
                "the tag {} is not {} and a version, as in '{prefix}1.2.3'",
                quoted(&self.tag),
                quoted(prefix)
            )
        })?;
        Ok(Release {
            version,
            tag,
            url: self.page.filter(|page| is_page(page)),
            published_at: self.published_at,
            assets: self.assets,
        })
    }
}

/// Returns the assets that are of any use, from names, addresses and sizes as the forge writes them.
fn assets(listed: impl Iterator<Item = (String, String, Option<u64>)>) -> Vec<Asset> {
    listed
        .filter_map(|(name, url, size)| Asset::new(name, url, size))
        .take(asset::MOST)
        .collect()
}

/// Returns whether `url` may be shown to a person as the address of a page.
fn is_page(url: &str) -> bool {
    (url.starts_with("https://") || url.starts_with("http://"))
        && url.len() <= LONGEST_PAGE
        && url.bytes().all(|byte| byte.is_ascii_graphic())
}

fn parse<P: DeserializeOwned + Into<Entry>>(
    question: Question,
    body: &[u8],
    wanted: &ReleaseFilter,
) -> Result<FeedAnswer, String> {
    match question {
        Question::Latest => latest(json::<P>(body, b'{')?.into(), wanted),
        Question::List => {
            let list = json::<Vec<P>>(body, b'[')?;
            newest(list.into_iter().map(P::into), wanted)
                .map(|choice| FeedAnswer::Releases(Box::new(choice)))
        }
    }
}

/// Reads JSON that has to open with `opening`, for serde takes a list for an object where the fields fit.
fn json<T: DeserializeOwned>(body: &[u8], opening: u8) -> Result<T, String> {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    match first {
        None => return Err("it is empty".to_owned()),
        Some(b'<') => return Err("it is a page of HTML or XML, not JSON".to_owned()),
        Some(b'[') if opening == b'{' => return Err("it is a list, not one release".to_owned()),
        Some(b'{') if opening == b'[' => return Err("it is no list of releases".to_owned()),
        Some(_) => {}
    }
    if std::str::from_utf8(body).is_err() {
        return Err("it is not UTF-8".to_owned());
    }
    serde_json::from_slice(body).map_err(|error| {
        let short = excerpt(&error.to_string(), 160);
        match error.classify() {
            serde_json::error::Category::Data => format!("it is not a release: {short}"),
            serde_json::error::Category::Eof => format!("its JSON ends too early: {short}"),
            _ => format!("it is not JSON: {short}"),
        }
    })
}

fn latest(entry: Entry, wanted: &ReleaseFilter) -> Result<FeedAnswer, String> {
    if !entry.out || entry.prerelease {
        return Ok(FeedAnswer::NeedsList);
    }
    let release = entry.into_release(wanted)?;
    if release.version.pre.is_empty() {
        Ok(FeedAnswer::Releases(Box::new(choose(
            vec![release],
            wanted,
        ))))
    } else {
        Ok(FeedAnswer::NeedsList)
    }
}

/// Chooses from a list. Tags of another form are passed over, unless there is no other.
fn newest(list: impl Iterator<Item = Entry>, wanted: &ReleaseFilter) -> Result<Selection, String> {
    let mut releases = Vec::new();
    let mut unreadable = None;
    for entry in list.filter(|entry| entry.out && (wanted.prereleases || !entry.prerelease)) {
        match entry.into_release(wanted) {
            Ok(release) => releases.push(release),
            Err(wrong) => unreadable = unreadable.or(Some(wrong)),
        }
    }
    match unreadable {
        Some(wrong) if releases.is_empty() => Err(wrong),
        _ => Ok(choose(releases, wanted)),
    }
}

/// Chooses from releases in any order.
fn choose(mut releases: Vec<Release>, wanted: &ReleaseFilter) -> Selection {
    releases.retain(|release| wanted.prereleases || release.version.pre.is_empty());
    releases.sort_by(|a, b| a.version.cmp(&b.version));
    let is_pinned = |release: &Release| {
        wanted
            .pin
            .is_none_or(|pin| decide::admits(pin, &release.version))
    };
    let is_ripe = |release: &Release| match (wanted.ripe, release.published_at) {
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

#[cfg(test)]
mod tests;
