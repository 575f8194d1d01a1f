//! Full and read-only disks, missing tools, and runs that are interrupted.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::Machine;
use super::{machine, workshop};
use crate::support::disk::Disk;
use crate::support::old::machine::{NEW, OLD, run};
use crate::support::releases::Flaw;

fn publish_new() {
    workshop().tag(NEW, Flaw::None);
    workshop().publish(NEW);
}

/// Starts an update in the background.
fn update(machine: &Machine) -> Child {
    let mut command = machine.command(machine.bin_dir().join("heph"));
    command
        .args(["self-update", "apply", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn wait_until(what: &str, mut there: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(120);
    while !there() {
        assert!(Instant::now() < until, "{what} never came");
        thread::sleep(Duration::from_millis(2));
    }
}

fn end(child: Child) -> (Option<i32>, serde_json::Value) {
    let output = child.wait_with_output().unwrap();
    let shown = String::from_utf8_lossy(&output.stderr).into_owned();
    let report =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {shown}"));
    (output.status.code(), report)
}

fn signal(child: &Child, name: &str) {
    assert!(
        Command::new("kill")
            .args(["-s", name, &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn a_disk_without_room_for_a_slot_is_named_before_anything_is_built() {
    let machine = Machine::new(workshop());
    let disk = Disk::small(&machine.data(), "size=32m");
    machine.heph(&["daemon", "start"]).exits(0);
    machine.add("kept");
    publish_new();
    machine
        .heph(&["self-update", "apply"])
        .exits(1)
        .says("free");
    machine.assert_serves(OLD, &["kept"]);
    machine.heph(&["daemon", "stop"]).exits(0);
    drop(disk);
}

#[test]
fn a_disk_that_fills_up_while_staging_leaves_everything_as_it_was() {
    let machine = machine();
    // The build folder is elsewhere, so that the room it needs at first can be there and then not.
    let disk = Disk::small(&machine.home.join("cache"), "size=700m");
    publish_new();
    let mut command = machine.command(machine.bin_dir().join("heph"));
    command
        .env("XDG_CACHE_HOME", machine.home.join("cache"))
        .args(["self-update", "apply", "--json"]);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let build = machine.home.join("cache/heph/build");
    wait_until("the build", || build.join("release").exists());
    disk.fill();
    let (code, report) = end(child);
    assert_eq!(
        (code, report["outcome"].as_str()),
        (Some(1), Some("failed"))
    );
    let reason = report["reason"].as_str().unwrap();
    assert!(
        reason.contains("space") || reason.contains("full"),
        "{reason}"
    );
    machine.assert_serves(OLD, &["kept"]);
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
    publish_new();
    disk.fill();
    let ended = machine.heph(&["self-update", "apply", "--json"]).exits(1);
    assert_eq!(ended.json()["outcome"], "failed");
    ended.says("No space left");
    machine.assert_serves(OLD, &["kept"]);
    disk.clear();
    machine
        .heph(&["self-update", "apply"])
        .exits(0)
        .says("updated");
    machine.assert_serves(NEW, &["kept"]);
}

#[test]
fn a_data_folder_without_room_for_one_link_stops_the_update_at_the_switch() {
    let machine = Machine::new(workshop());
    let disk = Disk::small(&machine.data(), "size=600m,nr_inodes=200");
    publish_new();
    // Both releases are on disk, and the old one is in use.
    machine.heph(&["self-update", "apply"]).exits(0);
    machine
        .heph(&["self-update", "apply", "--to", OLD])
        .exits(0);
    disk.fill_with_files();
    let ended = machine
        .heph(&["self-update", "apply", "--to", NEW, "--json"])
        .exits(1);
    assert_eq!(ended.json()["outcome"], "failed");
    ended.says("cannot switch to 1.0.1; nothing was changed");
    assert_eq!(machine.one_release(), OLD);
    assert!(!machine.state().join("journal.json").exists());
    disk.clear();
    machine
        .heph(&["self-update", "apply", "--to", NEW])
        .exits(0);
    assert_eq!(machine.one_release(), NEW);
}

#[test]
fn a_state_folder_that_is_full_at_the_record_does_not_undo_the_update() {
    let machine = machine();
    let disk = Disk::small(&machine.state(), "size=1m");
    publish_new();
    let child = update(&machine);
    let journal = machine.state().join("journal.json");
    wait_until("the journal", || journal.exists());
    disk.fill();
    let (code, report) = end(child);
    assert_eq!(
        (code, report["outcome"].as_str()),
        (Some(0), Some("updated"))
    );
    machine.assert_serves(NEW, &["kept"]);
    // Room was set aside for the record.
    machine
        .heph(&["self-update", "history"])
        .exits(0)
        .says("updated");
    disk.clear();
    machine
        .heph(&["self-update", "apply"])
        .exits(0)
        .says("up to date");
}

#[test]
fn a_state_folder_that_is_full_while_rolling_back_keeps_nothing_from_coming_back() {
    let machine = machine();
    let disk = Disk::small(&machine.state(), "size=1m");
    workshop().tag("1.1.4", Flaw::HangsBeforeReady);
    workshop().publish("1.1.4");
    let child = update(&machine);
    let journal = machine.state().join("journal.json");
    wait_until("the journal", || journal.exists());
    disk.fill();
    let (code, report) = end(child);
    assert_eq!(
        (code, report["outcome"].as_str()),
        (Some(3), Some("rolled-back")),
        "{report}"
    );
    machine.assert_serves(OLD, &["kept"]);
    disk.clear();
    machine
        .heph(&["self-update", "apply"])
        .exits(0)
        .says("skipped");
    machine.assert_serves(OLD, &["kept"]);
    assert_eq!(machine.quarantined(), ["1.1.4"]);
}

#[test]
fn a_read_only_bin_dir_is_named_and_nothing_changes() {
    let machine = machine();
    publish_new();
    let read_only = Disk::read_only(&machine.bin_dir());
    machine
        .heph(&["self-update", "apply"])
        .exits(1)
        .says(".cargo/bin")
        .says("hint:");
    machine.assert_serves(OLD, &["kept"]);
    assert!(!machine.data().join("current").is_symlink());
    drop(read_only);
    machine.heph(&["self-update", "apply"]).exits(0);
    machine.assert_serves(NEW, &["kept"]);
    // From now on only `current` is written, so that a read-only bin-dir is no obstacle.
    let _read_only = Disk::read_only(&machine.bin_dir());
    machine.heph(&["self-update", "rollback"]).exits(0);
    machine.assert_serves(OLD, &["kept"]);
}

#[test]
fn a_missing_cargo_and_a_missing_linker_are_named_with_what_helps() {
    let machine = machine();
    publish_new();
    let heph = machine.bin_dir().join("heph");
    let mut without_cargo = machine.command(&heph);
    without_cargo
        .args(["self-update", "apply", "--force"])
        .env("PATH", "/nonexistent")
        .env("CARGO_HOME", "/nonexistent");
    without_cargo.env("PATH", machine.home.join("nothing"));
    run(&mut without_cargo)
        .exits(1)
        .says("cargo")
        .says("rustup");

    // A PATH with cargo, rustc and git, and nothing that links.
    let tools = machine.home.join("tools");
    fs::create_dir_all(&tools).unwrap();
    for tool in ["cargo", "rustc", "git", "systemctl", "id"] {
        std::os::unix::fs::symlink(which::which(tool).unwrap(), tools.join(tool)).unwrap();
    }
    let mut without_linker = machine.command(&heph);
    without_linker
        .args(["self-update", "apply"])
        .env("PATH", &tools)
        .env("XDG_CACHE_HOME", machine.home.join("cold"));
    run(&mut without_linker)
        .exits(1)
        .says("linker")
        .says("hint:");
    machine.assert_serves(OLD, &["kept"]);
    assert!(
        machine.quarantined().is_empty(),
        "the release is not to blame"
    );
}

#[test]
fn an_interrupted_build_leaves_nothing_changed() {
    let machine = machine();
    publish_new();
    for name in ["INT", "TERM"] {
        let mut command = machine.command(machine.bin_dir().join("heph"));
        // A build that takes long enough to be interrupted.
        command
            .env("XDG_CACHE_HOME", machine.home.join(name))
            .args(["self-update", "apply", "--json"]);
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let build = machine.home.join(name).join("heph/build");
        wait_until("the build", || build.join("release").exists());
        signal(&child, name);
        let (code, report) = end(child);
        assert_eq!(
            (code, report["outcome"].as_str()),
            (Some(1), Some("failed"))
        );
        assert!(
            report["reason"].as_str().unwrap().contains("interrupted"),
            "{report}"
        );
        machine.assert_serves(OLD, &["kept"]);
        assert!(!machine.slot(NEW).exists());
        assert!(machine.quarantined().is_empty());
    }
}

#[test]
fn a_run_interrupted_after_the_switch_finishes() {
    let machine = machine();
    publish_new();
    let child = update(&machine);
    let current = machine.data().join("current");
    wait_until("the switch", || {
        fs::read_link(&current).is_ok_and(|target| target.ends_with(NEW))
    });
    signal(&child, "INT");
    let (code, report) = end(child);
    assert_eq!(
        (code, report["outcome"].as_str()),
        (Some(0), Some("updated"))
    );
    machine.assert_serves(NEW, &["kept"]);
}

#[test]
fn a_run_killed_while_hephd_settles_is_finished_by_the_next() {
    let machine = machine();
    publish_new();
    let mut child = update(&machine);
    wait_until("the new hephd", || {
        machine.running().as_deref() == Some(NEW)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(machine.state().join("journal.json").exists());
    machine
        .heph(&["self-update", "apply"])
        .exits(0)
        .says("an interrupted update to 1.0.1 is finished");
    machine.assert_serves(NEW, &["kept"]);
    machine
        .heph(&["self-update", "history"])
        .exits(0)
        .says("updated");
}

#[test]
fn a_service_file_made_by_hand_is_left_alone_and_so_is_the_hephd_that_it_runs() {
    let machine = machine();
    let unit = machine.home.join(".config/systemd/user/heph.service");
    let generated = fs::read_to_string(&unit).unwrap();
    let by_hand: String = generated
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(&unit, &by_hand).unwrap();
    publish_new();
    machine
        .heph(&["self-update", "apply"])
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
    publish_new();
    machine.heph(&["self-update", "apply"]).exits(0);
    fs::remove_file(machine.bin_dir().join("hephd")).unwrap();
    machine
        .heph(&["self-update", "apply"])
        .exits(0)
        .says("up to date");
    machine.assert_serves(NEW, &["kept"]);
    // A plain `cargo install` of the same release, too.
    let link = machine.bin_dir().join("heph");
    fs::remove_file(&link).unwrap();
    fs::copy(machine.slot(NEW).join("bin/heph"), &link).unwrap();
    machine.heph(&["self-update", "apply"]).exits(0);
    assert!(link.is_symlink());
    machine.assert_serves(NEW, &["kept"]);
}

#[test]
fn settings_of_another_installation_do_not_take_this_one_away() {
    let machine = machine();
    publish_new();
    machine.heph(&["self-update", "apply"]).exits(0);
    let other = machine.home.join("tool.toml");
    let repository = workshop().forge.repository();
    let text = format!("[self-update]\nrepository = \"{repository}\"\npackages = [\"tool\"]\n");
    fs::write(&other, text).unwrap();
    let other = other.to_str().unwrap();
    machine
        .heph(&["--config", other, "self-update", "apply"])
        .exits(2)
        .says("holds an installation of heph")
        .says("XDG_DATA_HOME");
    machine.assert_serves(NEW, &["kept"]);
}
