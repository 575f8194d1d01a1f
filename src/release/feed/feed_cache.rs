//! `feed.json`: what is cached of the feed between runs. A file with garbage in it counts as missing.

use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::{Forge, Repository, TagPrefix};
use crate::error::Result;
use crate::os::files;
use crate::os::http::{Answer, LONGEST_RETRY_AFTER};
use crate::release::Release;
use crate::release::decide::Policy;
use crate::release::source::{ForeignTags, Selection};

/// 2: releases have assets.
const SCHEMA: u32 = 2;
const LARGEST: u64 = 1 << 20;
const LONGEST_VALIDATOR: usize = 512;

/// The settings that the answer depends on. A file written under others is ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FeedKey {
    repository: String,
    forge: Option<Forge>,
    tag_prefix: String,
    prereleases: bool,
    pin: Option<String>,
    cooldown: u64,
}

impl FeedKey {
    pub(crate) fn new(
        repository: &Repository,
        forge: Forge,
        tag_prefix: &TagPrefix,
        policy: &Policy,
    ) -> FeedKey {
        FeedKey {
            repository: repository.to_string(),
            forge: (forge != Forge::Auto).then_some(forge),
            tag_prefix: tag_prefix.to_string(),
            prereleases: policy.prereleases,
            pin: policy.pin.as_ref().map(ToString::to_string),
            cooldown: policy.cooldown.as_secs(),
        }
    }
}

/// What a forge is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Question {
    /// The one release that it calls its latest.
    Latest,
    /// The list, from its first page.
    List,
}

/// The content of `feed.json`. Release 0.1.0 reads it, and writes it without the members that it does not know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FeedCache {
    schema: u32,
    /// The settings it is about.
    key: FeedKey,
    /// The kind of forge that gave the last good answer.
    pub(super) detected: Option<Forge>,
    /// The path of its host below which that forge is, if it had to be found out.
    pub(super) base: Option<String>,
    /// Whether an API ever answered; `None` in a file of release 0.1.0. Bare tags, which carry no mark of pre-releases, must not
    /// replace it.
    had_api: Option<bool>,
    /// The validators of that answer, and what it answered; `None` for one that release 0.1.0 wrote.
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
    pub(super) answered: Option<Question>,
    /// What tells that answer from a later one that has no validators.
    pub(super) fingerprint: Option<String>,
    /// Since when the forge's latest has not been the newest release here, so that the list is asked at once.
    pub(super) list_first_since: Option<Timestamp>,
    /// When the list was last read as far as it had to be.
    pub(super) listed_at: Option<Timestamp>,
    /// The tags that are of another form, if the answer listed them.
    pub(super) foreign: Option<ForeignTags>,
    /// The newest release that the settings admit, or else the newest of all.
    pub latest: Option<Release>,
    /// The highest release, whatever `pin` and `cooldown` say; `decide::objection` says why it is not `latest`.
    pub highest: Option<Release>,
    /// The highest release that any answer ever named.
    named: Option<Release>,
    /// When the last good answer came.
    pub last_success: Option<Timestamp>,
    /// When the last request was sent.
    pub last_attempt: Option<Timestamp>,
    /// Why that request failed, if it did.
    pub last_error: Option<String>,
    /// The forge asked for no request before this.
    pub(super) not_before: Option<Timestamp>,
}

impl FeedCache {
    pub(crate) fn load(path: &Path, key: &FeedKey, now: Timestamp) -> FeedCache {
        let cache: Option<FeedCache> = files::read_json_if_there(path, LARGEST).unwrap_or_default();
        let cache = cache.filter(|cache| cache.schema == SCHEMA && cache.key == *key);
        let Some(cache) = cache else {
            return FeedCache {
                schema: SCHEMA,
                key: key.clone(),
                had_api: Some(false),
                ..FeedCache::default()
            };
        };
        // A clock that was set back must not silence heph for years.
        let longest = now
            .checked_add(LONGEST_RETRY_AFTER)
            .unwrap_or(Timestamp::MAX);
        let had_api = Some(cache.had_api());
        FeedCache {
            etag: cache.etag.filter(|text| is_header(text)),
            last_modified: cache.last_modified.filter(|text| is_header(text)),
            not_before: cache.not_before.filter(|until| *until <= longest),
            had_api,
            ..cache
        }
    }

