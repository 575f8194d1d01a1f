//! How much a user may store on a hub, and what happens at the end of a disk.

use serde_json::{Value, json};

use super::http::Answer;
use super::scene::Scene;
use super::{add, request, titles};

/// Returns operations with so many bytes of title each.
fn page(numbers: std::ops::Range<u32>, bytes: usize) -> Vec<Value> {
    let title = "x".repeat(bytes);
    numbers.map(|number| add(number, &title)).collect()
}

/// Checks that the answer says that there is no room, and returns its words.
#[track_caller]
fn no_room(answer: &Answer) -> String {
    assert_eq!(answer.status, 507, "{answer:?}");
    assert_eq!(answer.json()["kind"], "full");
    assert!(answer.json()["hint"].is_string(), "{answer:?}");
    answer.error()
}

#[test]
fn beyond_the_quota_a_user_stores_nothing_more_and_others_go_on() {
    let scene = Scene::start("--quota-bytes 64KiB");
    let (hub, mallory) = (&scene.hub, Some(scene.mallory.as_str()));
    let within = request("01A", &page(0..30, 1000));
    hub.sync(mallory, &within);
    let refused = hub.post(mallory, &request("01A", &page(30..90, 1000)));
    let error = no_room(&refused);
    assert!(
        error.contains("the quota of this user is used up"),
        "{error}"
    );
    // Nothing of it was taken, and what fits still is.
    assert_eq!(titles(&hub.sync(mallory, &request("01C", &[]))).len(), 30);
    hub.sync(mallory, &request("01A", &page(30..32, 1000)));
    // What is sent again takes no more room.
    for _ in 0..5 {
        hub.sync(mallory, &within);
    }
    let bobs = request("01B", &page(200..230, 1000));
    hub.sync(Some(&scene.bob), &bobs);
    let log = hub.log();
    assert!(log.contains("event=failed"), "{log}");
}

#[test]
fn the_quota_counts_operations_as_well_and_holds_after_a_restart() {
    let mut scene = Scene::start("--quota-operations 3");
    let mallory = scene.mallory.clone();
    scene
        .hub
        .sync(Some(&mallory), &request("01A", &page(0..3, 1)));
    for _ in 0..2 {
        let more = request("01A", &page(3..4, 1));
        let error = no_room(&scene.hub.post(Some(&mallory), &more));
        assert!(error.contains("3 operations"), "{error}");
        scene.hub.sync(Some(&scene.bob), &request("01B", &[]));
        scene.hub.stop();
        scene.hub.start();
    }
    // What is known is no more.
    scene
        .hub
        .sync(Some(&mallory), &request("01A", &page(0..3, 1)));
}

#[test]
fn one_user_cannot_fill_a_disk_that_is_smaller_than_the_quota() {
    let scene = Scene::on_disk("160m");
    let (hub, mallory) = (&scene.hub, Some(scene.mallory.as_str()));
    let pad = "x".repeat(60_000);
    let mut taken = 0;
    let refused = loop {
        let operations = (taken..taken + 60).map(|number| {
            let mut operation = add(number, "spam");
            operation["body"]["pad"] = pad.as_str().into();
            operation
        });
        let operations: Vec<Value> = operations.collect();
        let answer = hub.post(mallory, &request("01A", &operations));
        if answer.status != 200 {
            break answer;
        }
        taken += 60;
        assert!(taken < 2400, "nothing stops it");
    };
    let error = no_room(&refused);
    assert!(error.contains("more than is left"), "{error}");
    assert!(taken >= 600, "{taken} operations");
    hub.sync(Some(&scene.bob), &request("01B", &page(9000..9100, 1000)));
    assert_eq!(hub.get("/readyz").status, 200);
}

#[test]
fn a_hub_whose_disk_is_full_says_so_to_users_and_balancers_and_starts_again() {
    let mut scene = Scene::on_disk("64m");
    let bob = scene.bob.clone();
    scene
        .hub
        .sync(Some(&bob), &request("01B", &page(0..10, 1000)));
    scene.disk.as_ref().unwrap().fill();
    let refused = scene
        .hub
        .post(Some(&bob), &request("01B", &page(10..20, 1000)));
    let error = no_room(&refused);
    assert!(error.contains("the hub's disk is full"), "{error}");
    let unready = scene.hub.get("/readyz");
    assert_eq!(unready.status, 503);
    assert!(
        unready.error().contains("disk is full"),
        "{}",
        unready.error()
    );
    assert_eq!(scene.hub.get("/healthz").status, 200);
    let metrics = scene.hub.get("/metrics");
    assert!(
        metrics.text().contains("heph_store_free_bytes 0"),
        "{}",
        metrics.text()
    );
    let all = scene.hub.sync(Some(&bob), &request("01C", &[]));
    assert_eq!(titles(&all).len(), 10, "what it has, it serves");
    scene.hub.stop();
    scene.disk.as_ref().unwrap().clear();
    scene.hub.start();
    assert_eq!(scene.hub.get("/readyz").status, 200);
    scene
        .hub
        .sync(Some(&bob), &request("01B", &page(10..20, 1000)));
}

#[test]
fn a_hub_of_one_owner_has_no_quota() {
    let hub = super::Hub::start("");
    for from in [0, 1000, 2000] {
        hub.sync(None, &request("01A", &page(from..from + 1000, 1000)));
    }
    let listed = hub.call("task.list", json!({}));
    assert_eq!(listed["tasks"].as_array().unwrap().len(), 3000);
}
