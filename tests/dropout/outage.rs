//! A hub that is stopped, or stands still, while everybody goes on writing.

use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use super::scene::{Scene, add, sync};
use super::writer::Writer;

#[test]
fn a_hub_that_is_away_for_a_minute_is_caught_up_with_by_itself() {
    let mut scene = Scene::start();
    let writers = scene.writers();
    scene.spokes.iter().for_each(sync);
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

#[test]
fn a_hub_that_accepts_and_never_answers_holds_nobody_up() {
    let scene = Scene::start();
    scene.sync();
    // A process that stands still: the kernel takes connections for it, and nobody ever reads from them.
    scene.hub.signal(Signal::STOP);
    let spokes = scene.spokes.iter().enumerate();
    let writers = spokes
        .map(|(number, spoke)| Writer::start(&spoke.socket(), number as u64))
        .collect();
    for spoke in &scene.spokes {
        let status = spoke.wait_until(|status| status["last_error"].is_string());
        assert!(status["pending"].as_u64().unwrap() > 0, "{status}");
        let before = spoke.tasks().len();
        add(spoke, "served all the while");
        assert!(spoke.tasks().len() > before);
    }
    scene.hub.signal(Signal::CONT);
    let acknowledged = Writer::end(writers);
    scene.sync();
    scene.check(&acknowledged);
}
