//! What somebody else did to heph's folders.

use crate::scene::{NEW, OLD, Scene};

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
    scene.heph(&["daemon", "start"]).exits(0);
    scene.assert_serves(NEW);
}
