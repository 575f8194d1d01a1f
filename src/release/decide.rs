//! The decision: a pure function of what is installed, running and published, and of the user's policy.

use std::cmp::Ordering;
use std::time::Duration;

use semver::{Version, VersionReq};

use super::Release;
use crate::config::Interval;

/// Which releases the user allows.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Only versions that match count.
    pub pin: Option<VersionReq>,
    /// Whether pre-releases count.
    pub prereleases: bool,
    /// Younger releases wait.
    pub cooldown: Interval,
}

/// What a person requested by hand, beyond an ordinary update.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// `--to`: this release exactly, even a lower or quarantined one.
    pub to: Option<Version>,
    /// `--force`: reinstall the current release.
    pub force: bool,
    /// A person asked, not the timer: a build that failed is tried again at once.
    pub by_hand: bool,
}

/// The input of the decision.
#[derive(Clone, Debug)]
pub(crate) struct Situation<'a> {
    /// The version on disk.
    pub installed: Option<&'a Version>,
    /// The version of the running hephd; `None` if it does not answer, is not managed or is not part of the release.
    pub running: Option<&'a Version>,
    /// The newest release, or the named one with `--to`. `None`: nothing is published.
    pub latest: Option<&'a Release>,
    /// What the user allows.
    pub policy: &'a Policy,
    /// Versions in quarantine.
    pub quarantine: &'a [Version],
    /// Why the build of `latest`, which failed, is not tried again yet.
    pub waiting: Option<&'a str>,
    /// The highest version that was ever healthy here.
    pub healthy: Option<&'a Version>,
    pub asked: &'a Asked,
    /// For how long `latest` has been known ([`Feed::age`](super::feed::Feed::age)); `None` if nothing dates it.
    pub age: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Do nothing: `installed` is the newest release, or newer. A sentence says why if that is not obvious.
    UpToDate(Option<String>),
    /// Only restart: hephd still runs an older release than the installed one.
    RestartOnly,
    Update(Release),
    /// Do nothing although a newer release exists; a sentence says why.
    Skipped(String),
}

/// Decides what to do.
///
/// Versions are compared by semver precedence, which ignores build metadata. The answer is never a lower version than the
/// installed one unless `asked.to` names it, and a feed whose newest release is lower than one that was healthy here is not
/// followed. A release of unknown age is as young as can be.
pub(crate) fn decide(situation: &Situation) -> Decision {
    let Some(latest) = situation.latest else {
        return stay(situation, Some("no release is published".to_owned()));
    };
    if let Some(to) = &situation.asked.to {
        return named(situation, latest, to);
    }
    if let Some(reason) = downgrade(situation, latest) {
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
            // A newer release that has to wait does not delay the restart to an installed one.
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
        // A named release may even be lower than the running one.
        Some(running) if running.cmp_precedence(to) != Ordering::Equal => Decision::RestartOnly,
        _ => Decision::UpToDate(Some(format!("{to} is installed already"))),
    }
}

/// Returns the objection to a feed whose newest release is lower than one that was healthy here: it may be stale, or an
/// attacker may want this machine to run a release with a known vulnerability. If `pin` or `prereleases` no longer admit the
/// higher release, the user has chosen another line of releases.
fn downgrade(situation: &Situation, latest: &Release) -> Option<String> {
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

/// Decides when there is nothing to install.
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

/// Returns whether hephd runs an older release than the installed one. A restart never moves it to a lower one.
fn restart_helps(situation: &Situation) -> bool {
    matches!(
        (situation.running, situation.installed),
        (Some(running), Some(installed)) if running.cmp_precedence(installed).is_lt()
    )
}

/// Returns why `release`, which is newer than the installed one, must not be installed; `None` if it may.
pub(crate) fn objection(situation: &Situation, release: &Release) -> Option<String> {
    let Situation { policy, age, .. } = *situation;
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
    let age = age.unwrap_or_default();
    if age < *policy.cooldown {
        return Some(format!(
            "{version} has been out for {}, and `cooldown = \"{}\"` in [self-update] lets it wait",
            in_words(age),
            policy.cooldown
        ));
    }
    let asked = situation.asked.by_hand || situation.asked.force;
    let waiting = situation.waiting.filter(|_| !asked);
    waiting.map(str::to_owned)
}

/// Returns `age` in the largest unit that says enough.
fn in_words(age: Duration) -> String {
    let minutes = age.as_secs() / 60;
    match minutes {
        0..120 => format!("{minutes} min"),
        120..2880 => format!("{} h", minutes / 60),
        _ => format!("{} days", minutes / (24 * 60)),
    }
}

/// Returns whether `pin` admits `version`. A pre-release counts as the release it leads to: whether pre-releases
/// count at all is decided elsewhere.
pub(crate) fn admits(pin: &VersionReq, version: &Version) -> bool {
    let release = Version::new(version.major, version.minor, version.patch);
    pin.matches(version) || pin.matches(&release)
}

#[cfg(test)]
mod tests;
