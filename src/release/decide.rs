//! The decision: a pure function of what is installed, running and published, and of what the user allows.

use std::cmp::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use semver::{Version, VersionReq};

use super::Release;
use crate::config::Interval;

/// What the user allows.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Only versions that match.
    pub pin: Option<VersionReq>,
    /// Whether pre-releases count.
    pub prereleases: bool,
    /// Younger releases wait.
    pub cooldown: Interval,
}

/// What a person asked for by hand, beyond "keep it current".
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// `--to`: this release exactly, even a lower or quarantined one.
    pub to: Option<Version>,
    /// `--force`: install the current release afresh.
    pub force: bool,
}

/// All that the decision depends on.
#[derive(Clone, Debug)]
pub(crate) struct Situation<'a> {
    /// The version on disk.
    pub installed: Option<&'a Version>,
    /// The version hephd answers with; `None` where it does not answer, is not managed or is not part of the release.
    pub running: Option<&'a Version>,
    /// The newest release, or with `--to` the release that was named. `None`: nothing is published.
    pub latest: Option<&'a Release>,
    /// What the user allows.
    pub policy: &'a Policy,
    /// Versions that failed here.
    pub quarantine: &'a [Version],
    /// The highest version that was ever healthy here.
    pub healthy: Option<&'a Version>,
    pub asked: &'a Asked,
    pub now: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Nothing: `installed` is the newest (or is newer). The sentence says why where that is not obvious.
    UpToDate(Option<String>),
    /// Restart only: installed is new, hephd still runs the old one.
    RestartOnly,
    Update(Release),
    /// Nothing, although a newer release exists: the sentence says why.
    Skipped(String),
}

/// Decides.
///
/// Versions are compared by semver precedence, so build metadata makes no release newer. The answer is never a lower
/// version than the installed one unless `asked.to` names it, and a feed that offers less than what was ever healthy here is
/// not followed. A release whose forge does not say when it was published
/// counts as old enough for any cooldown.
pub(crate) fn decide(situation: &Situation) -> Decision {
    let Some(latest) = situation.latest else {
        return stay(situation, Some("no release is published".to_owned()));
    };
    if let Some(to) = &situation.asked.to {
        return named(situation, latest, to);
    }
    if let Some(reason) = way_back(situation, latest) {
        return if restart_helps(situation) {
            Decision::RestartOnly
        } else {
            Decision::Skipped(reason)
        };
    }
    let order = |installed| (latest.version.cmp_precedence(installed), installed);
    match situation.installed.map(order) {
        Some((Ordering::Less, installed)) => {
            let newest = &latest.version;
            let reason =
                format!("the installed {installed} is newer than the newest release, {newest}");
            stay(situation, Some(reason))
        }
        Some((Ordering::Equal, _)) if situation.asked.force => Decision::Update(latest.clone()),
        Some((Ordering::Equal, _)) => stay(situation, None),
        Some((Ordering::Greater, _)) | None => match objection(situation, latest) {
            None => Decision::Update(latest.clone()),
            // An installed release that hephd does not run yet is not held up by a newer one that has to wait.
            Some(_) if restart_helps(situation) => Decision::RestartOnly,
            Some(reason) => Decision::Skipped(reason),
        },
    }
}

fn named(situation: &Situation, release: &Release, to: &Version) -> Decision {
    if release.version != *to {
        return Decision::Skipped(format!(
            "{to} was asked for, but the forge names {}",
            release.version
        ));
    }
    if situation.installed != Some(to) || situation.asked.force {
        return Decision::Update(release.clone());
    }
    match situation.running {
        // Named, so hephd may even go to a lower version here.
        Some(running) if running.cmp_precedence(to) != Ordering::Equal => Decision::RestartOnly,
        _ => Decision::UpToDate(Some(format!("{to} is installed already"))),
    }
}

/// Returns the sentence about a feed that offers less than what was healthy here: it may be stale, or somebody wants this
/// machine to stay with a release that has a known hole. Where `pin` or `prereleases` admit the higher one no longer, the
/// user has chosen another line of releases.
fn way_back(situation: &Situation, latest: &Release) -> Option<String> {
    let Situation { policy, .. } = *situation;
    let healthy = situation.healthy?;
    let wanted = (policy.prereleases || healthy.pre.is_empty())
        && policy.pin.as_ref().is_none_or(|pin| admits(pin, healthy));
    let less = latest.version.cmp_precedence(healthy).is_lt();
    (wanted && less).then(|| {
        format!(
            "the newest release on offer is {0}, but {healthy} was healthy here; \
             if that is right, `heph self-update apply --to {0}` installs it",
            latest.version
        )
    })
}

/// Returns the answer where nothing is to be installed.
fn stay(situation: &Situation, reason: Option<String>) -> Decision {
    if restart_helps(situation) {
        return Decision::RestartOnly;
    }
    let ahead = match (situation.running, situation.installed) {
        (Some(running), Some(installed)) if running.cmp_precedence(installed).is_gt() => {
            Some(format!(
                "hephd runs {running}, newer than the installed {installed}; \
                 `heph daemon restart` starts the installed one"
            ))
        }
        _ => None,
    };
    Decision::UpToDate(ahead.or(reason))
}

/// Returns whether hephd runs an older release than the installed one. It is never moved to a lower one unasked.
fn restart_helps(situation: &Situation) -> bool {
    matches!(
        (situation.running, situation.installed),
        (Some(running), Some(installed)) if running.cmp_precedence(installed).is_lt()
    )
}

/// Returns why `release`, newer than what is installed, is not to be installed; `None` where nothing speaks against it.
pub(crate) fn objection(situation: &Situation, release: &Release) -> Option<String> {
    let Situation { policy, now, .. } = *situation;
    let version = &release.version;
    if !policy.prereleases && !version.pre.is_empty() {
        return Some(format!(
            "{version} is a pre-release; `prereleases = true` in [self-update] admits it"
        ));
    }
    if let Some(pin) = &policy.pin
        && !admits(pin, version)
    {
        return Some(format!(
            "{version} is outside of `pin = \"{pin}\"` in [self-update]"
        ));
    }
    if let Some(failed) = situation
        .quarantine
        .iter()
        .find(|failed| failed.cmp_precedence(version).is_eq())
    {
        return Some(format!(
            "{version} failed here and is in quarantine; \
             `heph self-update quarantine clear {failed}` lets it be tried again"
        ));
    }
    let published = release.published_at?;
    // A release from the future is as young as can be.
    let age = Duration::try_from(now.duration_since(published)).unwrap_or_default();
    (age < *policy.cooldown).then(|| {
        format!(
            "{version} was published at {published}, and `cooldown = \"{}\"` in [self-update] lets it wait",
            policy.cooldown
        )
    })
}

/// Returns whether `pin` admits `version`. A pre-release counts as the release it leads to: whether pre-releases are
/// wanted at all is asked elsewhere.
pub(crate) fn admits(pin: &VersionReq, version: &Version) -> bool {
    let release = Version::new(version.major, version.minor, version.patch);
    pin.matches(version) || pin.matches(&release)
}

#[cfg(test)]
mod tests;
