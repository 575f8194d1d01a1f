//! What is missing, not enough, or bad.

use heph::error::Exit;
use heph::release::Tag;
use heph::release::cargo_toml::CargoTomls;

use super::{ALL, Shop};
use crate::prebuilt::kit::{Key, sum_line};
use crate::support::http::Reply;

#[test]
fn without_the_signature_that_is_required_nothing_is_installed() {
    let shop = Shop::trusting_the_owner();
    shop.publish("1.0.0", ALL);
    let (name, _) = shop.summed("1.0.0");
    shop.assert_refused("is not signed", false);
    // A page is no signature.
    shop.welcome(&format!("{name}.minisig"));
    shop.welcome("SHA256SUMS");
    shop.welcome("SHA256SUMS.minisig");
    shop.assert_refused("is not signed", false);
}

#[test]
fn a_signature_of_somebody_else_is_an_alarm() {
    let shop = Shop::trusting_the_owner();
    shop.publish("1.0.0", ALL);
    let (name, bytes) = shop.archive("1.0.0");
    let signature = Key::stranger().sign(&name, &bytes, &[]);
    shop.serve(&format!("{name}.minisig"), &signature);
    shop.assert_refused("not made by a key in", true);
}

#[test]
fn a_wrong_checksum_is_an_alarm_and_no_reason_to_build() {
    let shop = Shop::new("");
    shop.publish("1.0.0", ALL);
    shop.summed("1.0.0");
    shop.assert_installs("1.0.0", "prebuilt");

    shop.publish("1.1.0", ALL);
    let (name, _) = shop.archive("1.1.0");
    let wrong = sum_line(&name, b"another archive");
    shop.serve(&format!("{name}.sha256"), wrong.as_bytes());
    shop.assert_refused("is not what its owner published", true);
    shop.kit.self_update("apply").reports(0, "skipped");
}

#[test]
fn a_list_that_contradicts_itself_is_an_alarm() {
    let shop = Shop::new("");
    shop.publish("1.0.0", ALL);
    let (name, bytes) = shop.archive("1.0.0");
    let list = sum_line(&name, &bytes) + &sum_line(&name, b"another archive");
    shop.serve("SHA256SUMS", list.as_bytes());
    shop.assert_refused("two different checksums", true);
}

#[test]
fn an_archive_that_cannot_be_read_is_a_reason_to_build() {
    let shop = Shop::new("");
    shop.publish("1.0.0", ALL);
    let (name, bytes) = shop.archive("1.0.0");
    let half = &bytes[..bytes.len() / 2];
    shop.serve(&name, half);
    shop.serve("SHA256SUMS", sum_line(&name, half).as_bytes());
    shop.assert_builds("1.0.0", "cannot be read");
}

#[test]
fn an_archive_that_is_spoilt_at_its_beginning_is_an_alarm_where_a_checksum_names_it() {
    let shop = Shop::new("");
    shop.publish("1.0.0", ALL);
    let (name, mut bytes) = shop.summed("1.0.0");
    bytes[0] ^= 1;
    shop.serve(&name, &bytes);
    shop.assert_refused("is not what its owner published", true);
}

#[test]
fn a_page_for_every_name_vouches_for_nothing_and_blames_nobody() {
    let beside = |shop: &Shop, name: &str| {
        for beside in ["SHA256SUMS", &format!("{name}.sha256")] {
            shop.welcome(beside);
        }
    };
    // The archive is there, and nothing else is.
    let shop = Shop::new("delivery = \"prebuilt\"");
    shop.publish("1.0.0", ALL);
    let (name, _) = shop.archive("1.0.0");
    beside(&shop, &name);
    shop.assert_refused("there is no checksum", false);

    let shop = Shop::new("delivery = \"prebuilt\"\n[self-update.trust]\nrequire = \"none\"");
    shop.publish("1.0.0", ALL);
    let (name, _) = shop.archive("1.0.0");
    beside(&shop, &name);
    shop.assert_installs("1.0.0", "prebuilt");

    // Not even the archive is.
    let shop = Shop::new("delivery = \"prebuilt\"\n[self-update.trust]\nrequire = \"none\"");
    shop.publish("1.0.0", ALL);
    let (name, _) = shop.archive("1.0.0");
    beside(&shop, &name);
    shop.welcome(&name);
    let musl = name.replace("-gnu", "-musl");
    shop.welcome(&musl);
    beside(&shop, &musl);
    shop.assert_refused("is not an archive", false);
}

