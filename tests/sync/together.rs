//! Spokes and a hub that is well: what one machine writes, the others have.

use serde_json::json;

use crate::support::home::texts;
use crate::support::node::Node;
use crate::support::wait::{PATIENCE, until};
/// Returns the titles of the open tasks, the oldest first.
#[track_caller]
fn open(node: &Node) -> Vec<String> {
    texts(
        &node.heph("list --json").succeeds().json()["tasks"],
        "title",
    )
}

/// Waits until `spoke` lists exactly these open tasks.
#[track_caller]
fn wait_for(spoke: &Node, titles: &[&str]) {
    until(PATIENCE, || match open(spoke) {
        titled if titled == titles => Ok(()),
        titled => Err(format!("{titled:?}")),
    });
}

#[test]
fn what_one_machine_writes_the_others_have() {
    let hub = Node::hub();
    let url = hub.url();
    let [one, two, three] = [(); 3].map(|()| Node::spoke(&url));
    let sync =
        || [&one, &two, &three, &one, &two].map(|spoke| drop(spoke.heph("sync now").succeeds()));
    let milk = one.add("milk");
    let bread = two.add("bread");
    let own = hub.add("of the hub itself");
    sync();
    for machine in [&one, &two, &three, &hub] {
        let mut titles = open(machine);
        titles.sort();
        assert_eq!(titles, ["bread", "milk", "of the hub itself"]);
    }
    three.call("task.edit", json!({ "id": milk, "title": "oat milk" }));
    two.call("task.done", json!({ "id": bread }));
    one.call("task.delete", json!({ "id": own }));
    sync();
    for machine in [&one, &two, &three, &hub] {
        assert_eq!(open(machine), ["oat milk"]);
    }
    three.call("task.reopen", json!({ "id": bread }));
    sync();
    let all = hub.list();
    assert_eq!(all.as_array().unwrap().len(), 2, "{all}");
    for machine in [&one, &two, &three] {
        assert_eq!(machine.list(), all);
    }
}

#[test]
fn a_write_goes_to_the_hub_by_itself() {
    let hub = Node::hub();
    let url = hub.url();
    let spoke = Node::spoke(&url);
    spoke.wait_until(|status| status["last_success"].is_string());
    spoke.add("by itself");
    wait_for(&hub, &["by itself"]);
    spoke.wait_until(|status| status["pending"] == 0);
}

#[test]
fn what_was_there_before_goes_along_in_pages() {
    let hub = Node::hub();
    let url = hub.url();
    let mut one = Node::with("");
    let mut wire = one.wire();
    for number in 0..2_500 {
        wire.call("task.add", json!({ "title": format!("number {number}") }));
    }
    let flag = format!("--hub-url={url}");
    one.stop();
    one.set_flags(&flag);
    one.start();
    one.heph("sync now").succeeds();
    assert_eq!(open(&hub).len(), 2_500);
    let mut other = Node::with("");
    other.add("its own");
    other.stop();
    other.set_flags(&flag);
    other.start();
    other.heph("sync now").succeeds();
    assert_eq!(open(&other).len(), 2_501);
    assert_eq!(other.list(), hub.list());
    let nothing = other.heph("sync now").succeeds();
    nothing.says("sent 0 operations, received 0 operations");
}

#[test]
fn a_hub_that_was_away_is_caught_up_with() {
    let mut hub = Node::hub();
    let url = hub.url();
    let one = Node::spoke(&url);
    let two = Node::spoke(&url);
    one.add("before");
    for spoke in [&one, &two] {
        spoke.heph("sync now").succeeds();
    }
    assert_eq!(open(&two), ["before"]);

    hub.stop();
    one.add("meanwhile");
    one.heph("sync now").exits(75).complains("cannot reach");
    let status = one.sync_status();
    assert_eq!(status["pending"], 1, "{status}");
    assert!(status["last_success"].is_string(), "{status}");
    let said = one.heph("sync status").succeeds();
    said.says("to send       1 operation\n")
        .says("last error    cannot reach");

    hub.start();
    // Without a word to anybody.
    wait_for(&hub, &["before", "meanwhile"]);
    two.heph("sync now").succeeds();
    assert_eq!(open(&two), ["before", "meanwhile"]);
    let status = one.wait_until(|status| status["last_error"].is_null());
    assert_eq!(status["pending"], 0, "{status}");
    let log = one.log();
    assert_eq!(log.matches("in sync with the hub").count(), 2, "{log}");
}
