//! Broken releases, each a real tag: every one ends rolled back or untouched, with the old daemon serving every task.

use super::machine;
use crate::support::files::entries;
use crate::support::machine::Machine;
use crate::support::releases::Flaw;
use crate::support::workshop::OLD;

const ROLLED_BACK: (i32, &str) = (3, "rolled-back");
const FAILED: (i32, &str) = (1, "failed");

/// Tries a release with this flaw, which comes to `outcome` for a reason with these words.
#[track_caller]
fn tried(version: &str, flaw: Flaw, outcome: (i32, &str), words: &str) -> Machine {
    let machine = machine();
    machine.configure_quick("health-timeout = \"8s\"");
    machine.publish(version, flaw);
    let report = machine.heph("self-update apply --json").exits(outcome.0);
    let report = report.json();
    assert_eq!(report["outcome"], outcome.1);
    let reason = report["reason"].as_str().unwrap();
    assert!(reason.contains(words), "{flaw:?}: {reason}");
    machine.assert_serves_tasks(OLD, &["kept"]);
    assert_eq!(machine.quarantined(), [version], "it is not tried again");
    let again = machine.apply().exits(0);
    again.says("skipped").says("quarantine");
    machine.add("after");
    machine.assert_serves_tasks(OLD, &["after", "kept"]);
    machine
}

#[test]
fn one_whose_commands_say_another_version_leaves_everything_untouched() {
    tried("1.1.2", Flaw::SaysAnotherVersion, FAILED, "0.0.1");
}

#[test]
fn one_that_crashes_at_start_is_rolled_back() {
    tried("1.1.3", Flaw::CrashesAtStart, ROLLED_BACK, "daemon restart");
}

#[test]
fn one_that_hangs_before_it_is_ready_is_rolled_back() {
    tried(
        "1.1.4",
        Flaw::HangsBeforeReady,
        ROLLED_BACK,
        "daemon restart",
    );
}

#[test]
fn one_that_dies_after_three_seconds_is_rolled_back() {
    tried("1.1.5", Flaw::DiesAfterThreeSeconds, ROLLED_BACK, "1.1.5");
}

#[test]
fn one_that_answers_as_another_version_is_rolled_back() {
    tried("1.1.6", Flaw::AnswersAnotherVersion, ROLLED_BACK, "9.9.9");
}

#[test]
fn one_whose_migration_fails_is_rolled_back() {
    tried("1.1.7", Flaw::MigrationFails, ROLLED_BACK, "daemon restart");
}

#[test]
fn one_that_migrates_the_store_beyond_return_is_rolled_back_and_no_task_is_lost() {
    let machine = machine();
    machine.configure_quick("health-timeout = \"8s\"");
    machine.publish("1.1.8", Flaw::MigratesBeyondReturn);
    // A client adds tasks all the while, also to the new release before it dies.
    let mut acknowledged = vec!["kept".to_owned()];
    let mut unanswered = Vec::new();
    let mut update = machine.heph("self-update apply --json").start();
    let mut to_the_new_one = 0;
    for number in 0.. {
        if update.has_ended() {
            break;
        }
        let title = format!("task {number:05}");
        if machine.heph(&["add", &title]).ends().code == 0 {
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
    let report = update.ends().exits(ROLLED_BACK.0).json();
    assert_eq!(report["outcome"], ROLLED_BACK.1);
    let notes = report["notes"].to_string();
    assert!(
        notes.contains("is restored") && notes.contains("is kept as"),
        "{notes}"
    );
    // What the new release stored as it died was not answered, and is there or is not: both are right.
    let served = machine.titles();
    unanswered.retain(|title| served.contains(title));
    let mut expected = [acknowledged, unanswered].concat();
    expected.sort_unstable();
    machine.assert_serves_tasks(OLD, &expected);
    let kept = entries(&machine.data()).into_iter();
    let kept = kept.filter(|name| name.contains(".newer-schema3-")).count();
    assert_eq!(kept, 1, "the newer file is kept beside it");
}
