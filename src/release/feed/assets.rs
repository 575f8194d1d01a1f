//! The files of a release that a person named: git knows the tag, and only the forge knows the files.

use jiff::Timestamp;

use super::feed_cache::{FeedCache, FeedKey};
use super::response::ResponseClass;
use super::{Feed, HINT, Trouble, get, of_no_use, probe};
use crate::config::Delivery;
use crate::error::{Error, Result};
use crate::os::http::Limits;
use crate::release::Release;
use crate::release::source::ForgeKind;

impl Feed<'_> {
    /// Returns whether the releases are known to come from a plain git remote, which lists no files. Asks nobody.
    pub fn is_plain_git(&self, now: Timestamp) -> bool {
        let detected = || FeedCache::load(self.state, &FeedKey::of(self.settings), now).detected;
        ForgeKind::known(self.settings.forge, &self.settings.repository).or_else(detected)
            == Some(ForgeKind::Git)
    }

    /// Completes a release that git knows by the files that its forge lists (one more request, where files count).
    pub(super) fn with_assets(&self, release: Release, now: Timestamp) -> Result<Release> {
        if self.settings.delivery == Delivery::Cargo {
            return Ok(release);
        }
        let limits = Limits::default();
        let repository = &self.settings.repository;
        let mut cache = FeedCache::load(self.state, &FeedKey::of(self.settings), now);
        let kind = match ForgeKind::known(self.settings.forge, repository).or(cache.detected) {
            Some(kind) => Ok(kind),
            None => probe(repository, now, &limits).inspect(|kind| {
                cache.detected = Some(*kind);
                // Where it cannot be written, the next run finds out again.
                drop(cache.save(self.state));
            }),
        };
        let found = kind.and_then(|kind| {
            let Some(url) = kind.tagged_url(repository, &release.tag) else {
                return Ok(Vec::new());
            };
            let (answer, class) = get(&url, kind, None, now, &limits)?;
            if let ResponseClass::Missing(_) = class {
                // A tag that was never published as a release.
                return Ok(Vec::new());
            }
            class.usable(&url, HINT)?;
            kind.assets(&answer.body)
                .map_err(|wrong| of_no_use(&url, &wrong))
        });
        match found {
            Ok(assets) => Ok(Release { assets, ..release }),
            Err(Trouble::Later(reason, _)) => Err(Error::unreachable(reason)),
            Err(Trouble::Wrong(error)) => Err(error),
        }
    }
}
