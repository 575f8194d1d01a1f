//! The one line that any command adds on a terminal: a newer release is known, or the checks have stopped working.
//!
//! Architecture invariant: it asks neither the network nor any other program, and no failure here fails a command.

use std::time::Duration;

use jiff::Timestamp;
use semver::Version;

use super::{Context, VERSION};
use crate::config::SelfUpdate;
use crate::os::clock;
use crate::paths::Paths;
use crate::platform::schedule;
use crate::release::Release;
use crate::release::decide::{Asked, Decision, Policy, Situation, decide};
use crate::release::trust::seen_tags::SeenTags;
use crate::update;
use crate::update::builds::FailedBuilds;
use crate::update::quarantine::Quarantine;

/// How many intervals may pass without a check that succeeded.
const SILENT_INTERVALS: u32 = 5;

/// All that the line depends on.
#[derive(Clone, Debug)]
pub struct Known {
    /// The version of this program; `None` where heph updates other programs only.
    pub installed: Option<Version>,
    /// The newest release at the last check that succeeded.
    pub latest: Option<Release>,
    /// For how long it has been known.
    pub age: Option<Duration>,
    /// When that check was.
    pub last_success: Option<Timestamp>,
    /// What the user allows.
    pub policy: Policy,
    /// Versions in quarantine.
    pub quarantine: Vec<Version>,
    /// Whether the build of the newest release failed.
    pub build_failed: bool,
    /// The highest version that was ever healthy here.
    pub healthy: Option<Version>,
    /// The timer, where it is on.
    pub timer: Option<Timer>,
    /// The time now.
    pub now: Timestamp,
}

/// What the line depends on of the timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    /// The longest time between two runs.
    pub interval: Duration,
    /// When it was turned on, as far as is known.
    pub since: Timestamp,
}

/// Returns the line, or `None` where there is nothing to say.
///
/// That checks have stopped comes first: what is known of releases is stale then.
pub fn line(known: &Known) -> Option<String> {
    silence(known).or_else(|| news(known))
}

/// Prints the line that is due, from the state files.
pub fn print(context: &Context) {
    let settings = &context.config.self_update;
    let now = clock::now();
    let cache = context.paths.feed();
    let feed = update::feed(settings, &cache);
    let remembered = feed.cached();
    let seen_tags = SeenTags::load(&context.paths.trust()).unwrap_or_default();
    let quarantine = Quarantine::load(&context.paths).unwrap_or_default();
    let keeps_heph = settings.packages.iter().any(|name| name == "heph");
    let known = Known {
        installed: keeps_heph.then(|| VERSION.parse().ok()).flatten(),
        age: remembered
            .latest
            .as_ref()
            .and_then(|latest| feed.age(latest, now)),
        build_failed: latest_failed(
            remembered.latest.as_ref(),
            settings,
            &quarantine,
            &context.paths,
        ),
        quarantine: update::held_back(&quarantine, settings, &seen_tags),
        healthy: seen_tags
            .healthy(&settings.repository, &settings.tag_prefix)
            .cloned(),
        latest: remembered.latest,
        last_success: remembered.last_success,
        policy: update::policy(settings),
        timer: timer(context),
        now,
    };
    if let Some(line) = line(&known) {
        context.ui.note(line);
    }
}

/// Returns whether the build of `latest` failed. What has changed since is not asked for: that takes other programs.
fn latest_failed(
    latest: Option<&Release>,
    settings: &SelfUpdate,
    quarantine: &Quarantine,
    paths: &Paths,
) -> bool {
    let failed = FailedBuilds::load(paths, quarantine);
    latest.is_some_and(|latest| failed.of(&latest.version, &settings.repository).is_some())
}

fn timer(context: &Context) -> Option<Timer> {
    let (scheduler, job) = schedule::job(context.config.service_manager, &context.paths).ok()??;
    Some(Timer {
        interval: job.cadence.longest_gap(),
        since: schedule::since(scheduler, &context.paths)?,
    })
}

fn silence(known: &Known) -> Option<String> {
    let timer = known.timer?;
    let checked = known
        .last_success
        .map_or(timer.since, |success| success.max(timer.since));
    let silent = Duration::try_from(known.now.duration_since(checked)).ok()?;
    if silent <= timer.interval.saturating_mul(SILENT_INTERVALS) {
        return None;
    }
    Some(match known.last_success {
        Some(success) => format!(
            "No check for a newer heph has succeeded for {} (the last was on {}); `heph self-update doctor` finds out why",
            about(silent),
            success.strftime("%Y-%m-%d")
        ),
        None => {
            "No check for a newer heph has succeeded yet; `heph self-update doctor` finds out why"
                .to_owned()
        }
    })
}

