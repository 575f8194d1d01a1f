//! Units of the user that systemd stops along with hephd run again after every restart that heph makes.

use std::fs;

use rustix::process::Signal;

use super::scene::{NEW, OLD, Scene};
use crate::support::wait::eventually;

/// By which setting each of them depends on hephd.
const COMPANIONS: [(&str, &str); 4] = [
    ("requires.service", "Requires=heph.service"),
    ("bound.service", "BindsTo=heph.service"),
    ("part.service", "PartOf=heph.service"),
    // Not on hephd itself.
    ("further.service", "Requires=bound.service"),
];
/// Depends on hephd and does not run.
const STOPPED: &str = "stopped.service";

fn with_companions() -> Scene {
    let scene = Scene::new();
    for (name, dependency) in COMPANIONS
        .into_iter()
        .chain([(STOPPED, "Requires=heph.service")])
    {
        let on = dependency.split_once('=').unwrap().1;
        let unit =
            format!("[Unit]\n{dependency}\nAfter={on}\n[Service]\nExecStart=/bin/sleep infinity\n");
        scene.write(&format!(".config/systemd/user/{name}"), unit);
    }
    scene.manager.systemctl("daemon-reload").exits(0);
    for (name, _) in COMPANIONS {
        scene.manager.systemctl(&format!("start {name}")).exits(0);
    }
    assert_run(&scene);
    scene
}

#[track_caller]
fn assert_run(scene: &Scene) {
    for (name, _) in COMPANIONS {
        let state = scene.manager.property(name, "ActiveState");
        assert_eq!(state, "active", "{name}");
    }
    assert_eq!(scene.manager.property(STOPPED, "ActiveState"), "inactive");
}

#[test]
fn after_a_restart_by_hand_also_one_that_moves_the_socket() {
    let scene = with_companions();
    scene.heph("daemon restart").exits(0);
    assert_run(&scene);
    // Another address of the socket: both units are stopped for it.
    let moved = scene.path.join("moved.sock");
    scene
        .heph("daemon restart")
        .env("HEPH_SOCKET", &moved)
        .exits(0);
    assert_run(&scene);
    // A flag that only a new process takes.
    scene.heph("daemon start --oidc-audience x").exits(0);
    assert_run(&scene);
}

#[test]
fn after_an_update_and_after_going_back_by_hand() {
    let scene = with_companions();
    scene.publish_new();
    scene.apply().exits(0);
    scene.assert_serves(NEW);
    assert_run(&scene);
    scene.heph("self-update rollback").exits(0);
    scene.assert_serves(OLD);
    assert_run(&scene);
}

#[test]
fn after_a_release_that_crashes_or_hangs_was_rolled_back() {
    let scene = with_companions();
    for (version, script) in [("9.9.0", "exit 1"), ("9.8.9", "exec sleep 1000")] {
        scene.publish(version, Some(script));
        scene.apply().exits(3);
        scene.assert_serves(OLD);
        assert_run(&scene);
    }
}

#[test]
fn after_a_run_that_was_killed_while_hephd_was_down() {
    let scene = with_companions();
    scene.publish("9.9.0", Some("exec sleep 1000"));
    let mut run = scene.heph("self-update apply").start();
    let current = scene.data().join("current");
    eventually("hephd hangs", || {
        fs::read_link(&current).is_ok_and(|target| target.ends_with("9.9.0"))
            && scene.manager.property("heph.service", "ActiveState") == "activating"
    });
    run.signal(Signal::KILL);
    eventually("the end of the run", || run.has_ended());
    let journal = fs::read_to_string(scene.state().join("journal.json")).unwrap();
    assert!(journal.contains("bound.service"), "{journal}");
    scene.manager.systemctl("stop bound.service").exits(0);
    scene.apply();
    scene.assert_serves(OLD);
    assert_run(&scene);
}
