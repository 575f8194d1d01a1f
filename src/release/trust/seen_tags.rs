//! `trust.json`: the commit of every tag that was seen, and the highest version that was healthy here.

use std::path::Path;

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::config::SelfUpdate;
use crate::error::{Error, Result, ResultExt};
use crate::os::files;
use crate::release::source::git::Advertised;

const SCHEMA: u32 = 1;
/// The largest file that is read, in bytes.
const LARGEST: u64 = 4 << 20;
/// How many tags are remembered.
const MOST_TAGS: usize = 2000;
/// For how many repositories the highest version is remembered.
const MOST_REPOSITORIES: usize = 50;

/// A tag, when it was first seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenTag {
    /// The repository.
    pub repository: String,
    /// The tag.
    pub tag: String,
    /// The commit it led to.
    pub commit: String,
    /// When.
    pub at: Timestamp,
}

/// The highest version that was healthy here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthyVersion {
    /// The repository it came from.
    pub repository: String,
    /// What stood before the version in its tag: a repository may hold several products.
    pub tag_prefix: String,
    /// The version.
    pub version: Version,
    /// Since when.
    pub at: Timestamp,
}

/// The file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenTags {
    schema: u32,
    tags: Vec<SeenTag>,
    healthy: Vec<HealthyVersion>,
}

impl Default for SeenTags {
    fn default() -> SeenTags {
        SeenTags {
            schema: SCHEMA,
            tags: Vec::new(),
            healthy: Vec::new(),
        }
    }
}

impl SeenTags {
    /// Reads the file; nothing is remembered where there is none.
    ///
    /// # Errors
    ///
    /// It cannot be read or understood. Taking it for empty would let a moved tag pass for a new one.
    pub fn load(path: &Path) -> Result<SeenTags> {
        let Some(bytes) = files::read_if_there(path, LARGEST)? else {
            return Ok(SeenTags::default());
        };
        serde_json::from_slice(&bytes).with_context(|| {
            Error::new(format!(
                "cannot understand what is remembered of releases, '{}'",
                path.display()
            ))
            .with_hint(format!(
                "correct it, or forget all of it: rm '{}'",
                path.display()
            ))
        })
    }

    /// Writes the file durably.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut bytes = serde_json::to_vec_pretty(self).context("cannot encode what was seen")?;
        bytes.push(b'\n');
        files::write_atomic(path, &bytes, files::PRIVATE)
    }

    /// Returns what was seen of this tag.
    pub fn seen(&self, repository: &str, tag: &str) -> Option<&SeenTag> {
        self.tags
            .iter()
            .find(|seen| seen.repository == repository && seen.tag == tag)
    }

    /// Remembers tags that were not seen before; `wanted`, the one that matters now, even where there is no more room.
    ///
    /// The others never push one out: whoever can make tags could else have one forgotten before moving it.
    pub fn see(
        &mut self,
        repository: &str,
        all: &[Advertised],
        wanted: &Advertised,
        at: Timestamp,
    ) {
        if self.seen(repository, wanted.tag.as_str()).is_none() {
            self.tags
                .drain(..(self.tags.len() + 1).saturating_sub(MOST_TAGS));
            self.add(repository, wanted, at);
        }
        for other in all {
            if self.tags.len() < MOST_TAGS && self.seen(repository, other.tag.as_str()).is_none() {
                self.add(repository, other, at);
            }
        }
    }

    /// Remembers `moved` where it is now, as a person accepted it.
    pub fn accept(&mut self, repository: &str, moved: &Advertised, at: Timestamp) {
        let tag = moved.tag.as_str();
        self.tags
            .retain(|seen| seen.repository != repository || seen.tag != tag);
        self.add(repository, moved, at);
    }

    fn add(&mut self, repository: &str, advertised: &Advertised, at: Timestamp) {
        self.tags.push(SeenTag {
            repository: repository.to_owned(),
            tag: advertised.tag.as_str().to_owned(),
            commit: advertised.commit.clone(),
            at,
        });
    }

    /// Returns the highest version of the repository that `settings` name which was ever healthy here.
    pub fn healthy(&self, settings: &SelfUpdate) -> Option<&Version> {
        let found = self.healthy.iter().find(|healthy| healthy.is_of(settings));
        found.map(|healthy| &healthy.version)
    }

    /// Remembers that `version` is healthy; a lower one than before changes nothing. Returns whether it did.
    pub fn was_healthy(&mut self, settings: &SelfUpdate, version: &Version, at: Timestamp) -> bool {
        let higher = |before: &Version| version.cmp_precedence(before).is_gt();
        if !self.healthy(settings).is_none_or(higher) {
            return false;
        }
        self.healthy.retain(|healthy| !healthy.is_of(settings));
        self.healthy
            .drain(..(self.healthy.len() + 1).saturating_sub(MOST_REPOSITORIES));
        self.healthy.push(HealthyVersion {
            repository: settings.repository.to_string(),
            tag_prefix: settings.tag_prefix.to_string(),
            version: version.clone(),
            at,
        });
        true
    }
}

