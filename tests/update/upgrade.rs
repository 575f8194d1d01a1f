//! Updates that go well, and the commands around them.

use std::fs;

use super::machine;
use crate::support::files::copy;
use crate::support::home::texts;
use crate::support::releases::Flaw;
use crate::support::wait::eventually;
use crate::support::workshop::{NEW, OLD};

#[test]
fn an_older_release_becomes_the_newer_one_and_nothing_is_lost() {
    let machine = machine();
    machine.publish(NEW, Flaw::None);
    let check = machine.heph("self-update check --json").exits(100).json();
    assert_eq!(check["outcome"], "available");
    assert_eq!(
        (check["installed"].as_str(), check["running"].as_str()),
        (Some(OLD), Some(OLD))
    );
    assert_eq!(check["latest"], NEW);

    let report = machine.heph("self-update apply --json").json();
    assert_eq!(report["outcome"], "updated");
    assert_eq!(
        (report["from"].as_str(), report["to"].as_str()),
        (Some(OLD), Some(NEW))
    );
    assert_eq!(
        texts(&report["steps"], "name"),
        [
            "lock", "recover", "fetch", "decide", "trust", "stage", "adopt", "backup", "journal",
            "switch", "restart", "settle", "commit", "record"
        ]
    );
    machine.assert_serves_tasks(NEW, &["kept"]);

    // The first update adopted the plain installation.
    assert!(machine.slot(OLD).join("release.json").exists());
    assert_eq!(
        fs::read_link(machine.bin().join("heph")).unwrap(),
        machine.data().join("current/bin/heph")
    );
    assert_eq!(
        fs::read_link(machine.data().join("current")).unwrap(),
        std::path::Path::new("versions").join(NEW)
    );

    machine.apply().exits(0).says("up to date");
    machine
        .heph("self-update history")
        .exits(0)
        .says("updated")
        .says(&format!("{OLD} → {NEW}"));

    // And back again, by hand.
    let report = machine.heph("self-update rollback --json").json();
    assert_eq!(report["outcome"], "rolled-back");
    machine.assert_serves_tasks(OLD, &["kept"]);
    assert_eq!(machine.quarantined(), [NEW]);
    machine.apply().exits(0).says("skipped");
    machine.assert_serves_tasks(OLD, &["kept"]);
    machine
        .heph("self-update status")
        .exits(0)
        .says("not latest")
        .says("quarantine");

    // A release that is named runs again, and leaves the quarantine.
    let by_name = machine.heph(&format!("self-update apply --to {NEW}"));
    by_name.exits(0).says("updated");
    machine.assert_serves_tasks(NEW, &["kept"]);
    assert!(machine.quarantined().is_empty());
}

#[test]
fn only_by_name_does_it_go_to_a_lower_version() {
    let machine = machine();
    machine.publish(NEW, Flaw::None);
    machine.apply().exits(0);
    machine.offer(OLD);
    machine.apply().exits(0).says("1.0.1 was healthy here");
    machine.assert_serves_tasks(NEW, &["kept"]);
    machine
        .heph(&format!("self-update apply --to {OLD}"))
        .exits(0);
    machine.assert_serves_tasks(OLD, &["kept"]);
}

#[test]
fn a_dry_run_changes_nothing() {
    let machine = machine();
    machine.publish(NEW, Flaw::None);
    machine
        .heph("self-update apply --dry-run")
        .exits(0)
        .says("would install 1.0.1");
    machine.assert_serves_tasks(OLD, &["kept"]);
    assert!(!machine.data().join("versions").exists());
    assert!(!machine.state().join("history.jsonl").exists());
}

#[test]
fn without_a_restart_hephd_stays_old_until_the_next_run() {
    let machine = machine();
    machine.publish(NEW, Flaw::None);
    machine
        .heph("self-update apply --no-restart")
        .exits(0)
        .says("not restarted");
    assert_eq!(machine.one_release(), NEW);
    assert_eq!(machine.running().as_deref(), Some(OLD));
    let report = machine.heph("self-update apply --json").json();
    assert_eq!(report["outcome"], "restarted");
    machine.assert_serves_tasks(NEW, &["kept"]);
}

#[test]
fn force_installs_the_current_release_afresh_and_switches_to_it() {
    let machine = machine();
    machine.publish(NEW, Flaw::None);
    machine.apply().exits(0);
    machine
        .heph("self-update apply --force")
        .exits(0)
        .says("updated");
    machine.assert_serves_tasks(NEW, &["kept"]);
    let current = fs::read_link(machine.data().join("current")).unwrap();
    assert_eq!(current, std::path::Path::new("versions/1.0.1~2"));
}

#[test]
fn a_plain_cargo_install_over_the_links_is_adopted_by_the_next_run() {
    let machine = machine();
    machine.publish(NEW, Flaw::None);
    machine.apply().exits(0);
    for name in ["heph", "hephd"] {
        let link = machine.bin().join(name);
        fs::remove_file(&link).unwrap();
        copy(&machine.slot(OLD).join("bin").join(name), &link);
    }
    machine.heph("daemon restart").exits(0);
    machine.apply().exits(0).says("updated");
    machine.assert_serves_tasks(NEW, &["kept"]);
    assert!(machine.bin().join("heph").is_symlink());
}

#[test]
fn a_hephd_that_no_service_manager_runs_is_not_restarted_and_the_report_says_so() {
    let machine = machine();
    machine.heph("daemon uninstall").exits(0);
    machine.publish(NEW, Flaw::None);
    machine.apply().exits(0).says("not running as a service");
    assert_eq!(machine.one_release(), NEW);
    assert_eq!(machine.running(), None);
}

#[test]
fn two_runs_at_once_leave_one_update_and_one_busy() {
    let machine = machine();
    machine.publish(NEW, Flaw::None);
    let first = machine.heph("self-update apply").start();
    let lock = machine.state().join("lock");
    eventually("the first run takes the lock", || {
        fs::File::open(&lock).is_ok_and(|file| file.try_lock().is_err())
    });
    machine.apply().exits(75).says("busy");
    machine
        .heph(&format!("self-update quarantine clear {NEW}"))
        .exits(75);
    first.ends().exits(0);
    machine.assert_serves_tasks(NEW, &["kept"]);
}

#[test]
fn hooks_are_told_and_a_failing_one_changes_nothing() {
    let machine = machine();
    let told = machine.path.join("told");
    let script = format!(
        "printf '%s %s %s ' $HEPH_EVENT $HEPH_FROM $HEPH_TO >> '{0}'; cat >> '{0}'; exit 3",
        told.display()
    );
    machine.configure_quick(&format!("on-updated = [\"sh\", \"-c\", {script:?}]"));
    machine.publish(NEW, Flaw::None);
    machine
        .apply()
        .exits(0)
        .says("on-updated failed")
        .says("exited with 3");
    machine.assert_serves_tasks(NEW, &["kept"]);
    let told = fs::read_to_string(told).unwrap();
    assert!(told.starts_with("updated 1.0.0 1.0.1 {"), "{told}");
    assert!(told.contains("\"outcome\":\"updated\""), "{told}");
}
