//! Tests of the decision: a table in words, and what must hold for any situation.

use super::*;
use proptest::prelude::*;

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

fn release(text: &str) -> Release {
    Release {
        version: version(text),
        tag: super::super::Tag::of("v", &version(text)),
        url: None,
        published_at: Some("2026-01-01T00:00:00Z".parse().unwrap()),
        assets: Vec::new(),
    }
}

/// A situation in words: a small language for the table below.
#[derive(Default)]
struct Case {
    installed: Option<Version>,
    running: Option<Version>,
    latest: Option<Release>,
    policy: Policy,
    quarantine: Vec<Version>,
    waiting: Option<&'static str>,
    healthy: Option<Version>,
    asked: Asked,
    age: Option<Duration>,
}

const HOUR: Duration = Duration::from_secs(3600);

impl Case {
    fn installed(text: &str) -> Case {
        Case {
            installed: Some(version(text)),
            ..Case::default()
        }
    }
    fn running(mut self, text: &str) -> Case {
        self.running = Some(version(text));
        self
    }
    fn latest(mut self, text: &str) -> Case {
        self.latest = Some(release(text));
        self
    }
    fn age(mut self, age: Duration) -> Case {
        self.age = Some(age);
        self
    }
    fn pin(mut self, text: &str) -> Case {
        self.policy.pin = Some(text.parse().unwrap());
        self
    }
    fn prereleases(mut self) -> Case {
        self.policy.prereleases = true;
        self
    }
    fn cooldown(mut self, hours: u64) -> Case {
        self.policy.cooldown = Interval::from_secs(hours * 3600);
        self
    }
    fn quarantine(mut self, text: &str) -> Case {
        self.quarantine.push(version(text));
        self
    }
    fn waiting(mut self) -> Case {
        self.waiting = Some("its build failed");
        self
    }
    fn by_hand(mut self) -> Case {
        self.asked.by_hand = true;
        self
    }
    fn healthy(mut self, text: &str) -> Case {
        self.healthy = Some(version(text));
        self
    }
    fn to(mut self, text: &str) -> Case {
        self.asked.to = Some(version(text));
        self
    }
    fn force(mut self) -> Case {
        self.asked.force = true;
        self
    }
    fn decide(&self) -> Decision {
        decide(&Situation {
            installed: self.installed.as_ref(),
            running: self.running.as_ref(),
            latest: self.latest.as_ref(),
            policy: &self.policy,
            quarantine: &self.quarantine,
            waiting: self.waiting,
            healthy: self.healthy.as_ref(),
            asked: &self.asked,
            age: self.age,
        })
    }
    fn updates_to(&self, text: &str) -> bool {
        matches!(self.decide(), Decision::Update(release) if release.version == version(text))
    }
    fn restarts(&self) -> bool {
        self.decide() == Decision::RestartOnly
    }
    /// Returns the reason of an answer to do nothing, or an empty string.
    fn stays(&self) -> String {
        match self.decide() {
            Decision::UpToDate(reason) => reason.unwrap_or_default(),
            other => panic!("{other:?}"),
        }
    }
    fn skips(&self) -> String {
        match self.decide() {
            Decision::Skipped(reason) => reason,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_newer_release_is_installed_and_the_same_or_an_older_one_is_not() {
    assert!(Case::installed("1.0.0").latest("1.0.1").updates_to("1.0.1"));
    assert!(
        Case::installed("1.0.9")
            .latest("1.0.10")
            .updates_to("1.0.10")
    );
    assert!(
        Case::installed("1.1.0-rc.1")
            .latest("1.1.0")
            .updates_to("1.1.0")
    );
    assert!(Case::default().latest("1.0.0").updates_to("1.0.0"));
    assert_eq!(Case::installed("1.0.0").latest("1.0.0").stays(), "");
    assert!(
        Case::installed("1.1.0")
            .latest("1.0.9")
            .stays()
            .contains("installed 1.1.0 is newer")
    );
    assert!(
        Case::installed("1.0.0")
            .stays()
            .contains("no release is published")
    );
}

#[test]
fn other_build_metadata_is_not_newer() {
    assert_eq!(Case::installed("1.0.0+a").latest("1.0.0+b").stays(), "");
    assert_eq!(
        Case::installed("1.0.0+a")
            .running("1.0.0+b")
            .latest("1.0.0")
            .stays(),
        ""
    );
}

#[test]
fn a_daemon_that_runs_an_older_release_is_restarted_when_there_is_nothing_to_install() {
    let old = || Case::installed("1.0.1").running("1.0.0");
    assert!(old().latest("1.0.1").restarts());
    assert!(old().latest("1.0.0").restarts());
    assert!(old().restarts(), "nothing is published");
    assert!(old().latest("1.0.2").updates_to("1.0.2"));
    assert!(old().latest("1.0.2").quarantine("1.0.2").restarts());
}

#[test]
fn a_daemon_that_runs_a_newer_release_is_not_moved_back() {
    let case = Case::installed("1.0.0").running("1.1.0").latest("1.0.0");
    assert!(case.stays().contains("hephd runs 1.1.0"));
    assert!(case.to("1.0.0").restarts(), "but by name it is");
}

#[test]
fn a_reason_to_wait_names_the_setting_or_the_command() {
    let newer = || Case::installed("1.0.0").latest("1.1.0").age(24 * HOUR);
    assert!(newer().pin("~1.0").skips().contains("pin"));
    assert!(newer().pin("^1").updates_to("1.1.0"));
    assert!(newer().cooldown(25).skips().contains("cooldown = \"25h\""));
    assert!(newer().cooldown(24).updates_to("1.1.0"));
    assert!(newer().cooldown(25).skips().contains("out for 24 h"));
    assert!(newer().age(HOUR / 60).cooldown(1).skips().contains("1 min"));
    assert!(
        newer()
            .age(72 * HOUR)
            .cooldown(99)
            .skips()
            .contains("3 days")
    );
    let undated = || Case::installed("1.0.0").latest("1.1.0");
    assert!(undated().cooldown(1).skips().contains("cooldown"));
    assert!(undated().updates_to("1.1.0"), "no cooldown");
    assert!(
        newer()
            .quarantine("1.1.0")
            .skips()
            .contains("heph self-update quarantine clear 1.1.0")
    );
    assert!(
        newer().quarantine("1.0.9").updates_to("1.1.0"),
        "superseded"
    );
    assert!(
        newer()
            .quarantine("1.1.0+x")
            .skips()
            .contains("clear 1.1.0+x")
    );
}

#[test]
fn a_build_that_failed_waits_unless_a_person_asks() {
    let newer = || Case::installed("1.0.0").latest("1.1.0").waiting();
    assert_eq!(newer().skips(), "its build failed");
    assert!(newer().by_hand().updates_to("1.1.0"));
    assert!(newer().to("1.1.0").updates_to("1.1.0"));
    assert!(newer().cooldown(99).skips().contains("cooldown"));
    let quarantined = newer().quarantine("1.1.0").by_hand();
    assert!(quarantined.skips().contains("quarantine"));
    let restarts = Case::installed("1.0.1").running("1.0.0");
    assert!(restarts.latest("1.0.2").waiting().restarts());
    // What is installed is installed again, for that is asked by hand.
    let again = Case::installed("1.1.0").latest("1.1.0").waiting();
    assert!(again.force().updates_to("1.1.0"));
}

#[test]
fn pre_releases_wait_until_they_are_asked_for() {
    let rc = || Case::installed("1.0.0").latest("1.1.0-rc.1");
    assert!(rc().skips().contains("prereleases = true"));
    assert!(rc().prereleases().updates_to("1.1.0-rc.1"));
    assert!(rc().prereleases().pin("^1").updates_to("1.1.0-rc.1"));
    assert!(rc().prereleases().pin("<1.1").skips().contains("pin"));
    assert!(
        Case::installed("1.1.0")
            .latest("1.1.0-rc.1")
            .stays()
            .contains("newer")
    );
}

#[test]
fn what_is_named_overrides_everything() {
    let to = |text: &str| {
        Case::installed("1.1.0")
            .pin("^9")
            .cooldown(9999)
            .quarantine(text)
            .latest(text)
            .to(text)
    };
    assert!(to("1.0.0").updates_to("1.0.0"));
    assert!(to("1.2.0-rc.1").updates_to("1.2.0-rc.1"));
    assert!(to("1.1.0").stays().contains("installed already"));
    assert!(to("1.1.0").running("1.0.0").restarts());
    assert!(to("1.1.0").force().updates_to("1.1.0"));
    assert!(
        Case::installed("1.0.0")
            .latest("1.2.0")
            .to("1.1.0")
            .skips()
            .contains("asked for"),
        "another release than the named one is never taken"
    );
}

#[test]
fn force_installs_the_current_release_afresh_and_nothing_else() {
    let case = |latest| {
        Case::installed("1.1.0")
            .running("1.1.0")
            .latest(latest)
            .force()
    };
    assert!(case("1.1.0").updates_to("1.1.0"));
    assert!(
        case("1.1.0")
            .pin("^9")
            .quarantine("1.1.0")
            .updates_to("1.1.0")
    );
    assert!(case("1.0.0").stays().contains("newer"));
    assert!(case("1.2.0").updates_to("1.2.0"));
    assert!(
        case("1.2.0")
            .quarantine("1.2.0")
            .skips()
            .contains("quarantine")
    );
}

#[test]
fn a_feed_that_offers_less_than_was_healthy_is_not_followed() {
    let rolled_back = || Case::installed("1.0.0").healthy("1.2.0");
    for offered in ["0.9.0", "1.0.0", "1.1.0", "1.2.0-rc.1"] {
        let said = rolled_back().latest(offered).prereleases().skips();
        assert!(
            said.contains("1.2.0 was healthy here") && said.contains(&format!("--to {offered}")),
            "{said}"
        );
        assert!(!rolled_back().latest(offered).force().updates_to(offered));
    }
    assert!(rolled_back().latest("1.2.0").updates_to("1.2.0"));
    assert!(rolled_back().latest("1.3.0").updates_to("1.3.0"));
    assert!(
        rolled_back()
            .latest("1.1.0")
            .to("1.1.0")
            .updates_to("1.1.0")
    );
    assert!(
        rolled_back().running("0.9.0").latest("1.0.0").restarts(),
        "what is installed may run"
    );
    // Another line of releases was chosen.
    assert!(
        rolled_back()
            .latest("1.1.0")
            .pin("~1.1")
            .updates_to("1.1.0")
    );
    assert!(
        Case::installed("1.0.0")
            .healthy("2.0.0-rc.1")
            .latest("1.1.0")
            .updates_to("1.1.0")
    );
}

fn any_version() -> impl Strategy<Value = Version> {
    (
        0u64..3,
        0u64..3,
        0u64..3,
        "(-[a-c]|-rc\\.[0-3])?(\\+[a-c])?",
    )
        .prop_map(|(major, minor, patch, rest)| version(&format!("{major}.{minor}.{patch}{rest}")))
}

proptest! {
    #[test]
    fn never_decides_a_lower_version(
        installed in any_version(),
        running in proptest::option::of(any_version()),
        latest in any_version(),
        healthy in proptest::option::of(any_version()),
        failed in proptest::collection::vec(any_version(), 0..3),
        pinned: bool,
        prereleases: bool,
        force: bool,
        by_hand: bool,
        waiting: bool,
        hours in 0u64..48,
        age in proptest::option::of(0u64..400_000),
    ) {
        let age = age.map(Duration::from_secs);
        let latest = release(&latest.to_string());
        let policy = Policy {
            pin: pinned.then(|| "^1".parse().unwrap()),
            prereleases,
            cooldown: Interval::from_secs(hours * 3600),
        };
        let situation = Situation {
            installed: Some(&installed),
            running: running.as_ref(),
            latest: Some(&latest),
            policy: &policy,
            quarantine: &failed,
            waiting: waiting.then_some("its build failed"),
            healthy: healthy.as_ref(),
            asked: &Asked { to: None, force, by_hand },
            age,
        };
        match decide(&situation) {
            Decision::Update(to) => {
                prop_assert!(to.version.cmp_precedence(&installed).is_ge());
                let newer = to.version.cmp_precedence(&installed).is_gt();
                prop_assert!(newer || force);
                prop_assert!(!waiting || force || by_hand);
                prop_assert!(!newer || age.unwrap_or_default() >= *policy.cooldown);
                let line = healthy.filter(|healthy| {
                    (prereleases || healthy.pre.is_empty()) && (!pinned || healthy.major == 1)
                });
                prop_assert!(line.is_none_or(|healthy| to.version.cmp_precedence(&healthy).is_ge()));
                prop_assert!(!newer || !failed.iter().any(|bad| bad.cmp_precedence(&to.version).is_eq()));
            }
            Decision::RestartOnly => {
                prop_assert!(running.unwrap().cmp_precedence(&installed).is_lt());
            }
            Decision::UpToDate(_) => {
                prop_assert!(latest.version.cmp_precedence(&installed).is_le());
            }
            Decision::Skipped(reason) => {
                let less = healthy.is_some_and(|healthy| latest.version.cmp_precedence(&healthy).is_lt());
                prop_assert!(less || latest.version.cmp_precedence(&installed).is_gt());
                prop_assert!(!reason.is_empty());
            }
        }
    }
}
