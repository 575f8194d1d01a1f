//! The judgement, by table and by property.

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::release::Tag;

const COMMIT: &str = "1111111111111111111111111111111111111111";
const OTHER: &str = "2222222222222222222222222222222222222222";
const OBJECT: &str = "3333333333333333333333333333333333333333";

fn advertised() -> Advertised {
    let version = semver::Version::new(1, 2, 0);
    Advertised {
        tag: Tag::of("v", &version),
        version,
        object: OBJECT.to_owned(),
        commit: COMMIT.to_owned(),
    }
}

fn lightweight() -> Advertised {
    Advertised {
        object: COMMIT.to_owned(),
        ..advertised()
    }
}

fn object() -> TagObject<'static> {
    TagObject {
        target: COMMIT,
        kind: "commit",
        name: "v1.2.0",
        payload: b"",
        signature: Signature::Ssh(b"x"),
    }
}

fn good() -> Option<SignatureCheck> {
    Some(SignatureCheck::Valid("alice".to_owned()))
}

fn unsupported() -> Option<SignatureCheck> {
    Some(SignatureCheck::Unsupported("X.509".to_owned()))
}

fn bad() -> Option<SignatureCheck> {
    Some(SignatureCheck::Invalid("no".to_owned()))
}

/// Returns "proven", "unproven" or "refused".
fn word(proof: &Proof) -> &'static str {
    match proof {
        Proof::Proven(_) => "proven",
        Proof::Unproven(_) => "unproven",
        Proof::Refused(_) => "refused",
    }
}

#[test]
fn a_tag_is_proven_only_when_all_agrees() {
    let signed = object();
    let unsigned = TagObject {
        signature: Signature::None,
        ..object()
    };
    let renamed = TagObject {
        name: "v1.1.0",
        ..object()
    };
    let of_a_tree = TagObject {
        kind: "tree",
        ..object()
    };
    let elsewhere = TagObject {
        target: OTHER,
        ..object()
    };
    let broken = Error::new("no");
    let (annotated, light) = (advertised(), lightweight());
    for (name, advertised, object, verdict, required, not_required) in [
        (
            "signed",
            &annotated,
            Some(Ok(&signed)),
            good(),
            "proven",
            "proven",
        ),
        (
            "badly signed",
            &annotated,
            Some(Ok(&signed)),
            bad(),
            "refused",
            "refused",
        ),
        (
            "signed by a kind of key that is not configured",
            &annotated,
            Some(Ok(&signed)),
            unsupported(),
            "refused",
            "unproven",
        ),
        (
            "not judged",
            &annotated,
            Some(Ok(&signed)),
            None,
            "refused",
            "refused",
        ),
        (
            "unsigned",
            &annotated,
            Some(Ok(&unsigned)),
            None,
            "refused",
            "unproven",
        ),
        (
            "a verdict of nothing",
            &annotated,
            Some(Ok(&unsigned)),
            good(),
            "refused",
            "unproven",
        ),
        ("lightweight", &light, None, None, "refused", "unproven"),
        (
            "not fetched",
            &annotated,
            None,
            good(),
            "refused",
            "refused",
        ),
        (
            "broken",
            &annotated,
            Some(Err(&broken)),
            None,
            "refused",
            "refused",
        ),
        (
            "renamed",
            &annotated,
            Some(Ok(&renamed)),
            good(),
            "refused",
            "refused",
        ),
        (
            "of a tree",
            &annotated,
            Some(Ok(&of_a_tree)),
            good(),
            "refused",
            "refused",
        ),
        (
            "elsewhere",
            &annotated,
            Some(Ok(&elsewhere)),
            good(),
            "refused",
            "refused",
        ),
    ] {
        for (require, keys, expected) in [
            (Require::Signature, true, required),
            (Require::Checksum, true, not_required),
            (Require::None, true, "unproven"),
            (Require::Signature, false, "unproven"),
            (Require::Checksum, false, "unproven"),
        ] {
            let proof = judge(Evidence {
                advertised,
                require,
                keys,
                object,
                signature: verdict.clone(),
            });
            assert_eq!(word(&proof), expected, "{name}, {require:?}, keys: {keys}");
        }
    }
}

#[test]
fn a_build_needs_what_the_settings_require() {
    let origin = |proof| Origin {
        commit: COMMIT.to_owned(),
        proof,
    };
    let proven = origin(Proof::Proven("a".to_owned()));
    let unproven = origin(Proof::Unproven("b".to_owned()));
    let refused = origin(Proof::Refused("c".to_owned()));
    for (require, admitted) in [
        (Require::Signature, [true, false, false]),
        (Require::Checksum, [true, true, false]),
        (Require::None, [true, true, false]),
    ] {
        let found = [&proven, &unproven, &refused].map(|o| o.objection_to_build(require).is_none());
        assert_eq!(found, admitted, "{require:?}");
    }
    assert_eq!(proven.signed_by(), Some("a"));
    assert_eq!(unproven.signed_by(), None);
}

#[test]
fn a_moved_tag_is_told_with_both_commits() {
    let seen = |commit: &str| SeenTag {
        repository: "r".to_owned(),
        tag: "v1.2.0".to_owned(),
        commit: commit.to_owned(),
        at: Timestamp::UNIX_EPOCH,
        chosen: true,
        signed_by: None,
    };
    assert_eq!(moved(&advertised(), None), None);
    assert_eq!(moved(&advertised(), Some(&seen(COMMIT))), None);
    let sentence = moved(&advertised(), Some(&seen(OTHER))).unwrap();
    assert!(
        sentence.contains(COMMIT) && sentence.contains(OTHER),
        "{sentence}"
    );
}

proptest! {
    #[test]
    fn nothing_is_proven_without_a_good_signature_over_this_name_and_this_commit(
        name in prop::sample::select(vec!["v1.2.0", "v1.2.1", "v1.2.0 ", "V1.2.0", ""]),
        kind in prop::sample::select(vec!["commit", "tree", "tag"]),
        target in prop::sample::select(vec![COMMIT, OTHER, OBJECT]),
        signed in any::<bool>(),
        verdict in prop::sample::select(vec![good(), bad(), unsupported(), None]),
        annotated in any::<bool>(),
        require in prop::sample::select(vec![Require::None, Require::Checksum, Require::Signature]),
        keys in any::<bool>(),
    ) {
        let advertised = if annotated { advertised() } else { lightweight() };
        let signature = if signed { Signature::Ssh(b"x") } else { Signature::None };
        let object = TagObject { target, kind, name, payload: b"", signature };
        let all = keys && annotated && name == "v1.2.0" && kind == "commit" && target == COMMIT
            && signed && verdict == good() && require != Require::None;
        let proof = judge(Evidence {
            advertised: &advertised, require, keys, object: Some(Ok(&object)), signature: verdict,
        });
        prop_assert_eq!(matches!(proof, Proof::Proven(_)), all);
        if require == Require::Signature && keys && !all {
            prop_assert_eq!(word(&proof), "refused");
        }
    }
}
