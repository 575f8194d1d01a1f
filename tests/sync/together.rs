//! Spokes and a hub that is well: what one machine writes, the others have.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::json;

use super::spoke::Spoke;
use crate::support::old::daemon::{PATIENCE, Wire};

/// Returns the flags of a hub, and its address for spokes.
fn hub() -> ([String; 2], String) {
    // On an address of loopback that no connection gets by itself, so that the port is still free in a moment.
    let [.., high, low] = std::process::id().to_be_bytes();
    let listener = TcpListener::bind((format!("127.9.{high}.{low}"), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let flags = ["--mode=server".to_owned(), format!("--http-addr={address}")];
    (flags, format!("http://{address}"))
}

fn words(flags: &[String; 2]) -> [&str; 2] {
    flags.each_ref().map(String::as_str)
}

/// Waits until `spoke` lists exactly these open tasks.
#[track_caller]
fn wait_for(spoke: &Spoke, titles: &[&str]) {
    let until = Instant::now() + 2 * PATIENCE;
    while spoke.titles() != titles {
        assert!(Instant::now() < until, "{:?}", spoke.titles());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_one_machine_writes_the_others_have() {
    let (flags, url) = hub();
    let hub = Spoke::with(&words(&flags));
    let [one, two, three] = [(); 3].map(|()| Spoke::of(&url));
    let sync =
        || [&one, &two, &three, &one, &two].map(|spoke| drop(spoke.heph(&["sync", "now"]).well()));
    let milk = one.add("milk");
    let bread = two.add("bread");
    let own = hub.add("of the hub itself");
    sync();
    for machine in [&one, &two, &three, &hub] {
        let mut titles = machine.titles();
        titles.sort();
        assert_eq!(titles, ["bread", "milk", "of the hub itself"]);
    }
    three.call("task.edit", json!({ "id": milk, "title": "oat milk" }));
    two.call("task.done", json!({ "id": bread }));
    one.call("task.delete", json!({ "id": own }));
    sync();
    for machine in [&one, &two, &three, &hub] {
        assert_eq!(machine.titles(), ["oat milk"]);
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
    let (flags, url) = hub();
    let hub = Spoke::with(&words(&flags));
    let spoke = Spoke::of(&url);
    spoke.wait_until(|status| status["last_success"].is_string());
    spoke.add("by itself");
    wait_for(&hub, &["by itself"]);
    spoke.wait_until(|status| status["pending"] == 0);
}

#[test]
fn what_was_there_before_goes_along_in_pages() {
    let (flags, url) = hub();
    let hub = Spoke::with(&words(&flags));
    let one = Spoke::with(&[]);
    let mut wire = Wire::open(&one.home.socket());
    for number in 0..2_500 {
        wire.call("task.add", json!({ "title": format!("number {number}") }));
    }
    let flag = format!("--hub-url={url}");
    let one = Spoke::in_home(one.stop(), &[&flag]);
    one.heph(&["sync", "now"]).well();
    assert_eq!(hub.titles().len(), 2_500);
    let other = Spoke::with(&[]);
    other.add("its own");
    let other = Spoke::in_home(other.stop(), &[&flag]);
    other.heph(&["sync", "now"]).well();
    assert_eq!(other.titles().len(), 2_501);
    assert_eq!(other.list(), hub.list());
    let nothing = other.heph(&["sync", "now"]).well();
    nothing.says("sent 0 operations, received 0 operations");
}

#[test]
fn a_hub_that_was_away_is_caught_up_with() {
    let (flags, url) = hub();
    let hub = Spoke::with(&words(&flags));
    let one = Spoke::of(&url);
    let two = Spoke::of(&url);
    one.add("before");
    for spoke in [&one, &two] {
        spoke.heph(&["sync", "now"]).well();
    }
    assert_eq!(two.titles(), ["before"]);

    let home = hub.stop();
    one.add("meanwhile");
    one.heph(&["sync", "now"])
        .exits(75)
        .complains("cannot reach");
    let status = one.status();
    assert_eq!(status["pending"], 1, "{status}");
    assert!(status["last_success"].is_string(), "{status}");
    let said = one.heph(&["sync", "status"]).well();
    said.says("to send       1 operation\n")
        .says("last error    cannot reach");

    let hub = Spoke::in_home(home, &words(&flags));
    // Without a word to anybody.
    wait_for(&hub, &["before", "meanwhile"]);
    two.heph(&["sync", "now"]).well();
    assert_eq!(two.titles(), ["before", "meanwhile"]);
    let status = one.wait_until(|status| status["last_error"].is_null());
    assert_eq!(status["pending"], 0, "{status}");
    let log = one.daemon.log();
    assert_eq!(log.matches("in sync with the hub").count(), 2, "{log}");
}
