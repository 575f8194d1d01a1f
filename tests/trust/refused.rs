//! The attack table: releases that pretend to be the owner's.

use super::owner::{head, object_of, tag_with};
use super::table::{hold, refused, trouble};
use crate::support::forge::git;

#[test]
fn tags_that_nobody_listed_has_signed() {
    hold(&[
        refused(
            "an annotated tag without a signature",
            |place| drop(place.unsigned("1.1.0")),
            &["not signed"],
        ),
        refused(
            "a lightweight tag in place of an annotated one",
            |place| {
                place.commit("1.1.0");
                git(&place.tree.folder, "tag v1.1.0");
                place.publish("v1.1.0");
            },
            &["lightweight"],
        ),
        refused(
            "the signature of a key that is not listed",
            |place| {
                let commit = place.commit("1.1.0");
                place.mallory.tags(&place.tree, "v1.1.0", &commit);
                place.publish("v1.1.0");
            },
            &["no listed key made it"],
        ),
        refused(
            "an empty list of signers",
            |place| {
                place.trust("# nobody\n");
                place.signed("1.1.0");
            },
            &["no listed key made it"],
        ),
        refused(
            "a key that has expired, under a date before that",
            |place| {
                place.trust(&place.alice.line("valid-before=\"20260601\""));
                place.signed("1.1.0");
            },
            &["no listed key made it", "valid now"],
        ),
        refused(
            "a key that is not valid yet",
            |place| {
                place.trust(&place.alice.line("valid-after=\"20990101\""));
                place.signed("1.1.0");
            },
            &["no listed key made it"],
        ),
        refused(
            "a key that is listed for another namespace",
            |place| {
                place.trust(&place.alice.line("namespaces=\"file\""));
                place.signed("1.1.0");
            },
            &["signature of the tag v1.1.0 is not valid"],
        ),
        refused(
            "a listed key that is no certificate authority's",
            |place| {
                place.trust(&place.alice.line("cert-authority"));
                place.signed("1.1.0");
            },
            &["no listed key made it"],
        ),
    ]);
}

#[test]
fn signatures_over_something_else() {
    hold(&[
        refused(
            "a signature of a file in place of a tag's",
            |place| {
                let commit = place.commit("1.1.0");
                let head = head("v1.1.0", &commit);
                let signature = place.alice.signs(head.as_bytes(), "file");
                tag_with(
                    &place.tree,
                    "v1.1.0",
                    &[head.as_bytes(), &signature].concat(),
                );
                place.publish("v1.1.0");
            },
            &["signature of the tag v1.1.0 is not valid"],
        ),
        refused(
            "the signature of another tag",
            |place| {
                place.signed("1.0.1");
                let object = object_of(&place.tree, "v1.0.1");
                let at = object.find("-----BEGIN").unwrap();
                let commit = place.commit("1.1.0");
                let content = head("v1.1.0", &commit) + &object[at..];
                tag_with(&place.tree, "v1.1.0", content.as_bytes());
                place.publish("v1.1.0");
            },
            &["signature of the tag v1.1.0 is not valid"],
        ),
        refused(
            "a signed tag whose message was changed",
            |place| {
                place.signed("1.1.0");
                let object = object_of(&place.tree, "v1.1.0");
                let content = object.replacen("\n\nv1.1.0\n", "\n\nv1.1.0!\n", 1);
                assert_ne!(content, object);
                tag_with(&place.tree, "v1.1.0", content.as_bytes());
                place.publish("v1.1.0");
            },
            &["signature of the tag v1.1.0 is not valid"],
        ),
        refused(
            "a signed tag that was made to point at another commit",
            |place| {
                let good = place.signed("1.1.0");
                let object = object_of(&place.tree, "v1.1.0");
                place.tree.write("build.rs", "fn main() {}");
                let evil = place.commit("1.1.0");
                tag_with(
                    &place.tree,
                    "v1.1.0",
                    object.replace(&good, &evil).as_bytes(),
                );
                place.publish("v1.1.0");
            },
            &["signature of the tag v1.1.0 is not valid"],
        ),
        refused(
            "the signed tag of an older release under a newer name",
            |place| {
                place.signed("1.0.1");
                let object = git(&place.tree.folder, "rev-parse v1.0.1");
                git(
                    &place.tree.folder,
                    &["update-ref", "refs/tags/v1.1.0", object.trim()],
                );
                place.publish("v1.1.0");
            },
            &["really the tag \"v1.0.1\" under another name"],
        ),
        refused(
            "a signed tag of a signed tag",
            |place| {
                place.signed("1.0.1");
                place.alice.tags(&place.tree, "v1.1.0", "v1.0.1");
                place.publish("v1.1.0");
            },
            &["is one of a tag, not of a commit"],
        ),
        refused(
            "two signatures, the second of somebody else",
            |place| {
                place.signed("1.1.0");
                let object = object_of(&place.tree, "v1.1.0");
                let more = place.mallory.signs(object.as_bytes(), "git");
                tag_with(&place.tree, "v1.1.0", &[object.as_bytes(), &more].concat());
                place.publish("v1.1.0");
            },
            &["no listed key made it"],
        ),
        refused(
            "words behind the signature",
            |place| {
                place.signed("1.1.0");
                let object = object_of(&place.tree, "v1.1.0") + "and more\n";
                tag_with(&place.tree, "v1.1.0", object.as_bytes());
                place.publish("v1.1.0");
            },
            &["does not end with the tag"],
        ),
        refused(
            "a second name in the head",
            |place| {
                let commit = place.commit("1.1.0");
                let head =
                    head("v1.0.1", &commit).replacen("\n\n", "\nencoding x\ntag v1.1.0\n\n", 1);
                let signature = place.alice.signs(head.as_bytes(), "git");
                tag_with(
                    &place.tree,
                    "v1.1.0",
                    &[head.as_bytes(), &signature].concat(),
                );
                place.publish("v1.1.0");
            },
            &["an unknown header"],
        ),
        refused(
            "a tag object of megabytes",
            |place| {
                let commit = place.commit("1.1.0");
                let content = head("v1.1.0", &commit) + &"x".repeat(3 << 20);
                tag_with(&place.tree, "v1.1.0", content.as_bytes());
                place.publish("v1.1.0");
            },
            &["larger than"],
        ),
    ]);
}

