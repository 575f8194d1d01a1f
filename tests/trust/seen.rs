//! What was seen before: moved tags, and feeds that offer less than was healthy here.

use super::place::Place;
use crate::support::call::Call;
use crate::support::forge::{PROJECT, git};

#[test]
fn a_tag_that_moved_since_it_was_seen_is_refused_until_it_is_accepted_by_name() {
    let place = Place::new();
    let first = place.unsigned("1.1.0");
    place.self_update("check").reports(100, "available");
    place.tree.write("README", "moved");
    let second = place.unsigned("1.1.0");
    assert_ne!(first, second);

    let before = place.picture();
    let report = place.self_update("apply").reports(1, "failed");
    report.because(&["moved", &first, &second]);
    place
        .heph("self-update apply --to 1.1.0")
        .exits(1)
        .complains("hint: ")
        .complains("apply --to 1.1.0 --accept-moved-tag");
    let quarantine = place.quarantine();
    assert_eq!(quarantine.len(), 1);
    assert!(quarantine[0].1.contains(&first) && quarantine[0].1.contains(&second));
    place.self_update("apply").reports(0, "skipped");
    assert_eq!(place.picture(), before);

    place
        .self_update("apply --to 1.1.0 --accept-moved-tag")
        .reports(0, "updated");
    assert_eq!(place.manifest()["commit"], second);
    assert!(place.quarantine().is_empty());
    // From now on, that is where it is.
    git(&place.tree.folder, &["tag", "--force", "v1.1.0", &first]);
    place.publish("v1.1.0");
    place
        .self_update("apply --to 1.1.0 --force")
        .reports(1, "failed")
        .because(&["moved"]);
}

#[test]
fn check_tells_of_a_moved_tag_too() {
    let place = Place::new();
    place.unsigned("1.1.0");
    place.self_update("check").reports(100, "available");
    place.tree.write("README", "moved");
    place.unsigned("1.1.0");
    let before = place.picture();
    place
        .self_update("check")
        .reports(1, "failed")
        .because(&["moved"]);
    place
        .self_update("check")
        .reports(0, "skipped")
        .because(&["quarantine"]);
    assert_eq!(place.picture(), before);
}

#[test]
fn every_tag_that_was_advertised_is_remembered_not_only_the_newest() {
    let place = Place::new();
    place.unsigned("1.1.0");
    place.unsigned("1.2.0");
    place.self_update("check").reports(100, "available");
    place.tree.write("README", "moved");
    place.unsigned("1.1.0");
    place
        .self_update("apply --to 1.1.0")
        .reports(1, "failed")
        .because(&["moved"]);
}

#[test]
fn a_signed_tag_that_moved_is_refused_as_well() {
    let place = Place::new();
    place.trust_alice();
    place.signed("1.1.0");
    place.self_update("check").reports(100, "available");
    place.tree.write("README", "moved");
    place.signed("1.1.0");
    place
        .self_update("apply")
        .reports(1, "failed")
        .because(&["moved"]);
}

#[test]
fn accepting_needs_a_name() {
    let place = Place::new();
    place.heph("self-update apply --accept-moved-tag").exits(2);
}

#[test]
fn a_commit_other_than_the_advertised_one_never_becomes_a_slot() {
    let place = Place::new();
    let good = place.unsigned("1.1.0");
    let other = git(&place.tree.folder, "rev-parse v1.0.0^{}");
    place.advertise_once(&good, other.trim());
    let before = place.picture();
    let report = place.self_update("apply").reports(1, "failed");
    report.because(&["cargo built v1.1.0 from the commit", &good, other.trim()]);
    assert_eq!(place.installed(), "tiny 1.0.0");
    assert_eq!(place.picture(), before);
    assert_eq!(place.quarantine()[0].0, "1.1.0");
}

#[test]
fn a_feed_that_offers_less_than_was_healthy_is_not_followed() {
    let place = Place::new();
    place.unsigned("1.1.0");
    place.unsigned("1.2.0");
    place.self_update("apply").reports(0, "updated");
    place.offer("v1.1.0");
    place
        .self_update("apply")
        .reports(0, "skipped")
        .because(&["1.1.0", "1.2.0 was healthy here"]);
    place.self_update("check").reports(0, "skipped");

    // Even where a lower one is installed again.
    place.self_update("rollback").reports(0, "rolled-back");
    assert_eq!(place.installed(), "tiny 1.0.0");
    let before = place.picture();
    place
        .self_update("apply")
        .reports(0, "skipped")
        .because(&["--to 1.1.0"]);
    assert_eq!(place.picture(), before);
    let status = place.self_update("status").json();
    assert!(
        status["reason"]
            .as_str()
            .unwrap()
            .contains("1.2.0 was healthy here"),
        "{status}"
    );

    place.self_update("apply --to 1.1.0").reports(0, "updated");
    assert_eq!(place.installed(), "tiny 1.1.0");
}

