//! SIGKILL for the hub and the spokes, at random, under constant writes.

use std::thread;
use std::time::Duration;

use super::scene::Scene;
use super::writer::{Random, Writer};
use crate::support::soak::times;

const KILLS: u64 = 200;

#[test]
fn two_hundred_kills_lose_nothing_and_double_nothing() {
    let mut scene = Scene::start();
    let writers = scene.writers();
    let mut random = Random(20_260_203);
    let kills = times(KILLS);
    for _ in 0..kills {
        // Anywhere between the first writes and the middle of an exchange.
        thread::sleep(Duration::from_millis(random.below(150)));
        let number = usize::try_from(random.below(4)).unwrap();
        let machine = scene.machine(number);
        machine.kill();
        machine.start();
    }
    let acknowledged = Writer::end(writers);
    assert!(
        acknowledged.operations.len() as u64 > kills,
        "the writers did write"
    );
    scene.sync();
    scene.check(&acknowledged);
}
