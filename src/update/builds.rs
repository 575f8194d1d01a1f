//! Builds that failed (`builds.json`): each release waits until its build is worth another try.
//!
//! No log can tell whether a release or this machine is to blame for a failed build, so it never puts a release into quarantine.
//! The timer tries it again after 1, 2, 4 and then every 7 days, or at once when something that the build depends on has
//! changed: cargo, rustc, the linker or a tool like it, the settings, the release. A person's `apply` tries it at any time.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::World;
use super::quarantine::{self, Quarantine};
use crate::config::{Delivery, Repository, SelfUpdate};
use crate::error::Result;
use crate::install::fingerprint::{Fingerprint, differ};
use crate::os::files;
use crate::paths::Paths;
use crate::release::Release;

/// No larger file is read.
const LIMIT: u64 = 1 << 20;
/// Older entries beyond this number are dropped: newer releases have superseded them.
const MOST: usize = 50;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How many days a release waits after its first failed build, its second, and so on.
const DAYS: [u32; 4] = [1, 2, 4, 7];
/// How much earlier another try may begin, so that a daily timer with its random delay does not miss it.
const EARLY: Duration = Duration::from_secs(60 * 60);

/// A release whose build failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedBuild {
    pub version: Version,
    /// The URL of its repository; `None` in what release 0.1.0 recorded.
    #[serde(default)]
    pub repository: Option<String>,
    /// What was built; of it, `None` is unknown.
    #[serde(flatten)]
    pub source: Source,
    /// Why it failed, in one sentence.
    pub reason: String,
    /// The file with the output of cargo.
    #[serde(default)]
    pub log: Option<String>,
    /// When the last run that tried it began.
    pub at: Timestamp,
    /// How often in a row it failed, although it had waited.
    pub failures: u32,
    /// What the build depended on.
    #[serde(default)]
    pub fingerprint: Fingerprint,
}

/// What distinguishes two states of one release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Source {
    pub commit: Option<String>,
    /// A digest of the names of its files, if one of them could replace the build.
    pub files: Option<String>,
}

/// Whether a release whose build failed is to be built again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Not before this time.
    Until(Timestamp),
    /// It has waited long enough.
    Over,
    /// Something that it depends on has changed.
    Changed(&'static str),
}

/// The build of the newest release, which failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub failed: FailedBuild,
    pub wait: Wait,
}

impl Source {
    /// Returns that of `release`; `commit` is what its tag leads to, if that is known.
    pub(super) fn of(release: &Release, commit: Option<&str>, delivery: Delivery) -> Source {
        let names = || {
            let assets = release.assets.iter();
            let mut names: Vec<&str> = assets.map(|asset| asset.name.as_str()).collect();
            names.sort_unstable();
            files::hex(&Sha256::digest(names.join("\n")))
        };
        Source {
            commit: commit.map(str::to_owned),
            files: (delivery != Delivery::Cargo).then(names),
        }
    }

    fn differs(&self, now: &Source) -> bool {
        differ(&self.commit, &now.commit) || differ(&self.files, &now.files)
    }
}

impl FailedBuild {
    /// Decides whether it is to be tried again at `now`.
    ///
    /// A clock that was set back by more than the wait ends it.
    pub fn wait(&self, source: &Source, fingerprint: &Fingerprint, now: Timestamp) -> Wait {
        if self.source.differs(source) {
            return Wait::Changed("the release");
        }
        if let Some(what) = self.fingerprint.changed(fingerprint) {
            return Wait::Changed(what);
        }
        let index = usize::try_from(self.failures.saturating_sub(1)).unwrap_or(usize::MAX);
        let days = DAYS[index.min(DAYS.len() - 1)];
        let wait = DAY * days - EARLY;
        let away = now.duration_since(self.at).unsigned_abs();
        match self.at.checked_add(wait) {
            Ok(until) if away < wait => Wait::Until(until),
            _ => Wait::Over,
        }
    }

    fn is_about(&self, version: &Version, repository: &Repository) -> bool {
        let ours = |named: &String| named == repository.url();
        self.version.cmp_precedence(version).is_eq() && self.repository.as_ref().is_none_or(ours)
    }

    /// Returns what release 0.1.0 put into the quarantine.
    fn of_quarantine(entry: &quarantine::Entry) -> FailedBuild {
        // "cannot build v1.0.0: it does not compile: `cargo install` exited with … its whole output is in '…' and ends: …"
        let reason: Vec<&str> = entry.reason.splitn(3, ": ").take(2).collect();
        let log = entry.reason.split_once("output is in '");
        let log = log.and_then(|(_, rest)| Some(rest.split_once('\'')?.0.to_owned()));
        FailedBuild {
            version: entry.version.clone(),
            repository: None,
            source: Source::default(),
            reason: reason.join(": "),
            log,
            at: entry.at,
            failures: 1,
            fingerprint: Fingerprint::default(),
        }
    }
}

impl Waiting {
    /// Returns why the timer does not build it now; `None` if it does.
    pub fn objection(&self) -> Option<String> {
        let Wait::Until(until) = self.wait else {
            return None;
        };
        let FailedBuild { reason, log, .. } = &self.failed;
        let log = log
            .iter()
            .map(|log| format!("; the output of cargo is in '{log}'"));
        let log: String = log.collect();
        Some(format!(
            "{reason}; it is tried again after {}, or when cargo, rustc, the linker, the settings or the release change; \
             `heph self-update apply` tries it now{log}",
            until.strftime("%Y-%m-%d %H:%MZ")
        ))
    }