#[test]
fn where_no_archive_is_there_cargo_builds_if_it_may() {
    let shop = Shop::new("");
    shop.publish("1.0.0", ALL);
    shop.assert_builds("1.0.0", "has no archive of 'greet' at 'http://");

    let shop = Shop::new("delivery = \"prebuilt\"");
    shop.publish("1.0.0", ALL);
    shop.assert_refused("has no archive of 'greet' at 'http://", false);
}

#[test]
fn where_the_template_needs_more_than_is_known_cargo_builds() {
    let shop = Shop::new("");
    shop.publish("1.0.0", "pkg-url = \"FILES/{ bin }.tgz\"");
    shop.assert_builds("1.0.0", "its `pkg-url` has the unknown key");
    assert!(shop.asked().is_empty());

    let shop = Shop::new("delivery = \"prebuilt\"");
    shop.publish("1.0.0", "pkg-url = \"http://example.org/greet.tgz\"");
    shop.assert_refused("plain http is for loopback only", false);
}

#[test]
fn a_release_without_the_table_offers_nothing() {
    let shop = Shop::new("delivery = \"prebuilt\"");
    shop.publish("1.0.0", "");
    shop.assert_refused("v1.0.0 offers no files", false);
}

#[test]
fn a_manifest_of_excess_size_or_none_of_the_package_is_as_good_as_none() {
    let shop = Shop::new("delivery = \"prebuilt\"");
    shop.publish("1.0.0", &format!("{ALL}\n#{}", "x".repeat(64 * 1024)));
    shop.summed("1.0.0");
    shop.assert_refused("has no Cargo.toml of 'greet'", false);
    assert!(shop.asked().is_empty());
}

#[test]
fn a_tag_that_leads_elsewhere_by_now_is_for_another_time() {
    let shop = Shop::new("");
    shop.publish("1.0.0", ALL);
    let tag = Tag::try_from("v1.0.0".to_owned()).unwrap();
    let folder = shop.kit.path.join("look");
    let url = shop.kit.forge.repository();
    let error = CargoTomls::fetch(&url, &tag, &"1".repeat(40), &folder).unwrap_err();
    assert_eq!(error.exit(), Exit::TryLater);
    assert!(error.one_line().contains("v1.0.0 changed"), "{error:?}");
}

#[test]
fn without_git_the_error_says_so() {
    let shop = Shop::new("delivery = \"prebuilt\"");
    shop.publish("1.0.0", ALL);
    shop.summed("1.0.0");
    let apply = shop.kit.heph("self-update apply");
    let without_git = apply.env("PATH", "/nonexistent").exits(1);
    without_git.complains("cannot find git");
}

#[test]
fn a_server_that_is_away_is_a_reason_to_build_or_to_come_back() {
    let shop = Shop::new("delivery = \"prebuilt\"");
    shop.publish("1.0.0", ALL);
    let (name, _) = shop.summed("1.0.0");
    let away = Reply::with(503, &[], "");
    let path = format!("/files/{name}");
    shop.kit
        .forge
        .scripts(&path, vec![away.clone(), Reply::Normal]);
    shop.kit.self_update("apply").reports(75, "unreachable");
    shop.assert_installs("1.0.0", "prebuilt");

    let shop = Shop::new("");
    shop.publish("1.0.0", ALL);
    let (name, _) = shop.summed("1.0.0");
    shop.kit.forge.script(&format!("/files/{name}"), away);
    shop.assert_builds("1.0.0", "status 503");
}

#[test]
fn where_cargo_is_asked_for_the_manifest_is_not_even_looked_at() {
    let shop = Shop::new("delivery = \"cargo\"");
    shop.publish("1.0.0", ALL);
    shop.summed("1.0.0");
    shop.assert_installs("1.0.0", "cargo");
    assert!(shop.asked().is_empty());
}

#[test]
fn where_no_signature_could_count_nothing_is_looked_for() {
    let shop = Shop::new("delivery = \"prebuilt\"\n[self-update.trust]\nrequire = \"signature\"");
    shop.publish("1.0.0", ALL);
    shop.summed("1.0.0");
    shop.assert_refused("lists no key", false);
    assert_eq!(shop.fetches(), 0);
}
