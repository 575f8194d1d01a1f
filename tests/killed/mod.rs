//! SIGKILL at every system call with which an update changes the file system, then the next run.
//!
//! strace ends the run at the n-th call of each kind, for every n until the run is no longer reached, so each state that
//! the disk can be left in is met once. After every death the commands in bin-dir must all work and be of one release
//! (I1), and the next run must converge (I3), with every acknowledged task (I6).

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::support::old::machine::{Machine, NEW, OLD, Workshop};
use crate::support::releases::Flaw;

/// What changes the file system. `openat` with O_CREAT is met through the first write to the file it made.
const CHANGES: [&str; 20] = [
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "rmdir",
    "write",
    "pwrite64",
    "ftruncate",
    "fsync",
    "fdatasync",
    "chmod",
    "fchmod",
    "copy_file_range",
];

/// Crashes at start.
const BAD: &str = "1.1.3";

/// A machine that is set back, again and again, to a plain installation of [`OLD`] with a complete slot of a newer release.
struct Scene {
    machine: Machine,
    plain: PathBuf,
    slot: PathBuf,
    version: &'static str,
    titles: Vec<String>,
}

impl Scene {
    fn new(version: &'static str, flaw: Flaw) -> Scene {
        let workshop = Workshop::open();
        let machine = Machine::serving(workshop);
        let aside = machine.home.join("aside");
        let plain = aside.join("bin");
        link_tree(&machine.bin_dir(), &plain);
        workshop.tag(version, flaw);
        workshop.publish(version);
        // Staged by an update whose slot is put aside before it is needed again.
        machine.configure("settle = \"0s\"");
        machine.heph(&["daemon", "stop"]).exits(0);
        machine
            .heph(&["self-update", "apply", "--no-restart"])
            .exits(0);
        let slot = aside.join(version);
        link_tree(&machine.slot(version), &slot);
        let mut scene = Scene {
            machine,
            plain,
            slot,
            version,
            titles: Vec::new(),
        };
        scene.set_back();
        scene
    }

    /// Back to the plain installation of [`OLD`], served, with one more task.
    fn set_back(&mut self) {
        let machine = &self.machine;
        drop(fs::remove_dir_all(machine.data().join("versions")));
        drop(fs::remove_file(machine.data().join("current")));
        drop(fs::remove_dir_all(machine.state()));
        fs::remove_dir_all(machine.bin_dir()).unwrap();
        link_tree(&self.plain, &machine.bin_dir());
        link_tree(&self.slot, &machine.slot(self.version));
        if machine.running().as_deref() != Some(OLD) {
            machine.heph(&["daemon", "restart"]).exits(0);
        }
        let title = format!("task {:04}", self.titles.len());
        machine.add(&title);
        self.titles.push(title);
    }

    /// Runs `apply` and kills it at the `nth` call of `call`; returns whether it came that far.
    fn killed_at(&self, call: &str, nth: usize) -> bool {
        let mut strace = self.machine.command("strace");
        strace.args([
            "--quiet=all",
            "-o",
            "/dev/null",
            "-e",
            &format!("trace={call}"),
        ]);
        strace.args(["-e", &format!("inject={call}:signal=KILL:when={nth}")]);
        strace
            .arg(self.machine.bin_dir().join("heph"))
            .args(["self-update", "apply"]);
        let status = strace
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        // strace ends the way its tracee did (strace(1), EXIT STATUS).
        status.signal() == Some(9)
    }

    fn titles(&self) -> Vec<&str> {
        self.titles.iter().map(String::as_str).collect()
    }
}

/// Kills an update to `version` at every call and hands each aftermath, in which I1 holds, to `next_run`.
fn at_every_call(version: &'static str, flaw: Flaw, next_run: impl Fn(&Scene)) {
    let mut scene = Scene::new(version, flaw);
    let mut deaths = 0;
    for call in CHANGES {
        for nth in 1.. {
            if !scene.killed_at(call, nth) {
                // It ran to its end: no such call is left.
                scene.set_back();
                break;
            }
            deaths += 1;
            assert!(deaths < 2000, "the calls never end");
            let there = scene.machine.one_release();
            assert!(
                [OLD, version].contains(&there.as_str()),
                "killed at {call} {nth}: {there}"
            );
            next_run(&scene);
            scene.set_back();
        }
    }
    assert!(
        deaths > 30,
        "strace killed only {deaths} runs: was it told the right calls?"
    );
}

#[test]
fn an_update_killed_at_any_call_is_finished_or_undone_by_the_next_run() {
    at_every_call(NEW, Flaw::None, |scene| {
        scene.machine.heph(&["self-update", "apply"]).exits(0);
        scene.machine.assert_serves(NEW, &scene.titles());
        assert!(
            scene.machine.quarantined().is_empty(),
            "a good release is not blamed for the kill"
        );
    });
}

#[test]
fn a_roll_back_killed_at_any_call_ends_with_the_old_release_and_the_new_one_in_quarantine() {
    at_every_call(BAD, Flaw::CrashesAtStart, |scene| {
        let ended = scene.machine.heph(&["self-update", "apply"]);
        // Undone while recovering (then skipped), or tried for the first time and rolled back.
        assert!(
            [Some(0), Some(3)].contains(&ended.code),
            "{}{}",
            ended.stdout,
            ended.stderr
        );
        scene.machine.assert_serves(OLD, &scene.titles());
        assert_eq!(scene.machine.quarantined(), [BAD]);
        scene
            .machine
            .heph(&["self-update", "apply"])
            .exits(0)
            .says("skipped");
    });
}

/// Copies a tree with hard links: nothing that heph does may write into an existing file.
fn link_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            link_tree(&entry.path(), &target);
        } else {
            fs::hard_link(entry.path(), target).unwrap();
        }
    }
}
