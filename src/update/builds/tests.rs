//! Tests of when a build that failed is tried again: tables, and what holds for any times.

use proptest::prelude::*;

use super::*;
use crate::release::Tag;

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn here() -> Repository {
    "https://forge.example/upstream/heph".parse().unwrap()
}

fn fingerprint(rustc: &str) -> Fingerprint {
    Fingerprint {
        cargo: Some("cargo 1".to_owned()),
        rustc: Some(rustc.to_owned()),
        tools: Some("aa".to_owned()),
        settings: Some("bb".to_owned()),
    }
}

fn source(commit: &str, files: &str) -> Source {
    Source {
        commit: Some(commit.to_owned()),
        files: Some(files.to_owned()),
    }
}

/// A build that failed on noon of 1 January.
fn failed(version: &str) -> FailedBuild {
    FailedBuild {
        version: version.parse().unwrap(),
        repository: Some(here().url().to_owned()),
        source: source("aa", "f"),
        reason: format!("cannot build v{version}: compiling `heph` failed"),
        log: Some("/logs/1.log".to_owned()),
        at: time("2026-01-01T12:00:00Z"),
        failures: 1,
        fingerprint: fingerprint("rustc 1"),
    }
}

fn wait(failed: &FailedBuild, now: &str) -> Wait {
    failed.wait(&failed.source, &failed.fingerprint, time(now))
}

#[test]
fn it_waits_for_1_2_4_and_then_7_days() {
    for (failures, until) in [
        (0, "2026-01-02T11:00:00Z"),
        (1, "2026-01-02T11:00:00Z"),
        (2, "2026-01-03T11:00:00Z"),
        (3, "2026-01-05T11:00:00Z"),
        (4, "2026-01-08T11:00:00Z"),
        (5, "2026-01-08T11:00:00Z"),
        (u32::MAX, "2026-01-08T11:00:00Z"),
    ] {
        let failed = FailedBuild {
            failures,
            ..failed("1.1.0")
        };
        let just_before = time(until) - Duration::from_secs(1);
        for now in ["2026-01-01T12:00:00Z", &just_before.to_string()] {
            assert_eq!(wait(&failed, now), Wait::Until(time(until)), "{failures}");
        }
        assert_eq!(wait(&failed, until), Wait::Over, "{failures}");
    }
}

#[test]
fn a_clock_that_was_set_back_does_not_make_it_wait_for_ever() {
    let failed = failed("1.1.0");
    assert!(matches!(
        wait(&failed, "2026-01-01T10:00:00Z"),
        Wait::Until(_)
    ));
    assert_eq!(wait(&failed, "2025-12-30T12:00:00Z"), Wait::Over);
}

#[test]
fn it_is_tried_at_once_when_something_that_it_depends_on_changes() {
    let failed = failed("1.1.0");
    let tried = |source: &Source, fingerprint: &Fingerprint| {
        failed.wait(source, fingerprint, time("2026-01-01T13:00:00Z"))
    };
    let same = failed.fingerprint.clone();
    let other = Some("other".to_owned());
    for (what, fingerprint) in [
        (
            "cargo",
            Fingerprint {
                cargo: other.clone(),
                ..same.clone()
            },
        ),
        ("rustc", fingerprint("rustc 2")),
        (
            "the linker or a tool like it",
            Fingerprint {
                tools: other.clone(),
                ..same.clone()
            },
        ),
        (
            "the settings",
            Fingerprint {
                settings: other,
                ..same.clone()
            },
        ),
    ] {
        assert_eq!(tried(&failed.source, &fingerprint), Wait::Changed(what));
    }
    for (commit, files) in [("bb", "f"), ("aa", "g")] {
        let changed = tried(&source(commit, files), &same);
        assert_eq!(changed, Wait::Changed("the release"), "{commit} {files}");
    }
    assert!(matches!(
        tried(&Source::default(), &Fingerprint::default()),
        Wait::Until(_)
    ));
}

#[test]
fn files_count_only_where_they_could_replace_the_build() {
    let mut release = Release {
        version: "1.1.0".parse().unwrap(),
        tag: Tag::try_from("v1.1.0".to_owned()).unwrap(),
        url: None,
        published_at: None,
        assets: Vec::new(),
    };
    let auto = Source::of(&release, Some("aa"), Delivery::Auto);
    let cargo = Source::of(&release, Some("aa"), Delivery::Cargo);
    let asset = crate::release::Asset::new(
        "heph-v1.1.0.tar.gz".to_owned(),
        "https://forge.example/x".to_owned(),
        None,
    );
    release.assets.push(asset.unwrap());
    assert!(auto.differs(&Source::of(&release, Some("aa"), Delivery::Auto)));
    assert!(!cargo.differs(&Source::of(&release, Some("aa"), Delivery::Cargo)));
}

#[test]
fn it_waits_longer_each_time_unless_a_person_asked_or_something_changed() {
    let mut builds = FailedBuilds::default();
    let mut fails = |now: &str, rustc: &str| {
        let failed = FailedBuild {
            at: time(now),
            fingerprint: fingerprint(rustc),
            ..failed("1.1.0")
        };
        builds.add(failed, &here());
        assert_eq!(builds.builds.len(), 1);
        builds.builds[0].failures
    };
    assert_eq!(fails("2026-01-01T12:00:00Z", "rustc 1"), 1);
    assert_eq!(fails("2026-01-01T13:00:00Z", "rustc 1"), 1, "by hand");
    assert_eq!(fails("2026-01-02T13:00:00Z", "rustc 1"), 2);
    assert_eq!(fails("2026-01-02T14:00:00Z", "rustc 1"), 2, "by hand");
    assert_eq!(fails("2026-01-09T13:00:00Z", "rustc 1"), 3);
    assert_eq!(fails("2026-01-09T14:00:00Z", "rustc 2"), 1);
}

