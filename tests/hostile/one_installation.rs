//! One installation, whoever else believes to be alone with it: the lock is that of the data.

use std::fs;
use std::os::unix::fs::symlink;

use super::scene::{NEW, OLD, Scene};
use crate::support::files::{entries, executable, link_tree};
use crate::support::running::Running;
use crate::support::wait::eventually;

/// Has `cargo` wait for the file `go` before it builds.
fn slow_cargo(scene: &Scene) {
    let cargo = scene.path.join("tools/cargo");
    let text = fs::read_to_string(&cargo).unwrap();
    let waits = r#"#!/bin/sh
: >"$HOME/building"
while [ ! -e "$HOME/go" ]; do
    sleep 0.1
    [ ! -e "$HOME/stop" ] || { mv "$HOME/stop" "$HOME/stopped"; exit 1; }
done
"#;
    fs::remove_file(&cargo).unwrap();
    executable(&cargo, text.replacen("#!/bin/sh\n", waits, 1));
}

/// Starts an update, which waits in its build.
fn building(scene: &Scene) -> Running {
    scene.publish_new();
    slow_cargo(scene);
    let run = scene.heph("self-update apply").start();
    let building = scene.path.join("building");
    eventually("the build", || building.exists());
    run
}

/// Lets the build go on and asserts that the update ends well, with nothing left of how it got there.
fn ends_well(scene: &Scene, run: Running) {
    fs::write(scene.path.join("go"), "").unwrap();
    run.ends().exits(0);
    scene.assert_serves(NEW);
    scene.apply().exits(0).says("up to date");
    assert_eq!(entries(&scene.data().join("versions")), [OLD, NEW]);
}

#[test]
fn a_run_with_another_state_folder_is_busy() {
    let scene = Scene::new();
    let run = building(&scene);
    for command in ["apply", "rollback", "clean", "quarantine clear 1.0.0"] {
        let other = scene.heph(&format!("self-update {command}"));
        let other = other.env("XDG_STATE_HOME", scene.path.join("other"));
        other
            .env("XDG_CACHE_HOME", scene.path.join("othercache"))
            .exits(75);
    }
    ends_well(&scene, run);
}

#[test]
fn a_run_that_finds_no_lock_file_is_busy() {
    let scene = Scene::new();
    let run = building(&scene);
    fs::remove_file(scene.state().join("lock")).unwrap();
    scene.apply().exits(75).says("busy");
    fs::remove_dir_all(scene.state()).unwrap();
    scene.apply().exits(75).says("busy");
    ends_well(&scene, run);
}

#[test]
fn a_run_that_spells_the_data_folder_in_another_way_is_busy() {
    let scene = Scene::new();
    let run = building(&scene);
    let link = scene.path.join("link");
    symlink(scene.data().parent().unwrap(), &link).unwrap();
    let other = scene.heph("self-update apply");
    let other = other.env("XDG_DATA_HOME", &link);
    other
        .env("XDG_STATE_HOME", scene.path.join("other"))
        .exits(75);
    ends_well(&scene, run);
}

#[test]
fn release_0_1_0_and_this_one_keep_each_other_out() {
    let scene = Scene::new();
    // What release 0.1.0 locks.
    fs::create_dir_all(scene.state()).unwrap();
    let lock = fs::File::create(scene.state().join("lock")).unwrap();
    lock.lock().unwrap();
    scene.apply().exits(75).says("busy");
    drop(lock);
    let run = building(&scene);
    let lock = fs::File::open(scene.state().join("lock")).unwrap();
    assert!(lock.try_lock().is_err(), "0.1.0 finds it held");
    ends_well(&scene, run);
}

#[test]
fn a_run_that_is_killed_while_it_stages_leaves_nothing_that_lasts() {
    let scene = Scene::new();
    scene.publish_new();
    scene.apply().exits(0);
    scene.publish("9.9.2", None);
    slow_cargo(&scene);
    let mut run = scene.heph("self-update apply").start();
    let building = scene.path.join("building");
    eventually("the build", || building.exists());
    run.signal(rustix::process::Signal::KILL);
    eventually("its end", || run.has_ended());
    let versions = scene.data().join("versions");
    let staged = entries(&versions);
    assert!(
        staged.iter().any(|name| name.starts_with(".staging-")),
        "{staged:?}"
    );
    // The build goes on without heph for a while.
    fs::write(scene.path.join("stop"), "").unwrap();
    let stopped = scene.path.join("stopped");
    eventually("the end of the build", || stopped.exists());
    fs::write(scene.path.join("go"), "").unwrap();
    scene
        .apply()
        .exits(0)
        .says("removed the unfinished slot .staging-");
    scene.assert_serves("9.9.2");
    assert_eq!(entries(&versions), [OLD, NEW, "9.9.2"]);
}

