//! What is out there: versions, releases, feeds, and the decision about them.
//!
//! Architecture invariant: nothing here installs, switches or restarts anything.

pub mod asset;
pub(crate) mod binstall;
pub mod cargo_toml;
pub(crate) mod decide;
pub mod feed;
pub(crate) mod source;
pub mod trust;
pub(crate) mod version;

mod bare_git;

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

pub use asset::Asset;
pub use decide::Policy;
pub use version::Tag;

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