    pub(crate) fn had_api(&self) -> bool {
        let detected = || self.detected.is_some_and(|kind| kind != Forge::Git);
        self.had_api.unwrap_or_else(detected)
    }

    pub(crate) fn set_had_api(&mut self) {
        self.had_api = Some(true);
    }

    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        files::write_json(path, self)
    }

    /// Returns whether a request with this question can be conditional.
    pub(crate) fn has_validators(&self, question: Question) -> bool {
        self.is_of(question) && (self.etag.is_some() || self.last_modified.is_some())
    }

    /// Returns whether the last good answer to this question was the one with this fingerprint.
    pub(crate) fn is_same(&self, question: Question, fingerprint: &str) -> bool {
        self.is_of(question) && self.fingerprint.as_deref() == Some(fingerprint)
    }

    fn is_of(&self, question: Question) -> bool {
        self.last_success.is_some() && self.answered == Some(question)
    }

    /// Caches the validators of the answer that the selection depends on.
    pub(crate) fn validate(&mut self, question: Question, answer: &Answer, fingerprint: String) {
        let validator = |name| {
            let value = answer.header(name).filter(|text| is_header(text));
            value.map(str::to_owned)
        };
        self.etag = validator("etag");
        self.last_modified = validator("last-modified");
        self.answered = Some(question);
        self.fingerprint = Some(fingerprint);
    }

    /// Lets the next request be unconditional.
    pub(crate) fn invalidate(&mut self) {
        (self.etag, self.last_modified) = (None, None);
        (self.answered, self.fingerprint) = (None, None);
    }

    /// Caches what a good answer led to. The next request is unconditional, unless [`FeedCache::validate`] follows.
    pub(crate) fn store(&mut self, selection: Selection, foreign: Option<ForeignTags>) {
        self.invalidate();
        self.foreign = foreign.filter(|foreign| !foreign.is_empty());
        self.latest = selection.latest;
        // It is only displayed, never installed.
        self.highest = selection.highest.map(|release| Release {
            assets: Vec::new(),
            ..release
        });
        if self.withdrawn().is_none() {
            self.named = self.highest.clone().or(self.named.take());
        }
    }

    /// Returns the tags that are of another form than the settings name, if the last list had any.
    pub(crate) fn foreign_tags(&self) -> Option<&ForeignTags> {
        self.foreign.as_ref()
    }

    /// Returns the highest release that was ever named, if neither it nor a higher one is named any more.
    pub(crate) fn withdrawn(&self) -> Option<&Release> {
        let as_high = |named: &Release| {
            let highest = self.highest.as_ref();
            highest.is_some_and(|highest| highest.version.cmp_precedence(&named.version).is_ge())
        };
        self.named.as_ref().filter(|named| !as_high(named))
    }
}