#[test]
fn a_release_that_the_feed_no_longer_names_is_shown() {
    let place = Place::new();
    place.unsigned("1.1.0");
    place.self_update("check").reports(100, "available");
    place.offer("v1.0.0");
    place.self_update("check").reports(0, "up-to-date");
    let status = place.self_update("status").json();
    assert_eq!(status["withdrawn"], "1.1.0", "{status}");
    let told = place.heph("self-update status").exits(0);
    told.says("1.1.0").says("no longer");
    place.offer("v1.1.0");
    place.self_update("check").reports(100, "available");
    assert!(place.self_update("status").json()["withdrawn"].is_null());
}

#[test]
fn what_is_remembered_belongs_to_its_repository() {
    let place = Place::new();
    place.unsigned("1.1.0");
    place.self_update("apply").reports(0, "updated");
    let file = place.path.join(".local/state/heph/trust.json");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("\"schema\": 1") && text.contains("\"tag\": \"v1.1.0\""));
    std::fs::write(&file, "garbage").unwrap();
    let ended = place.apply().exits(1);
    ended.complains("hint: ").complains("rm '");
    assert_eq!(place.installed(), "tiny 1.1.0");
}

/// Makes 2,100 tags in the forge's repository, all of the commit of v1.0.0.
fn flood(place: &Place) {
    let bare = place.forge.bare(PROJECT);
    let commit = git(&bare, "rev-parse v1.0.0^{commit}");
    let commit = commit.trim();
    let lines: String = (0..2100)
        .map(|number| format!("create refs/tags/v0.0.{number} {commit}\n"))
        .collect();
    let update = Call::of("git").args("update-ref --stdin");
    update.current_dir(&bare).input(lines).exits(0);
}

#[test]
fn a_tag_that_a_check_has_shown_is_never_forgotten_whatever_is_published_after_it() {
    let place = Place::new();
    place.unsigned("1.1.0");
    place.self_update("check").reports(100, "available");
    flood(&place);
    let bare = place.forge.bare(PROJECT);
    // Each of them is the newest release for once, and seen as that.
    for patch in 1..=3 {
        git(&bare, &format!("tag v1.2.{patch} v1.0.0^{{commit}}"));
        place.offer(&format!("v1.2.{patch}"));
        place.self_update("check").reports(100, "available");
    }
    place.tree.write("README", "moved");
    place.unsigned("1.1.0");
    place
        .self_update("apply")
        .reports(1, "failed")
        .because(&["v1.1.0 was moved"]);
    assert_eq!(place.installed(), "tiny 1.0.0");
}

#[test]
fn a_tag_that_a_run_has_installed_is_never_forgotten_either() {
    let place = Place::new();
    place.unsigned("1.1.0");
    place.self_update("apply").reports(0, "updated");
    flood(&place);
    git(&place.forge.bare(PROJECT), "tag v1.2.0 v1.0.0^{commit}");
    place.offer("v1.2.0");
    place.self_update("check").reports(100, "available");
    place.tree.write("README", "moved");
    place.unsigned("1.1.0");
    place
        .self_update("apply --to 1.1.0 --force")
        .reports(1, "failed")
        .because(&["v1.1.0 was moved"]);
}

#[test]
fn a_signature_overrides_what_a_stranger_answered_once_in_the_forges_place() {
    for (name, lie) in [
        ("an unsigned tag, seen by a run", "apply"),
        ("an unsigned tag, seen by a check", "check"),
    ] {
        let place = Place::new();
        place.trust_alice();
        let stranger = place.unsigned("1.1.0");
        place.self_update(lie).ends();
        place.heph("self-update quarantine clear 1.1.0").ends();
        let own = place.signed("1.1.0");
        assert_ne!(stranger, own);
        place.self_update("check").reports(100, "available");
        let report = place.self_update("apply").reports(0, "updated");
        assert_eq!(place.manifest()["commit"], own, "{name}: {report:?}");
    }
}

#[test]
fn a_run_tells_that_a_signature_decided_and_only_a_valid_one_does() {
    let place = Place::new();
    place.trust_alice();
    // A lightweight tag, and a tag that somebody else signs.
    let stranger = place.commit("1.1.0");
    git(&place.tree.folder, "tag v1.1.0");
    place.publish("v1.1.0");
    place.self_update("apply").reports(1, "failed");
    place.heph("self-update quarantine clear 1.1.0").ends();
    place.tree.write("README", "another");
    let other = place.commit("1.1.0");
    place.mallory.tags(&place.tree, "v1.1.0", &other);
    place.publish("v1.1.0");
    place
        .self_update("apply")
        .reports(1, "failed")
        .because(&["v1.1.0 was moved", &stranger]);
    place.heph("self-update quarantine clear 1.1.0").ends();
    let own = place.signed("1.1.0");
    let report = place.self_update("apply").reports(0, "updated");
    let note = report["notes"][0].as_str().unwrap();
    assert!(note.contains(&own) && note.contains("alice"), "{note}");
    // What was proven once, no other signature moves.
    place.tree.write("README", "once more");
    place.signed("1.1.0");
    place
        .self_update("apply --to 1.1.0 --force")
        .reports(1, "failed")
        .because(&["v1.1.0 was moved", &own]);
}
