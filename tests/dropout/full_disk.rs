//! A hub whose disk is full.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::scene::{Scene, add};
use super::writer::Writer;
use crate::support::disk::Disk;

/// Returns what the hub answers to a balancer.
fn readiness(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let get = "GET /readyz HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n";
    stream.write_all(get.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

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
        refused.complains("the hub's disk is full");
        let status = spoke.call("sync.status", json!({}));
        assert!(status["pending"].as_u64().unwrap() > 0, "{status}");
    }
    let unready = readiness(&scene.hub.address);
    assert!(
        unready.starts_with("HTTP/1.1 503") && unready.contains("disk is full"),
        "{unready}"
    );
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
    let ready = readiness(&scene.hub.address);
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    scene.check(&acknowledged);
}
