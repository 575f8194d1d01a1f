//! Releases as forges publish them, in the terms that all of them share.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use ureq::http::HeaderMap;

use crate::config::Repository;
use crate::error::{Error, Result, bail};
use crate::os::files;
use crate::os::text::excerpt;
use crate::release::asset::{self, Asset};
use crate::release::{Release, Tag};

const LONGEST_PAGE: usize = 1024;

pub(crate) struct Source {
    pub hosts: &'static [&'static str],
    pub accept: &'static str,
    /// Returns whether it is what answered a probe with these headers and this body.
    pub answers_probe: fn(&HeaderMap, &[u8]) -> bool,
    /// Returns the URL of the releases; the second argument is the path of the host below which the forge is.
    pub releases: fn(&Repository, &str) -> Result<String>,
    /// What that URL ends in for the latest release.
    pub latest: &'static str,
    /// Whether that is the last one by date, so that a back-port hides a higher one. Otherwise its owner says which one it is.
    pub latest_is_by_date: bool,
    /// Returns what that URL ends in for a page of the list, the newest first: of so many releases, with this number from 1.
    pub page: fn(usize, usize) -> String,
    /// What stands between that URL and a tag for the release of that tag.
    pub by_tag: &'static str,
    /// Parses one release.
    pub one: fn(&[u8]) -> Result<PublishedRelease>,
    /// Parses a page of the list.
    pub list: fn(&[u8]) -> Result<Vec<PublishedRelease>>,
}

/// A release in the terms that forges share.
#[derive(Clone, Debug)]
pub(crate) struct PublishedRelease {
    pub tag: String,
    /// Neither a draft nor announced for later.
    pub is_public: bool,
    /// The forge's own mark, whatever the version is.
    pub is_prerelease: bool,
    pub page: Option<String>,
    pub at: Option<Timestamp>,
    pub assets: Vec<Asset>,
}

impl PublishedRelease {
    /// Returns it as a release; `None` if its tag is not exactly `prefix` and a version.
    pub(crate) fn into_release(self, prefix: &str) -> Option<Release> {
        let (tag, version) = Tag::parse(prefix, &self.tag)?;
        Some(Release {
            version,
            tag,
            url: self.page.filter(|page| is_page(page)),
            published_at: self.at,
            assets: self.assets,
        })
    }
}

/// Returns what tells one answer of a forge from another. Whatever changes without a new release, such as the number of
/// downloads, does not count.
pub(crate) fn fingerprint<'a>(releases: impl IntoIterator<Item = &'a PublishedRelease>) -> String {
    let mut digest = Sha256::new();
    for release in releases {
        digest.update(format!("{release:?}\n"));
    }
    files::hex(&digest.finalize())
}

/// Returns the usable assets among names, URLs and sizes as the forge lists them.
pub(super) fn usable(listed: impl Iterator<Item = (String, String, Option<u64>)>) -> Vec<Asset> {
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

/// Parses JSON that is one release, written as `P`.
pub(super) fn one<P: DeserializeOwned + Into<PublishedRelease>>(
    body: &[u8],
) -> Result<PublishedRelease> {
    Ok(json::<P>(body, b'{')?.into())
}

/// Parses JSON that is a list of releases, each written as `P`.
pub(super) fn list<P: DeserializeOwned + Into<PublishedRelease>>(
    body: &[u8],
) -> Result<Vec<PublishedRelease>> {
    let list: Vec<P> = json(body, b'[')?;
    Ok(list.into_iter().map(P::into).collect())
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
