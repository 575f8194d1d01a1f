//! Releases that a person named: the git remote knows the tag, and only the forge knows the files.

use jiff::Timestamp;
use semver::Version;

use super::response::ResponseClass;
use super::{Feed, HINT, get, unusable};
use crate::config::Forge;
use crate::error::{Error, Kind, Result, ResultExt};
use crate::os::http::Limits;
use crate::release::source::git::{self, Advertised};
use crate::release::{Asset, Release, Tag};

impl Feed<'_> {
    /// Returns the release with exactly this version: its tag from the git remote, and its files from the forge (two
    /// requests).
    ///
    /// It ignores a pause that the forge asked for: a person named the release, and git is another service.
    ///
    /// # Errors
    ///
    /// There is no such tag (exit 1, naming the nearest), the answer of the forge is unusable (exit 1), or the remote or the
    /// forge cannot be reached (exit 75).
    pub fn named(&self, version: &Version, now: Timestamp) -> Result<Release> {
        let release = self.tagged(version, now)?;
        let assets = self.assets(&release, now)?;
        Ok(Release { assets, ..release })
    }

    /// Returns the release of exactly this version as the git remote knows it, without its files (one request). Caches
    /// nothing.
    pub(crate) fn tagged(&self, version: &Version, now: Timestamp) -> Result<Release> {
        let prefix = self.tag_prefix.as_str();
        let found = git::find(self.advertised(now)?, version).map_err(|near| {
            let near: Vec<_> = near.iter().map(Tag::as_str).collect();
            Error::new(format!(
                "{} has no tag '{}'",
                self.repository,
                Tag::of(prefix, version).as_str()
            ))
            .with_hint(if near.is_empty() {
                format!("it has no tag that is '{prefix}' and a version; {HINT}")
            } else {
                format!("the nearest are {}", near.join(" and "))
            })
        });
        found.map(Release::from)
    }

    /// Returns every release that the git remote has a tag for, with the commit of each (one request).
    ///
    /// # Errors
    ///
    /// What answers is not a git remote (exit 1), or the remote cannot be reached (exit 75).
    pub(crate) fn advertised(&self, now: Timestamp) -> Result<Vec<Advertised>> {
        let url = git::url(self.repository);
        let body = get(&url, Forge::Git, None, now, &Limits::default())
            .and_then(|(answer, class)| class.usable(&url, now).map(|()| answer.body))
            .map_err(|error| match error.kind() {
                Kind::Unreachable => error
                    .with_hint("try again later; `heph self-update doctor` looks for the cause"),
                _ => error,
            })?;
        git::advertised(&body, self.tag_prefix.as_str()).with_context(|| unusable(&url))
    }

    /// Returns the files that the forge lists for a release that git knows (one request).
    fn assets(&self, release: &Release, now: Timestamp) -> Result<Vec<Asset>> {
        let limits = Limits::default();
        let mut cache = self.load(now);
        let known = self.forge.known(self.repository).or(cache.detected);
        let kind = self.kind(&cache, now, &limits)?;
        if known.is_none() {
            cache.detected = Some(kind);
            // If it cannot be written, the next run probes again.
            drop(cache.save(self.cache));
        }
        let Some(url) = kind.tagged_url(self.repository, &release.tag) else {
            return Ok(Vec::new());
        };
        let (answer, class) = get(&url, kind, None, now, &limits)?;
        if let ResponseClass::Missing(_) = class {
            // A tag that was never published as a release.
            return Ok(Vec::new());
        }
        class.usable(&url, now)?;
        (kind.source().assets)(&answer.body).with_context(|| unusable(&url))
    }
}
