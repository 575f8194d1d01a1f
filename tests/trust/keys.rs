//! `heph self-update trust`, and what doctor says of keys.

use std::fs;

use super::place::Place;
use crate::support::call::Call;
use crate::support::files::mode;

const MINISIGN: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
const NUMBER: &str = "E7620F1842B4E81F";

fn trust(place: &Place, words: &[&str]) -> Call {
    place.heph("self-update trust").args(words)
}

#[track_caller]
fn done(place: &Place, words: &[&str]) -> String {
    trust(place, words).prints()
}

#[track_caller]
fn refused(place: &Place, words: &[&str], complaint: &str) {
    let ended = trust(place, words).ends().complains(complaint);
    assert_ne!(ended.code, 0);
    ended.complains("hint: ");
}

#[test]
fn a_key_that_is_added_counts_at_once_and_one_that_is_removed_does_not() {
    let place = Place::new();
    assert!(done(&place, &["show"]).contains("require        checksum"));
    let file = place.write("alice ü.pub", place.alice.public());
    let said = done(&place, &["add", file.to_str().unwrap()]);
    assert!(
        said.contains(&place.alice.fingerprint()) && said.contains("now required"),
        "{said}"
    );
    let said = done(&place, &["show"]);
    assert!(
        said.contains("require        signature") && said.contains(&place.alice.fingerprint()),
        "{said}"
    );

    place.unsigned("1.1.0");
    place.self_update("apply").reports(1, "failed");
    place.signed("1.2.0");
    place.self_update("apply").reports(0, "updated");

    done(&place, &["add", &place.mallory.public()]);
    done(&place, &["remove", &place.alice.fingerprint()]);
    place.signed("1.3.0");
    place
        .self_update("apply")
        .reports(1, "failed")
        .because(&["no listed key made it"]);
    let said = done(&place, &["remove", &place.mallory.public()]);
    assert!(said.contains("no key is left"), "{said}");
    assert!(
        !place
            .path
            .join(".config/heph/trust/allowed_signers")
            .exists()
    );
    assert!(done(&place, &["show"]).contains("require        checksum"));
}

#[test]
fn files_of_keys_keep_every_other_line_and_are_private() {
    let place = Place::new();
    let comment = "# whom I trust\n\n";
    let old = comment.to_owned() + &place.mallory.line("valid-before=\"20300101Z\"");
    let file = place.write(".config/heph/trust/allowed_signers", old.trim_end());
    done(&place, &["add", &place.alice.line("")]);
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with(&old), "{text}");
    assert!(
        done(&place, &["add", &place.alice.public()]).contains("listed already"),
        "{text}"
    );
    done(&place, &["remove", "alice@example.org"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), old);
    assert_eq!(mode(&file), 0o600);
}

#[test]
fn a_list_that_the_settings_name_is_the_one_that_is_changed() {
    let place = Place::new();
    place.trust(&place.mallory.line(""));
    done(&place, &["add", &place.alice.public()]);
    let file = place.path.join("signers of \"ü\"");
    assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 2);
    done(&place, &["remove", &place.alice.fingerprint()]);
    done(&place, &["remove", &place.mallory.fingerprint()]);
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        "",
        "nobody, not anybody"
    );
    assert!(done(&place, &["show"]).contains("require        signature"));

    place.settings(&format!(
        "[self-update.trust]\ntag-signers = [\"{}\"]",
        place.alice.public()
    ));
    refused(
        &place,
        &["add", &place.mallory.public()],
        "lists the keys itself",
    );
    refused(
        &place,
        &["remove", &place.alice.fingerprint()],
        "lists the keys itself",
    );
}

