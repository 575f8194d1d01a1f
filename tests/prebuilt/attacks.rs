//! What an attacker or an accident makes of an honest release: each attempt fails loudly and changes nothing.

use super::kit::{Key, Kit, TAG, archive, stem, sum_line, target};
use crate::support::files::script;
use crate::support::http::Reply;

/// An attempt, and what comes of it.
struct Attack {
    name: &'static str,
    publish: fn() -> Kit,
    code: i32,
    words: &'static str,
    /// Whether the release is to blame, so that it is not tried again.
    quarantined: bool,
}

const fn attack(name: &'static str, words: &'static str, publish: fn() -> Kit) -> Attack {
    Attack {
        name,
        publish,
        code: 1,
        words,
        quarantined: true,
    }
}

/// Nothing is wrong with the release; there is just too little of it.
const fn lack(name: &'static str, words: &'static str, publish: fn() -> Kit) -> Attack {
    Attack {
        quarantined: false,
        ..attack(name, words, publish)
    }
}

fn name() -> String {
    format!("{}.tar.gz", stem())
}

fn good() -> Vec<u8> {
    archive("1.0.0", "tar.gz")
}

fn flipped() -> Vec<u8> {
    let mut bytes = good();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes
}

fn trusting() -> Kit {
    Kit::new().trusting(&[Key::owner()])
}

