//! The files of a release that a person named: git knows the tag, and only the forge knows the files.

use jiff::Timestamp;

use super::response::ResponseClass;
use super::{Feed, get, probe, unusable};
use crate::config::Forge;
use crate::error::{Result, ResultExt};
use crate::os::http::Limits;
use crate::release::{Asset, Release};

impl Feed<'_> {
    /// Returns whether the releases are known to come from a plain git remote, which lists no files. Sends no request.
    pub(crate) fn is_plain_git(&self, now: Timestamp) -> bool {
        let detected = || self.load(now).detected;
        self.forge.known(self.repository).or_else(detected) == Some(Forge::Git)
    }

    /// Returns the files that the forge lists for a release that git knows (one request).
    pub(super) fn assets(&self, release: &Release, now: Timestamp) -> Result<Vec<Asset>> {
        let limits = Limits::default();
        let mut cache = self.load(now);
        let kind = match self.forge.known(self.repository).or(cache.detected) {
            Some(kind) => kind,
            None => {
                let kind = probe(self.repository, now, &limits)?;
                cache.detected = Some(kind);
                // If it cannot be written, the next run probes again.
                drop(cache.save(self.cache));
                kind
            }
        };
        let Some(url) = kind.tagged_url(self.repository, &release.tag) else {
            return Ok(Vec::new());
        };
        let (answer, class) = get(&url, kind, None, now, &limits)?;
        if let ResponseClass::Missing(_) = class {
            // A tag that was never published as a release.
            return Ok(Vec::new());
        }
        class.usable(&url, now)?;
        kind.assets(&answer.body).with_context(|| unusable(&url))
    }
}
