//! What somebody else did to heph's folders.

use std::fs;
use std::os::unix::fs::{chown, symlink};

use super::scene::{NEW, OLD, Scene};
use crate::support::files::{copy, executable};

#[test]
fn a_release_that_takes_the_way_back_with_it_does_not_stop_the_next_release() {
    let scene = Scene::new();
    let old = scene.slot(OLD);
    // Not quoted well enough for a home such as this one, so from inside.
    let script = format!("cd ~/.local/share/heph/versions && rm -r {OLD}; exit 1");
    scene.publish("9.9.0", Some(&script));
    scene
        .apply()
        .exits(1)
        .says("no earlier release on disk to go back to");
    assert!(!old.exists());
    assert_eq!(scene.quarantined(), ["9.9.0"]);

    scene.publish_new();
    scene.apply().exits(0);
    scene.heph("daemon start").exits(0);
    scene.assert_serves(NEW);
}

#[test]
fn a_current_that_points_elsewhere_is_put_right_as_the_hint_says() {
    let scene = Scene::new();
    scene.publish_new();
    scene.apply().exits(0);
    let current = scene.data().join("current");
    for foreign in ["/nonexistent/elsewhere", ""] {
        fs::remove_file(&current).unwrap();
        if foreign.is_empty() {
            fs::create_dir(&current).unwrap();
        } else {
            symlink(foreign, &current).unwrap();
        }
        // As `cargo install` would.
        for name in ["heph", "hephd"] {
            let command = scene.bin().join(name);
            drop(fs::remove_file(&command));
            copy(&scene.slot(NEW).join("bin").join(name), &command);
        }
        if foreign.is_empty() {
            let ended = scene.heph("self-update apply --force");
            ended.exits(1).complains("is not a link");
            fs::remove_dir(&current).unwrap();
        }
        scene.apply().exits(0);
        scene.heph("self-update apply --force").exits(0);
        assert!(fs::read_link(&current).unwrap().starts_with("versions"));
        scene.assert_serves(NEW);
    }
}

#[test]
fn a_hephd_that_cannot_come_back_is_started_by_the_next_good_release() {
    let scene = Scene::new();
    scene.publish("9.9.0", Some("exit 1"));
    // Adopted already, and then damaged: nothing to go back to that works.
    scene.apply().exits(3);
    let hephd = scene.slot(OLD).join("bin/hephd");
    let size = fs::metadata(&hephd).unwrap().len();
    fs::remove_file(&hephd).unwrap();
    executable(&hephd, vec![0; usize::try_from(size).unwrap()]);
    scene.publish("9.8.9", Some("exit 1"));
    scene.apply().exits(1).complains("not healthy either");

    scene.publish_new();
    scene.apply().exits(0);
    scene.assert_serves(NEW);
}

#[test]
fn a_folder_that_cannot_be_judged_stops_nothing() {
    let scene = Scene::new();
    let strange = scene.slot("1.2.3").join("release.json");
    fs::create_dir_all(&strange).unwrap();
    scene.publish_new();
    scene.apply().exits(0);
    scene.heph("self-update status").exits(0);
    scene.assert_serves(NEW);
    assert!(strange.exists());
}

#[test]
fn root_does_not_take_the_installation_of_another_user_away() {
    let scene = Scene::new();
    scene.publish_new();
    let nobody = Some(65534);
    chown(&scene.path, nobody, nobody).expect("this test gives a folder away: it needs root");
    scene.apply().exits(1).complains("another user's home");
    assert!(!scene.data().join("versions").exists());
    assert!(!scene.state().exists());
}

#[test]
fn a_timer_edited_by_hand_still_updates() {
    let scene = Scene::new();
    scene.heph("self-update enable").exits(0);
    let timer = scene
        .home
        .path
        .join(".config/systemd/user/heph-self-update.timer");
    fs::write(&timer, "[Timer]\nOnCalendar=daily\n").unwrap();
    scene.publish_new();
    scene.heph("self-update apply --scheduled").exits(0);
    scene.assert_serves(NEW);
    scene
        .heph("self-update status")
        .exits(1)
        .complains("`heph self-update enable --force`");
}

#[test]
fn a_hephd_whose_unit_was_edited_by_hand_is_updated_and_not_restarted() {
    let scene = Scene::new();
    let unit = scene.path.join(".config/systemd/user/heph.service");
    let edited = fs::read_to_string(&unit)
        .unwrap()
        .replace("RestartSec=1", "RestartSec=2");
    fs::write(&unit, &edited).unwrap();
    scene.publish_new();
    scene.apply().exits(0).says("restart it yourself");
    assert_eq!(scene.running().as_deref(), Some(OLD));
    assert_eq!(fs::read_to_string(&unit).unwrap(), edited);
    assert_eq!(scene.quarantined(), [] as [&str; 0]);
    scene.heph("daemon restart --force").exits(0);
    scene.assert_serves(NEW);
}

#[test]
fn state_files_that_cannot_be_read_come_with_the_command_that_helps() {
    let scene = Scene::new();
    scene.publish_new();
    for name in ["journal.json", "quarantine.json"] {
        let file = scene.state().join(name);
        for content in ["garbage", &" ".repeat(2 << 20)] {
            fs::create_dir_all(scene.state()).unwrap();
            fs::write(&file, content).unwrap();
            let hint = format!("rm '{}'", file.display());
            scene.apply().exits(1).complains(&hint);
        }
        fs::remove_file(&file).unwrap();
    }
}
