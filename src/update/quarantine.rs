//! The quarantine: releases that proved bad here and are not tried again until cleared or superseded.
//!
//! An entry names repository, version, tag and commit, so that a fork's 1.1.0 is not upstream's. What an entry does not name, it
//! leaves open: those of release 0.1.0 count for any repository.
//!
//! A failed build is no reason for a quarantine: see [`builds`](super::builds).

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use super::World;
use crate::config::{Repository, TagPrefix};
use crate::error::{Error, Result, ResultExt};
use crate::os::{clock, files};
use crate::paths::Paths;
use crate::release::Tag;

/// No quarantine file is larger.
const LIMIT: u64 = 1024 * 1024;
/// Older entries beyond this number are dropped: newer releases have superseded them.
const MOST: usize = 200;

/// One release that proved bad here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub version: Version,
    /// Why, in one sentence.
    pub reason: String,
    pub at: Timestamp,
    /// The URL of its repository.
    #[serde(default)]
    pub repository: Option<String>,
    #[serde(default)]
    pub tag: Option<String>,
    /// `None` also for a tag that was moved: no commit of it is trusted.
    #[serde(default)]
    pub commit: Option<String>,
}

impl Entry {
    /// Returns whether it is about a release of its version in `repository`, with `tag`. The commit may be unknown.
    fn is_of(&self, repository: &Repository, tag: &Tag, commit: Option<&str>) -> bool {
        let same = |named: &Option<String>, other: Option<&str>| match (named, other) {
            (Some(named), Some(other)) => named == other,
            _ => true,
        };
        same(&self.repository, Some(repository.url()))
            && same(&self.tag, Some(tag.as_str()))
            && same(&self.commit, commit)
    }

    /// Returns whether release 0.1.0 wrote it for a build that failed.
    fn is_failed_build(&self) -> bool {
        self.repository.is_none() && self.reason.starts_with("cannot build ")
    }
}

/// All releases that proved bad here, the oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    schema: u32,
    releases: Vec<Entry>,
}

impl Default for Quarantine {
    fn default() -> Self {
        Quarantine {
            schema: 1,
            releases: Vec::new(),
        }
    }
}

impl Quarantine {
    /// Reads the quarantine; empty where there is no file. A damaged one is an error: treating it as empty could bring a broken
    /// release back.
    pub fn load(paths: &Paths) -> Result<Quarantine> {
        let path = paths.quarantine();
        let quarantine = files::read_json_if_there(&path, LIMIT).with_context(|| {
            Error::new(format!("cannot parse the quarantine '{}'", path.display())).with_hint(
                format!("correct it, or clear all of it: rm '{}'", path.display()),
            )
        })?;
        Ok(quarantine.unwrap_or_default())
    }

    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        let releases = self.releases.iter();
        releases.filter(|entry| !entry.is_failed_build())
    }

    /// Returns what release 0.1.0 put here because a build had failed. It waits like any failed build. The entries stay in the
    /// file for a roll-back to that release.
    pub fn failed_builds(&self) -> impl Iterator<Item = &Entry> {
        let releases = self.releases.iter();
        releases.filter(|entry| entry.is_failed_build())
    }

    /// Returns the versions that are not to be installed from `repository`, where tags begin with `prefix`. `commit_of` returns
    /// the commit of a tag, if it is known.
    pub fn versions(
        &self,
        repository: &Repository,
        prefix: &TagPrefix,
        commit_of: impl Fn(&Tag) -> Option<String>,
    ) -> Vec<Version> {
        let held = |entry: &&Entry| {
            let tag = Tag::of(prefix.as_str(), &entry.version);
            entry.is_of(repository, &tag, commit_of(&tag).as_deref())
        };
        let held = self.entries().filter(held);
        held.map(|entry| entry.version.clone()).collect()
    }

    /// Adds an entry about the release at `tag` of `repository`; an older one about it is replaced.
    fn add(&mut self, entry: Entry, repository: &Repository, tag: &Tag) {
        let commit = entry.commit.as_deref();
        self.releases
            .retain(|old| old.version != entry.version || !old.is_of(repository, tag, commit));
        self.releases.push(entry);
        self.releases
            .drain(..self.releases.len().saturating_sub(MOST));
    }

    /// Removes the entries that `drop` returns true for; returns whether there was one.
    fn remove(&mut self, drop: impl Fn(&Entry) -> bool) -> bool {
        let before = self.releases.len();
        self.releases.retain(|entry| !drop(entry));
        self.releases.len() < before
    }

    fn save(&self, paths: &Paths) -> Result<()> {
        files::write_json(&paths.quarantine(), self)
    }
}

