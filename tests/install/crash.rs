//! Crashes: killed at every system call that changes the file system, and at each, every command works and all are of
//! one release. strace kills; the victim is this test program, run again.

use std::fs;

use crate::support::call::Call;
use crate::support::files::{picture, script};
use crate::support::home::Home;
use crate::support::installation::Installation;

/// The system calls that change a file system.
const CALLS: &[&str] = &[
    "openat",
    "write",
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
    "fchmod",
    "chmod",
    "fchmodat",
    "ftruncate",
    "fsync",
    "fdatasync",
    "copy_file_range",
    "sendfile",
];
/// Names the home in which the victim works.
const VICTIM: &str = "HEPH_TEST_CRASH_HOME";

/// More calls than this no victim makes.
const MOST: usize = 1000;

/// Runs the test `victim` of this program in `home`, killed at the `nth` call of `call`. Returns whether it got through.
fn run_victim(victim: &str, home: &Installation, call: &str, nth: usize) -> bool {
    // The test is a thread; a command that it starts may be killed as well, which it must take as a failure.
    let strace = Call::clean("strace", [("PATH", "/usr/bin:/bin")])
        .args("--follow-forks --quiet=all --output=/dev/null")
        .args(&[
            format!("--trace={call}"),
            format!("--inject={call}:signal=KILL:when={nth}"),
        ]);
    let ended = strace
        .args(&[std::env::current_exe().unwrap()])
        .args(&["--exact", victim, "--test-threads=1", "--nocapture"])
        .env(VICTIM, &home.path)
        .ends();
    // strace ends the way its tracee did (strace(1), EXIT STATUS).
    let killed = [-1, 137].contains(&ended.code)
        || format!("{}{}", ended.err, ended.out).contains("was killed by signal 9");
    assert!(killed || ended.code == 0, "{call} {nth}: {ended}");
    ended.code == 0
}

/// Kills the victim at each call in turn; after each, checks invariants and then that the next run converges.
fn kill_everywhere(
    victim: &str,
    prepare: impl Fn(&Installation),
    check: impl Fn(&Installation, &str),
    converge: impl Fn(&Installation),
) {
    let mut seen = std::collections::BTreeSet::new();
    for call in CALLS {
        for nth in 1.. {
            assert!(nth < MOST, "{victim} never gets through");
            let home = Installation::new();
            prepare(&home);
            let through = run_victim(victim, &home, call, nth);
            seen.insert(
                picture(&home.path)
                    .iter()
                    .map(|(path, text)| {
                        let path = path.strip_prefix(&home.path).unwrap();
                        format!(
                            "{} {}",
                            path.display(),
                            text.lines().next().unwrap_or_default().len()
                        )
                    })
                    .collect::<Vec<_>>(),
            );
            check(&home, &format!("{call} number {nth}"));
            converge(&home);
            if through {
                break;
            }
        }
    }
    assert!(
        seen.len() > 4,
        "only {} states were seen: is the victim the right one?",
        seen.len()
    );
}

/// The home to work in: the one that the parent names, else one of its own (then nobody kills).
fn victims_home(prepare: impl Fn(&Installation)) -> Installation {
    match std::env::var_os(VICTIM) {
        Some(home) => Installation::of(Home::at(home.into())),
        None => {
            let home = Installation::new();
            prepare(&home);
            home
        }
    }
}

/// Asserts I1: every command works, all say one version, and it is one of `versions`.
fn assert_whole(home: &Installation, names: &[&str], versions: &[&str], at: &str) {
    let commands = home.commands_say();
    for name in names {
        assert!(
            commands.iter().any(|(found, _)| found == name),
            "{at}: {name} is missing from {commands:?}"
        );
    }
    let one = versions
        .iter()
        .any(|version| commands.iter().all(|(_, said)| said == version));
    assert!(one, "{at}: {commands:?}");
}

fn installed_plainly(home: &Installation) {
    home.plain("heph", "1.0.0");
    home.plain("hephd", "1.0.0");
}

