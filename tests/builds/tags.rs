//! A tag that comes after its release: the next run looks for it again.

use super::scene::{FORGES, Scene};

#[test]
fn a_release_whose_tag_is_not_there_yet_waits_for_the_next_run_on_every_forge_that_can_have_one() {
    // To a plain git remote, the tag is the release.
    for (speaks, kind) in &FORGES[..3] {
        let scene = Scene::on(*speaks, kind);
        scene.publish("1.0.0");
        scene.name("1.1.0");
        let words = ["the feed names v1.1.0, but the repository has no such tag yet"];
        scene.timer().reports(0, "skipped").because(&words);
        scene
            .self_update("check")
            .reports(0, "skipped")
            .because(&words);
        scene
            .heph("self-update status")
            .exits(0)
            .says("no such tag yet");
        assert!(scene.quarantined().is_empty(), "{kind}");
        assert!(scene.failed_build().is_null(), "{kind}");
        scene.tag_saying("1.1.0", "1.1.0");
        scene.forge.push(&scene.tree);
        scene.timer().reports(0, "updated");
        assert_eq!(scene.installed(), "tiny 1.1.0", "{kind}");
    }
}

#[test]
fn a_release_that_is_named_must_have_its_tag() {
    let scene = Scene::new();
    scene.publish("1.0.0");
    scene.name("1.1.0");
    for delivery in ["auto", "cargo"] {
        scene.settings(&format!("delivery = \"{delivery}\""));
        let ended = scene.heph("self-update apply --to 1.1.0").exits(1);
        ended.complains("hint: ");
        assert!(scene.quarantined().is_empty(), "{delivery}");
    }
}

#[test]
fn a_tag_that_comes_late_is_remembered_from_then_on() {
    let scene = Scene::new();
    scene.publish("1.0.0");
    scene.name("1.1.0");
    scene.timer().reports(0, "skipped");
    scene.tag_saying("1.1.0", "1.1.0");
    scene.forge.push(&scene.tree);
    scene.self_update("check").reports(100, "available");
    scene.tag_saying("1.1.0", "1.1.0 moved");
    scene.forge.push(&scene.tree);
    let report = scene.timer().reports(1, "failed");
    report.because(&["was moved"]);
    assert_eq!(scene.quarantined(), ["1.1.0"]);
}
