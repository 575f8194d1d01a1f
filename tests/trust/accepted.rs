//! Releases that are their owner's, and what is said of them.

use super::owner::{head, tag_with};
use super::place::Place;
use crate::support::forge::git;
use crate::support::home::texts;

#[test]
fn a_release_with_a_good_signature_is_installed_and_names_its_signer() {
    let place = Place::new();
    place.trust_alice();
    let commit = place.signed("1.1.0");
    let report = place.self_update("apply").reports(0, "updated");
    let by = format!("alice@example.org ({})", place.alice.fingerprint());
    assert_eq!(report["signed_by"], by);
    assert_eq!(place.installed(), "tiny 1.1.0");
    let manifest = place.manifest();
    assert_eq!(
        (&manifest["commit"], &manifest["signed_by"]),
        (&commit.into(), &by.clone().into())
    );
    let history = place.self_update("history").json();
    assert_eq!(history["runs"][0]["signed_by"], by);
    place.heph("self-update history").exits(0).says(&by);
    let steps = texts(&report["steps"], "name");
    let at = |name: &str| steps.iter().position(|step| *step == name).unwrap();
    assert!(at("decide") < at("trust") && at("trust") < at("stage"));
}

#[test]
fn keys_of_the_settings_file_and_beside_it_count_alike() {
    for inline in [true, false] {
        let place = Place::new();
        if inline {
            place.settings(&format!(
                "[self-update.trust]\ntag-signers = [\"{}\", \"{}\"]",
                place.mallory.public(),
                place.alice.public()
            ));
        } else {
            place.write(".config/heph/trust/allowed_signers", place.alice.line(""));
        }
        place.signed("1.1.0");
        let report = place.self_update("apply").reports(0, "updated");
        let by = report["signed_by"].as_str().unwrap();
        assert!(by.contains("alice") && by.contains(&place.alice.fingerprint()));
    }
}

#[test]
fn without_keys_and_with_a_checksum_only_nobody_has_signed() {
    for settings in ["", "[self-update.trust]\nrequire = 'none'"] {
        let place = Place::new();
        place.settings(settings);
        let commit = place.unsigned("1.1.0");
        let report = place.self_update("apply").reports(0, "updated");
        assert!(report["signed_by"].is_null());
        assert_eq!(place.manifest()["commit"], commit);
    }
}

#[test]
fn where_signatures_are_not_required_an_unsigned_tag_will_do_and_a_bad_one_will_not() {
    let place = Place::new();
    let trust = format!(
        "[self-update.trust]\ntag-signers = \"{}\"\nrequire = \"checksum\"",
        place.alice.public()
    );
    place.settings(&trust);
    let commit = place.commit("1.1.0");
    place.mallory.tags(&place.tree, "v1.1.0", &commit);
    place.publish("v1.1.0");
    place.self_update("apply").reports(1, "failed");
    place.commit("1.2.0");
    git(&place.tree.folder, "tag v1.2.0");
    place.publish("v1.2.0");
    let report = place.self_update("apply").reports(0, "updated");
    assert!(report["signed_by"].is_null());
    assert!(report["notes"][0].as_str().unwrap().contains("lightweight"));
}

#[test]
fn a_signed_tag_off_every_branch_is_installed_and_its_files_are_left_out_where_the_server_can() {
    let place = Place::new();
    place.trust_alice();
    let bare = place.forge.bare(crate::support::forge::PROJECT);
    git(&bare, "config uploadpack.allowFilter true");
    let commit = place.commit("1.1.0");
    place.alice.tags(&place.tree, "v1.1.0", &commit);
    git(&place.tree.folder, "reset --quiet --hard HEAD~1");
    place.publish("v1.1.0");
    place.self_update("apply").reports(0, "updated");
    assert_eq!(place.manifest()["commit"], commit);
    assert!(
        !place.path.join(".cache/heph/tags").exists(),
        "nothing is left of it"
    );

    // Of a release that is refused, the tag stays to be looked at.
    place.unsigned("1.2.0");
    place.self_update("apply").reports(1, "failed");
    let kept = git(
        &place.path.join(".cache/heph/tags"),
        &["cat-file", "-t", "v1.2.0"],
    );
    assert_eq!(kept.trim(), "tag");
    let all = git(
        &place.path.join(".cache/heph/tags"),
        &[
            "cat-file",
            "--batch-all-objects",
            "--batch-check=%(objecttype)",
        ],
    );
    assert!(!all.contains("blob") && !all.contains("tree"), "{all}");
}

