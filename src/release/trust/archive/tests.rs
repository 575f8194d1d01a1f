//! Which proofs are enough, lacking or wrong, by table.

use super::*;
use crate::release::asset::Format;

fn asset(name: &str) -> Asset {
    Asset::new(name.to_owned(), format!("https://f.example/{name}"), None).unwrap()
}

fn trust(keys: &[&str], require: Require) -> Trust {
    Trust {
        minisign_keys: keys.iter().map(|key| key.parse().unwrap()).collect(),
        require: Some(require),
        ..Trust::default()
    }
}

/// The selected proofs, in short: `s` for the signed list, `a` for the archive's own signature, `c` for a checksum.
fn plan(published: &str, keys: &[&str], require: Require) -> Result<String> {
    let files = [
        "a.zip",
        "SHA256SUMS",
        "SHA256SUMS.minisig",
        "a.zip.sha256",
        "a.zip.minisig",
    ];
    let assets = files.map(asset);
    let there = |letter: char, at: usize| published.contains(letter).then(|| assets[at].clone());
    let offer = Offer {
        archive: assets[0].clone(),
        format: Format::Zip,
        sums: there('l', 1),
        sums_signature: there('s', 2),
        sum: there('c', 3),
        signature: there('a', 4),
    };
    select(&offer, &trust(keys, require)).map(|proofs| {
        [
            proofs.checksums_signature.map(|_| "s"),
            proofs.signature.map(|_| "a"),
            proofs.checksums.map(|_| "c"),
        ]
        .into_iter()
        .flatten()
        .collect()
    })
}

#[test]
fn as_much_is_fetched_as_can_be_verified_and_too_little_is_an_error() {
    use Require::{Checksum, None, Signature};
    for (published, keys, require, expected) in [
        ("", &[][..], None, Ok("")),
        ("c", &[], None, Ok("c")),
        ("", &[], Checksum, Err("no checksum")),
        ("c", &[], Checksum, Ok("c")),
        ("ls", &[], Checksum, Ok("c")),
        ("a", &[], Checksum, Err("no checksum")),
        ("a", &[OWNER], Checksum, Ok("a")),
        ("ls", &[OWNER], Checksum, Ok("sc")),
        ("l", &[OWNER], Checksum, Ok("c")),
        ("l", &[OWNER], Signature, Err("is not signed")),
        ("cs", &[OWNER], Signature, Err("is not signed")),
        ("ls", &[OWNER], Signature, Ok("sc")),
        ("lsa", &[OWNER], Signature, Ok("sc")),
        ("la", &[OWNER], Signature, Ok("ac")),
        ("lsa", &[], Signature, Err("lists no key")),
    ] {
        match (plan(published, keys, require), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{published}"),
            (Err(found), Err(expected)) => {
                assert!(found.to_string().contains(expected), "{found}");
            }
            (found, _) => panic!("{published:?} {require:?}: {found:?}"),
        }
    }
}

// The examples of minisign-verify: signatures of a file `test` with the content "test".
const OWNER: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
const LEGACY: &str = "untrusted comment: signature from minisign secret key
RWQf6LRCGA9i59SLOFxz6NxvASXDJeRtuZykwQepbDEGt87ig1BNpWaVWuNrm73YiIiJbq71Wi+dP9eKL8OC351vwIasSSbXxwA=
trusted comment: timestamp:1555779966\tfile:test
QtKMXWyYcwdpZAlPF7tE2ENJkRd1ujvKjlj1m9RtHTBnZPa5WKU5uWRs5GoP5M/VqE81QFuMKI5k/SfNQUaOAA==
";
const PREHASHED: &str = "untrusted comment: signature from minisign secret key
RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=
trusted comment: timestamp:1556193335\tfile:test
y/rUw2y8/hOUYjZU71eHp/Wo1KZ40fGy2VJEDl34XMJM+TX48Ss/17u3IvIfbVR1FkZZSNCisQbuQY+bHwhEBg==
";

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    Lack,
    Alarm,
}

