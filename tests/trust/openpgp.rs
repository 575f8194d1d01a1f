//! Tags with OpenPGP signatures: those that count, and those that do not.

use std::process::Command;

use super::owner::{feed, head, object_of, run, tag_with};
use super::place::Place;
use super::table::{hold, refused, trouble};

/// Somebody with an OpenPGP key, and its keyring.
fn openpgp(place: &Place, name: &str, expires: &str) -> (String, String) {
    // A home of gpg with a long path would be too long for its socket.
    let home = tempfile::Builder::new()
        .prefix("gpg")
        .tempdir_in("/tmp")
        .unwrap();
    let gpg = |arguments: &[&str]| {
        let mut command = Command::new("gpg");
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("GNUPGHOME", home.path())
            .args([
                "--batch",
                "--quiet",
                "--no-tty",
                "--faked-system-time",
                "20260102T000000!",
            ])
            .args(arguments);
        command
    };
    run(&mut gpg(&[
        "--passphrase",
        "",
        "--quick-gen-key",
        name,
        "ed25519",
        "sign",
        expires,
    ]));
    let commit = place.commit("1.1.0");
    let head = head("v1.1.0", &commit);
    let signature = feed(&mut gpg(&["--armor", "--detach-sign"]), head.as_bytes());
    tag_with(
        &place.tree,
        "v1.1.0",
        &[head.as_bytes(), &signature].concat(),
    );
    place.publish("v1.1.0");
    let ring = place.home.join(format!("{name}.gpg"));
    run(gpg(&["--export", "--output"]).arg(&ring));
    run(Command::new("gpgconf")
        .env("GNUPGHOME", home.path())
        .args(["--kill", "all"]));
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
    let ended = place.update(&["apply"]);
    ended.ends(0, "updated");
    let by = ended.json["signed_by"].as_str().unwrap();
    assert!(by.starts_with("Alice ("), "{by}");
    assert_eq!(place.manifest()["commit"], commit);
}
