//! SIGKILL at every system call with which an update changes the file system, then the next run.
//!
//! strace ends the run at the n-th call of each kind, for every n until the run is no longer reached, so each state that
//! the disk can be left in is met once. After every death the commands in bin-dir must all work and be of one release
//! (I1), and the next run must converge (I3), with every acknowledged task (I6).

mod power_cut;

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::files::link_tree;
use crate::support::home::Home;
use crate::support::machine::Machine;
use crate::support::releases::Flaw;
use crate::support::soak::is_long;
use crate::support::workshop::{NEW, OLD};

/// What changes the file system: the names of things, and their content. `openat` with O_CREAT is met through the first
/// write to the file it made.
const NAMES: &[&str] = &[
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
];
const CONTENT: &[&str] = &["write", "pwrite64", "ftruncate", "copy_file_range"];
const DISK: &[&str] = &["fsync", "fdatasync", "chmod", "fchmod"];
/// What changes nothing, but takes time, so that something else may have happened: in a soak test only.
const OTHERS: &[&str] = &[
    "openat",
    "close",
    "connect",
    "sendto",
    "recvfrom",
    "clone3",
    "execve",
    "wait4",
    "flock",
    "getdents64",
    "readlink",
    "statx",
    "ftruncate",
    "poll",
    "ppoll",
];

/// Crashes at start.
const BAD: &str = "1.1.3";

/// A machine that is set back, again and again, to a plain installation of [`OLD`] with a complete slot of a newer release.
struct Victim {
    machine: Machine,
    plain: PathBuf,
    slot: PathBuf,
    version: &'static str,
    titles: Vec<String>,
}

impl Victim {
    fn new(version: &'static str, flaw: Flaw) -> Victim {
        let machine = Machine::serving();
        let aside = machine.path.join("aside");
        let (plain, slot) = (aside.join("bin"), aside.join(version));
        link_tree(&machine.bin(), &plain);
        machine.publish(version, flaw);
        // Staged by an update whose slot is put aside before it is needed again.
        let patience = match flaw {
            Flaw::None => 60,
            _ => 8,
        };
        machine.configure_quick(&format!(
            "settle = \"0s\"\nhealth-timeout = \"{patience}s\""
        ));
        machine.heph("daemon stop").exits(0);
        machine.heph("self-update apply --no-restart").exits(0);
        link_tree(&machine.slot(version), &slot);
        let mut victim = Victim {
            machine,
            plain,
            slot,
            version,
            titles: Vec::new(),
        };
        victim.set_back();
        victim
    }

    /// Back to the plain installation of [`OLD`], served, with one more task.
    fn set_back(&mut self) {
        let machine = &self.machine;
        drop(fs::remove_dir_all(machine.data().join("versions")));
        drop(fs::remove_file(machine.data().join("current")));
        drop(fs::remove_dir_all(machine.state()));
        fs::remove_dir_all(machine.bin()).unwrap();
        link_tree(&self.plain, &machine.bin());
        link_tree(&self.slot, &machine.slot(self.version));
        if machine.running().as_deref() != Some(OLD) {
            machine.heph("daemon restart").exits(0);
        }
        let title = format!("task {:04}", self.titles.len());
        machine.add(&title);
        self.titles.push(title);
    }

    /// Runs `apply` and kills it at the `nth` call of `call`; returns whether it came that far.
    fn killed_at(&self, call: &str, nth: usize) -> bool {
        let strace = self.machine.command("strace");
        let strace = strace.args("--quiet=all -o /dev/null").args(&[
            format!("--trace={call}"),
            format!("--inject={call}:signal=KILL:when={nth}"),
        ]);
        let heph = self.machine.bin().join("heph");
        let strace = strace.args(&[heph]).args("self-update apply");
        // strace ends the way its tracee did (strace(1), EXIT STATUS).
        strace.signal() == Some(9)
    }
}

