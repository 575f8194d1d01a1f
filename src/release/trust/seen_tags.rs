//! `trust.json`: the commit of every tag that was seen, and the highest version that was healthy here.
//!
//! Anybody with the right to push can make any number of tags, so no number of tags may push out one that matters: a tag that
//! was *chosen*, as the release for this machine, stays for good. Of the others a bounded number is recorded, the earliest first.
//!
//! Release 0.1.0 reads and writes this file, and drops the members that it does not know.

use std::collections::HashSet;
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
/// How many tags are recorded that were never chosen.
const MOST_OTHERS: usize = 2000;
/// How much of the file tags may fill, estimated: the rest is for what a serializer adds.
const MOST_BYTES: usize = 3 << 20;
/// What an entry takes in the file beside its texts.
const BYTES_OF_ENTRY: usize = 200;
/// For how many repositories the highest version is recorded.
const MOST_REPOSITORIES: usize = 50;

/// A tag as it was first seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SeenTag {
    pub repository: String,
    pub tag: String,
    pub commit: String,
    pub at: Timestamp,
    /// Whether it was the release for this machine, in a check or in a run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub chosen: bool,
    /// Whose signature proved it at this commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
}

impl SeenTag {
    /// Returns whether a signature may override it: none proved it, so a stranger may have answered in the forge's place.
    pub(crate) fn is_unproven(&self) -> bool {
        self.signed_by.is_none()
    }

