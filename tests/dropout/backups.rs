//! A hub that comes back from an old backup, or from an old copy of its file.

use std::fs;
use std::path::Path;

use super::scene::{Scene, add, sync};
use super::writer::Acknowledged;
use crate::support::node::Node;

/// Removes the store of a hephd that is down, with what SQLite keeps beside it.
fn remove_store(machine: &Node) {
    for ending in ["", "-wal", "-shm"] {
        let mut path = machine.store().into_os_string();
        path.push(ending);
        drop(fs::remove_file(path));
    }
}

fn put_in_place(machine: &Node, backup: &Path) {
    remove_store(machine);
    fs::copy(backup, machine.store()).unwrap();
}

#[test]
fn a_hub_restored_from_an_old_backup_is_told_what_it_lacks() {
    let mut scene = Scene::start();
    add(&scene.spokes[0], "in the backup");
    scene.sync();
    let backup = scene.hub.path.join("backup.db");
    scene.hub.heph("backup backup.db").exits(0);
    for (number, spoke) in scene.spokes.iter().enumerate() {
        add(spoke, &format!("after the backup, by {number}"));
    }
    let own = add(&scene.hub, "after the backup, by the hub");
    scene.sync();

    scene.hub.stop();
    put_in_place(&scene.hub, &backup);
    scene.hub.start();
    assert_eq!(scene.hub.titles(), ["in the backup"]);
    add(&scene.spokes[1], "after the restoration");
    scene.sync();
    assert_eq!(scene.hub.tasks().len(), 6);
    assert!(
        scene.hub.tasks().contains_key(&own),
        "also what only the spokes had left"
    );
    scene.check(&Acknowledged::default());
}

#[test]
fn a_hub_with_an_old_copy_of_its_file_is_noticed_as_well() {
    let mut scene = Scene::start();
    add(&scene.spokes[0], "in the copy");
    scene.sync();
    // The very file, while nobody has it open: nothing tells it from the one that went on.
    scene.hub.stop();
    let copy = scene.hub.path.join("copy.db");
    fs::copy(scene.hub.store(), &copy).unwrap();
    scene.hub.start();
    for (number, spoke) in scene.spokes.iter().enumerate() {
        add(spoke, &format!("after the copy, by {number}"));
    }
    scene.sync();

    scene.hub.stop();
    put_in_place(&scene.hub, &copy);
    scene.hub.start();
    // New numbers for other operations, where the spokes remember theirs.
    for number in 0..10 {
        scene
            .hub
            .add(&format!("after the restoration, by the hub, {number}"));
    }
    scene.sync();
    assert_eq!(scene.hub.tasks().len(), 14);
    scene.check(&Acknowledged::default());
}

#[test]
fn a_hub_that_lost_its_store_gets_it_back() {
    let mut scene = Scene::start();
    for spoke in &scene.spokes {
        add(spoke, "before the loss");
    }
    scene.sync();
    scene.hub.stop();
    remove_store(&scene.hub);
    scene.hub.start();
    scene.sync();
    assert_eq!(scene.hub.titles(), ["before the loss"; 3]);
    scene.check(&Acknowledged::default());
}

#[test]
fn a_spoke_that_goes_to_another_hub_takes_everything_along() {
    let mut one = Scene::start();
    add(&one.spokes[0], "of the first hub");
    one.sync();
    let other = Scene::start();
    add(&other.spokes[0], "of the other hub");
    other.sync();
    // Between them: it has all of the first hub, and goes to the other.
    let mut mover = one.spokes.remove(0);
    mover.stop();
    mover.set_flags(&format!("--hub-url={}", other.hub.url()));
    mover.start();
    sync(&mover);
    assert_eq!(mover.titles(), ["of the first hub", "of the other hub"]);
    assert_eq!(other.hub.titles(), mover.titles());
    assert_eq!(one.hub.titles(), ["of the first hub"]);
    // And back: nothing is doubled.
    mover.stop();
    mover.set_flags(&format!("--hub-url={}", one.hub.url()));
    mover.start();
    one.spokes.push(mover);
    one.sync();
    assert_eq!(one.hub.tasks().len(), 2);
    one.check(&Acknowledged::default());
}
