//! Clocks that are hours apart.

use serde_json::json;

use super::scene::{Scene, add, sync};
use crate::support::faketime::off_by;
use crate::support::node::Node;

#[test]
fn clocks_that_are_hours_apart_lose_nothing_and_what_was_seen_before_is_overwritten() {
    let mut scene = Scene::prepared();
    for (spoke, hours) in scene.spokes.iter_mut().zip(["+7h", "-5h"]) {
        for (name, value) in off_by(hours) {
            spoke.home.set(name, value);
        }
    }
    scene.each(|machine| machine.start());
    let [ahead, behind, right] = &scene.spokes[..] else {
        panic!("three spokes");
    };
    let task = add(ahead, "as written by the clock that is ahead");
    let offset = |id: &str| {
        let made = ulid::Ulid::from_string(id).unwrap().timestamp_ms();
        jiff::Timestamp::now().as_millisecond() - i64::try_from(made).unwrap()
    };
    assert!(offset(&task) < -6 * 3_600_000, "its clock is ahead indeed");
    let late = add(behind, "as written by the clock that is behind");
    assert!(offset(&late) > 4 * 3_600_000, "its clock is behind indeed");
    scene.sync();

    // Who has seen a title and writes another one means it, whatever the clocks say.
    behind.call(
        "task.edit",
        json!({ "id": task, "title": "edited by the one behind" }),
    );
    scene.sync();
    for machine in scene.machines() {
        assert_eq!(machine.tasks()[&task]["title"], "edited by the one behind");
    }
    right.call(
        "task.edit",
        json!({ "id": task, "title": "edited by the one in the middle" }),
    );
    ahead.call("task.done", json!({ "id": late }));
    scene.sync();
    behind.call("task.reopen", json!({ "id": late }));
    scene.sync();
    for machine in scene.machines() {
        let tasks = machine.tasks();
        assert_eq!(tasks[&task]["title"], "edited by the one in the middle");
        assert_eq!(tasks[&late]["state"], "open");
    }

    let writers = scene.writers();
    std::thread::sleep(std::time::Duration::from_secs(3));
    let acknowledged = super::writer::Writer::end(writers);
    scene.sync();
    scene.check(&acknowledged);
}

#[test]
fn a_machine_years_ahead_loses_nothing_and_syncs_with_the_right_time() {
    let mut scene = Scene::prepared();
    for (spoke, hours) in scene.spokes.iter_mut().zip(["+26280h", "-26280h"]) {
        for (name, value) in off_by(hours) {
            spoke.home.set(name, value);
        }
    }
    scene.each(|machine| machine.start());
    let [ahead, behind, right] = &scene.spokes[..] else {
        panic!("three spokes");
    };
    let known = add(right, "known");
    scene.sync();
    let edit = |machine: &Node, title: &str| {
        machine.call("task.edit", json!({ "id": known, "title": title }))
    };
    let added = add(ahead, "added years ahead");
    edit(ahead, "edited years ahead");
    sync(ahead);
    let status = ahead.call("sync.status", json!({}));
    assert_eq!(
        (&status["pending"], &status["refused"]),
        (&json!(0), &json!(0)),
        "{status}"
    );
    let said = ahead.heph("sync status").succeeds().out;
    assert!(
        said.contains("the clock of this machine is 1095 days ahead of the hub's"),
        "{said}"
    );
    scene.sync();
    for machine in scene.machines() {
        assert_eq!(machine.tasks()[&known]["title"], "edited years ahead");
        assert_eq!(machine.tasks()[&added]["title"], "added years ahead");
    }
    for (machine, title) in [
        (behind, "edited years behind"),
        (right, "edited last"),
        (behind, "edited behind again"),
    ] {
        edit(machine, title);
        assert_eq!(machine.tasks()[&known]["title"], title);
        scene.sync();
        for machine in scene.machines() {
            assert_eq!(machine.tasks()[&known]["title"], title);
        }
    }
    scene.each(|machine| machine.stop());
}