    fn bytes(&self) -> usize {
        let signer = self.signed_by.as_ref().map_or(0, String::len);
        BYTES_OF_ENTRY + self.repository.len() + self.tag.len() + self.commit.len() + signer
    }
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
        self.find(repository, tag).map(|index| &self.tags[index])
    }

    /// Records the tags that are new, and `chosen` as the release for this machine.
    ///
    /// # Errors
    ///
    /// So many tags were chosen that the file is full.
    pub(crate) fn see(
        &mut self,
        repository: &Repository,
        all: &[Advertised],
        chosen: &Advertised,
        at: Timestamp,
    ) -> Result<()> {
        match self.find(repository, chosen.tag.as_str()) {
            Some(index) => self.tags[index].chosen = true,
            None => self.add(repository, chosen, true, at)?,
        }
        let mut known: HashSet<String> = self
            .tags
            .iter()
            .filter(|seen| seen.repository == repository.url())
            .map(|seen| seen.tag.clone())
            .collect();
        let mut others = self.tags.iter().filter(|seen| !seen.chosen).count();
        for other in all {
            if !known.insert(other.tag.as_str().to_owned()) {
                continue;
            }
            if others < MOST_OTHERS && self.bytes() < MOST_BYTES / 2 {
                others += 1;
            } else if !self.evict_of_another(repository) {
                break;
            }
            self.add(repository, other, false, at)?;
        }
        Ok(())
    }

    /// Records `moved` at its new commit, as a person accepted it.
    pub(crate) fn accept(
        &mut self,
        repository: &Repository,
        moved: &Advertised,
        at: Timestamp,
    ) -> Result<()> {
        if let Some(index) = self.find(repository, moved.tag.as_str()) {
            self.tags.remove(index);
        }
        self.add(repository, moved, true, at)
    }

    /// Records that a signature of `by` proves `tag` at its commit, wherever it was seen before. Returns whether that is new.
    pub(crate) fn proved(
        &mut self,
        repository: &Repository,
        tag: &Advertised,
        by: &str,
        at: Timestamp,
    ) -> Result<bool> {
        let is_here = |seen: &SeenTag| seen.commit == tag.commit;
        let index = match self.find(repository, tag.tag.as_str()) {
            Some(index) if is_here(&self.tags[index]) => index,
            _ => {
                self.accept(repository, tag, at)?;
                self.tags.len() - 1
            }
        };
        let signed_by = self.tags[index].signed_by.replace(by.to_owned());
        Ok(signed_by.is_none())
    }

    fn find(&self, repository: &Repository, tag: &str) -> Option<usize> {
        let mut tags = self.tags.iter();
        tags.position(|seen| seen.repository == repository.url() && seen.tag == tag)
    }

    fn bytes(&self) -> usize {
        self.tags.iter().map(SeenTag::bytes).sum()
    }

    fn add(
        &mut self,
        repository: &Repository,
        advertised: &Advertised,
        chosen: bool,
        at: Timestamp,
    ) -> Result<()> {
        while self.bytes() > MOST_BYTES {
            if self.evict_of_another(repository) {
                continue;
            }
            // The latest of them: the earlier ones were there before the flood.
            let latest = self.tags.iter().rposition(|seen| !seen.chosen);
            let latest = latest.with_context(|| {
                Error::new(format!(
                    "cannot record the tag {}: the record of seen tags is full",
                    advertised.tag.as_str()
                ))
                .with_hint(
                    "look at `heph self-update history`; removing trust.json starts a new record",
                )
            })?;
            self.tags.remove(latest);
        }
        self.tags.push(SeenTag {
            repository: repository.to_string(),
            tag: advertised.tag.as_str().to_owned(),
            commit: advertised.commit.clone(),
            at,
            chosen,
            signed_by: None,
        });
        Ok(())
    }

    /// Removes the oldest tag that was never chosen and is of another repository, which the settings name no longer.
    fn evict_of_another(&mut self, repository: &Repository) -> bool {
        let is_idle = |seen: &SeenTag| !seen.chosen && seen.repository != repository.url();
        let idle = self.tags.iter().position(is_idle);
        idle.map(|index| self.tags.remove(index)).is_some()
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
        for tag in [&old, &new] {
            let all = std::slice::from_ref(tag);
            seen_tags.see(&here(), all, tag, now()).unwrap();
        }
        assert_eq!(seen_tags.seen(&here(), "v1.0.0").unwrap().commit, "aa");
        seen_tags.accept(&here(), &new, now()).unwrap();
        assert_eq!(seen_tags.seen(&here(), "v1.0.0").unwrap().commit, "bb");
        assert_eq!(seen_tags.tags.len(), 1);
        assert_eq!(seen_tags.seen(&elsewhere(), "v1.0.0"), None);
    }

    fn elsewhere() -> Repository {
        "https://elsewhere.example/a/b".parse().unwrap()
    }

    fn flood(major: u64) -> Vec<Advertised> {
        let tags = 0..3000;
        tags.map(|patch| tag(&format!("{major}.0.{patch}"), "cc"))
            .collect()
    }

    #[test]
    fn no_flood_of_tags_and_no_row_of_releases_evicts_one_that_was_chosen() {
        let mut seen_tags = SeenTags::default();
        let first = tag("1.0.0", "aa");
        seen_tags
            .see(&here(), std::slice::from_ref(&first), &first, now())
            .unwrap();
        let flood = flood(9);
        // Each of them is the newest release for once.
        for chosen in flood.iter().rev().take(50) {
            seen_tags.see(&here(), &flood, chosen, now()).unwrap();
        }
        assert_eq!(seen_tags.tags.len(), MOST_OTHERS + 51);
        let kept = seen_tags.seen(&here(), "v1.0.0").unwrap();
        assert!(kept.chosen && kept.commit == "aa");
        // Of the others, the earliest: what was there before the flood.
        assert!(seen_tags.seen(&here(), "v9.0.0").is_some());
        assert!(seen_tags.seen(&here(), "v9.0.2500").is_none());
    }

    #[test]
    fn tags_of_a_repository_that_is_no_longer_asked_make_room() {
        let mut seen_tags = SeenTags::default();
        let (then, today) = (flood(1), flood(2));
        seen_tags.see(&elsewhere(), &then, &then[0], now()).unwrap();
        seen_tags.see(&here(), &today, &today[0], now()).unwrap();
        assert!(seen_tags.seen(&elsewhere(), "v1.0.0").is_some(), "chosen");
        assert!(seen_tags.seen(&elsewhere(), "v1.0.1").is_none());
        assert!(seen_tags.seen(&here(), "v2.0.1999").is_some());
        assert_eq!(seen_tags.tags.len(), MOST_OTHERS + 2);
    }

    #[test]
    fn the_file_stays_small_enough_to_be_read_whatever_is_recorded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trust.json");
        let mut seen_tags = SeenTags::default();
        let long = format!("https://forge.example/{}", "a".repeat(1900));
        let long: Repository = long.parse().unwrap();
        let flood = flood(9);
        seen_tags.see(&long, &flood, &flood[0], now()).unwrap();
        // All but the last are of people who published very many releases.
        let full = flood.iter().rev().find_map(|chosen| {
            let seen = seen_tags.see(&long, &flood, chosen, now());
            seen.err()
        });
        assert!(full.unwrap().to_string().contains("full"));
        seen_tags.save(&path).unwrap();
        assert_eq!(SeenTags::load(&path).unwrap(), seen_tags);
        assert!(seen_tags.seen(&long, "v9.0.0").is_some());
    }

    #[test]
    fn a_signature_replaces_what_was_seen_and_is_recorded_once() {
        let mut seen_tags = SeenTags::default();
        let (lie, truth) = (tag("1.1.0", "aa"), tag("1.1.0", "bb"));
        let all = std::slice::from_ref(&lie);
        seen_tags.see(&here(), all, &lie, now()).unwrap();
        assert!(seen_tags.proved(&here(), &truth, "alice", now()).unwrap());
        assert!(!seen_tags.proved(&here(), &truth, "alice", now()).unwrap());
        let seen = seen_tags.seen(&here(), "v1.1.0").unwrap();
        assert_eq!(
            (seen.commit.as_str(), seen.signed_by.as_deref()),
            ("bb", Some("alice"))
        );
        assert_eq!(seen_tags.tags.len(), 1);
    }

    #[test]
    fn the_file_of_release_0_1_0_is_read_and_its_form_is_kept() {
        let old = r#"{"schema": 1, "tags": [{"repository": "https://forge.example/a/b", "tag": "v1.0.0",
            "commit": "aa", "at": "1970-01-01T00:00:00Z"}], "healthy": []}"#;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trust.json");
        std::fs::write(&path, old).unwrap();
        let seen_tags = SeenTags::load(&path).unwrap();
        assert!(!seen_tags.tags[0].chosen);
        seen_tags.save(&path).unwrap();
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        let saved = std::fs::read_to_string(&path).unwrap();
        assert_eq!(read(&saved), read(old));
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
