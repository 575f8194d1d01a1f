//! A hephd that was ill before the update: the run stops before the switch, says what is wrong and what helps, and blames no
//! release for it. What the next release may cure does not stop it.

use std::fs;
use std::os::unix::fs::symlink;

use super::scene::{NEW, OLD, Scene};
use crate::support::call::Ended;
use crate::support::files::{copy, executable};
use crate::support::home::Home;
use crate::support::mac::Mac;
use crate::support::wait::eventually;

/// Asserts that an update to [`NEW`] is not begun, for a reason with these words; returns how it ended.
#[track_caller]
fn stops(scene: &Scene, words: &[&str]) -> Ended {
    scene.publish_new();
    let pid = scene.manager.property("heph.service", "MainPID");
    let ended = scene.apply().exits(1);
    for word in words {
        assert!(ended.err.contains(word), "no {word:?} in {ended}");
    }
    assert!(ended.err.contains("hint: "), "{ended}");
    assert_eq!(scene.one_release(), OLD);
    assert_eq!(scene.quarantined(), [""; 0], "{ended}");
    assert!(!scene.state().join("journal.json").exists());
    assert_eq!(scene.manager.property("heph.service", "MainPID"), pid);
    let runs = scene.self_update("history").json();
    let last = runs["runs"].as_array().unwrap().last().cloned();
    assert_eq!(last.unwrap()["outcome"], "failed");
    ended
}

#[track_caller]
fn updates(scene: &Scene) {
    scene.apply().exits(0);
    scene.assert_serves(NEW);
}

#[test]
fn a_socket_whose_path_was_removed_is_opened_again_before_the_switch() {
    let scene = Scene::new();
    scene.publish_new();
    fs::remove_dir_all(scene.socket().parent().unwrap()).unwrap();
    assert_eq!(scene.running(), None);
    updates(&scene);
    assert_eq!(scene.quarantined(), [""; 0]);
}

#[test]
fn a_unit_that_is_masked_stops_the_run() {
    let scene = Scene::new();
    // Where `systemctl --user edit` and `set-property` keep what goes before the user's own files.
    let control = scene.path.join(".config/systemd/user.control");
    fs::create_dir_all(&control).unwrap();
    symlink("/dev/null", control.join("heph.service")).unwrap();
    scene.manager.systemctl("daemon-reload").exits(0);
    stops(&scene, &["heph.service is masked", "unmask"]);
    fs::remove_file(control.join("heph.service")).unwrap();
    scene.manager.systemctl("daemon-reload").exits(0);
    // A masked heph.service does not want its socket, so systemd has removed that.
    scene.heph("daemon restart").exits(0);
    updates(&scene);
}

#[test]
fn a_drop_in_that_systemd_refuses_stops_the_run_whether_it_was_loaded_or_not() {
    let scene = Scene::new();
    let drop_in = scene.unit("heph.service.d/mine.conf");
    for settings in [
        "[Service]\nExecStart=/bin/false\n",
        "[Service]\nExecStart=\n",
    ] {
        scene.write(".config/systemd/user/heph.service.d/mine.conf", settings);
        stops(
            &scene,
            &["systemd refuses its settings", "systemctl --user edit"],
        );
        scene.manager.systemctl("daemon-reload").exits(0);
        stops(&scene, &["heph.service", "drop-ins"]);
        fs::remove_file(&drop_in).unwrap();
        scene.manager.systemctl("daemon-reload").exits(0);
    }
    updates(&scene);
}

#[test]
fn a_hephd_started_by_hand_in_place_of_the_service_is_no_verdict() {
    let scene = Scene::new();
    scene.heph("daemon stop").exits(0);
    let by_hand = scene.start("");
    // The store is taken, so the service tries again and again.
    scene
        .manager
        .systemctl("start --no-block heph.service")
        .exits(0);
    eventually("the service is about to start", || {
        scene.manager.property("heph.service", "ActiveState") == "activating"
    });
    scene.publish_new();
    scene.apply();
    assert_eq!(scene.quarantined(), [""; 0]);
    by_hand.stop();
    scene.heph("daemon restart").exits(0);
    updates(&scene);
}

#[test]
fn an_agent_of_launchd_whose_socket_was_removed_is_restarted_before_the_switch() {
    let mac = Mac::of(Home::named("home").with_commands());
    let forge = crate::support::forge::Forge::start();
    mac.configure(&format!(
        "service-manager = \"launchd\"\n[self-update]\nrepository = \"{}\"\nforge = \"forgejo\"\n",
        forge.repository()
    ));
    mac.heph("daemon start").exits(0);
    fs::remove_file(mac.socket()).unwrap();
    forge.publish(crate::support::forge::Published::new("v9.9.1"));
    // There is nothing to build; the socket comes first.
    mac.self_update("apply").exits(1);
    assert!(mac.running().is_some());
}

#[test]
fn what_may_be_the_fault_of_the_old_release_does_not_stop_the_next() {
    let scene = Scene::new();
    scene.publish_new();
    let hephd = scene.bin().join("hephd");
    let good = scene.path.join("good");
    copy(&hephd, &good);
    // It dies at every start.
    fs::remove_file(&hephd).unwrap();
    executable(
        &hephd,
        format!("#!/bin/sh\ncase $1 in --version) echo hephd {OLD}; exit ;; esac\nexit 1\n"),
    );
    scene.heph("daemon restart").exits(1);
    updates(&scene);
}

#[test]
fn a_release_is_not_blamed_where_the_old_one_does_not_come_back_either() {
    let scene = Scene::new();
    // From the next start on, and not before: systemd itself finds nothing wrong with it.
    let drop_in = "[Service]\nExecStartPre=/bin/false\n";
    scene.write(".config/systemd/user/heph.service.d/mine.conf", drop_in);
    scene.publish_new();
    scene.apply().exits(1).complains("not healthy either");
    assert_eq!(scene.quarantined(), [""; 0]);
    assert_eq!(scene.one_release(), OLD);
    fs::remove_file(scene.unit("heph.service.d/mine.conf")).unwrap();
    scene.manager.systemctl("daemon-reload").exits(0);
    updates(&scene);
}