/// Makes `current` lead to nothing that works.
type Break = fn(&Scene);

const BREAKS: [(&str, Break); 3] = [
    ("a slot that is gone", |scene| {
        fs::remove_dir_all(scene.slot(NEW)).unwrap();
    }),
    ("a slot whose removal was cut short", |scene| {
        fs::remove_file(scene.slot(NEW).join("release.json")).unwrap();
        fs::remove_file(scene.slot(NEW).join("bin/hephd")).unwrap();
    }),
    ("a name that never was a slot", |scene| {
        let current = scene.data().join("current");
        fs::remove_file(&current).unwrap();
        symlink("versions/7.7.7", current).unwrap();
    }),
];

/// An installation of [`NEW`], with [`OLD`] on disk as well, and a copy of heph that does not depend on `current`.
fn with_two_releases() -> (Scene, std::path::PathBuf) {
    let scene = Scene::new();
    scene.publish_new();
    scene.apply().exits(0);
    let aside = scene.path.join("aside");
    link_tree(&scene.slot(OLD).join("bin"), &aside);
    let heph = aside.join("heph");
    let bin = scene
        .bin()
        .display()
        .to_string()
        .replace('\\', "\\\\")
        .replace('"', "\\\"");
    scene.configure(&format!("bin-dir = \"{bin}\""));
    (scene, heph)
}

#[test]
fn broken_commands_go_to_a_complete_release_by_themselves() {
    for (what, break_it) in BREAKS {
        let (scene, heph) = with_two_releases();
        // What the feed names does not matter: the forge is not even there.
        scene.forge.unpublish();
        break_it(&scene);
        let run = scene.command(&heph).args("self-update apply");
        let said = run.ends();
        assert!(said.out.contains("no complete release"), "{what}: {said}");
        let found = scene.one_release();
        let expected = if what == "a name that never was a slot" {
            NEW
        } else {
            OLD
        };
        assert_eq!(found, expected, "{what}");
        // And from there on as usual.
        scene.publish_new();
        scene.command(&heph).args("self-update apply").exits(0);
        scene.assert_serves(NEW);
    }
}

#[test]
fn broken_commands_do_not_go_to_a_release_in_quarantine() {
    let (scene, heph) = with_two_releases();
    scene.heph("self-update rollback").exits(0);
    assert_eq!(scene.quarantined(), [NEW]);
    fs::remove_dir_all(scene.slot(OLD)).unwrap();
    scene.forge.unpublish();
    scene.command(&heph).args("self-update apply").ends();
    let current = fs::read_link(scene.data().join("current")).unwrap();
    assert!(current.ends_with(OLD), "it stays where it was: {current:?}");
    // The next release that is not in quarantine is installed, although nothing is.
    scene.publish("9.9.2", None);
    scene.command(&heph).args("self-update apply").exits(0);
    scene.assert_serves("9.9.2");
}

#[test]
fn a_rollback_from_broken_commands_ends_at_the_release_that_works() {
    let (scene, heph) = with_two_releases();
    fs::remove_dir_all(scene.slot(NEW)).unwrap();
    let back = scene.command(&heph).args("self-update rollback --json");
    let report = back.exits(0).json();
    assert_eq!(
        (&report["outcome"], &report["to"]),
        (&"rolled-back".into(), &OLD.into())
    );
    assert_eq!(scene.one_release(), OLD);
}

#[test]
fn a_command_that_was_retired_before_a_kill_comes_back() {
    let scene = Scene::new();
    scene.publish("9.9.1", None);
    let more = scene.release("9.9.1").join("heph-extra");
    executable(&more, "#!/bin/sh\necho heph-extra 9.9.1\n");
    scene.apply().exits(0);
    let link = scene.bin().join("heph-extra");
    assert!(link.is_symlink());

    // As a run is that was killed between the removal of the link and the switch; release 0.1.0 wrote no more than this.
    scene.publish("9.9.2", None);
    scene
        .heph("self-update apply --no-restart")
        .exits(1)
        .complains("heph-extra");
    let journal = scene.state().join("journal.json");
    let text = r#"{"schema":1,"run":"01M7Y0ZG54RPNVDFMBJC41RFS7","started_at":"2026-11-21T00:00:00Z","phase":"switching",
        "aim":"update","from":{"slot":"9.9.1","version":"9.9.1"},"to":{"slot":"9.9.2","version":"9.9.2"},"restart":true,
        "store":null,"backup":null,"attempts":0,"reason":null,"ended":null}"#;
    fs::write(&journal, text).unwrap();
    fs::remove_file(&link).unwrap();
    // The next run finds nothing to install, so undoing is all that it does.
    scene.forge.unpublish();
    scene.apply().says("had not switched yet; it is undone");
    assert!(link.exists(), "the command is back");
    assert!(!journal.exists());
}
