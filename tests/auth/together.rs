//! From the device flow to the tasks: provider, hub and spokes, all real.

use heph::login;
use serde_json::json;

use super::machines::{Hub, Spoke, served};
use crate::support::provider::Provider;

#[test]
fn machines_of_one_user_share_tasks_and_another_user_sees_none_of_them() {
    let provider = Provider::start();
    let hub = Hub::start(&provider);
    let [desk, couch] = ["alice"; 2].map(|user| Spoke::of(user, &hub, &provider));
    let bobs = Spoke::of("bob", &hub, &provider);
    desk.add("alice's first");
    couch.add("alice's second");
    bobs.add("bob's");
    for spoke in [&desk, &couch, &bobs, &desk] {
        spoke.sync();
    }
    assert_eq!(desk.titles(), ["alice's first", "alice's second"]);
    assert_eq!(couch.titles(), ["alice's first", "alice's second"]);
    assert_eq!(bobs.titles(), ["bob's"]);
    // Nor does the owner of the hub's machine.
    assert_eq!(served(&hub), [""; 0]);
}

#[test]
fn a_spoke_without_a_login_says_what_to_do_and_goes_on_serving() {
    let provider = Provider::start();
    let hub = Hub::start(&provider);
    let spoke = Spoke::start(&hub, &provider);
    spoke.add("kept here");
    spoke
        .heph("sync now")
        .exits(1)
        .complains("not logged in")
        .complains("heph auth login");
    spoke.heph("sync status").exits(0).says("not logged in");
    assert_eq!(spoke.titles(), ["kept here"]);
    spoke.log_in("alice");
    spoke.sync();
    let other = Spoke::of("alice", &hub, &provider);
    other.sync();
    assert_eq!(other.titles(), ["kept here"]);
}

#[test]
fn new_signing_keys_are_no_interruption_and_old_ones_stop_working() {
    let provider = Provider::start();
    // Each sync renews.
    provider.set(json!({ "accessTokenSeconds": 50 }));
    let hub = Hub::start(&provider);
    let spoke = Spoke::of("alice", &hub, &provider);
    spoke.sync();
    let old = provider.access_token("alice");
    assert_eq!(hub.post(Some(&old), &[]).0, 200);

    provider.rotate_keys();
    provider.counts();
    spoke.add("signed anew");
    spoke.sync();
    let other = Spoke::of("alice", &hub, &provider);
    other.sync();
    assert_eq!(other.titles(), ["signed anew"]);
    assert_eq!(
        provider.counts()["/jwks"],
        1,
        "the hub asked once for the unknown key"
    );
    let (status, _, refused) = hub.post(Some(&old), &[]);
    assert_eq!(status, 401, "{refused}");
    assert_eq!(
        provider.counts()["/jwks"],
        json!(null),
        "and not again within the minute"
    );
}

#[test]
fn a_spoke_whose_token_was_signed_with_an_old_key_gets_another_by_itself() {
    let provider = Provider::start();
    let hub = Hub::start(&provider);
    let spoke = Spoke::of("alice", &hub, &provider);
    spoke.sync();
    // Somebody else makes the hub learn of the new keys; the spoke's token would be good for an hour.
    provider.rotate_keys();
    assert_eq!(hub.post(Some(&provider.access_token("bob")), &[]).0, 200);
    spoke.add("still here");
    spoke.sync();
    assert_eq!(provider.counts()["grant refresh_token"], 1, "one renewal");
}

#[test]
fn a_provider_that_is_away_stops_nobody_who_is_logged_in() {
    let provider = Provider::start();
    let hub = Hub::start(&provider);
    let [desk, couch] = ["alice"; 2].map(|user| Spoke::of(user, &hub, &provider));
    desk.sync();
    provider.set(json!({ "down": true }));
    desk.add("written meanwhile");
    desk.sync();
    couch.sync();
    assert_eq!(couch.titles(), ["written meanwhile"]);
}

#[test]
fn a_login_that_has_ended_is_told_and_another_one_catches_up() {
    let provider = Provider::start();
    provider.set(json!({ "accessTokenSeconds": 50 }));
    let hub = Hub::start(&provider);
    let spoke = Spoke::of("alice", &hub, &provider);
    let file = spoke.home.data().join("tokens.json");
    let before = std::fs::read(&file).unwrap();
    spoke.sync();
    // A refresh token that was used already, and an access token that ended long ago.
    std::fs::write(&file, before).unwrap();
    let mut old = login::load(&file).unwrap().unwrap();
    old.expires_at = "2026-01-01T00:00:00Z".parse().unwrap();
    login::save(&file, &old).unwrap();
    spoke.add("not yet sent");
    spoke
        .heph("sync now")
        .exits(1)
        .complains("log in again")
        .complains("heph auth login");
    spoke.heph("sync status").exits(0).says("log in again");
    spoke.log_in("alice");
    spoke.sync();
    let other = Spoke::of("alice", &hub, &provider);
    other.sync();
    assert_eq!(other.titles(), ["not yet sent"]);
}