fn news(known: &Known) -> Option<String> {
    let installed = known.installed.as_ref()?;
    let latest = known.latest.as_ref()?;
    let situation = Situation {
        installed: Some(installed),
        running: None,
        latest: Some(latest),
        policy: &known.policy,
        quarantine: &known.quarantine,
        waiting: None,
        healthy: known.healthy.as_ref(),
        asked: &Asked::default(),
        age: known.age,
    };
    let version = &latest.version;
    let failed = |failed: &Version| failed.cmp_precedence(version).is_eq();
    match decide(&situation) {
        Decision::Update(_) if known.build_failed => Some(format!(
            "heph {version} is out but its build failed here, this is {installed}; `heph self-update status` says why"
        )),
        Decision::Update(_) => Some(format!(
            "heph {version} is out, this is {installed}; `heph self-update apply` installs it"
        )),
        // A pin or a cooldown is the user's own wish and needs no reminder; a failure was nobody's.
        Decision::Skipped(_) if known.quarantine.iter().any(failed) => Some(format!(
            "heph {version} is out but failed here, this is {installed}; `heph self-update status` says why"
        )),
        _ => None,
    }
}

/// Returns `length` in words, in the largest unit that says enough.
fn about(length: Duration) -> String {
    let minutes = length.as_secs() / 60;
    let (number, unit) = match minutes {
        0..120 => (minutes, "minute"),
        120..2880 => (minutes / 60, "hour"),
        _ => (minutes / (24 * 60), "day"),
    };
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::Tag;

    const HOUR: Duration = Duration::from_secs(3600);

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// Returns the line on noon of 10 January, where 1.0.0 is installed.
    fn told(edit: impl FnOnce(&mut Known)) -> Option<String> {
        let release = Release {
            version: version("1.1.0"),
            tag: Tag::of("v", &version("1.1.0")),
            url: None,
            published_at: Some(time("2026-01-09T12:00:00Z")),
            assets: Vec::new(),
        };
        let mut known = Known {
            installed: Some(version("1.0.0")),
            latest: Some(release),
            age: Some(24 * HOUR),
            last_success: Some(time("2026-01-10T11:00:00Z")),
            policy: Policy::default(),
            quarantine: Vec::new(),
            build_failed: false,
            healthy: None,
            timer: Some(Timer {
                interval: HOUR,
                since: time("2026-01-01T00:00:00Z"),
            }),
            now: time("2026-01-10T12:00:00Z"),
        };
        edit(&mut known);
        line(&known)
    }

    #[test]
    fn a_newer_release_is_told_with_the_command_that_installs_it() {
        assert_eq!(
            told(|_| ()).unwrap(),
            "heph 1.1.0 is out, this is 1.0.0; `heph self-update apply` installs it"
        );
        assert!(
            told(|known| known.timer = None).is_some(),
            "without a timer too"
        );
    }

    #[test]
    fn there_is_nothing_to_say_of_what_is_not_newer_or_not_wanted() {
        assert_eq!(told(|known| known.latest = None), None);
        assert_eq!(told(|known| known.installed = None), None);
        for installed in ["1.1.0", "1.1.0+build", "2.0.0"] {
            assert_eq!(
                told(|known| known.installed = Some(version(installed))),
                None
            );
        }
        let waits = Policy {
            cooldown: (48 * HOUR).into(),
            ..Policy::default()
        };
        assert_eq!(told(|known| known.policy = waits), None);
    }

    #[test]
    fn a_release_that_failed_here_is_not_offered_for_installing() {
        let failed = vec![version("1.1.0")];
        let line = told(|known| known.quarantine = failed).unwrap();
        assert!(
            line.contains("failed here") && !line.contains("apply"),
            "{line}"
        );
        let line = told(|known| known.build_failed = true).unwrap();
        assert!(line.contains("its build failed here"), "{line}");
    }

    #[test]
    fn more_than_five_intervals_without_a_check_are_told_instead_of_stale_news() {
        let at = |text: &str| told(|known| known.last_success = Some(time(text))).unwrap();
        assert!(
            at("2026-01-10T07:00:00Z").contains("is out"),
            "five exactly"
        );
        let line = at("2026-01-10T06:59:00Z");
        assert!(
            line.contains("for 5 hours (the last was on 2026-01-10)"),
            "{line}"
        );
        assert!(at("2026-01-01T00:00:00Z").contains("for 9 days"));
        let off = told(|known| {
            known.timer = None;
            known.last_success = Some(time("2025-01-01T00:00:00Z"));
        });
        assert!(off.unwrap().contains("is out"), "nobody promised checks");
    }

    #[test]
    fn a_timer_that_was_just_turned_on_is_given_its_five_intervals() {
        let since = |text: &str, last| {
            told(|known| {
                known.latest = None;
                known.last_success = last;
                known.timer = Some(Timer {
                    interval: HOUR,
                    since: time(text),
                });
            })
        };
        assert_eq!(since("2026-01-10T11:00:00Z", None), None);
        assert_eq!(
            since("2026-01-10T11:00:00Z", Some(time("2025-01-01T00:00:00Z"))),
            None
        );
        assert!(since("2026-01-10T01:00:00Z", None).unwrap().contains("yet"));
        assert_eq!(
            since("2026-02-01T00:00:00Z", None),
            None,
            "a clock that was set back"
        );
    }
}
