//! A hub that is stopped while everybody goes on writing.

use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::scene::Scene;
use crate::writer::Writer;

#[test]
fn a_hub_that_is_away_for_a_minute_is_caught_up_with_by_itself() {
    let mut scene = Scene::start();
    let writers = scene.writers();
    scene.spokes.iter().for_each(crate::scene::Machine::sync);
    scene.hub.stop();
    // The minute that the hub is away.
    thread::sleep(Duration::from_secs(60));
    for spoke in &scene.spokes {
        let status = spoke.call("sync.status", json!({}));
        assert!(status["pending"].as_u64().unwrap() > 0, "{status}");
        let error = status["last_error"].as_str().unwrap();
        assert!(error.contains("cannot reach"), "{error}");
    }
    scene.hub.start();
    let acknowledged = Writer::end(writers);
    scene.wait_until_equal(3);
    scene.check(&acknowledged);
}
