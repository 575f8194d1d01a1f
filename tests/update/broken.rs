//! Broken releases, each a real tag: every one ends rolled back or untouched, with the old daemon serving every task.

use super::{machine, workshop};
use crate::support::old::machine::OLD;
use crate::support::releases::Flaw;

/// What a release with this flaw comes to.
struct Expected {
    code: i32,
    outcome: &'static str,
    words: &'static str,
}

const ROLLED_BACK: i32 = 3;

fn tried(version: &str, flaw: Flaw, expected: &Expected) -> super::Machine {
    let machine = machine();
    workshop().tag(version, flaw);
    workshop().publish(version);
    let ended = machine
        .heph(&["self-update", "apply", "--json"])
        .exits(expected.code);
    let report = ended.json();
    assert_eq!(report["outcome"], expected.outcome);
    let reason = report["reason"].as_str().unwrap();
    assert!(reason.contains(expected.words), "{flaw:?}: {reason}");
    machine.assert_serves(OLD, &["kept"]);
    assert_eq!(machine.quarantined(), [version], "it is not tried again");
    machine
        .heph(&["self-update", "apply"])
        .exits(0)
        .says("skipped")
        .says("quarantine");
    machine.add("after");
    machine.assert_serves(OLD, &["after", "kept"]);
    machine
}

#[test]
fn one_that_does_not_compile_leaves_everything_untouched() {
    let expected = Expected {
        code: 1,
        outcome: "failed",
        words: "this release is broken",
    };
    let machine = tried("1.1.1", Flaw::DoesNotCompile, &expected);
    assert!(!machine.data().join("versions/1.1.1").exists());
}

#[test]
fn one_whose_commands_say_another_version_leaves_everything_untouched() {
    let expected = Expected {
        code: 1,
        outcome: "failed",
        words: "0.0.1",
    };
    tried("1.1.2", Flaw::SaysAnotherVersion, &expected);
}

#[test]
fn one_that_crashes_at_start_is_rolled_back() {
    let expected = Expected {
        code: ROLLED_BACK,
        outcome: "rolled-back",
        words: "daemon restart",
    };
    tried("1.1.3", Flaw::CrashesAtStart, &expected);
}

#[test]
fn one_that_hangs_before_it_is_ready_is_rolled_back() {
    let expected = Expected {
        code: ROLLED_BACK,
        outcome: "rolled-back",
        words: "daemon restart",
    };
    tried("1.1.4", Flaw::HangsBeforeReady, &expected);
}

#[test]
fn one_that_dies_after_three_seconds_is_rolled_back() {
    let machine = machine();
    machine.configure("settle = \"6s\"");
    drop(machine);
    let expected = Expected {
        code: ROLLED_BACK,
        outcome: "rolled-back",
        words: "1.1.5",
    };
    tried("1.1.5", Flaw::DiesAfterThreeSeconds, &expected);
}

#[test]
fn one_that_answers_as_another_version_is_rolled_back() {
    let expected = Expected {
        code: ROLLED_BACK,
        outcome: "rolled-back",
        words: "9.9.9",
    };
    tried("1.1.6", Flaw::AnswersAnotherVersion, &expected);
}

#[test]
fn one_whose_migration_fails_is_rolled_back() {
    let expected = Expected {
        code: ROLLED_BACK,
        outcome: "rolled-back",
        words: "daemon restart",
    };
    tried("1.1.7", Flaw::MigrationFails, &expected);
}

#[test]
fn one_that_migrates_the_store_beyond_return_is_rolled_back_and_no_task_is_lost() {
    let machine = machine();
    workshop().tag("1.1.8", Flaw::MigratesBeyondReturn);
    workshop().publish("1.1.8");
    // A client adds tasks all the while, also to the new release before it dies.
    let mut acknowledged = vec!["kept".to_owned()];
    let mut unanswered = Vec::new();
    let mut update = machine
        .command(machine.bin_dir().join("heph"))
        .args(["self-update", "apply", "--json"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut to_the_new_one = 0;
    for number in 0.. {
        if update.try_wait().unwrap().is_some() {
            break;
        }
        let title = format!("task {number:05}");
        if machine.heph(&["add", &title]).code == Some(0) {
            acknowledged.push(title);
            if machine.running().as_deref() == Some("1.1.8") {
                to_the_new_one += 1;
            }
        } else {
            unanswered.push(title);
        }
        assert!(number < 20_000, "the update never ended");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(to_the_new_one > 0, "the new release served for a while");
    let report = run_to_end(update);
    assert_eq!(report["outcome"], "rolled-back");
    let notes = report["notes"].to_string();
    assert!(
        notes.contains("is restored") && notes.contains("is kept as"),
        "{notes}"
    );
    // What the new release stored as it died was not answered, and is there or is not: both are right.
    let served = machine.titles();
    unanswered.retain(|title| served.contains(title));
    let mut expected: Vec<_> = acknowledged
        .iter()
        .chain(&unanswered)
        .map(String::as_str)
        .collect();
    expected.sort_unstable();
    machine.assert_serves(OLD, &expected);
    let kept = std::fs::read_dir(machine.data())
        .unwrap()
        .flatten()
        .any(|entry| {
            entry
                .file_name()
                .to_string_lossy()
                .contains(".newer-schema3-")
        });
    assert!(kept, "the newer file is kept beside it");
}

fn run_to_end(child: std::process::Child) -> serde_json::Value {
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(ROLLED_BACK));
    serde_json::from_slice(&output.stdout).unwrap()
}
