//! The quarantine: releases that failed here and are not tried again until cleared or superseded.

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, ResultExt};
use crate::os::files;
use crate::paths::Paths;

/// No quarantine file is larger.
const LIMIT: u64 = 1024 * 1024;
/// Older entries beyond this number are dropped: newer releases have superseded them.
const MOST: usize = 200;

/// One release that failed here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub version: Version,
    /// Why, in one sentence.
    pub reason: String,
    pub at: Timestamp,
}

/// All releases that failed here, the oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    schema: u32,
    /// The entries; at most one for each version.
    pub releases: Vec<Entry>,
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

    pub fn versions(&self) -> Vec<Version> {
        let releases = self.releases.iter();
        releases.map(|entry| entry.version.clone()).collect()
    }

    /// Adds an entry; one for the same version is replaced.
    pub fn add(&mut self, entry: Entry) {
        self.releases.retain(|old| old.version != entry.version);
        self.releases.push(entry);
        self.releases
            .drain(..self.releases.len().saturating_sub(MOST));
    }

    /// Removes `version`; returns whether it was there.
    pub fn clear(&mut self, version: &Version) -> bool {
        let before = self.releases.len();
        self.releases.retain(|entry| entry.version != *version);
        self.releases.len() < before
    }

    pub fn save(&self, paths: &Paths) -> Result<()> {
        files::write_json(&paths.quarantine(), self)
    }
}

/// Puts `version` into the quarantine, durably; doing it twice is the same as once.
pub fn put(paths: &Paths, version: &Version, reason: &str, at: Timestamp) -> Result<()> {
    let mut quarantine = Quarantine::load(paths)?;
    let mut releases = quarantine.releases.iter();
    if releases.any(|entry| entry.version == *version && entry.reason == reason) {
        return Ok(());
    }
    quarantine.add(Entry {
        version: version.clone(),
        reason: reason.to_owned(),
        at,
    });
    quarantine.save(paths)
}

/// Takes `version` out of the quarantine, durably; returns whether it was there.
pub fn release(paths: &Paths, version: &Version) -> Result<bool> {
    let mut quarantine = Quarantine::load(paths)?;
    let was_there = quarantine.clear(version);
    if was_there {
        quarantine.save(paths)?;
    }
    Ok(was_there)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(version: &str, reason: &str) -> Entry {
        Entry {
            version: version.parse().unwrap(),
            reason: reason.to_owned(),
            at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_version_is_listed_once_with_its_last_reason() {
        let mut quarantine = Quarantine::default();
        quarantine.add(entry("1.1.0", "crashed"));
        quarantine.add(entry("1.2.0", "hung"));
        quarantine.add(entry("1.1.0", "hung"));
        assert_eq!(
            quarantine.releases,
            [entry("1.2.0", "hung"), entry("1.1.0", "hung")]
        );
        assert!(quarantine.clear(&"1.1.0".parse().unwrap()));
        assert!(!quarantine.clear(&"1.1.0".parse().unwrap()));
    }

    #[test]
    fn it_is_bounded() {
        let mut quarantine = Quarantine::default();
        for patch in 0..300 {
            quarantine.add(entry(&format!("1.0.{patch}"), "crashed"));
        }
        assert_eq!(quarantine.releases.len(), MOST);
        assert_eq!(quarantine.releases[0].version.patch, 100);
    }
}
