//! What is out there: versions, releases, feeds, and the decision about them.
//!
//! Architecture invariant: nothing here installs, switches or restarts anything.

pub mod asset;
pub(crate) mod binstall;
pub mod cargo_toml;
pub mod checksums;
pub(crate) mod decide;
pub mod feed;
pub(crate) mod source;
pub mod trust;
pub(crate) mod version;

mod bare_git;
mod sightings;

use jiff::{SignedDuration, Timestamp};
use semver::Version;
use serde::{Deserialize, Serialize};

pub use asset::Asset;
pub use decide::Policy;
pub use version::Tag;

/// How old a release may be for its upload to be still under way: as long as the longest job of a forge's own CI.
const UPLOAD: SignedDuration = SignedDuration::from_hours(6);

/// One published release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Its version: the tag without the prefix.
    pub version: Version,
    /// Its tag.
    pub tag: Tag,
    /// The page a person can read, if the forge names one.
    pub url: Option<String>,
    /// When it was published, if the forge says so.
    pub published_at: Option<Timestamp>,
    /// The files that it offers for download, if the forge lists them. (See [`binstall`] for a plain git remote.)
    #[serde(default)]
    pub assets: Vec<Asset>,
}

impl Release {
    /// Returns whether its upload may still be under way. That ends for every release: one without a date is not young, nor is
    /// one from the future.
    pub(crate) fn is_young(&self, now: Timestamp) -> bool {
        self.published_at.is_some_and(|published| {
            let age = now.duration_since(published);
            !age.is_negative() && age < UPLOAD
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_young_for_some_hours_and_never_for_good() {
        let now = Timestamp::UNIX_EPOCH;
        let published = |ago: Option<i64>| Release {
            version: Version::new(1, 0, 0),
            tag: Tag::of("v", &Version::new(1, 0, 0)),
            url: None,
            published_at: ago.map(|ago| now - SignedDuration::from_mins(ago)),
            assets: Vec::new(),
        };
        for (ago, young) in [
            (Some(0), true),
            (Some(359), true),
            (Some(360), false),
            (Some(100_000), false),
            (Some(-1), false),
            (None, false),
        ] {
            assert_eq!(published(ago).is_young(now), young, "{ago:?}");
        }
    }
}