/// Puts the release `version` of the repository in the settings into the quarantine, durably; doing it twice is the same as once.
pub(super) fn put(
    world: World,
    version: &Version,
    commit: Option<&str>,
    reason: &str,
) -> Result<()> {
    let (repository, tag) = named(world, version);
    let mut quarantine = Quarantine::load(world.paths)?;
    let entry = Entry {
        version: version.clone(),
        reason: reason.to_owned(),
        at: clock::now(),
        repository: Some(repository.url().to_owned()),
        tag: Some(tag.as_str().to_owned()),
        commit: commit.map(str::to_owned),
    };
    let known = |old: &Entry| {
        let at = entry.at;
        Entry { at, ..old.clone() } == entry
    };
    if quarantine.releases.iter().any(known) {
        return Ok(());
    }
    quarantine.add(entry, repository, &tag);
    quarantine.save(world.paths)
}

/// Takes the release `version` of the repository in the settings out of the quarantine, durably.
pub(super) fn release(world: World, version: &Version, commit: Option<&str>) -> Result<()> {
    let (repository, tag) = named(world, version);
    remove(world.paths, |entry| {
        entry.version.cmp_precedence(version).is_eq() && entry.is_of(repository, &tag, commit)
    })
    .map(drop)
}

/// Returns where the settings have the release `version`.
fn named<'a>(world: World<'a>, version: &Version) -> (&'a Repository, Tag) {
    let settings = &world.config.self_update;
    let tag = Tag::of(settings.tag_prefix.as_str(), version);
    (&settings.repository, tag)
}

/// Takes `version` out of the quarantine, durably, whatever its repository; returns whether it was there.
pub fn clear(paths: &Paths, version: &Version) -> Result<bool> {
    remove(paths, |entry| entry.version == *version)
}

