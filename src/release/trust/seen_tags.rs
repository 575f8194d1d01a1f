//! `trust.json`: the commit of every tag that was seen, and the highest version that was healthy here.

use std::path::Path;

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::config::{Repository, TagPrefix};
use crate::error::{Error, Result, ResultExt};
use crate::os::files;
use crate::release::source::git::Advertised;

const SCHEMA: u32 = 1;
const LARGEST: u64 = 4 << 20;
const MOST_TAGS: usize = 2000;
/// For how many repositories the highest version is recorded.
const MOST_REPOSITORIES: usize = 50;

/// A tag as it was first seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SeenTag {
    pub repository: String,
    pub tag: String,
    pub commit: String,
    pub at: Timestamp,
}

/// The highest version that was healthy here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HealthyVersion {
    pub repository: String,
    /// The tag prefix: a repository may hold several products.
    pub tag_prefix: String,
    pub version: Version,
    /// When it was first healthy.
    pub at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SeenTags {
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
    /// Reads the file, which may be missing.
    ///
    /// # Errors
    ///
    /// It cannot be read or parsed. Taking it for empty would let a moved tag pass for a new one.
    pub(crate) fn load(path: &Path) -> Result<SeenTags> {
        let seen = files::read_json_if_there(path, LARGEST).with_context(|| {
            Error::new(format!(
                "cannot parse the record of seen tags '{}'",
                path.display()
            ))
            .with_hint(format!(
                "correct it, or start a new record: rm '{}'",
                path.display()
            ))
        })?;
        Ok(seen.unwrap_or_default())
    }

    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        files::write_json(path, self)
    }

    /// Returns this tag as it was first seen.
    pub(crate) fn seen(&self, repository: &Repository, tag: &str) -> Option<&SeenTag> {
        self.tags
            .iter()
            .find(|seen| seen.repository == repository.url() && seen.tag == tag)
    }

    /// Records the tags that are new; `wanted`, the one that matters now, even if the record is full.
    ///
    /// The others never evict one: otherwise an attacker could have a tag forgotten before moving it.
    pub(crate) fn see(
        &mut self,
        repository: &Repository,
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

    /// Records `moved` at its new commit, as a person accepted it.
    pub(crate) fn accept(&mut self, repository: &Repository, moved: &Advertised, at: Timestamp) {
        let tag = moved.tag.as_str();
        self.tags
            .retain(|seen| seen.repository != repository.url() || seen.tag != tag);
        self.add(repository, moved, at);
    }

    fn add(&mut self, repository: &Repository, advertised: &Advertised, at: Timestamp) {
        self.tags.push(SeenTag {
            repository: repository.to_string(),
            tag: advertised.tag.as_str().to_owned(),
            commit: advertised.commit.clone(),
            at,
        });
    }

    /// Returns the highest version that was ever healthy here, of the releases with this prefix.
    pub(crate) fn healthy(
        &self,
        repository: &Repository,
        tag_prefix: &TagPrefix,
    ) -> Option<&Version> {
        let mut all = self.healthy.iter();
        let found = all.find(|healthy| healthy.is_of(repository, tag_prefix));
        found.map(|healthy| &healthy.version)
    }

    /// Records that `version` is healthy, unless a higher one was. Returns whether that changed anything.
    pub(crate) fn was_healthy(
        &mut self,
        repository: &Repository,
        tag_prefix: &TagPrefix,
        version: &Version,
        at: Timestamp,
    ) -> bool {
        let higher = |before: &Version| version.cmp_precedence(before).is_gt();
        if !self.healthy(repository, tag_prefix).is_none_or(higher) {
            return false;
        }
        self.healthy
            .retain(|healthy| !healthy.is_of(repository, tag_prefix));
        self.healthy
            .drain(..(self.healthy.len() + 1).saturating_sub(MOST_REPOSITORIES));
        self.healthy.push(HealthyVersion {
            repository: repository.to_string(),
            tag_prefix: tag_prefix.to_string(),
            version: version.clone(),
            at,
        });
        true
    }
}

impl HealthyVersion {
    fn is_of(&self, repository: &Repository, tag_prefix: &TagPrefix) -> bool {
        self.repository == repository.url() && self.tag_prefix == tag_prefix.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::Tag;

    fn here() -> Repository {
        "https://forge.example/a/b".parse().unwrap()
    }

    fn v() -> TagPrefix {
        TagPrefix::default()
    }

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
        seen_tags.see(&here(), std::slice::from_ref(&old), &old, now());
        seen_tags.see(&here(), std::slice::from_ref(&new), &new, now());
        assert_eq!(seen_tags.seen(&here(), "v1.0.0").unwrap().commit, "aa");
        seen_tags.accept(&here(), &new, now());
        assert_eq!(seen_tags.seen(&here(), "v1.0.0").unwrap().commit, "bb");
        assert_eq!(seen_tags.tags.len(), 1);
        assert_eq!(
            seen_tags.seen(&"https://elsewhere.example/a/b".parse().unwrap(), "v1.0.0"),
            None
        );
    }

    #[test]
    fn a_flood_of_tags_evicts_none() {
        let mut seen_tags = SeenTags::default();
        let first = tag("1.0.0", "aa");
        seen_tags.see(&here(), std::slice::from_ref(&first), &first, now());
        let flood: Vec<_> = (0..3000)
            .map(|patch| tag(&format!("9.0.{patch}"), "cc"))
            .collect();
        seen_tags.see(&here(), &flood, &first, now());
        assert_eq!(seen_tags.tags.len(), MOST_TAGS);
        assert!(seen_tags.seen(&here(), "v1.0.0").is_some());
        let wanted = &flood[2999];
        seen_tags.see(&here(), &flood, wanted, now());
        assert!(seen_tags.seen(&here(), wanted.tag.as_str()).is_some());
        assert_eq!(seen_tags.tags.len(), MOST_TAGS);
    }

    #[test]
    fn the_highest_healthy_version_only_rises_and_belongs_to_its_repository() {
        let mut seen_tags = SeenTags::default();
        let version = |text: &str| text.parse::<Version>().unwrap();
        assert!(seen_tags.was_healthy(&here(), &v(), &version("1.1.0"), now()));
        assert!(!seen_tags.was_healthy(&here(), &v(), &version("1.0.0"), now()));
        assert!(!seen_tags.was_healthy(&here(), &v(), &version("1.1.0+b"), now()));
        assert!(seen_tags.was_healthy(&here(), &v(), &version("1.2.0-rc.1"), now()));
        assert_eq!(
            seen_tags.healthy(&here(), &v()),
            Some(&version("1.2.0-rc.1"))
        );
        assert_eq!(
            seen_tags.healthy(&here(), &"other-v".parse().unwrap()),
            None
        );
        assert_eq!(seen_tags.healthy.len(), 1);
    }

    #[test]
    fn what_is_saved_is_read_back_and_garbage_never_counts_as_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a % \"é\"/trust.json");
        assert_eq!(SeenTags::load(&path).unwrap(), SeenTags::default());
        let mut seen_tags = SeenTags::default();
        seen_tags.was_healthy(&here(), &v(), &Version::new(1, 0, 0), now());
        seen_tags.save(&path).unwrap();
        assert_eq!(SeenTags::load(&path).unwrap(), seen_tags);
        for garbage in ["", "{}", "null", "{\"schema\":1"] {
            std::fs::write(&path, garbage).unwrap();
            let error = SeenTags::load(&path).unwrap_err();
            assert!(error.hint().unwrap().contains("rm '"), "{garbage}");
        }
    }
}
