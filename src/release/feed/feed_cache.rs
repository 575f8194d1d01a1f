//! `feed.json`: what is remembered of the feed between runs. It is a cache: garbage in it is as good as no file.

use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::{Forge, SelfUpdate};
use crate::error::{Result, ResultExt};
use crate::os::files;
use crate::os::http::Answer;
use crate::os::http::LONGEST_RETRY_AFTER;
use crate::release::Release;
use crate::release::source::{ForgeKind, Selection};

/// 2: releases have assets.
const SCHEMA: u32 = 2;
/// The largest file that is read.
const LARGEST: u64 = 1 << 20;
/// The longest validator that is kept.
const LONGEST_VALIDATOR: usize = 512;

/// The settings that the answer depends on. Where they differ, nothing is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedKey {
    repository: String,
    forge: Option<ForgeKind>,
    tag_prefix: String,
    prereleases: bool,
    pin: Option<String>,
    /// Seconds.
    cooldown: u64,
}

impl FeedKey {
    /// Returns the key of these settings.
    pub fn of(settings: &SelfUpdate) -> FeedKey {
        FeedKey {
            repository: settings.repository.to_string(),
            forge: match settings.forge {
                Forge::Auto => None,
                Forge::Forgejo => Some(ForgeKind::Forgejo),
                Forge::Github => Some(ForgeKind::Github),
                Forge::Gitlab => Some(ForgeKind::Gitlab),
                Forge::Git => Some(ForgeKind::Git),
            },
            tag_prefix: settings.tag_prefix.to_string(),
            prereleases: settings.prereleases,
            pin: settings.pin.as_ref().map(ToString::to_string),
            cooldown: settings.cooldown.as_secs(),
        }
    }
}

/// The file, as it is written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FeedCache {
    schema: u32,
    /// The settings it is about.
    key: FeedKey,
    /// What kind of forge gave the last good answer.
    pub detected: Option<ForgeKind>,
    /// The validators of that answer.
    pub etag: Option<String>,
    /// See `etag`.
    pub last_modified: Option<String>,
    /// The release it led to.
    pub latest: Option<Release>,
    /// The highest release it named.
    pub highest: Option<Release>,
    /// The highest release that any answer ever named.
    pub named: Option<Release>,
    /// When it came.
    pub last_success: Option<Timestamp>,
    /// When the forge was last asked.
    pub last_attempt: Option<Timestamp>,
    /// What went wrong then, if it did.
    pub last_error: Option<String>,
    /// Until then the forge wants to be left alone.
    pub not_before: Option<Timestamp>,
}

impl FeedCache {
    /// Reads what is remembered under `key`; nothing where there is no such file.
    pub fn load(path: &Path, key: &FeedKey, now: Timestamp) -> FeedCache {
        let cache = files::read_if_there(path, LARGEST)
            .ok()
            .flatten()
            .and_then(|bytes| serde_json::from_slice::<FeedCache>(&bytes).ok())
            .filter(|cache| cache.schema == SCHEMA && cache.key == *key);
        let Some(cache) = cache else {
            return FeedCache {
                schema: SCHEMA,
                key: key.clone(),
                ..FeedCache::default()
            };
        };
        // A clock that was set back must not silence heph for years.
        let longest = now
            .checked_add(LONGEST_RETRY_AFTER)
            .unwrap_or(Timestamp::MAX);
        FeedCache {
            etag: cache.etag.filter(|text| is_header(text)),
            last_modified: cache.last_modified.filter(|text| is_header(text)),
            not_before: cache.not_before.filter(|until| *until <= longest),
            ..cache
        }
    }

    /// Writes it, readable by its owner only.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut bytes = serde_json::to_vec_pretty(self).context("cannot write the feed as JSON")?;
        bytes.push(b'\n');
        files::write_atomic(path, &bytes, files::PRIVATE)
    }

    /// Returns whether a 304 can be believed.
    pub fn has_validators(&self) -> bool {
        self.last_success.is_some() && (self.etag.is_some() || self.last_modified.is_some())
    }

    /// Keeps a good answer; its validators only where `answer` is given.
    pub fn remember(&mut self, kind: ForgeKind, choice: Selection, answer: Option<&Answer>) {
        let validator = |name| {
            answer
                .and_then(|answer| answer.header(name))
                .filter(|text| is_header(text))
                .map(str::to_owned)
        };
        self.etag = validator("etag");
        self.last_modified = validator("last-modified");
        self.detected = Some(kind);
        self.latest = choice.latest;
        // It is only ever shown.
        self.highest = choice.highest.map(|release| Release {
            assets: Vec::new(),
            ..release
        });
        if self.is_withdrawn() != Some(true) {
            self.named = self.highest.clone().or(self.named.take());
        }
    }

    /// Returns whether the highest release that was ever named is named no longer, nor a higher one.
    fn is_withdrawn(&self) -> Option<bool> {
        let named = &self.named.as_ref()?.version;
        let higher = |now: &Release| now.version.cmp_precedence(named).is_ge();
        Some(!self.highest.as_ref().is_some_and(higher))
    }

    /// Returns the release that was named once and is named no longer, where none is as high.
    pub fn withdrawn(self) -> Option<Release> {
        if self.is_withdrawn()? {
            self.named
        } else {
            None
        }
    }
}

/// Returns whether `text` may be sent back in a header.
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
    use std::os::unix::fs::PermissionsExt;

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    #[test]
    fn what_is_saved_is_read_back_by_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state of 100 % & \"é\"/feed.json");
        let key = FeedKey::of(&SelfUpdate::default());
        let mut cache = FeedCache::load(&path, &key, now());
        cache.etag = Some("W/\"1\"".to_owned());
        cache.last_error = Some("why".to_owned());
        cache.detected = Some(ForgeKind::Gitlab);
        cache.save(&path).unwrap();
        assert_eq!(FeedCache::load(&path, &key, now()), cache);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn other_settings_and_garbage_are_as_good_as_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("feed.json");
        let settings = SelfUpdate::default();
        let key = FeedKey::of(&settings);
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
                FeedCache::load(&path, &FeedKey::of(&other), now()).last_error,
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
    fn a_validator_that_would_break_a_header_and_a_wait_of_years_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("feed.json");
        let key = FeedKey::of(&SelfUpdate::default());
        let mut cache = FeedCache::load(&path, &key, now());
        cache.etag = Some("\"a\r\nX-Evil: 1\"".to_owned());
        cache.not_before = Some("2099-01-01T00:00:00Z".parse().unwrap());
        cache.save(&path).unwrap();
        let cache = FeedCache::load(&path, &key, now());
        assert_eq!((cache.etag, cache.not_before), (None, None));
    }
}