#[test]
fn a_slot_from_another_commit_is_not_reused() {
    let place = Place::new();
    place.unsigned("1.1.0");
    place.self_update("apply").reports(0, "updated");
    place.self_update("rollback").reports(0, "rolled-back");
    // Its owner makes the release again, signed this time, and says so.
    place.tree.write("README", "again");
    let again = place.signed("1.1.0");
    place.trust_alice();
    let report = place
        .self_update("apply --to 1.1.0 --accept-moved-tag")
        .reports(0, "updated");
    assert_eq!(place.manifest()["commit"], again);
    assert!(report["signed_by"].is_string());
}

#[test]
fn a_slot_that_was_built_before_there_were_keys_is_reused_when_its_commit_is_proven() {
    let place = Place::new();
    let commit = place.signed("1.1.0");
    place.self_update("apply").reports(0, "updated");
    place.self_update("rollback").reports(0, "rolled-back");
    place.trust_alice();
    let report = place.self_update("apply --to 1.1.0").reports(0, "updated");
    assert!(report["signed_by"].is_string(), "{report:?}");
    assert_eq!(place.manifest()["commit"], commit);
}

#[test]
fn notes_with_keys_and_certificates_in_them_are_signed_like_any_other() {
    for notes in [
        "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDMEZ\n-----END PGP PUBLIC KEY BLOCK-----\n",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        "-----BEGIN OPENSSH PRIVATE KEY-----\n",
    ] {
        let place = Place::new();
        place.trust_alice();
        let commit = place.commit("1.1.0");
        let message = head("v1.1.0", &commit) + notes;
        let signature = place.alice.signs(message.as_bytes(), "git");
        let content = [message.as_bytes(), &signature].concat();
        tag_with(&place.tree, "v1.1.0", &content);
        place.publish("v1.1.0");
        let report = place.self_update("apply").reports(0, "updated");
        assert!(report["signed_by"].as_str().unwrap().contains("alice"));
    }
}

#[test]
fn of_two_signatures_the_last_one_counts_and_signs_the_first() {
    let place = Place::new();
    place.trust_alice();
    let commit = place.commit("1.1.0");
    let head = head("v1.1.0", &commit);
    let first = place.mallory.signs(head.as_bytes(), "git");
    let payload = [head.as_bytes(), &first].concat();
    let last = place.alice.signs(&payload, "git");
    tag_with(&place.tree, "v1.1.0", &[payload, last].concat());
    place.publish("v1.1.0");
    let report = place.self_update("apply").reports(0, "updated");
    assert!(report["signed_by"].as_str().unwrap().contains("alice"));
}

#[test]
fn a_signature_of_a_kind_that_cannot_be_verified_counts_as_missing() {
    for required in [false, true] {
        let place = Place::new();
        place.trust_alice();
        if !required {
            place.settings(&format!(
                "[self-update.trust]\nrequire = 'checksum'\ntag-signers = [\"{}\"]",
                place.alice.public()
            ));
        }
        let commit = place.commit("1.1.0");
        let x509 = "-----BEGIN SIGNED MESSAGE-----\nMIIB\n-----END SIGNED MESSAGE-----\n";
        let content = head("v1.1.0", &commit) + x509;
        tag_with(&place.tree, "v1.1.0", content.as_bytes());
        place.publish("v1.1.0");
        if required {
            let report = place.self_update("apply").reports(1, "failed");
            report.because(&["cannot be verified", "neither by SSH nor by OpenPGP"]);
        } else {
            place.self_update("apply").reports(0, "updated");
        }
    }
}
