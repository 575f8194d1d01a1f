//! A power cut after every call with which a run changes the disk, with what was not synced by then dropped.
//!
//! After each, every command in bin-dir works and all are of one release (I1), and the next run converges (I3). In a short
//! run some of these instants are tried, in a soak test all.

use std::collections::BTreeSet;
use std::fs;

use crate::prebuilt::kit::{Kit, TAG, VERSION, archive, stem, sum_line};
use crate::support::call::Call;
use crate::support::files::{entries, script};
use crate::support::forge::{Published, WorkTree};
use crate::support::power::{Disk, Lost, TRACED};
use crate::support::programs;
use crate::support::soak::is_long;

/// How many instants a short run tries.
const SHORT: usize = 16;
/// The release after [`VERSION`]: with another command more, and one less.
const NEXT: &str = "1.1.0";

/// A machine with an installation of 0.1.0, and a forge with an archive of [`VERSION`].
fn machine() -> Kit {
    let kit = Kit::new().asking("delivery = \"prebuilt\"\nallow-fewer-commands = true");
    kit.publish("tar.gz", &archive(VERSION, "tar.gz"));
    kit
}

/// Publishes [`NEXT`].
fn publish_next(kit: &Kit) {
    let tag = format!("v{NEXT}");
    let folder = tempfile::tempdir().unwrap();
    let tree = WorkTree::new(folder.path());
    tree.write("Cargo.toml", "").commit("two");
    tree.tag(&tag);
    kit.forge.push(&tree);
    kit.forge.publish(Published::new(&tag));
    let stem = stem().replace(TAG, &tag);
    let folder = tempfile::tempdir().unwrap();
    for name in ["heph", "heph-more"] {
        script(
            &folder.path().join(&stem).join(name),
            &format!("echo {name} {NEXT}"),
        );
    }
    let bytes = {
        let tar = Call::of("tar").args(&["-czf", "packed.tar.gz", &stem]);
        tar.current_dir(folder.path()).exits(0);
        fs::read(folder.path().join("packed.tar.gz")).unwrap()
    };
    let name = format!("{stem}.tar.gz");
    kit.forge
        .attach(&tag, "SHA256SUMS", sum_line(&name, &bytes).as_bytes());
    kit.forge.attach(&tag, &name, &bytes);
}

/// Returns the version of all commands, or what is wrong with them.
fn one_release(kit: &Kit) -> Result<String, String> {
    let mut versions = BTreeSet::new();
    for name in entries(&kit.bin())
        .iter()
        .filter(|name| !name.starts_with('.'))
    {
        let path = kit.bin().join(name);
        if !path.exists() {
            return Err(format!("{name} leads nowhere"));
        }
        let said = kit.command(path).args("--version").ends();
        if said.code != 0 {
            return Err(format!("{name} does not work: {said}"));
        }
        versions.extend(said.out.split_whitespace().nth(1).map(str::to_owned));
    }
    let mut versions = versions.into_iter();
    match (versions.next(), versions.next()) {
        (Some(version), None) => Ok(version),
        (None, _) => Err("there are no commands".to_owned()),
        (Some(one), Some(other)) => Err(format!("{one} and {other} are mixed")),
    }
}

/// Runs `heph self-update` with `words` and cuts the power after each change in turn; then the next run must lead to one of
/// `releases`.
fn cut_everywhere(kit: &Kit, words: &str, releases: &[&str]) {
    let mut disk = Disk::of(&kit.path);
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let strace = kit.command("strace").args("--quiet=all -y -xx -s 10000000");
    let strace = strace.args(&["-e", TRACED, "-o", trace.to_str().unwrap()]);
    let run = strace
        .args(&[programs::heph()])
        .args("self-update")
        .args(words);
    run.exits(0);
    let trace = fs::read_to_string(trace).unwrap();

    let mut disks = vec![disk.clone()];
    for line in trace.lines() {
        if disk.apply(line) {
            disks.push(disk.clone());
        }
    }
    disk.assert_is_on_disk();
    assert!(
        disks.len() > 30,
        "only {} changes: is this the right run?",
        disks.len()
    );
    let step = if is_long() {
        1
    } else {
        disks.len().div_ceil(SHORT)
    };
    for (at, disk) in disks.iter().enumerate().step_by(step) {
        for lost in [Lost::All, Lost::Content] {
            disk.restore(lost);
            let when = format!(
                "{words}: the power failed after {at} of {} changes, {lost:?} lost",
                disks.len()
            );
            one_release(kit).unwrap_or_else(|wrong| panic!("{when}: {wrong}"));
            let next = kit.heph("self-update apply").ends();
            assert_eq!(next.code, 0, "{when}: {next}");
            let there = one_release(kit)
                .unwrap_or_else(|wrong| panic!("{when}, then a run: {wrong}\n{next}"));
            assert!(
                releases.contains(&there.as_str()),
                "{when}: {there}\n{next}"
            );
            assert!(!kit.state().join("journal.json").exists(), "{when}: {next}");
            let left = entries(&kit.data().join("versions"));
            assert!(
                left.iter().all(|name| !name.starts_with('.')),
                "{when}: {left:?}"
            );
        }
    }
    // As after the whole run.
    disks.last().unwrap().restore(Lost::Content);
}

#[test]
fn a_first_update_survives_a_power_cut() {
    let kit = machine();
    cut_everywhere(&kit, "apply", &[VERSION]);
}

#[test]
fn an_update_with_other_commands_survives_a_power_cut() {
    let kit = machine();
    kit.self_update("apply").reports(0, "updated");
    publish_next(&kit);
    cut_everywhere(&kit, "apply", &[NEXT]);
}

#[test]
fn a_rollback_and_a_fresh_installation_survive_a_power_cut() {
    let kit = machine();
    kit.self_update("apply").reports(0, "updated");
    cut_everywhere(&kit, "apply --force", &[VERSION]);
    publish_next(&kit);
    kit.self_update("apply").reports(0, "updated");
    cut_everywhere(&kit, "rollback", &[VERSION, NEXT]);
}
