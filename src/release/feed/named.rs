//! Releases that a person named: the git remote knows the tag, and only the forge knows the files.

use jiff::Timestamp;
use semver::Version;

use super::response::ResponseClass;
use super::{Feed, HINT, get, unusable};
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
        let tag = Tag::of(prefix, version);
        let found = git::find(self.listed(Some(&tag), now)?, version).map_err(|near| {
            let near: Vec<_> = near.iter().map(Tag::as_str).collect();
            Error::new(format!("{} has no tag '{}'", self.repository, tag.as_str())).with_hint(
                if near.is_empty() {
                    format!("it has no tag that is '{prefix}' and a version; {HINT}")
                } else {
                    format!("the nearest are {}", near.join(" and "))
                },
            )
        });
        found.map(Release::from)
    }

    /// Returns every release that the git remote has a tag for, with the commit of each; of very many, the highest.
    ///
    /// # Errors
    ///
    /// What answers is not a git remote (exit 1), or the remote cannot be reached (exit 75).
    pub(crate) fn advertised(&self, now: Timestamp) -> Result<Vec<Advertised>> {
        self.listed(None, now)
    }

    /// As [`Feed::advertised`], and `wanted` however many there are.
    fn listed(&self, wanted: Option<&Tag>, now: Timestamp) -> Result<Vec<Advertised>> {
        let refs = self.refs(wanted, now, &Limits::default());
        let refs = refs.map_err(|error| match error.kind() {
            Kind::Unreachable => {
                error.with_hint("try again later; `heph self-update doctor` looks for the cause")
            }
            _ => error,
        })?;
        Ok(refs.tags)
    }

    /// Returns the files that the forge lists for a release that git knows (one request).
    fn assets(&self, release: &Release, now: Timestamp) -> Result<Vec<Asset>> {
        let limits = Limits::default();
        let mut cache = self.load(now);
        let known = self.known_kind(&cache);
        let kind = self.kind(&cache, now, &limits)?;
        if known.is_none() {
            cache.detected = Some(kind);
            // If it cannot be written, the next run probes again.
            drop(cache.save(self.cache));
        }
        let Some(source) = kind.source() else {
            return Ok(Vec::new());
        };
        for base in self.bases(kind, &cache) {
            let url = source.tagged_url(self.repository, &base, &release.tag)?;
            let (answer, class) = get(&url, source.accept, None, now, &limits)?;
            if let ResponseClass::Missing(_) = class {
                continue;
            }
            class.usable(&url, now)?;
            let published = (source.one)(&answer.body).with_context(|| unusable(&url))?;
            return Ok(published.assets);
        }
        // A tag that was never published as a release.
        Ok(Vec::new())
    }
}
