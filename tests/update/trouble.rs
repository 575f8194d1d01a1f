//! Full and read-only disks, missing tools, and runs that are interrupted.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use super::machine;
use crate::support::disk::Disk;
use crate::support::files;
use crate::support::machine::Machine;
use crate::support::releases::Flaw;
use crate::support::running::Running;
use crate::support::wait::eventually;
use crate::support::workshop::{NEW, OLD};

/// Asserts how a run with `--json` ends; returns its report.
#[track_caller]
fn ends(run: Running, code: i32, outcome: &str) -> Value {
    let report = run.ends().exits(code).json();
    assert_eq!(report["outcome"], outcome, "{report}");
    report
}

#[test]
fn a_disk_without_room_for_a_slot_is_named_before_anything_is_built() {
    let machine = Machine::with_cargo();
    let disk = Disk::small(&machine.data(), "size=32m");
    machine.heph("daemon start").exits(0);
    machine.add("kept");
    machine.publish(NEW, Flaw::None);
    machine.apply().exits(1).complains("free");
    machine.assert_serves_tasks(OLD, &["kept"]);
    machine.heph("daemon stop").exits(0);
    drop(disk);
}

#[test]
fn a_disk_that_fills_up_while_staging_leaves_everything_as_it_was() {
    let machine = machine();
    // The build folder is elsewhere, so that the room it needs at first can be there and then not.
    let disk = Disk::small(&machine.path.join("cache"), "size=700m");
    machine.publish(NEW, Flaw::None);
    let update = machine.heph("self-update apply --json");
    let update = update.env("XDG_CACHE_HOME", machine.path.join("cache"));
    let run = update.start();
    let build = machine.path.join("cache/heph/build");
    eventually("the build", || build.join("release").exists());
    disk.fill();
    let report = ends(run, 1, "failed");
    let reason = report["reason"].as_str().unwrap();
    assert!(
        reason.contains("space") || reason.contains("full"),
        "{reason}"
    );
    machine.assert_serves_tasks(OLD, &["kept"]);
    assert!(
        machine.quarantined().is_empty(),
        "the release is not to blame"
    );
    assert!(!machine.slot(NEW).exists());
}

#[test]
fn a_state_folder_without_room_for_the_journal_stops_the_update_before_the_switch() {
    let machine = machine();
    let disk = Disk::small(&machine.state(), "size=1m");
    machine.publish(NEW, Flaw::None);
    disk.fill();
    let ended = machine.heph("self-update apply --json").exits(1);
    assert_eq!(ended.json()["outcome"], "failed");
    ended.says("No space left");
    machine.assert_serves_tasks(OLD, &["kept"]);
    disk.clear();
    let applied = machine.apply().exits(0).says("updated");
    applied.says("answers; watching it for 5s");
    machine.assert_serves_tasks(NEW, &["kept"]);
}

#[test]
fn a_data_folder_without_room_for_one_link_stops_the_update_at_the_switch() {
    let machine = Machine::with_cargo();
    let disk = Disk::small(&machine.data(), "size=600m,nr_inodes=200");
    machine.publish(NEW, Flaw::None);
    // Both releases are on disk, and the old one is in use.
    machine.apply().exits(0);
    machine
        .heph(&format!("self-update apply --to {OLD}"))
        .exits(0);
    disk.fill_with_files();
    let apply = format!("self-update apply --to {NEW} --json");
    let ended = machine.heph(&apply).exits(1);
    assert_eq!(ended.json()["outcome"], "failed");
    ended.says("cannot switch to 1.0.1; nothing was changed");
    assert_eq!(machine.one_release(), OLD);
    assert!(!machine.state().join("journal.json").exists());
    disk.clear();
    machine
        .heph(&format!("self-update apply --to {NEW}"))
        .exits(0);
    assert_eq!(machine.one_release(), NEW);
}

#[test]
fn a_state_folder_that_is_full_at_the_record_does_not_undo_the_update() {
    let machine = machine();
    let disk = Disk::small(&machine.state(), "size=1m");
    machine.publish(NEW, Flaw::None);
    let run = machine.heph("self-update apply --json").start();
    let journal = machine.state().join("journal.json");
    eventually("the journal", || journal.exists());
    disk.fill();
    ends(run, 0, "updated");
    machine.assert_serves_tasks(NEW, &["kept"]);
    // Room was set aside for the record.
    machine.heph("self-update history").exits(0).says("updated");
    disk.clear();
    machine.apply().exits(0).says("up to date");
}

#[test]
fn a_state_folder_that_is_full_while_rolling_back_keeps_nothing_from_coming_back() {
    let machine = machine();
    let disk = Disk::small(&machine.state(), "size=1m");
    machine.configure_quick("health-timeout = \"8s\"");
    machine.publish("1.1.4", Flaw::HangsBeforeReady);
    let run = machine.heph("self-update apply --json").start();
    let journal = machine.state().join("journal.json");
    eventually("the journal", || journal.exists());
    disk.fill();
    ends(run, 3, "rolled-back");
    machine.assert_serves_tasks(OLD, &["kept"]);
    disk.clear();
    machine.apply().exits(0).says("skipped");
    machine.assert_serves_tasks(OLD, &["kept"]);
    assert_eq!(machine.quarantined(), ["1.1.4"]);
}