/// Returns whether `text` is safe to send back in a header.
fn is_header(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= LONGEST_VALIDATOR
        && text
            .bytes()
            .all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SelfUpdate;
    use std::os::unix::fs::PermissionsExt;

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn key_of(settings: &SelfUpdate) -> FeedKey {
        let policy = Policy {
            pin: settings.pin.clone(),
            prereleases: settings.prereleases,
            cooldown: settings.cooldown,
        };
        FeedKey::new(
            &settings.repository,
            settings.forge,
            &settings.tag_prefix,
            &policy,
        )
    }

    #[test]
    fn what_is_saved_is_read_back_by_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state of 100 % & \"é\"/feed.json");
        let key = key_of(&SelfUpdate::default());
        let mut cache = FeedCache::load(&path, &key, now());
        cache.etag = Some("W/\"1\"".to_owned());
        cache.last_error = Some("why".to_owned());
        cache.detected = Some(Forge::Gitlab);
        cache.set_had_api();
        cache.save(&path).unwrap();
        assert_eq!(FeedCache::load(&path, &key, now()), cache);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_of_other_settings_or_with_garbage_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("feed.json");
        let settings = SelfUpdate::default();
        let key = key_of(&settings);
        let mut cache = FeedCache::load(&path, &key, now());
        cache.last_error = Some("why".to_owned());
        cache.save(&path).unwrap();
        let good = std::fs::read_to_string(&path).unwrap();

        for other in [
            SelfUpdate {
                repository: "https://other.example/a/b".parse().unwrap(),
                ..settings.clone()
            },
            SelfUpdate {
                forge: Forge::Git,
                ..settings.clone()
            },
            SelfUpdate {
                tag_prefix: "release/".parse().unwrap(),
                ..settings.clone()
            },
            SelfUpdate {
                prereleases: true,
                ..settings.clone()
            },
            SelfUpdate {
                pin: Some("^1".parse().unwrap()),
                ..settings.clone()
            },
        ] {
            assert_eq!(
                FeedCache::load(&path, &key_of(&other), now()).last_error,
                None
            );
        }
        let half = &good[..good.len() / 2];
        let hostile = good.replace(
            "\"latest\": null",
            r#""latest": {"version":"9.0.0","tag":"--config=x"}"#,
        );
        assert_ne!(hostile, good);
        let later = good.replace("\"schema\": 2", "\"schema\": 3");
        let large = format!("{good}{}", " ".repeat(1 << 20));
        for garbage in ["", "{}", "null", "\0\0\0\0", half, &hostile, &later, &large] {
            std::fs::write(&path, garbage).unwrap();
            assert_eq!(
                FeedCache::load(&path, &key, now()).last_error,
                None,
                "{garbage}"
            );
        }
    }

    #[test]
    fn release_0_1_0_reads_what_is_written_and_drops_what_it_does_not_know() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("feed.json");
        let key = key_of(&SelfUpdate::default());
        let mut cache = FeedCache::load(&path, &key, now());
        cache.last_success = Some(now());
        cache.etag = Some("\"1\"".to_owned());
        cache.answered = Some(Question::List);
        cache.save(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let written: serde_json::Map<_, _> = serde_json::from_str(&text).unwrap();
        const KNOWN: [&str; 12] = [
            "schema",
            "key",
            "detected",
            "etag",
            "last_modified",
            "latest",
            "highest",
            "named",
            "last_success",
            "last_attempt",
            "last_error",
            "not_before",
        ];
        assert!(KNOWN.iter().all(|name| written.contains_key(*name)));
        assert_eq!(written["schema"], 2);
        let known = written
            .into_iter()
            .filter(|(name, _)| KNOWN.contains(&name.as_str()));
        let known: serde_json::Map<_, _> = known.collect();
        std::fs::write(&path, serde_json::to_vec(&known).unwrap()).unwrap();
        let cache = FeedCache::load(&path, &key, now());
        assert_eq!(cache.last_success, Some(now()));
        // It may be about another question than the next one.
        for question in [Question::Latest, Question::List] {
            assert!(!cache.has_validators(question));
        }
    }

    #[test]
    fn a_validator_that_would_break_a_header_and_a_wait_of_years_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("feed.json");
        let key = key_of(&SelfUpdate::default());
        let mut cache = FeedCache::load(&path, &key, now());
        cache.etag = Some("\"a\r\nX-Evil: 1\"".to_owned());
        cache.not_before = Some("2099-01-01T00:00:00Z".parse().unwrap());
        cache.save(&path).unwrap();
        let cache = FeedCache::load(&path, &key, now());
        assert_eq!((cache.etag, cache.not_before), (None, None));
    }
}