fn remove(paths: &Paths, drop: impl Fn(&Entry) -> bool) -> Result<bool> {
    let mut quarantine = Quarantine::load(paths)?;
    let was_there = quarantine.remove(drop);
    if was_there {
        quarantine.save(paths)?;
    }
    Ok(was_there)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(owner: &str) -> Repository {
        format!("https://forge.example/{owner}/heph")
            .parse()
            .unwrap()
    }

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    fn entry(version: &str, reason: &str) -> Entry {
        Entry {
            version: version.parse().unwrap(),
            reason: reason.to_owned(),
            at: Timestamp::UNIX_EPOCH,
            repository: Some(repository("upstream").url().to_owned()),
            tag: Some(format!("v{version}")),
            commit: Some("aa".to_owned()),
        }
    }

    fn add(list: &mut Quarantine, owner: &str, entry: Entry) {
        let tag = Tag::of("v", &entry.version);
        list.add(entry, &repository(owner), &tag);
    }

    /// What release 0.1.0 writes.
    fn old(version: &str, reason: &str) -> Entry {
        Entry {
            repository: None,
            tag: None,
            commit: None,
            ..entry(version, reason)
        }
    }

    fn quarantine(releases: &[Entry]) -> Quarantine {
        Quarantine {
            schema: 1,
            releases: releases.to_vec(),
        }
    }

    /// The versions that are held back of `owner`'s repository, where each release is at `commit`.
    fn held(quarantine: &Quarantine, owner: &str, commit: Option<&str>) -> Vec<String> {
        let commit = |_: &Tag| commit.map(str::to_owned);
        let held = quarantine.versions(&repository(owner), &TagPrefix::default(), commit);
        held.iter().map(Version::to_string).collect()
    }

    #[test]
    fn a_release_is_listed_once_with_its_last_reason() {
        let mut list = Quarantine::default();
        add(&mut list, "upstream", entry("1.1.0", "crashed"));
        add(&mut list, "upstream", entry("1.2.0", "hung"));
        add(&mut list, "upstream", entry("1.1.0", "hung"));
        assert_eq!(
            list.releases,
            [entry("1.2.0", "hung"), entry("1.1.0", "hung")]
        );
        assert!(list.remove(|entry| entry.version == version("1.1.0")));
        assert!(!list.remove(|entry| entry.version == version("1.1.0")));
    }

    #[test]
    fn the_release_of_a_fork_is_another_one() {
        let mut list = quarantine(&[entry("1.1.0", "crashed")]);
        assert_eq!(held(&list, "upstream", Some("aa")), ["1.1.0"]);
        assert_eq!(held(&list, "upstream", None), ["1.1.0"], "to be safe");
        assert_eq!(held(&list, "fork", Some("aa")), [""; 0]);
        // Another line of releases in the same repository, with tags of its own.
        assert_eq!(held(&list, "upstream", Some("bb")), [""; 0]);
        let other_prefix = "tiny-v".parse().unwrap();
        let others = list.versions(&repository("upstream"), &other_prefix, |_| None);
        assert_eq!(others, []);

        let forks = Entry {
            repository: Some(repository("fork").url().to_owned()),
            ..entry("1.1.0", "hung")
        };
        add(&mut list, "fork", forks);
        assert_eq!(list.releases.len(), 2);
        let (fork, tag) = (repository("fork"), Tag::of("v", &version("1.1.0")));
        list.remove(|entry| entry.is_of(&fork, &tag, Some("aa")));
        assert_eq!(held(&list, "upstream", None), ["1.1.0"]);
        assert_eq!(held(&list, "fork", None), [""; 0]);
    }

    #[test]
    fn an_entry_of_release_0_1_0_counts_for_any_repository_until_it_is_replaced() {
        let mut list = quarantine(&[old("1.1.0", "rolled back by hand")]);
        for owner in ["upstream", "fork"] {
            assert_eq!(held(&list, owner, Some("aa")), ["1.1.0"]);
        }
        add(&mut list, "upstream", entry("1.1.0", "crashed"));
        assert_eq!(list.releases, [entry("1.1.0", "crashed")]);
    }

    #[test]
    fn what_release_0_1_0_blamed_for_its_build_is_not_held_back() {
        let text = "cannot build v1.1.0: it does not compile: `cargo install` exited with 101";
        let list = quarantine(&[old("1.1.0", text), old("1.0.5", "crashed")]);
        assert_eq!(held(&list, "upstream", None), ["1.0.5"]);
        let failed: Vec<_> = list.failed_builds().collect();
        assert_eq!(failed, [&old("1.1.0", text)]);
    }

    #[test]
    fn release_0_1_0_reads_what_is_written() {
        #[derive(Deserialize)]
        struct Old {
            schema: u32,
            releases: Vec<OldEntry>,
        }
        #[derive(Deserialize)]
        struct OldEntry {
            version: Version,
            reason: String,
            at: Timestamp,
        }
        let text = serde_json::to_string(&quarantine(&[entry("1.1.0", "crashed")])).unwrap();
        let read: Old = serde_json::from_str(&text).unwrap();
        let first = &read.releases[0];
        assert_eq!((read.schema, &first.version), (1, &version("1.1.0")));
        assert_eq!(
            (&*first.reason, first.at),
            ("crashed", Timestamp::UNIX_EPOCH)
        );
        let written = r#"{"schema":1,"releases":[{"version":"1.1.0","reason":"hung","at":"1970-01-01T00:00:00Z"}]}"#;
        let read: Quarantine = serde_json::from_str(written).unwrap();
        assert_eq!(read, quarantine(&[old("1.1.0", "hung")]));
    }

    #[test]
    fn it_is_bounded() {
        let mut list = Quarantine::default();
        for patch in 0..300 {
            let entry = entry(&format!("1.0.{patch}"), "crashed");
            add(&mut list, "upstream", entry);
        }
        assert_eq!(list.releases.len(), MOST);
        assert_eq!(list.releases[0].version.patch, 100);
    }
}