#[test]
fn what_is_wrong_is_an_alarm_and_what_is_missing_or_unreadable_is_a_lack() {
    use Verdict::{Alarm, Good, Lack};
    let file = |name: &str, text: &str| ProofFile {
        name: name.to_owned(),
        content: text.as_bytes().to_owned(),
    };
    let list = |text: &str| Some(file("test", text));
    let signature = |text: &str| Some(file("test.minisig", text));
    let digest = "a".repeat(64);
    let listed = format!("{digest}  archive");
    let twice = format!("{listed}\n{}  archive", "b".repeat(64));
    let keys: [Key; 1] = [OWNER.parse().unwrap()];
    for (what, archive, checksums, checksums_signature, own, keys, expected) in [
        (
            "a list",
            "archive",
            list(&listed),
            None,
            None,
            &keys[..],
            Good,
        ),
        (
            "a list of others",
            "archive",
            list("x"),
            None,
            None,
            &keys,
            Lack,
        ),
        ("a page", "archive", list("<html>"), None, None, &keys, Lack),
        (
            "contradictions",
            "archive",
            list(&twice),
            None,
            None,
            &keys,
            Alarm,
        ),
        (
            "signed",
            "test",
            None,
            None,
            signature(PREHASHED),
            &keys,
            Good,
        ),
        (
            "signed, of the legacy form",
            "test",
            None,
            None,
            signature(LEGACY),
            &keys,
            Lack,
        ),
        (
            "a signature of another file",
            "archive",
            None,
            None,
            signature(PREHASHED),
            &keys,
            Alarm,
        ),
        (
            "a signature of a stranger",
            "test",
            None,
            None,
            signature(PREHASHED),
            &[],
            Alarm,
        ),
        (
            "a page for a signature",
            "test",
            None,
            None,
            signature("<html>"),
            &keys,
            Lack,
        ),
        (
            "half a signature",
            "test",
            None,
            None,
            signature(&PREHASHED[..200]),
            &keys,
            Lack,
        ),
        (
            "a signed list of others",
            "archive",
            list("test"),
            signature(PREHASHED),
            None,
            &keys,
            Lack,
        ),
        (
            "the same, of the legacy form",
            "archive",
            list("test"),
            signature(LEGACY),
            None,
            &keys,
            Lack,
        ),
        (
            "a list that was changed",
            "archive",
            list(&listed),
            signature(PREHASHED),
            None,
            &keys,
            Alarm,
        ),
        (
            "a list of others, and signed",
            "test",
            list("x"),
            None,
            signature(PREHASHED),
            &keys,
            Good,
        ),
    ] {
        let proofs = ProofFiles {
            checksums,
            checksums_signature,
            signature: own,
        };
        let verdict = match expect(archive, &proofs, keys) {
            Ok(_) => Good,
            Err(error) if error.kind() == Kind::Unfit => Alarm,
            Err(_) => Lack,
        };
        assert_eq!(verdict, expected, "{what}");
    }
}

#[test]
fn a_bad_digest_or_signature_of_the_archive_is_an_alarm() {
    let proofs = ProofFiles {
        checksums: None,
        checksums_signature: None,
        signature: Some(ProofFile {
            name: "test.minisig".to_owned(),
            content: PREHASHED.as_bytes().to_owned(),
        }),
    };
    let expected = expect("test", &proofs, &[OWNER.parse().unwrap()]).unwrap();
    for (content, good) in [("test", true), ("Test", false)] {
        let mut verifier = expected.verifier().unwrap();
        verifier.update(content.as_bytes());
        match expected.judge("test", "", Some(verifier)) {
            Ok(signer) => assert!(good && signer.as_deref() == Some(OWNER)),
            Err(error) => assert!(!good && error.kind() == Kind::Unfit),
        }
    }
}

#[test]
fn the_name_that_was_signed_is_found_in_the_comment() {
    assert_eq!(signed_name("timestamp:1\tfile:a b\thashed"), Some("a b"));
    assert_eq!(signed_name("release 1.0.0 of file:x"), None);
    assert_eq!(signed_name(""), None);
    for comment in ["file:dist/a", "file:./a", "file:C:\\dist\\a", "file:a"] {
        assert_eq!(base_name(signed_name(comment).unwrap()), "a");
    }
}

#[test]
fn without_a_signature_the_checksum_decides() {
    let expected = Expected {
        sha256: Some("aa".to_owned()),
        listed_by: Some("K".to_owned()),
        signature: None,
    };
    let bad = expected.judge("a", "ab", None).unwrap_err();
    assert_eq!(bad.kind(), Kind::Unfit);
    assert_eq!(expected.judge("a", "aa", None), Ok(Some("K".to_owned())));
}
