//! Releases, hooks and service managers that misbehave.

use crate::scene::{NEW, OLD, Scene};

#[test]
fn a_release_that_logs_without_end_is_rolled_back_and_the_next_one_installed() {
    let scene = Scene::new();
    scene.publish(
        "9.9.0",
        Some("head -c 300000 /dev/zero | tr '\\0' x >&2; exit 1"),
    );
    let ended = scene.apply().exits(3);
    assert!(ended.out.len() < 10_000);
    scene.assert_serves(OLD);
    assert_eq!(scene.quarantined(), ["9.9.0"]);

    scene.publish_new();
    scene.apply().exits(0);
    scene.assert_serves(NEW);
}
