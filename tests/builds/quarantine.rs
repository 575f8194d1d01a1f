//! What a release proves about itself puts it into quarantine: by repository, version and commit.

use super::scene::{FORGES, Scene};
use crate::support::forge::{Forge, Published, git};

/// Publishes a release that says another version.
fn publish_bad(scene: &Scene, version: &str) {
    scene.tag_saying(version, "0.0.1");
    scene.forge.push(&scene.tree);
    scene.name(version);
}

#[test]
fn an_entry_names_repository_version_and_commit_on_every_forge() {
    for (speaks, kind) in FORGES {
        let scene = Scene::on(speaks, kind);
        publish_bad(&scene, "1.1.0");
        scene.timer().reports(1, "failed").because(&["0.0.1"]);
        let listed = scene.self_update("quarantine list").json();
        let entry = &listed["releases"][0];
        let commit = git(&scene.tree.folder, "rev-parse HEAD");
        assert_eq!(entry["version"], "1.1.0", "{kind}");
        assert_eq!(entry["repository"], scene.forge.repository());
        assert_eq!(entry["commit"], commit.trim());
        let listed = scene.heph("self-update quarantine list").exits(0);
        listed.says(commit.trim()).says(&scene.forge.repository());
        scene.timer().reports(0, "skipped").because(&["quarantine"]);
        // It was built, so that nothing waits.
        assert!(scene.failed_build().is_null());
    }
}

#[test]
fn the_release_of_a_fork_is_not_that_of_the_original() {
    let scene = Scene::new();
    publish_bad(&scene, "1.1.0");
    scene.timer().reports(1, "failed");
    let fork = Forge::start();
    scene.tag_saying("1.1.0", "1.1.0");
    fork.push(&scene.tree);
    fork.publish(Published::new("v1.1.0"));
    scene.settings_for(&fork, "");
    scene.timer().reports(0, "updated");
    assert_eq!(scene.installed(), "tiny 1.1.0");
    // The original's is still held back.
    assert_eq!(scene.quarantined(), ["1.1.0"]);
    scene.heph("self-update quarantine clear 1.1.0").exits(0);
    assert!(scene.quarantined().is_empty());
}

#[test]
fn another_line_of_releases_in_one_repository_is_not_held_back() {
    let scene = Scene::new();
    publish_bad(&scene, "1.1.0");
    scene.timer().reports(1, "failed");
    scene.tag_saying("1.1.0", "1.1.0");
    scene.tree.tag("tiny-1.1.0");
    // The first line's tag stays where it was.
    let back = "tag --force --annotate --message v1.1.0 v1.1.0 HEAD~1";
    git(&scene.tree.folder, back);
    scene.forge.push(&scene.tree);
    scene.forge.unpublish();
    scene.forge.publish(Published::new("tiny-1.1.0"));
    scene.settings("tag-prefix = \"tiny-\"");
    scene.timer().reports(0, "updated");
    assert_eq!(scene.installed(), "tiny 1.1.0");
    assert_eq!(scene.quarantined(), ["1.1.0"]);
}

#[test]
fn entries_of_release_0_1_0_count_for_every_repository() {
    let scene = Scene::new();
    scene.publish("1.1.0");
    let text = r#"{"schema":1,"releases":[{"version":"1.1.0","reason":"rolled back by hand","at":"2026-01-01T00:00:00Z"}]}"#;
    scene.write(".local/state/heph/quarantine.json", text);
    scene.timer().reports(0, "skipped").because(&["quarantine"]);
    let listed = scene.self_update("quarantine list").json();
    assert!(listed["releases"][0]["repository"].is_null());
    let by_name = scene.self_update("apply --to 1.1.0");
    by_name.reports(0, "updated");
    assert!(scene.quarantined().is_empty());
}
