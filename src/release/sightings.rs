//! `first-seen.json`: since when each release has been known here, so that `cooldown` gives time to notice whatever date the
//! forge claims.
//!
//! A release that an earlier answer lacked is as old as its first sighting, or younger if the forge says so. What the very first
//! answer lists has nothing before it: there the date of the forge counts, or, without one, that answer. So a lost record costs
//! one such answer, and never restarts the cooldown for ever.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use super::Release;
use crate::config::{Repository, TagPrefix};
use crate::error::Result;
use crate::os::files;

const SCHEMA: u32 = 1;
const LARGEST: u64 = 8 << 20;
/// For how many feeds the record is kept.
const MOST_FEEDS: usize = 8;
/// How many tags of a feed are recorded; more than a forge's list is read for.
const MOST_TAGS: usize = 4000;

/// The sightings of one feed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sightings {
    repository: String,
    tag_prefix: String,
    /// Whether an earlier answer is recorded, which could have lacked a release.
    begun: bool,
    tags: BTreeMap<String, Timestamp>,
    /// The tags of this answer.
    #[serde(skip)]
    present: HashMap<String, Version>,
    /// Whether a tag of this answer is new.
    #[serde(skip)]
    changed: bool,
    /// Whether this answer is whole.
    #[serde(skip)]
    complete: bool,
}

/// The file.
#[derive(Debug, Serialize, Deserialize)]
struct File {
    schema: u32,
    /// The last written comes last.
    feeds: Vec<Sightings>,
}

impl Sightings {
    /// Reads the sightings of one feed from the file at `path`. An unreadable file counts as missing.
    pub(crate) fn load(
        path: &Path,
        repository: &Repository,
        tag_prefix: &TagPrefix,
        now: Timestamp,
    ) -> Sightings {
        let found = File::load(path).feeds.into_iter().find(|sightings| {
            sightings.repository == repository.url() && sightings.tag_prefix == tag_prefix.as_str()
        });
        let mut sightings = found.unwrap_or_else(|| Sightings {
            repository: repository.to_string(),
            tag_prefix: tag_prefix.to_string(),
            ..Sightings::default()
        });
        // A clock that was set back must not hold a release back for years.
        for since in sightings.tags.values_mut() {
            *since = now.min(*since);
        }
        sightings
    }

    /// Returns whether there is an earlier answer to compare with.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Ends an answer in which every release was [seen](Sightings::see).
    pub(crate) fn complete(&mut self) {
        self.complete = true;
    }

    /// Writes what a complete answer has led to into the file at `path`; any other changes nothing. Of too many tags, those of this answer stay, of them those
    /// that `matters`, and of them the highest.
    pub(crate) fn save(mut self, path: &Path, matters: impl Fn(&Version) -> bool) -> Result<()> {
        if !self.complete || (self.begun && !self.changed) {
            return Ok(());
        }
        self.begun = true;
        if self.tags.len() > MOST_TAGS {
            let present = &self.present;
            let mut all: Vec<_> = std::mem::take(&mut self.tags).into_iter().collect();
            all.sort_by_cached_key(|(tag, _)| {
                let version = present.get(tag);
                let matters = version.is_some_and(&matters);
                std::cmp::Reverse((matters, version.cloned()))
            });
            all.truncate(MOST_TAGS);
            self.tags = all.into_iter().collect();
        }
        let mut file = File::load(path);
        file.feeds.retain(|sightings| {
            (&sightings.repository, &sightings.tag_prefix) != (&self.repository, &self.tag_prefix)
        });
        file.feeds.push(self);
        let excess = file.feeds.len().saturating_sub(MOST_FEEDS);
        file.feeds.drain(..excess);
        files::write_json(path, &file)
    }