    /// Returns the sentence about another try.
    pub fn try_again(&self) -> String {
        let FailedBuild {
            version, failures, ..
        } = &self.failed;
        let times = match failures {
            1 => "once".to_owned(),
            failures => format!("{failures} times"),
        };
        format!(
            "the build of {version} has failed here {times}; {}",
            self.wait
        )
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wait::Until(until) => {
                let until = until.strftime("%Y-%m-%d %H:%MZ");
                write!(f, "the timer tries it again after {until}")
            }
            Wait::Over => f.write_str("it is tried again, as its time is up"),
            Wait::Changed(what) => write!(f, "it is tried again, as {what} changed"),
        }
    }
}

/// All releases whose build failed, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedBuilds {
    schema: u32,
    builds: Vec<FailedBuild>,
}

impl FailedBuilds {
    /// Reads the file, and what release 0.1.0 put into `quarantine` instead. A file that cannot be read counts as empty: that
    /// costs one more build.
    pub fn load(paths: &Paths, quarantine: &Quarantine) -> FailedBuilds {
        let read = files::read_json_if_there(&paths.failed_builds(), LIMIT);
        let FailedBuilds { builds, .. } = read.ok().flatten().unwrap_or_default();
        let old = quarantine.failed_builds();
        let old = old.filter(|old| builds.iter().all(|known| known.version != old.version));
        let old: Vec<_> = old.map(FailedBuild::of_quarantine).collect();
        FailedBuilds {
            schema: 1,
            builds: [old, builds].concat(),
        }
    }

    /// Returns the failed build of a release.
    pub fn of(&self, version: &Version, repository: &Repository) -> Option<&FailedBuild> {
        let mut builds = self.builds.iter().rev();
        builds.find(|failed| failed.is_about(version, repository))
    }

    /// Adds a build that has failed just now. One that failed before its time, for a person asked for it, waits no longer for
    /// that; one that failed in other circumstances starts over.
    fn add(&mut self, failed: FailedBuild, repository: &Repository) {
        let before = self.of(&failed.version, repository);
        let wait = before.map(|old| {
            (
                old,
                old.wait(&failed.source, &failed.fingerprint, failed.at),
            )
        });
        let failures = match wait {
            Some((old, Wait::Until(_))) => old.failures,
            Some((old, Wait::Over)) => old.failures.saturating_add(1),
            Some((_, Wait::Changed(_))) | None => 1,
        };
        self.builds
            .retain(|old| !old.is_about(&failed.version, repository));
        self.builds.push(FailedBuild { failures, ..failed });
        self.builds.drain(..self.builds.len().saturating_sub(MOST));
    }

    /// Removes the releases of `repository` up to `version`; returns whether there was one.
    fn remove_until(&mut self, version: &Version, repository: &Repository) -> bool {
        let before = self.builds.len();
        self.builds.retain(|failed| {
            failed.version > *version || !failed.is_about(&failed.version, repository)
        });
        self.builds.len() < before
    }

    fn save(&self, paths: &Paths) -> Result<()> {
        files::write_json(&paths.failed_builds(), self)
    }
}

/// Returns the state of what builds depend on.
pub(super) fn fingerprint(world: World) -> Fingerprint {
    let variables = std::env::vars_os().collect();
    Fingerprint::take(&world.config.self_update, &variables, world.paths)
}

/// Returns whether `release`, if its build failed, is to be built again. `commit` is what its tag leads to, if that is known.
pub(super) fn waiting(
    world: World,
    quarantine: &Quarantine,
    release: &Release,
    commit: Option<&str>,
    now: Timestamp,
) -> Option<Waiting> {
    let SelfUpdate {
        repository,
        delivery,
        ..
    } = &world.config.self_update;
    let builds = FailedBuilds::load(world.paths, quarantine);
    let failed = builds.of(&release.version, repository)?.clone();
    let source = Source::of(release, commit, *delivery);
    let wait = failed.wait(&source, &fingerprint(world), now);
    Some(Waiting { failed, wait })
}

/// Records durably that the build of `release` failed in a run that began at `at`; returns what it waits for.
pub(super) fn failed(
    world: World,
    release: &Release,
    commit: &str,
    reason: &str,
    log: Option<&str>,
    at: Timestamp,
) -> Result<Waiting> {
    let SelfUpdate {
        repository,
        delivery,
        ..
    } = &world.config.self_update;
    let source = Source::of(release, Some(commit), *delivery);
    let fingerprint = fingerprint(world);
    let mut builds = FailedBuilds::load(world.paths, &Quarantine::load(world.paths)?);
    let failed = FailedBuild {
        version: release.version.clone(),
        repository: Some(repository.url().to_owned()),
        source,
        reason: reason.to_owned(),
        log: log.map(str::to_owned),
        at,
        failures: 1,
        fingerprint,
    };
    builds.add(failed, repository);
    builds.save(world.paths)?;
    let failed = builds.builds.pop().expect("it was added last");
    let wait = failed.wait(&failed.source, &failed.fingerprint, at);
    Ok(Waiting { failed, wait })
}

/// Forgets, durably, the failed builds of releases up to `version`, which could be staged.
pub(super) fn succeeded(world: World, version: &Version) -> Result<()> {
    let repository = &world.config.self_update.repository;
    let mut builds = FailedBuilds::load(world.paths, &Quarantine::default());
    if builds.remove_until(version, repository) {
        builds.save(world.paths)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
