//! Steps 3 and 4, fetch and decide, as `apply`, `check` and `status` share them.

use std::time::{Duration, Instant};

use semver::Version;

use super::builds::{self, Waiting};
use super::daemon;
use super::quarantine::Quarantine;
use super::{Request, World, feed, policy};
use crate::config::{Delivery, SelfUpdate};
use crate::error::{Kind, Result};
use crate::os::http::Limits;
use crate::os::{clock, interrupt};
use crate::release::Release;
use crate::release::decide::{Asked, Decision, Situation, decide};
use crate::release::feed::Feed;
use crate::release::trust::seen_tags::SeenTags;

/// The pauses before a scheduled run retries an unreachable forge: after resume, the network comes up late.
const RETRIES: [Duration; 3] = [
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(40),
];

/// The state of the installation, and the decision.
#[derive(Clone, Debug)]
pub struct Survey {
    /// The version on disk.
    pub installed: Option<Version>,
    /// The version that hephd answers with.
    pub running: Option<Version>,
    /// The newest release, or the one that was named.
    pub latest: Option<Release>,
    /// What became of its build, if that failed here.
    pub waiting: Option<Waiting>,
    pub decision: Decision,
}

/// Decides about `latest`, without the network.
pub fn survey(world: World, latest: Option<Release>, asked: &Asked) -> Result<Survey> {
    let bin_dir = world.bin_dir()?;
    let installed = bin_dir.installed(&world.slots())?;
    let running = daemon::running(world, &bin_dir)?;
    // Nothing follows from a hephd that runs what is installed. The service manager answers slower than everything else
    // here, so it is asked about other cases only.
    let ours = running.is_none() || running == installed || daemon::is_managed(world, &bin_dir)?;
    let settings = &world.config.self_update;
    let seen_tags = SeenTags::load(&world.paths.trust())?;
    let in_quarantine = Quarantine::load(world.paths)?;
    let quarantine = held_back(&in_quarantine, settings, &seen_tags);
    let now = clock::now();
    let newer = |release: &&Release| {
        let mut installed = installed.iter();
        installed.all(|installed| release.version.cmp_precedence(installed).is_gt())
    };
    // A failed build of any other release keeps nothing back.
    let waiting = latest.as_ref().filter(newer).and_then(|release| {
        let seen = seen_tags.seen(&settings.repository, release.tag.as_str());
        let commit = seen.map(|seen| seen.commit.as_str());
        builds::waiting(world, &in_quarantine, release, commit, now)
    });
    let objection = waiting.as_ref().and_then(Waiting::objection);
    let cache = world.paths.feed();
    let age = latest
        .as_ref()
        .and_then(|latest| feed(settings, &cache).age(latest, now));
    let decision = decide(&Situation {
        installed: installed.as_ref(),
        running: running.as_ref().filter(|_| ours),
        latest: latest.as_ref(),
        policy: &policy(settings),
        quarantine: &quarantine,
        waiting: objection.as_deref(),
        healthy: seen_tags.healthy(&settings.repository, &settings.tag_prefix),
        asked,
        age,
    });
    let decision = match (decision, &installed) {
        // The timer does not retry a restart that failed.
        (Decision::RestartOnly, Some(version))
            if asked.to.is_none() && quarantine.contains(version) =>
        {
            Decision::Skipped(format!(
                "{version} is installed but was not healthy; `heph self-update quarantine clear {version}` tries it again"
            ))
        }
        (decision, _) => decision,
    };
    Ok(Survey {
        installed,
        running,
        latest,
        waiting,
        decision,
    })
}

/// Returns the versions in quarantine, as far as they are of the repository in the settings.
pub(crate) fn held_back(
    quarantine: &Quarantine,
    settings: &SelfUpdate,
    seen_tags: &SeenTags,
) -> Vec<Version> {
    let repository = &settings.repository;
    quarantine.versions(repository, &settings.tag_prefix, |tag| {
        let seen = seen_tags.seen(repository, tag.as_str())?;
        Some(seen.commit.clone())
    })
}

/// Asks the forge for the release that `request` is about: the newest, or the named one.
pub(super) fn latest(world: World, request: &Request) -> Result<Option<Release>> {
    let settings = &world.config.self_update;
    let cache = world.paths.feed();
    let feed = feed(settings, &cache);
    if let Some(version) = &request.asked.to {
        let now = clock::now();
        return match settings.delivery {
            Delivery::Cargo => feed.tagged(version, now),
            Delivery::Auto | Delivery::Prebuilt => feed.named(version, now),
        }
        .map(Some);
    }
    let mut latest = check(world, &feed);
    for pause in RETRIES.into_iter().filter(|_| request.scheduled) {
        match &latest {
            Err(error) if error.kind() == Kind::Unreachable && error.retry_after().is_none() => {
                (world.say)(&format!("{error:#}; trying again in {pause:?}"));
            }
            _ => break,
        }
        let until = Instant::now() + pause;
        while Instant::now() < until {
            interrupt::check()?;
            std::thread::sleep(Duration::from_millis(100));
        }
        latest = check(world, &feed);
    }
    latest
}

/// Asks once. A feed that cannot be cached is used all the same.
fn check(world: World, feed: &Feed) -> Result<Option<Release>> {
    let check = feed.check(clock::now(), &Limits::default());
    if let Some(error) = check.unwritten {
        (world.say)(&format!("cannot cache the feed: {}", error.one_line()));
    }
    check.latest
}
