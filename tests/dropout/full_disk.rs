//! A hub whose disk is full.

use std::thread;
use std::time::Duration;

use serde_json::json;

use super::scene::{Scene, add};
use super::writer::Writer;
use crate::support::disk::Disk;

#[test]
fn a_hub_whose_disk_is_full_takes_nothing_until_there_is_room_and_loses_nothing() {
    let mut scene = Scene::prepared();
    let disk = Disk::small(&scene.hub.data(), "size=48m");
    scene.each(|machine| machine.start());
    // Written before the disk is full, so that there is something to lose.
    let early = add(&scene.spokes[0], "early");
    scene.sync();
    disk.fill();
    // Without the hub's own writer, whose writes would be refused.
    let spokes = scene.spokes.iter().enumerate();
    let writers = spokes
        .map(|(number, spoke)| Writer::start(&spoke.socket(), number as u64))
        .collect();
    thread::sleep(Duration::from_secs(2));
    for spoke in &scene.spokes {
        let refused = spoke.heph("sync now").exits(75);
        refused.complains("the hub's store failed");
        let status = spoke.call("sync.status", json!({}));
        assert!(status["pending"].as_u64().unwrap() > 0, "{status}");
    }
    let log = scene.hub.log();
    assert!(
        log.contains("full"),
        "whoever looks after the hub learns why: {log}"
    );
    assert!(
        scene.hub.tasks().contains_key(&early),
        "the hub serves what it has"
    );
    let acknowledged = Writer::end(writers);
    disk.clear();
    scene.sync();
    scene.check(&acknowledged);
}
