//! A disk that fails once, at any call with which a run changes it or looks at it: that is no verdict on the release.
//!
//! strace has one call after the other fail with EIO. Whatever becomes of that run, the release is not quarantined, every
//! command works, and the next run ends with the new release.

use std::fs;
use std::ops::Deref;

use super::scene::{NEW, OLD, Scene};
use crate::support::soak::is_long;

/// The calls that fail, and in a short run the first and the distance of those that do.
const CALLS: [(&str, usize, usize); 7] = [
    ("symlink", 1, 1),
    ("rename", 1, 2),
    ("unlink", 1, 3),
    ("fsync", 1, 4),
    ("readlink", 3, 9),
    ("openat", 40, 37),
    ("statx", 30, 61),
];
/// No run makes more calls of a kind.
const MOST: usize = 5000;

/// Runs an update in which the `nth` call of `call` fails. Returns whether it came that far.
fn fails_at(scene: &Scene, call: &str, nth: usize) -> bool {
    let trace = scene.path.join("trace");
    let strace = scene.command("strace").args("--quiet=all");
    let strace = strace.args(&["-o", trace.to_str().unwrap()]).args(&[
        format!("--trace={call}"),
        format!("--inject={call}:error=EIO:when={nth}"),
    ]);
    let heph = scene.bin().join("heph");
    strace.args(&[heph]).args("self-update apply").ends();
    let trace = fs::read_to_string(trace).unwrap();
    trace.contains("(INJECTED)")
}

/// Back to [`OLD`].
fn set_back(scene: &Scene) {
    let back = format!("self-update apply --to {OLD} --json");
    scene.heph(&back).ends();
    scene
        .heph(&format!("self-update quarantine clear {NEW}"))
        .ends();
    scene.publish_new();
}

fn at_every_call(calls: &[(&str, usize, usize)]) {
    let scene = Scene::new();
    let quick = "forge = \"forgejo\"\nsettle = \"0s\"\nhealth-timeout = \"8s\"";
    scene.deref().configure(quick);
    scene.publish_new();
    // Both are slots from now on, so that what fails is the switch and what follows.
    scene.apply().exits(0);
    scene.publish(OLD, None);
    let mut failures = 0;
    for (call, first, step) in calls {
        let step = if is_long() { 1 } else { *step };
        for nth in (if is_long() { 1 } else { *first }..MOST).step_by(step) {
            set_back(&scene);
            assert_eq!(scene.one_release(), OLD);
            if !fails_at(&scene, call, nth) {
                break;
            }
            failures += 1;
            let at = format!("{call} {nth}");
            assert_eq!(scene.quarantined(), [""; 0], "{at}");
            let there = scene.one_release();
            assert!([OLD, NEW].contains(&there.as_str()), "{at}: {there}");
            scene.apply().exits(0);
            scene.assert_serves(NEW);
            assert_eq!(scene.quarantined(), [""; 0], "{at}");
        }
    }
    assert!(failures > 2, "strace had only {failures} calls fail");
}

#[test]
fn a_link_or_a_name_that_cannot_be_changed_once_is_no_verdict() {
    at_every_call(&CALLS[..3]);
}

#[test]
fn a_disk_that_cannot_sync_once_is_no_verdict() {
    at_every_call(&CALLS[3..4]);
}

#[test]
fn a_file_that_cannot_be_read_once_is_no_verdict() {
    at_every_call(&CALLS[4..]);
}

#[test]
fn links_that_cannot_be_made_at_all_are_no_verdict_either() {
    let scene = Scene::new();
    scene.publish(NEW, None);
    let more = scene.release(NEW).join("heph-extra");
    crate::support::files::script(&more, "echo heph-extra 9.9.1");
    // Every attempt to link the new command fails, and only that.
    let strace = scene.command("strace").args("--quiet=all -o /dev/null");
    let link = scene.bin().join(".heph-extra.heph-new");
    let strace = strace.args(&["-P".as_ref(), link.as_os_str()]);
    let strace = strace.args("--trace=symlink,symlinkat --inject=symlink,symlinkat:error=EIO");
    let heph = scene.bin().join("heph");
    let ended = strace.args(&[heph]).args("self-update apply").exits(1);
    ended
        .complains("heph-extra")
        .complains(&format!("{OLD} is in use again"));
    assert_eq!(scene.quarantined(), [""; 0]);
    scene.assert_serves(OLD);
    scene.apply().exits(0);
    assert_eq!(scene.commands_say().len(), 3);
}