/// Kills an update to `version` at every one of `calls` and hands each aftermath, in which I1 holds, to `next_run`.
fn at_every_call(calls: &[&str], version: &'static str, flaw: Flaw, next_run: impl Fn(&Victim)) {
    let mut victim = Victim::new(version, flaw);
    let mut deaths = 0;
    for call in calls {
        for nth in 1.. {
            if !victim.killed_at(call, nth) {
                // It ran to its end: no such call is left.
                victim.set_back();
                break;
            }
            deaths += 1;
            assert!(deaths < 4000, "the calls never end");
            let there = victim.machine.one_release();
            assert!(
                [OLD, version].contains(&there.as_str()),
                "killed at {call} {nth}: {there}"
            );
            next_run(&victim);
            victim.set_back();
        }
    }
    assert!(
        deaths > 8,
        "strace killed only {deaths} runs: was it told the right calls?"
    );
}

fn update_at(calls: &[&str]) {
    at_every_call(calls, NEW, Flaw::None, |victim| {
        let machine = &victim.machine;
        machine.apply().exits(0);
        machine.assert_serves_tasks(NEW, &victim.titles);
        assert!(
            machine.quarantined().is_empty(),
            "a good release is not blamed for the kill"
        );
    });
}

fn roll_back_at(calls: &[&str]) {
    at_every_call(calls, BAD, Flaw::CrashesAtStart, |victim| {
        let machine = &victim.machine;
        let ended = machine.apply();
        // Undone while recovering (then skipped), or tried for the first time and rolled back.
        assert!([0, 3].contains(&ended.code), "{ended}");
        machine.assert_serves_tasks(OLD, &victim.titles);
        assert_eq!(machine.quarantined(), [BAD]);
        machine.apply().exits(0).says("skipped");
    });
}

/// One test for each kind of call, so that they run side by side.
macro_rules! tests {
    ($run:ident: $($name:ident $calls:ident)*) => {
        $(#[test]
        fn $name() {
            $run($calls);
        })*
    };
}

mod an_update_is_finished_or_undone_by_the_next_run_when_it_is_killed {
    use super::*;

    tests!(update_at:
        as_it_names_something NAMES
        as_it_writes CONTENT
        as_it_syncs DISK
    );
}

mod a_roll_back_ends_with_the_old_release_and_the_new_one_in_quarantine_when_it_is_killed {
    use super::*;

    tests!(roll_back_at:
        as_it_names_something NAMES
        as_it_writes CONTENT
        as_it_syncs DISK
    );
}

#[test]
fn a_soak_test_kills_at_all_other_calls_too() {
    if is_long() {
        update_at(OTHERS);
        roll_back_at(OTHERS);
    }
}

/// What a kill cannot show, but a power loss would.
#[test]
fn a_file_is_synced_before_it_is_renamed_into_place_and_its_folder_after() {
    let home = Home::named("home").with_commands();
    home.configure("[self-update]\nrepository = \"http://127.0.0.1:1/a/b\"\n");
    let strace = home.command("strace").args("--decode-fds=path -s 4096");
    let strace = strace.args("-e trace=fsync,fdatasync,rename,renameat,renameat2 -o trace");
    let heph = home.bin().join("heph");
    let apply = strace.args(&[heph]).args("self-update apply --no-restart");
    apply.exits(75);
    let trace = fs::read_to_string(home.path.join("trace")).unwrap();
    let calls: Vec<&str> = trace.lines().collect();
    let synced = |calls: &[&str], path: &Path| {
        let descriptor = format!("<{}>)", path.display());
        let mut calls = calls.iter();
        calls.any(|call| call.contains("sync(") && call.contains(&descriptor))
    };
    let mut renames = 0;
    for (at, call) in calls.iter().enumerate() {
        if call.starts_with("rename") {
            let paths: Vec<&str> = call.split('"').skip(1).step_by(2).collect();
            assert!(synced(&calls[..at], Path::new(paths[0])), "{trace}");
            let folder = Path::new(paths[1]).parent().unwrap();
            assert!(synced(&calls[at..], folder), "{trace}");
            renames += 1;
        }
    }
    assert!(renames > 0, "{trace}");
}