impl HealthyVersion {
    fn is_of(&self, settings: &SelfUpdate) -> bool {
        self.repository == settings.repository.url()
            && self.tag_prefix == settings.tag_prefix.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::Tag;

    const HERE: &str = "https://forge.example/a/b";

    fn tag(version: &str, commit: &str) -> Advertised {
        let version = version.parse().unwrap();
        Advertised {
            tag: Tag::of("v", &version),
            version,
            object: "0".repeat(40),
            commit: commit.to_owned(),
        }
    }

    fn now() -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    #[test]
    fn the_first_commit_of_a_tag_stays_until_another_is_accepted() {
        let mut seen_tags = SeenTags::default();
        let (old, new) = (tag("1.0.0", "aa"), tag("1.0.0", "bb"));
        seen_tags.see(HERE, std::slice::from_ref(&old), &old, now());
        seen_tags.see(HERE, std::slice::from_ref(&new), &new, now());
        assert_eq!(seen_tags.seen(HERE, "v1.0.0").unwrap().commit, "aa");
        seen_tags.accept(HERE, &new, now());
        assert_eq!(seen_tags.seen(HERE, "v1.0.0").unwrap().commit, "bb");
        assert_eq!(seen_tags.tags.len(), 1);
        assert_eq!(
            seen_tags.seen("https://elsewhere.example/a/b", "v1.0.0"),
            None
        );
    }

    #[test]
    fn a_flood_of_tags_pushes_none_out() {
        let mut seen_tags = SeenTags::default();
        let first = tag("1.0.0", "aa");
        seen_tags.see(HERE, std::slice::from_ref(&first), &first, now());
        let flood: Vec<_> = (0..3000)
            .map(|patch| tag(&format!("9.0.{patch}"), "cc"))
            .collect();
        seen_tags.see(HERE, &flood, &first, now());
        assert_eq!(seen_tags.tags.len(), MOST_TAGS);
        assert!(seen_tags.seen(HERE, "v1.0.0").is_some());
        let wanted = &flood[2999];
        seen_tags.see(HERE, &flood, wanted, now());
        assert!(seen_tags.seen(HERE, wanted.tag.as_str()).is_some());
        assert_eq!(seen_tags.tags.len(), MOST_TAGS);
    }

    #[test]
    fn the_highest_healthy_version_only_rises_and_belongs_to_its_repository() {
        let mut seen_tags = SeenTags::default();
        let settings = SelfUpdate::default();
        let other = SelfUpdate {
            tag_prefix: "other-v".parse().unwrap(),
            ..settings.clone()
        };
        let version = |text: &str| text.parse::<Version>().unwrap();
        assert!(seen_tags.was_healthy(&settings, &version("1.1.0"), now()));
        assert!(!seen_tags.was_healthy(&settings, &version("1.0.0"), now()));
        assert!(!seen_tags.was_healthy(&settings, &version("1.1.0+b"), now()));
        assert!(seen_tags.was_healthy(&settings, &version("1.2.0-rc.1"), now()));
        assert_eq!(seen_tags.healthy(&settings), Some(&version("1.2.0-rc.1")));
        assert_eq!(seen_tags.healthy(&other), None);
        assert_eq!(seen_tags.healthy.len(), 1);
    }

    #[test]
    fn what_is_saved_is_read_back_and_garbage_never_counts_as_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a % \"é\"/trust.json");
        assert_eq!(SeenTags::load(&path).unwrap(), SeenTags::default());
        let mut seen_tags = SeenTags::default();
        seen_tags.was_healthy(&SelfUpdate::default(), &Version::new(1, 0, 0), now());
        seen_tags.save(&path).unwrap();
        assert_eq!(SeenTags::load(&path).unwrap(), seen_tags);
        for garbage in ["", "{}", "null", "{\"schema\":1"] {
            std::fs::write(&path, garbage).unwrap();
            let error = SeenTags::load(&path).unwrap_err();
            assert!(error.hint().unwrap().contains("rm '"), "{garbage}");
        }
    }
}
