//! `feed.json`: what is remembered of the feed between runs. It is a cache: garbage in it is as good as no file.

use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::verdict::LONGEST_WAIT;
use crate::config::{Forge, SelfUpdate};
use crate::error::{Result, ResultExt};
use crate::os::files;
use crate::os::http::Answer;
use crate::release::Release;
use crate::release::source::{Choice, Kind};

/// 2: releases have assets.
const SCHEMA: u32 = 2;
/// The largest file that is read.
const LARGEST: u64 = 1 << 20;
/// The longest validator that is kept.
const LONGEST_VALIDATOR: usize = 512;

/// The settings that the answer depends on. Where they differ, nothing is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    repository: String,
    forge: Option<Kind>,
    tag_prefix: String,
    prereleases: bool,
    pin: Option<String>,
    /// Seconds.
    cooldown: u64,
}

impl Key {
    /// Returns the key of these settings.
    pub fn of(settings: &SelfUpdate) -> Key {
        Key {
            repository: settings.repository.clone(),
            forge: match settings.forge {
                Forge::Auto => None,
                Forge::Forgejo => Some(Kind::Forgejo),
                Forge::Github => Some(Kind::Github),
                Forge::Gitlab => Some(Kind::Gitlab),
                Forge::Git => Some(Kind::Git),
            },
            tag_prefix: settings.tag_prefix.clone(),
            prereleases: settings.prereleases,
            pin: settings.pin.as_ref().map(ToString::to_string),
            cooldown: settings.cooldown.as_secs(),
        }
    }
}

/// The file, as it is written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    schema: u32,
    /// The settings it is about.
    key: Key,
    /// What kind of forge gave the last good answer.
    pub detected: Option<Kind>,
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

impl Memory {
    /// Reads what is remembered under `key`; nothing where there is no such file.
    pub fn load(path: &Path, key: &Key, now: Timestamp) -> Memory {
        let memory = files::read_if_there(path, LARGEST)
            .ok()
            .flatten()
            .and_then(|bytes| serde_json::from_slice::<Memory>(&bytes).ok())
            .filter(|memory| memory.schema == SCHEMA && memory.key == *key);
        let Some(memory) = memory else {
            return Memory {
                schema: SCHEMA,
                key: key.clone(),
                ..Memory::default()
            };
        };
        // A clock that was set back must not silence heph for years.
        let longest = now.checked_add(LONGEST_WAIT).unwrap_or(Timestamp::MAX);
        Memory {
            etag: memory.etag.filter(|text| is_header(text)),
            last_modified: memory.last_modified.filter(|text| is_header(text)),
            not_before: memory.not_before.filter(|until| *until <= longest),
            ..memory
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
    pub fn remember(&mut self, kind: Kind, choice: Choice, answer: Option<&Answer>) {
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
        let key = Key::of(&SelfUpdate::default());
        let mut memory = Memory::load(&path, &key, now());
        memory.etag = Some("W/\"1\"".to_owned());
        memory.last_error = Some("why".to_owned());
        memory.detected = Some(Kind::Gitlab);
        memory.save(&path).unwrap();
        assert_eq!(Memory::load(&path, &key, now()), memory);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn other_settings_and_garbage_are_as_good_as_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("feed.json");
        let settings = SelfUpdate::default();
        let key = Key::of(&settings);
        let mut memory = Memory::load(&path, &key, now());
        memory.last_error = Some("why".to_owned());
        memory.save(&path).unwrap();
        let good = std::fs::read_to_string(&path).unwrap();

        for other in [
            SelfUpdate {
                repository: "https://other.example/a/b".to_owned(),
                ..settings.clone()
            },
            SelfUpdate {
                forge: Forge::Git,
                ..settings.clone()
            },
            SelfUpdate {
                tag_prefix: "release/".to_owned(),
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
                Memory::load(&path, &Key::of(&other), now()).last_error,
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
                Memory::load(&path, &key, now()).last_error,
                None,
                "{garbage}"
            );
        }
    }

    #[test]
    fn a_validator_that_would_break_a_header_and_a_wait_of_years_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("feed.json");
        let key = Key::of(&SelfUpdate::default());
        let mut memory = Memory::load(&path, &key, now());
        memory.etag = Some("\"a\r\nX-Evil: 1\"".to_owned());
        memory.not_before = Some("2099-01-01T00:00:00Z".parse().unwrap());
        memory.save(&path).unwrap();
        let memory = Memory::load(&path, &key, now());
        assert_eq!((memory.etag, memory.not_before), (None, None));
    }
}