#[test]
fn a_fork_waits_for_itself_and_a_release_that_was_built_forgets_the_lower_ones() {
    let fork: Repository = "https://forge.example/fork/heph".parse().unwrap();
    let mut builds = FailedBuilds::default();
    let forks = FailedBuild {
        repository: Some(fork.url().to_owned()),
        ..failed("1.1.0")
    };
    builds.add(forks.clone(), &fork);
    for version in ["1.1.0", "1.2.0", "1.3.0"] {
        builds.add(failed(version), &here());
    }
    let version = |text: &str| text.parse::<Version>().unwrap();
    assert_eq!(builds.of(&version("1.1.0"), &fork), Some(&forks));
    assert!(builds.of(&version("1.2.0"), &fork).is_none());
    assert!(builds.of(&version("1.2.0+x"), &here()).is_some());
    assert!(builds.remove_until(&version("1.2.0"), &here()));
    assert!(!builds.remove_until(&version("1.2.0"), &here()));
    assert_eq!(builds.builds, [forks, failed("1.3.0")]);
}

#[test]
fn it_is_bounded() {
    let mut builds = FailedBuilds::default();
    for patch in 0..70 {
        builds.add(failed(&format!("1.0.{patch}")), &here());
    }
    assert_eq!(builds.builds.len(), MOST);
    assert_eq!(builds.builds[0].version.patch, 20);
}

#[test]
fn what_release_0_1_0_quarantined_for_its_build_waits_instead() {
    let folder = tempfile::tempdir().unwrap();
    let paths = Paths::in_home(folder.path());
    let text = r#"{"schema":1,"releases":[{"version":"1.1.0","at":"2026-01-01T12:00:00Z",
        "reason":"cannot build v1.1.0: it does not compile: `cargo install` exited with 101; its whole output is in '/l/1.log' and ends: error: x"}]}"#;
    files::write_atomic(&paths.quarantine(), text.as_bytes(), files::PRIVATE).unwrap();
    let quarantine = Quarantine::load(&paths).unwrap();
    let builds = FailedBuilds::load(&paths, &quarantine);
    let version = "1.1.0".parse().unwrap();
    let old = builds.of(&version, &here()).unwrap();
    assert_eq!(old.reason, "cannot build v1.1.0: it does not compile");
    assert_eq!(old.log.as_deref(), Some("/l/1.log"));
    let known = failed("1.1.0");
    let wait = |now: &str| old.wait(&known.source, &known.fingerprint, time(now));
    assert!(matches!(wait("2026-01-01T18:00:00Z"), Wait::Until(_)));
    assert_eq!(wait("2026-01-02T12:00:00Z"), Wait::Over);

    // What this heph has found out since counts instead.
    let mut builds = builds;
    builds.add(known.clone(), &here());
    builds.save(&paths).unwrap();
    let builds = FailedBuilds::load(&paths, &quarantine);
    assert_eq!(builds.builds, [known]);
}

#[test]
fn a_file_that_cannot_be_read_counts_as_empty() {
    let folder = tempfile::tempdir().unwrap();
    let paths = Paths::in_home(folder.path());
    for text in ["garbage", r#"{"schema":1,"builds":7}"#] {
        files::write_atomic(&paths.failed_builds(), text.as_bytes(), files::PRIVATE).unwrap();
        let builds = FailedBuilds::load(&paths, &Quarantine::default());
        assert_eq!(builds.builds, []);
    }
}

#[test]
fn the_sentence_says_why_when_and_where() {
    let failed = failed("1.1.0");
    let waiting = Waiting {
        wait: wait(&failed, "2026-01-01T13:00:00Z"),
        failed,
    };
    let sentence = waiting.objection().unwrap();
    for words in [
        "cannot build v1.1.0: compiling `heph` failed",
        "tried again after 2026-01-02 11:00Z",
        "`heph self-update apply` tries it now",
        "'/logs/1.log'",
    ] {
        assert!(sentence.contains(words), "{sentence}");
    }
    let due = Waiting {
        wait: Wait::Changed("rustc"),
        ..waiting
    };
    assert_eq!(due.objection(), None);
    assert!(due.try_again().ends_with("as rustc changed"));
}

proptest! {
    #[test]
    fn no_wait_is_longer_than_7_days(failures in any::<u32>(), after in -100_000_000i64..100_000_000) {
        let failed = FailedBuild { failures, ..failed("1.1.0") };
        let now = failed.at + jiff::SignedDuration::from_secs(after);
        match failed.wait(&failed.source, &failed.fingerprint, now) {
            Wait::Until(until) => {
                prop_assert!(until > now);
                prop_assert!(until.duration_since(failed.at).as_hours() < 7 * 24);
            }
            wait => prop_assert_eq!(wait, Wait::Over),
        }
    }

    #[test]
    fn what_is_written_is_read_back(failures in any::<u32>(), log in proptest::option::of("\\PC{0,20}")) {
        let failed = FailedBuild { failures, log, ..failed("1.1.0") };
        let text = serde_json::to_string(&failed).unwrap();
        prop_assert_eq!(serde_json::from_str::<FailedBuild>(&text).unwrap(), failed);
    }
}