    /// Records that `release` is listed.
    pub(crate) fn see(&mut self, release: &Release, now: Timestamp) {
        let tag = release.tag.as_str();
        let since = match release.published_at {
            Some(published) if !self.begun => published.min(now),
            _ => now,
        };
        self.tags.entry(tag.to_owned()).or_insert_with(|| {
            self.changed = true;
            since
        });
        self.present.insert(tag.to_owned(), release.version.clone());
    }

    /// Returns the moment from which the age of `release` counts; `None` if nothing dates it.
    pub(crate) fn known_since(&self, release: &Release) -> Option<Timestamp> {
        let seen = self.tags.get(release.tag.as_str()).copied();
        match release.published_at {
            // The record is full of others, or was written by an answer that lacked it.
            _ if seen.is_none() && self.begun => None,
            published => seen.max(published),
        }
    }
}

impl File {
    fn load(path: &Path) -> File {
        let file: Option<File> = files::read_json_if_there(path, LARGEST).unwrap_or_default();
        let file = file.filter(|file| file.schema == SCHEMA);
        file.unwrap_or_else(|| File {
            schema: SCHEMA,
            feeds: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::Tag;
    use proptest::prelude::*;

    fn at(day: &str) -> Timestamp {
        format!("2026-01-{day}T00:00:00Z").parse().unwrap()
    }

    fn release(version: &str, published: Option<&str>) -> Release {
        let version: Version = version.parse().unwrap();
        Release {
            tag: Tag::of("v", &version),
            version,
            url: None,
            published_at: published.map(at),
            assets: Vec::new(),
        }
    }

    /// One machine, whose record is on disk between two answers.
    struct Machine {
        folder: tempfile::TempDir,
        repository: Repository,
    }

    impl Machine {
        fn new() -> Machine {
            Machine {
                folder: tempfile::tempdir().unwrap(),
                repository: "https://forge.example/a/b".parse().unwrap(),
            }
        }
        fn path(&self) -> std::path::PathBuf {
            self.folder.path().join("first-seen.json")
        }
        fn load(&self) -> Sightings {
            Sightings::load(
                &self.path(),
                &self.repository,
                &TagPrefix::default(),
                at("28"),
            )
        }
        fn answers(&self, releases: &[Release], now: Timestamp) {
            let mut sightings = self.load();
            for release in releases {
                sightings.see(release, now);
            }
            sightings.complete();
            sightings.save(&self.path(), |_| true).unwrap();
        }
        fn since(&self, release: &Release) -> Option<Timestamp> {
            self.load().known_since(release)
        }
    }

    #[test]
    fn a_release_that_an_earlier_answer_lacked_is_as_old_as_its_first_sighting() {
        let machine = Machine::new();
        let old = release("1.0.0", Some("01"));
        machine.answers(std::slice::from_ref(&old), at("10"));
        assert_eq!(machine.since(&old), Some(at("01")), "nothing came before");
        let back_dated = release("1.1.0", Some("02"));
        let undated = release("1.2.0", None);
        let future = release("1.3.0", Some("20"));
        let all = [
            old.clone(),
            back_dated.clone(),
            undated.clone(),
            future.clone(),
        ];
        machine.answers(&all, at("11"));
        machine.answers(&all, at("12"));
        assert_eq!(machine.since(&old), Some(at("01")));
        assert_eq!(machine.since(&back_dated), Some(at("11")));
        assert_eq!(machine.since(&undated), Some(at("11")));
        assert_eq!(machine.since(&future), Some(at("20")), "the later counts");
    }

    #[test]
    fn a_date_that_moves_back_later_does_not_make_a_release_older() {
        let machine = Machine::new();
        machine.answers(&[release("1.0.0", Some("09"))], at("10"));
        let moved = release("1.0.0", Some("01"));
        machine.answers(std::slice::from_ref(&moved), at("10"));
        assert_eq!(machine.since(&moved), Some(at("09")));
    }

    #[test]
    fn a_remote_without_dates_counts_from_the_first_answer() {
        let machine = Machine::new();
        let undated = release("1.0.0", None);
        assert_eq!(machine.since(&undated), None);
        machine.answers(std::slice::from_ref(&undated), at("10"));
        machine.answers(std::slice::from_ref(&undated), at("11"));
        assert_eq!(machine.since(&undated), Some(at("10")));
    }

    #[test]
    fn a_release_that_was_away_for_a_while_keeps_its_age() {
        let machine = Machine::new();
        machine.answers(&[release("1.0.0", None)], at("10"));
        machine.answers(&[], at("11"));
        assert_eq!(machine.since(&release("1.0.0", None)), Some(at("10")));
    }

    #[test]
    fn a_flood_of_tags_neither_hides_a_release_nor_makes_it_old() {
        let machine = Machine::new();
        let real = release("1.0.0", Some("01"));
        machine.answers(std::slice::from_ref(&real), at("10"));
        let mut flood: Vec<Release> = (0..MOST_TAGS + 10)
            .map(|patch| release(&format!("9.0.{patch}"), Some("01")))
            .collect();
        let back_dated = release("1.1.0", Some("01"));
        flood.push(back_dated.clone());
        machine.answers(&flood, at("11"));
        assert_eq!(machine.load().tags.len(), MOST_TAGS);
        assert_eq!(machine.since(&back_dated), None, "never its own date");
        // When the flood is gone, the release is recorded again.
        machine.answers(&[real, back_dated.clone()], at("12"));
        assert_eq!(machine.since(&back_dated), Some(at("12")));
    }

    #[test]
    fn two_feeds_of_one_state_folder_do_not_forget_each_other() {
        let mut machine = Machine::new();
        let undated = release("1.0.0", None);
        machine.answers(std::slice::from_ref(&undated), at("10"));
        for number in 0..MOST_FEEDS - 1 {
            machine.repository = format!("https://forge.example/a/{number}").parse().unwrap();
            machine.answers(std::slice::from_ref(&undated), at("11"));
        }
        machine.repository = "https://forge.example/a/b".parse().unwrap();
        assert_eq!(machine.since(&undated), Some(at("10")));
    }

    #[test]
    fn an_answer_that_broke_off_is_not_one_that_lacked_a_release() {
        let machine = Machine::new();
        let dated = release("1.0.0", Some("01"));
        let mut sightings = machine.load();
        sightings.see(&release("0.9.0", None), at("10"));
        sightings.save(&machine.path(), |_| true).unwrap();
        machine.answers(std::slice::from_ref(&dated), at("11"));
        assert_eq!(machine.since(&dated), Some(at("01")));
    }

    #[test]
    fn a_sighting_from_the_future_is_of_today() {
        let machine = Machine::new();
        machine.answers(
            &[release("1.0.0", None)],
            "2099-01-01T00:00:00Z".parse().unwrap(),
        );
        assert_eq!(machine.since(&release("1.0.0", None)), Some(at("28")));
    }

    #[test]
    fn garbage_counts_as_missing() {
        let machine = Machine::new();
        for garbage in ["", "{}", "null", "\0\0", "{\"schema\":2,\"feeds\":[]}"] {
            std::fs::write(machine.path(), garbage).unwrap();
            let dated = release("1.0.0", Some("01"));
            assert_eq!(machine.since(&dated), Some(at("01")), "{garbage}");
        }
    }

    proptest! {
        #[test]
        fn no_release_is_older_than_the_answer_before_its_first_one(
            claimed in proptest::option::of(1u8..29),
            first in 1u8..29,
        ) {
            let machine = Machine::new();
            machine.answers(&[], at("01"));
            let claimed = claimed.map(|day| format!("{day:02}"));
            let release = release("1.0.0", claimed.as_deref());
            let first = at(&format!("{first:02}"));
            machine.answers(std::slice::from_ref(&release), first);
            prop_assert!(machine.since(&release) >= Some(first));
        }
    }
}