#[test]
fn a_read_only_bin_dir_is_named_and_nothing_changes() {
    let machine = machine();
    machine.publish(NEW, Flaw::None);
    let read_only = Disk::read_only(&machine.bin());
    machine
        .apply()
        .exits(1)
        .complains(".cargo/bin")
        .complains("hint:");
    machine.assert_serves_tasks(OLD, &["kept"]);
    assert!(!machine.data().join("current").is_symlink());
    drop(read_only);
    machine.apply().exits(0);
    machine.assert_serves_tasks(NEW, &["kept"]);
    // From now on only `current` is written, so that a read-only bin-dir is no obstacle.
    let _read_only = Disk::read_only(&machine.bin());
    machine.heph("self-update rollback").exits(0);
    machine.assert_serves_tasks(OLD, &["kept"]);
}

#[test]
fn a_missing_cargo_and_a_missing_linker_are_named_with_what_helps() {
    let machine = machine();
    machine.publish(NEW, Flaw::None);
    let without_cargo = machine.heph("self-update apply --force");
    without_cargo
        .env("PATH", machine.path.join("nothing"))
        .env("CARGO_HOME", "/nonexistent")
        .exits(1)
        .complains("cargo")
        .complains("rustup");

    // A PATH with cargo, rustc and git, and nothing that links.
    let tools = machine.path.join("tools");
    files::tools(&tools, &["cargo", "rustc", "git", "systemctl", "id"]);
    let without_linker = machine.heph("self-update apply");
    without_linker
        .env("PATH", &tools)
        .env("XDG_CACHE_HOME", machine.path.join("cold"))
        .exits(1)
        .complains("linker")
        .complains("hint:");
    machine.assert_serves_tasks(OLD, &["kept"]);
    assert!(
        machine.quarantined().is_empty(),
        "the release is not to blame"
    );
}

#[test]
fn an_interrupted_build_leaves_nothing_changed() {
    let machine = machine();
    machine.publish(NEW, Flaw::None);
    for (signal, name) in [(Signal::INT, "INT"), (Signal::TERM, "TERM")] {
        // A build that takes long enough to be interrupted.
        let cold = machine.path.join(name);
        let update = machine.heph("self-update apply --json");
        let run = update.env("XDG_CACHE_HOME", &cold).start();
        let build = cold.join("heph/build");
        eventually("the build", || build.join("release").exists());
        run.signal(signal);
        let report = ends(run, 1, "failed");
        assert!(
            report["reason"].as_str().unwrap().contains("interrupted"),
            "{report}"
        );
        machine.assert_serves_tasks(OLD, &["kept"]);
        assert!(!machine.slot(NEW).exists());
        assert!(machine.quarantined().is_empty());
    }
}

#[test]
fn a_run_interrupted_after_the_switch_finishes() {
    let machine = machine();
    machine.publish(NEW, Flaw::None);
    let run = machine.heph("self-update apply --json").start();
    let current = machine.data().join("current");
    eventually("the switch", || {
        fs::read_link(&current).is_ok_and(|target| target.ends_with(NEW))
    });
    run.signal(Signal::INT);
    ends(run, 0, "updated");
    machine.assert_serves_tasks(NEW, &["kept"]);
}

#[test]
fn a_run_killed_while_hephd_settles_is_finished_by_the_next() {
    let machine = machine();
    machine.publish(NEW, Flaw::None);
    let run = machine.heph("self-update apply --json").start();
    eventually("the new hephd", || {
        machine.running().as_deref() == Some(NEW)
    });
    run.signal(Signal::KILL);
    run.ends().exits(-1);
    assert!(machine.state().join("journal.json").exists());
    machine
        .apply()
        .exits(0)
        .says("an interrupted update to 1.0.1 is finished");
    machine.assert_serves_tasks(NEW, &["kept"]);
    machine.heph("self-update history").exits(0).says("updated");
}

#[test]
fn a_service_file_made_by_hand_is_left_alone_and_so_is_the_hephd_that_it_runs() {
    let machine = machine();
    let unit = machine.unit("heph.service");
    let generated = fs::read_to_string(&unit).unwrap();
    let by_hand: String = generated
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(&unit, &by_hand).unwrap();
    machine.publish(NEW, Flaw::None);
    machine
        .apply()
        .exits(0)
        .says("updated")
        .says("not as a service of this installation");
    assert_eq!(machine.one_release(), NEW);
    assert_eq!(machine.running().as_deref(), Some(OLD), "it serves on");
    assert_eq!(machine.titles(), ["kept"]);
    assert_eq!(fs::read_to_string(&unit).unwrap(), by_hand);
    assert!(machine.quarantined().is_empty());
}

#[test]
fn links_that_went_missing_are_back_after_a_run_that_has_nothing_to_install() {
    let machine = machine();
    machine.publish(NEW, Flaw::None);
    machine.apply().exits(0);
    fs::remove_file(machine.bin().join("hephd")).unwrap();
    machine.apply().exits(0).says("up to date");
    machine.assert_serves_tasks(NEW, &["kept"]);
    // A plain `cargo install` of the same release, too.
    let link = machine.bin().join("heph");
    fs::remove_file(&link).unwrap();
    files::copy(&machine.slot(NEW).join("bin/heph"), &link);
    machine.apply().exits(0);
    assert!(link.is_symlink());
    machine.assert_serves_tasks(NEW, &["kept"]);
}

#[test]
fn settings_of_another_installation_do_not_take_this_one_away() {
    let machine = machine();
    machine.publish(NEW, Flaw::None);
    machine.apply().exits(0);
    let repository = machine.forge.repository();
    let text = format!("[self-update]\nrepository = \"{repository}\"\npackages = [\"tool\"]\n");
    machine.write("tool.toml", text);
    machine
        .heph("--config tool.toml self-update apply")
        .exits(2)
        .complains("holds an installation of heph")
        .complains("XDG_DATA_HOME");
    machine.assert_serves_tasks(NEW, &["kept"]);
}