#[test]
fn a_forge_that_lies() {
    hold(&[
        refused(
            "a signed tag, advertised with another commit",
            |place| {
                let good = place.signed("1.1.0");
                let other = git(&place.tree.folder, "rev-parse v1.0.0^{}");
                place.advertise_once(&good, other.trim());
            },
            &["is of the commit", "but the repository advertises"],
        ),
        refused(
            "an annotated tag, advertised as a lightweight one",
            |place| {
                place.signed("1.1.0");
                place.advertise_once("refs/tags/v1.1.0^{}", "refs/tags/v1.1.0-xy");
            },
            &["lightweight"],
        ),
        trouble(
            "a tag object that the server does not have",
            |place| {
                place.signed("1.1.0");
                let object = git(&place.tree.folder, "rev-parse v1.1.0");
                place.advertise_once(object.trim(), &"1".repeat(40));
            },
            75,
            "unreachable",
            &["changed while it was fetched"],
        ),
        trouble(
            "a feed that names a tag which is not there",
            |place| place.offer("v1.1.0"),
            0,
            "skipped",
            &["the repository has no such tag yet"],
        ),
        trouble(
            "a tag that is advertised twice",
            |place| {
                place.signed("1.1.0");
                place.advertise_once("refs/tags/v1.0.0\n", "refs/tags/v1.1.0\n");
            },
            1,
            "failed",
            &["twice"],
        ),
        trouble(
            "a git remote that is away",
            |place| {
                place.signed("1.1.0");
                let path = format!("/{}/info/refs", crate::support::forge::PROJECT);
                place
                    .forge
                    .script(&path, crate::support::http::Reply::with(503, &[], ""));
            },
            75,
            "unreachable",
            &["503"],
        ),
        trouble(
            "a pack that is cut off",
            |place| {
                place.signed("1.1.0");
                let path = format!("/{}/git-upload-pack", crate::support::forge::PROJECT);
                place.forge.script(
                    &path,
                    crate::support::http::Reply::with(
                        200,
                        &[("Content-Type", "application/x-git-upload-pack-result")],
                        "0008NAK\nPACK",
                    ),
                );
            },
            75,
            "unreachable",
            &["cannot fetch the tag v1.1.0"],
        ),
    ]);
}

#[test]
fn machines_that_cannot_verify() {
    hold(&[
        trouble(
            "no ssh-keygen",
            |place| {
                place.signed("1.1.0");
                place.only_programs(&["git", "cargo"]);
            },
            1,
            "failed",
            &["cannot find ssh-keygen"],
        ),
        trouble(
            "no git",
            |place| {
                place.signed("1.1.0");
                place.only_programs(&["ssh-keygen", "cargo"]);
            },
            1,
            "failed",
            &["cannot find git"],
        ),
        trouble(
            "a list of signers that is not there",
            |place| {
                place.signed("1.1.0");
                place.settings("[self-update.trust]\ntag-signers = '/nonexistent/signers'");
            },
            2,
            "failed",
            &["there is no file '/nonexistent/signers'"],
        ),
        trouble(
            "a list of signers that is a folder",
            |place| {
                place.signed("1.1.0");
                place.settings("[self-update.trust]\ntag-signers = '/'");
            },
            2,
            "failed",
            &["cannot read a file of trusted keys"],
        ),
        trouble(
            "a signature required, and no key for tags",
            |place| {
                place.signed("1.1.0");
                place.settings("[self-update.trust]\nrequire = 'signature'");
            },
            1,
            "failed",
            &["from source: no key for tags"],
        ),
    ]);
}
