//! Steps 3 and 4, fetch and decide, as `apply`, `check` and `status` share them.

use std::time::{Duration, Instant};

use semver::Version;

use super::daemon;
use super::quarantine::Quarantine;
use super::{Request, World};
use crate::config::Config;
use crate::error::Result;
use crate::os::http::Limits;
use crate::os::{clock, interrupt};
use crate::release::Release;
use crate::release::decide::{Asked, Decision, Policy, Situation, decide};
use crate::release::feed::{Feed, News};
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
    pub decision: Decision,
}

/// Decides about `latest`, without the network.
pub fn survey(world: World, latest: Option<Release>, asked: &Asked) -> Result<Survey> {
    let bin_dir = world.bin_dir()?;
    let installed = bin_dir.installed(&world.config.self_update, &world.slots())?;
    let running = daemon::running(world, &bin_dir)?;
    // Nothing follows from a hephd that runs what is installed. The service manager answers slower than everything else
    // here, so it is asked about other cases only.
    let ours = running.is_none() || running == installed || daemon::is_managed(world, &bin_dir)?;
    let quarantine = Quarantine::load(world.paths)?.versions();
    let memory = SeenTags::load(&world.paths.trust())?;
    let decision = decide(&Situation {
        installed: installed.as_ref(),
        running: running.as_ref().filter(|_| ours),
        latest: latest.as_ref(),
        policy: &policy(world.config),
        quarantine: &quarantine,
        healthy: memory.healthy(&world.config.self_update),
        asked,
        now: clock::now(),
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
        decision,
    })
}

/// Asks the forge for the newest release, or for the one that `request` names.
pub(super) fn news(world: World, request: &Request) -> Result<News> {
    let path = world.paths.feed();
    let feed = Feed {
        settings: &world.config.self_update,
        state: &path,
    };
    if let Some(version) = &request.asked.to {
        return feed
            .named(version, clock::now())
            .map(|release| News::Latest(Some(release)));
    }
    let mut news = ask(world, &feed)?;
    for pause in RETRIES
        .iter()
        .take(if request.scheduled { RETRIES.len() } else { 0 })
    {
        match &news {
            News::Unreachable {
                reason,
                retry_at: None,
            } => (world.say)(&format!("{reason}; trying again in {pause:?}")),
            News::Unreachable { .. } | News::Latest(_) => break,
        }
        let until = Instant::now() + *pause;
        while Instant::now() < until {
            interrupt::check()?;
            std::thread::sleep(Duration::from_millis(100));
        }
        news = ask(world, &feed)?;
    }
    Ok(news)
}

/// Asks once. A feed that cannot be cached is used all the same.
fn ask(world: World, feed: &Feed) -> Result<News> {
    let asked = feed.ask(clock::now(), &Limits::default());
    if let Some(error) = asked.unwritten {
        (world.say)(&format!("cannot cache the feed: {}", error.one_line()));
    }
    asked.news
}

fn policy(config: &Config) -> Policy {
    let settings = &config.self_update;
    Policy {
        pin: settings.pin.clone(),
        prereleases: settings.prereleases,
        cooldown: settings.cooldown,
    }
}
