//! Tags with OpenPGP signatures: those that count, and those that do not.

use super::owner::{head, object_of, tag_with};
use super::place::Place;
use super::table::{hold, refused, trouble};
use crate::support::call::Call;

/// Somebody with an OpenPGP key, and its keyring.
fn openpgp(place: &Place, name: &str, expires: &str) -> (String, String) {
    // A home of gpg with a long path would be too long for its socket.
    let home = tempfile::Builder::new()
        .prefix("gpg")
        .tempdir_in("/tmp")
        .unwrap();
    let gpg = |words: &str| {
        let path = std::env::var_os("PATH").unwrap();
        Call::clean("gpg", [("PATH", path)])
            .env("GNUPGHOME", home.path())
            .args("--batch --quiet --no-tty --faked-system-time 20260102T000000!")
            .args(words)
    };
    gpg(&format!(
        "--passphrase '' --quick-gen-key {name} ed25519 sign {expires}"
    ))
    .exits(0);
    let commit = place.commit("1.1.0");
    let head = head("v1.1.0", &commit);
    let signature = gpg("--armor --detach-sign").input(&head).bytes();
    tag_with(
        &place.tree,
        "v1.1.0",
        &[head.as_bytes(), &signature].concat(),
    );
    place.publish("v1.1.0");
    let ring = place.path.join(format!("{name}.gpg"));
    gpg("--export --output").args(&[&ring]).exits(0);
    let gpgconf = Call::of("gpgconf").env("GNUPGHOME", home.path());
    gpgconf.args("--kill all").exits(0);
    (ring.display().to_string(), commit)
}

fn trust_ring(place: &Place, ring: &str) {
    place.settings(&format!(
        "[self-update.trust]\ntag-openpgp-keyring = '''{ring}'''"
    ));
}

#[test]
fn openpgp_signatures_that_do_not_count() {
    hold(&[
        refused(
            "one of OpenPGP, where only SSH keys are listed",
            |place| drop(openpgp(place, "Alice", "never")),
            &["tag-openpgp-keyring"],
        ),
        refused(
            "one of SSH, where only OpenPGP keys are listed",
            |place| {
                let (ring, _) = openpgp(place, "Alice", "never");
                trust_ring(place, &ring);
                place.signed("1.1.0");
            },
            &["tag-signers"],
        ),
        refused(
            "one of another key",
            |place| {
                let (ring, _) = openpgp(place, "Alice", "never");
                trust_ring(place, &ring);
                openpgp(place, "Mallory", "never");
            },
            &["no listed key made it"],
        ),
        refused(
            "one of a key that has expired since",
            |place| {
                let (ring, _) = openpgp(place, "Alice", "2d");
                trust_ring(place, &ring);
            },
            &["the key has expired"],
        ),
        refused(
            "one of a tag that was changed",
            |place| {
                let (ring, _) = openpgp(place, "Alice", "never");
                trust_ring(place, &ring);
                let content = object_of(&place.tree, "v1.1.0").replacen("Release", "release", 1);
                tag_with(&place.tree, "v1.1.0", content.as_bytes());
                place.publish("v1.1.0");
            },
            &["not made over this tag"],
        ),
        trouble(
            "a keyring that is not there",
            |place| {
                openpgp(place, "Alice", "never");
                trust_ring(place, "/nonexistent/ring");
            },
            2,
            "failed",
            &["there is no file '/nonexistent/ring'"],
        ),
    ]);
}

#[test]
fn an_openpgp_signature_of_a_listed_key_counts() {
    let place = Place::new();
    let (ring, commit) = openpgp(&place, "Alice", "never");
    trust_ring(&place, &ring);
    let report = place.self_update("apply").reports(0, "updated");
    let by = report["signed_by"].as_str().unwrap();
    assert!(by.starts_with("Alice ("), "{by}");
    assert_eq!(place.manifest()["commit"], commit);
}