#[test]
fn victim_adopts() {
    let home = victims_home(installed_plainly);
    home.bin_dir().adopt(&home.slots()).unwrap();
    home.assert_linked(&["heph", "hephd"], "1.0.0");
}

#[test]
fn an_adoption_killed_anywhere_is_whole_and_carried_on() {
    kill_everywhere(
        "install::crash::victim_adopts",
        installed_plainly,
        |home, at| assert_whole(home, &["heph", "hephd"], &["1.0.0"], at),
        |home| {
            home.slots().sweep().unwrap();
            home.bin_dir().adopt(&home.slots()).unwrap();
            home.assert_linked(&["heph", "hephd"], "1.0.0");
            assert_eq!(home.versions(), ["1.0.0"]);
        },
    );
}

/// Links to 1.0.0, over which a plain `cargo install` put 1.1.0, which has a command less.
fn installed_over_links(home: &Installation) {
    let old = home.slot("1.0.0", &["heph", "hephd"]);
    home.slots().switch(&old).unwrap();
    home.bin_dir().relink(&old).unwrap();
    // One is bigger than a page, so that it is not written at once.
    script(
        &home.bin().join("heph"),
        &format!("echo 'heph 1.1.0'; exit\n{}", "#".repeat(20_000)),
    );
    home.plain("hephd", "1.1.0");
}

#[test]
fn victim_adopts_over_links() {
    let home = victims_home(installed_over_links);
    home.bin_dir().adopt(&home.slots()).unwrap();
    home.assert_linked(&["heph", "hephd"], "1.1.0");
}

#[test]
fn an_adoption_over_links_killed_anywhere_is_whole_and_carried_on() {
    kill_everywhere(
        "install::crash::victim_adopts_over_links",
        installed_over_links,
        |home, at| assert_whole(home, &["heph", "hephd"], &["1.1.0"], at),
        |home| {
            home.slots().sweep().unwrap();
            home.bin_dir().adopt(&home.slots()).unwrap();
            home.assert_linked(&["heph", "hephd"], "1.1.0");
        },
    );
}

fn two_slots(home: &Installation) {
    let old = home.slot("1.0.0", &["heph", "hephd", "heph-old"]);
    home.slot("1.1.0", &["heph", "hephd", "heph-new"]);
    home.slots().switch(&old).unwrap();
    home.bin_dir().relink(&old).unwrap();
}

fn switch_to_newest(home: &Installation) {
    let new = home.slots().list().unwrap().remove(0);
    let bin_dir = home.bin_dir();
    bin_dir.check(&new).unwrap();
    bin_dir.retire(&new).unwrap();
    home.slots().switch(&new).unwrap();
    bin_dir.relink(&new).unwrap();
    home.assert_linked(&["heph", "heph-new", "hephd"], "1.1.0");
}

#[test]
fn victim_switches() {
    switch_to_newest(&victims_home(two_slots));
}

#[test]
fn a_switch_killed_anywhere_is_whole_and_carried_on() {
    kill_everywhere(
        "install::crash::victim_switches",
        two_slots,
        |home, at| assert_whole(home, &["heph", "hephd"], &["1.0.0", "1.1.0"], at),
        switch_to_newest,
    );
}

#[test]
fn victim_removes() {
    let home = victims_home(two_slots);
    let new = home.slots().list().unwrap().remove(0);
    home.slots().remove(&new).unwrap();
    assert_eq!(home.versions(), ["1.0.0"]);
}

#[test]
fn a_removal_killed_anywhere_leaves_a_slot_or_none() {
    kill_everywhere(
        "install::crash::victim_removes",
        two_slots,
        |home, at| {
            assert_whole(home, &["heph", "hephd", "heph-old"], &["1.0.0"], at);
            for slot in home.slots().list().unwrap() {
                slot.verify().unwrap();
            }
        },
        |home| {
            home.slots().sweep().unwrap();
            for name in home.versions() {
                fs::metadata(home.paths.versions().join(name).join("release.json")).unwrap();
            }
        },
    );
}
