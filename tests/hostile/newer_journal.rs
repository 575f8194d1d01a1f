//! A journal that this heph cannot read, such as one of a newer heph: it is named, with what helps, and stops no command but
//! those that would go on where that run has stopped.

use std::fs;

use super::scene::{NEW, OLD, Scene};
use crate::support::files::entries;

/// A journal of each kind that cannot be read, and what is said of it.
const UNREADABLE: [(&str, &str); 3] = [
    (
        r#"{"schema":2,"run":"x","steps":[]}"#,
        "of a newer heph: this one does not know schema 2",
    ),
    (
        r#"{"schema":1,"run":"x","phase":"waiting-for-fleet","aim":"update","to":{"slot":"9.9.1","version":"9.9.1"}}"#,
        "of a newer heph: this one does not know the phase \"waiting-for-fleet\"",
    ),
    ("garbage", "cannot parse the journal"),
];

/// An installation of [`NEW`] with [`OLD`] on disk.
fn updated() -> Scene {
    let scene = Scene::new();
    scene.publish_new();
    scene.apply().exits(0);
    scene
}

#[test]
fn apply_and_clean_refuse_with_what_helps() {
    let scene = updated();
    let journal = scene.state().join("journal.json");
    for (text, words) in UNREADABLE {
        fs::write(&journal, text).unwrap();
        for command in ["apply", "clean"] {
            let ended = scene.heph(&format!("self-update {command}")).exits(1);
            ended
                .complains(words)
                .complains("`heph self-update rollback`")
                .complains("journal.json");
        }
        assert_eq!(fs::read_to_string(&journal).unwrap(), text, "it is kept");
    }
    assert_eq!(scene.one_release(), NEW);
}

#[test]
fn status_and_doctor_name_it_and_go_on() {
    let scene = updated();
    let journal = scene.state().join("journal.json");
    for (text, words) in UNREADABLE {
        fs::write(&journal, text).unwrap();
        let status = scene.heph("self-update status").exits(0);
        status.says(words).says("installed  9.9.1").says("rollback");
        let status = scene.self_update("status").json();
        let said = status["journal"].as_str().unwrap();
        assert!(said.contains(words), "{said}");
        assert!(status["unfinished"].is_null());
        let doctor = scene.self_update("doctor").ends().json();
        let rows = doctor["rows"].as_array().unwrap();
        let row = rows.iter().find(|row| row["name"] == "journal").unwrap();
        assert_eq!(row["status"], "problem");
        assert!(row["detail"].as_str().unwrap().contains(words), "{row}");
    }
    fs::remove_file(&journal).unwrap();
    assert!(scene.self_update("status").json()["journal"].is_null());
}

#[test]
fn rollback_sets_it_aside_and_goes_back() {
    for (text, words) in UNREADABLE {
        let scene = updated();
        fs::write(scene.state().join("journal.json"), text).unwrap();
        scene
            .heph("self-update rollback")
            .exits(0)
            .says(words)
            .says("it is kept as")
            .says(&format!("rolled back to {OLD}"));
        scene.assert_serves(OLD);
        let state = entries(&scene.state());
        let aside = state.iter().find(|name| name.starts_with("journal-"));
        let aside = scene.state().join(aside.expect("it is still there"));
        assert_eq!(fs::read_to_string(aside).unwrap(), text);
        // And from there on as usual.
        scene
            .heph(&format!("self-update apply --to {NEW}"))
            .exits(0);
        scene.assert_serves(NEW);
    }
}