#[test]
fn minisign_keys_are_added_by_themselves_and_by_file_and_known_by_number() {
    let place = Place::new();
    let file = place.write(
        "minisign.pub",
        format!("untrusted comment: minisign public key {NUMBER}\n{MINISIGN}\n"),
    );
    assert!(done(&place, &["add", file.to_str().unwrap()]).contains(NUMBER));
    assert!(done(&place, &["add", MINISIGN]).contains("listed already"));
    let shown = trust(&place, &["show", "--json"]).json();
    assert_eq!(shown["schema"], 1);
    assert_eq!(shown["require"], "signature");
    assert_eq!(shown["minisign_keys"][0]["number"], NUMBER);
    assert!(shown["tag_signers_file"].is_null());
    // Nothing of that proves a tag, so nothing may be built from one.
    place.signed("1.1.0");
    place
        .self_update("apply")
        .reports(1, "failed")
        .because(&["from source: no key for tags"]);
    done(&place, &["remove", NUMBER]);
    assert!(done(&place, &["show"]).contains("require        checksum"));
    place.self_update("apply").reports(0, "updated");
}

#[test]
fn what_is_no_public_key_is_refused() {
    let place = Place::new();
    refused(
        &place,
        &["add", "/nonexistent/key"],
        "neither a public key nor a file",
    );
    refused(
        &place,
        &["add", "ssh-ed25519 AAAA"],
        "neither a public key nor a file",
    );
    let nonsense = place.write("nonsense", "hello\n");
    refused(
        &place,
        &["add", nonsense.to_str().unwrap()],
        "not an SSH public key",
    );
    let empty = place.write("empty", "\n# nothing\n");
    refused(&place, &["add", empty.to_str().unwrap()], "no key in it");
    let private = place.write("private", "-----BEGIN OPENSSH PRIVATE KEY-----\n");
    refused(
        &place,
        &["add", private.to_str().unwrap()],
        "is a private key",
    );
    refused(&place, &["remove", "bob"], "no listed key is 'bob'");
    assert!(!place.path.join(".config/heph/trust").exists());
}

#[test]
fn show_tells_of_each_key_what_it_may_sign_and_until_when() {
    let place = Place::new();
    place.trust(&format!(
        "{}nonsense\n{}",
        place
            .alice
            .line("namespaces=\"git\",valid-before=\"20990101\""),
        place
            .mallory
            .line("cert-authority,valid-before=\"20200101\"")
    ));
    let shown = trust(&place, &["show", "--json"]).json();
    let [alice, mallory] = [&shown["tag_signers"][0], &shown["tag_signers"][1]];
    assert_eq!(alice["principals"], "alice@example.org");
    assert_eq!(alice["fingerprint"], place.alice.fingerprint());
    assert_eq!(alice["namespaces"], "git");
    assert_eq!(alice["standing"], "valid");
    assert_eq!(mallory["standing"], "expired");
    assert_eq!(mallory["certificate_authority"], true);
    assert_eq!(shown["unusable_lines"], 1);
    let told = done(&place, &["show"]);
    assert!(
        told.contains("expired 20200101") && told.contains("ignored"),
        "{told}"
    );
}

#[test]
fn doctor_names_expired_keys_and_lists_that_cannot_be_read() {
    let place = Place::new();
    let row = |name: &str| {
        let found = place.self_update("doctor").ends().json();
        let rows = found["rows"].as_array().unwrap().clone();
        let row = rows.iter().find(|row| row["name"] == name).unwrap();
        let text = |key: &str| row[key].as_str().unwrap().to_owned();
        (text("status"), text("detail"))
    };
    assert_eq!(row("trusted keys").0, "ok");
    assert_eq!(row("clock").0, "ok");
    place.trust(&format!(
        "{}{}",
        place.alice.line(""),
        place.mallory.line("valid-before=\"20200101\"")
    ));
    let (status, detail) = row("trusted keys");
    assert_eq!(status, "warning");
    assert!(
        detail.contains("mallory@example.org has expired"),
        "{detail}"
    );
    place.settings("[self-update.trust]\ntag-signers = '/nonexistent/signers'");
    let (status, detail) = row("trusted keys");
    assert_eq!(status, "problem");
    assert!(detail.contains("/nonexistent/signers"), "{detail}");
}