const ATTACKS: &[Attack] = &[
    lack(
        "unsigned, where a signature is required",
        "is not signed",
        || {
            let kit = trusting();
            kit.publish("tar.gz", &good());
            kit
        },
    ),
    lack("signed list without the list", "is not signed", || {
        let kit = trusting();
        kit.attach(&name(), &good());
        let sums = sum_line(&name(), &good());
        kit.attach(
            "SHA256SUMS.minisig",
            &Key::owner().sign("SHA256SUMS", sums.as_bytes(), &[]),
        );
        kit
    }),
    lack("no checksum", "no checksum", || {
        let kit = Kit::new();
        kit.attach(&name(), &good());
        kit
    }),
    lack(
        "no archive for this machine",
        "has no archive of 'heph' for",
        || {
            let kit = Kit::new();
            kit.attach(&name().replace(&target(), "sparc-sun-solaris"), &good());
            kit
        },
    ),
    lack("no files at all", "offers no files", Kit::new),
    attack("signed by somebody else", "not made by a key in", || {
        let kit = trusting();
        kit.publish_signed("tar.gz", &good(), Key::stranger());
        kit
    }),
    attack(
        "the archive signed by somebody else",
        "not made by a key in",
        || {
            let kit = trusting();
            kit.attach(&name(), &good());
            let signature = Key::stranger().sign(&name(), &good(), &[]);
            kit.attach(&format!("{}.minisig", name()), &signature);
            kit
        },
    ),
    attack("a bit flipped, the list signed", "the checksum of", || {
        let kit = trusting();
        let sums = sum_line(&name(), &good());
        kit.attach(
            "SHA256SUMS.minisig",
            &Key::owner().sign("SHA256SUMS", sums.as_bytes(), &[]),
        );
        kit.attach("SHA256SUMS", sums.as_bytes());
        kit.attach(&name(), &flipped());
        kit
    }),
    attack("a bit flipped, the archive signed", "is not valid", || {
        let kit = trusting();
        let signature = Key::owner().sign(&name(), &good(), &[]);
        kit.attach(&format!("{}.minisig", name()), &signature);
        kit.attach(&name(), &flipped());
        kit
    }),
    attack("a bit flipped, only a checksum", "the checksum of", || {
        let kit = Kit::new();
        kit.attach("SHA256SUMS", sum_line(&name(), &good()).as_bytes());
        kit.attach(&name(), &flipped());
        kit
    }),
    attack(
        "the list changed after it was signed",
        "is not valid",
        || {
            let kit = trusting();
            let signed = sum_line(&name(), b"something else");
            kit.attach(
                "SHA256SUMS.minisig",
                &Key::owner().sign("SHA256SUMS", signed.as_bytes(), &[]),
            );
            kit.attach("SHA256SUMS", sum_line(&name(), &good()).as_bytes());
            kit.attach(&name(), &good());
            kit
        },
    ),
    lack("a file that is no signature", "not one of minisign", || {
        let kit = trusting();
        kit.publish("tar.gz", &good());
        kit.attach("SHA256SUMS.minisig", b"<html>");
        kit
    }),
    attack(
        "a signature whose comment was changed",
        "is not valid",
        || {
            let kit = trusting();
            let sums = sum_line(&name(), &good());
            let signature = Key::owner().sign("SHA256SUMS", sums.as_bytes(), &["-t", "one"]);
            let signature = String::from_utf8(signature)
                .unwrap()
                .replace(": one", ": two");
            kit.attach("SHA256SUMS.minisig", signature.as_bytes());
            kit.publish("tar.gz", &good());
            kit
        },
    ),
    lack(
        "a signature of the legacy form",
        "is of the legacy form",
        || {
            let kit = trusting();
            kit.attach(&name(), &good());
            let signature = Key::owner().sign(&name(), &good(), &["-l"]);
            kit.attach(&format!("{}.minisig", name()), &signature);
            kit
        },
    ),
    attack(
        "a list that contradicts itself",
        "two different checksums",
        || {
            let kit = Kit::new();
            let sums = sum_line(&name(), &good()) + &sum_line(&name(), &flipped());
            kit.attach("SHA256SUMS", sums.as_bytes());
            kit.attach(&name(), &good());
            kit
        },
    ),
    lack(
        "half a signature, still under way",
        "not one of minisign",
        || {
            let kit = trusting();
            kit.publish("tar.gz", &good());
            let sums = sum_line(&name(), &good());
            let signature = Key::owner().sign("SHA256SUMS", sums.as_bytes(), &[]);
            kit.attach("SHA256SUMS.minisig", &signature[..signature.len() / 2]);
            kit
        },
    ),
    lack(
        "a checksum that the forge lists and does not have",
        "status 404",
        || {
            let kit = Kit::new();
            let path = kit
                .publish("tar.gz", &good())
                .replace(&name(), "SHA256SUMS");
            kit.forge.script(&path, Reply::with(404, &[], ""));
            kit
        },
    ),
    lack(
        "an archive that the forge lists and does not have",
        "status 404",
        || {
            let kit = Kit::new();
            let path = kit.publish("tar.gz", &good());
            kit.forge.script(&path, Reply::with(404, &[], ""));
            kit
        },
    ),
    lack("the checksums of another release", "does not list", || {
        let kit = Kit::new();
        let other = name().replace(TAG, "v0.9.0");
        kit.attach("SHA256SUMS", sum_line(&other, &good()).as_bytes());
        kit.attach(&name(), &good());
        kit
    }),
    lack(
        "the signed checksums of another release",
        "does not list",
        || {
            let kit = trusting();
            let sums = sum_line(&name().replace(TAG, "v0.9.0"), &good());
            kit.attach(
                "SHA256SUMS.minisig",
                &Key::owner().sign("SHA256SUMS", sums.as_bytes(), &[]),
            );
            kit.attach("SHA256SUMS", sums.as_bytes());
            kit.attach(&name(), &good());
            kit
        },
    ),
    lack("a list that is no list", "does not list", || {
        let kit = Kit::new();
        kit.attach("SHA256SUMS", b"<html>not found</html>");
        kit.attach(&name(), &good());
        kit
    }),
    attack(
        "archives of two machines swapped",
        "the checksum of",
        || {
            let kit = trusting();
            let other = name().replace(&target(), "sparc-sun-solaris");
            let theirs = archive("1.0.0", "tar.xz");
            let sums = sum_line(&name(), &good()) + &sum_line(&other, &theirs);
            kit.attach(
                "SHA256SUMS.minisig",
                &Key::owner().sign("SHA256SUMS", sums.as_bytes(), &[]),
            );
            kit.attach("SHA256SUMS", sums.as_bytes());
            kit.attach(&name(), &theirs);
            kit.attach(&other, &good());
            kit
        },
    ),
    attack(
        "an older archive and its signature under a newer name",
        "was made for",
        || {
            let kit = trusting();
            let old = archive("0.9.0", "tar.gz");
            let signature = Key::owner().sign(&name().replace(TAG, "v0.9.0"), &old, &[]);
            kit.attach(&name(), &old);
            kit.attach(&format!("{}.minisig", name()), &signature);
            kit
        },
    ),
    attack(
        "an older archive whose signature names no file",
        "reports version 0.9.0",
        || {
            let kit = trusting();
            let old = archive("0.9.0", "tar.gz");
            let signature = Key::owner().sign(&name(), &old, &["-t", "heph"]);
            kit.attach(&name(), &old);
            kit.attach(&format!("{}.minisig", name()), &signature);
            kit
        },
    ),
    attack(
        "an older archive under the newer one's name",
        "reports version 0.9.0",
        || {
            let kit = Kit::new();
            kit.publish("tar.gz", &archive("0.9.0", "tar.gz"));
            kit
        },
    ),
    attack(
        "an archive of something else, signed",
        "does not start",
        || {
            let kit = trusting();
            let folder = tempfile::tempdir().unwrap();
            for command in ["heph", "hephd"] {
                script(&folder.path().join(stem()).join(command), "exit 3");
            }
            let bytes = super::kit::pack(folder.path(), &stem(), "tar.gz");
            kit.publish_signed("tar.gz", &bytes, Key::owner());
            kit
        },
    ),
];

#[test]
#[allow(clippy::print_stdout, reason = "names the row, where it fails")]
fn every_attempt_fails_and_changes_nothing() {
    for Attack {
        name,
        publish,
        code,
        words,
        quarantined,
    } in ATTACKS
    {
        let kit = publish();
        println!("{name}");
        kit.assert_refused(*code, "failed", words);
        let expected: &[&str] = if *quarantined { &["1.0.0"] } else { &[] };
        assert_eq!(kit.quarantined(), expected, "{name}");
    }
}

#[test]
fn a_bad_signature_is_no_reason_to_build_and_the_timer_does_not_try_it_again() {
    let kit = Kit::new().asking(&format!(
        "delivery = \"auto\"\n[self-update.trust]\nminisign-keys = [{:?}]",
        Key::owner().public
    ));
    kit.publish_signed("tar.gz", &good(), Key::stranger());
    let report = kit.self_update("apply").reports(1, "failed");
    assert!(!report.to_string().contains("cargo:"), "{report:?}");
    kit.self_update("apply").reports(0, "skipped");
}
