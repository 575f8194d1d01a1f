//! What is found where the release says it is, and installed.

use serde_json::Value;

use super::{ALL, Shop, archive, packed};
use crate::prebuilt::kit::{Key, sum_line, target};
use crate::support::files::tools;
use crate::support::forge::Served;

#[test]
fn an_archive_is_installed_from_where_the_release_says_it_is() {
    let shop = Shop::new("");
    for version in ["1.0.0", "1.1.0"] {
        shop.publish(version, ALL);
        shop.summed(version);
        let report = shop.assert_installs(version, "prebuilt");
        assert_eq!(report["notes"], Value::Array(Vec::new()));
    }
}

#[test]
fn a_remote_that_was_found_to_be_plain_git_is_one_of_these_also_for_a_named_release() {
    for named in [false, true] {
        let shop = Shop::with_forge("delivery = \"prebuilt\"");
        shop.publish("1.0.0", ALL);
        shop.summed("1.0.0");
        if named {
            let apply = shop.kit.self_update("apply --to 1.0.0");
            assert_eq!(apply.json()["delivery"], "prebuilt");
        } else {
            shop.assert_installs("1.0.0", "prebuilt");
        }
    }
}

#[test]
fn a_slot_that_is_there_already_is_used_without_another_look() {
    let shop = Shop::new("");
    for version in ["1.0.0", "1.1.0"] {
        shop.publish(version, ALL);
        shop.summed(version);
        shop.assert_installs(version, "prebuilt");
    }
    assert!(shop.fetches() > 0, "this is how a look shows");
    shop.kit.forge.forget();
    let apply = shop.kit.self_update("apply --to 1.0.0");
    assert_eq!(apply.reports(0, "updated")["delivery"], "prebuilt");
    assert_eq!(shop.fetches(), 0);
    assert!(shop.asked().is_empty());
}

#[test]
fn the_package_may_be_a_member_of_a_workspace() {
    for (members, folder) in [
        ("[\"other\", \"tools/hello\"]", "tools/hello/"),
        ("[\"tools/*\"]", "tools/cli/"),
        ("[\"*\"]", "greet/"),
    ] {
        let shop = Shop::new("delivery = \"prebuilt\"");
        shop.tree
            .write(
                "Cargo.toml",
                &format!(
                    "[workspace]\nmembers = {members}\n[workspace.package]\nrepository = \"{}/files/\"\n",
                    shop.kit.forge.url()
                ),
            )
            .write("other/Cargo.toml", "[package]\nname = \"other\"\n")
            .write("tools/broken/Cargo.toml", "this is no TOML");
        let table = "pkg-url = \"{ repo }/{ name }-{ version }-{ target }{ archive-suffix }\"";
        shop.write(folder, "1.0.0", table);
        let file = format!("{folder}Cargo.toml");
        let text = std::fs::read_to_string(shop.tree.folder.join(&file)).unwrap();
        let inherits = text.replace("edition", "repository.workspace = true\nedition");
        shop.tree.write(&file, &inherits);
        shop.release("1.0.0");
        shop.summed("1.0.0");
        shop.assert_installs("1.0.0", "prebuilt");
    }
}

#[test]
fn a_target_has_an_address_of_its_own() {
    let shop = Shop::new("delivery = \"prebuilt\"");
    let table = format!(
        "{ALL}\n[package.metadata.binstall.overrides.{}]\npkg-url = \"FILES/{{ target-arch }}/here.tgz\"\n\
         [package.metadata.binstall.overrides.x86_64-pc-windows-msvc]\npkg-fmt = \"zip\"",
        target()
    );
    shop.publish("1.0.0", &table);
    let name = format!("{}/here.tgz", std::env::consts::ARCH);
    let bytes = archive("1.0.0");
    shop.serve(&name, &bytes);
    let sums = format!("{}/SHA256SUMS", std::env::consts::ARCH);
    shop.serve(&sums, sum_line("here.tgz", &bytes).as_bytes());
    shop.assert_installs("1.0.0", "prebuilt");
}

#[test]
#[cfg(target_os = "linux")]
fn an_archive_for_musl_will_do_and_so_will_the_other_ending() {
    let shop = Shop::new("delivery = \"prebuilt\"");
    let table = "pkg-url = \"FILES/{ name }_{ target-libc }{ archive-suffix }\"\npkg-fmt = \"tgz\"";
    shop.publish("1.0.0", table);
    let bytes = archive("1.0.0");
    shop.serve("greet_musl.tar.gz", &bytes);
    let sum = sum_line("greet_musl.tar.gz", &bytes);
    shop.serve("greet_musl.tar.gz.sha256", sum.as_bytes());
    shop.assert_installs("1.0.0", "prebuilt");
    let asked = shop.asked();
    let gnu = asked.iter().filter(|name| name.contains("gnu")).count();
    assert!(gnu <= 2, "what is not there is asked for once: {asked:?}");
}

#[test]
fn a_good_signature_is_found_beside_the_list_or_the_archive() {
    let signer = Value::from(format!("minisign {}", Key::owner().public));
    let shop = Shop::trusting_the_owner();
    shop.publish("1.0.0", ALL);
    let (name, bytes) = shop.archive("1.0.0");
    let signature = Key::owner().sign(&name, &bytes, &[]);
    shop.serve(&format!("{name}.minisig"), &signature);
    assert_eq!(
        shop.assert_installs("1.0.0", "prebuilt")["signed_by"],
        signer
    );

    shop.publish("1.1.0", ALL);
    let (name, bytes) = shop.archive("1.1.0");
    let sums = sum_line(&name, &bytes);
    shop.serve("SHA256SUMS", sums.as_bytes());
    let signature = Key::owner().sign("SHA256SUMS", sums.as_bytes(), &[]);
    shop.serve("SHA256SUMS.minisig", &signature);
    assert_eq!(
        shop.assert_installs("1.1.0", "prebuilt")["signed_by"],
        signer
    );
}

#[test]
fn every_kind_of_archive_is_known_by_its_beginning() {
    for (format, ending) in [
        ("tgz", "tar.gz"),
        ("txz", "tar.xz"),
        ("tbz2", "tar.bz2"),
        ("tzstd", "tar.zst"),
        ("zip", "zip"),
    ] {
        let shop = Shop::new("delivery = \"prebuilt\"\n[self-update.trust]\nrequire = \"none\"");
        let table = format!("pkg-url = \"FILES/greet{{ archive-suffix }}\"\npkg-fmt = {format:?}");
        shop.publish("1.0.0", &table);
        shop.serve(&format!("greet.{ending}"), &packed("1.0.0", ending));
        shop.assert_installs("1.0.0", "prebuilt");
    }
}

#[test]
fn a_server_that_sends_the_whole_file_where_its_beginning_was_asked_for_will_do() {
    let shop = Shop::new("delivery = \"prebuilt\"");
    shop.publish("1.0.0", ALL);
    let (name, bytes) = shop.summed("1.0.0");
    let whole = Served {
        ranges: false,
        ..Served::new(&bytes)
    };
    shop.kit.forge.serve(&format!("/files/{name}"), whole);
    shop.assert_installs("1.0.0", "prebuilt");
}

#[test]
fn behind_a_page_the_archive_that_is_there_is_found() {
    let shop = Shop::new("delivery = \"prebuilt\"");
    shop.publish("1.0.0", "pkg-url = \"FILES/greet{ archive-suffix }\"");
    for name in ["greet.tgz", "greet.tgz.sha256"] {
        shop.welcome(name);
    }
    let bytes = archive("1.0.0");
    shop.serve("greet.tar.gz", &bytes);
    // This list is of another archive; the checksum of this one is beside it.
    shop.serve("SHA256SUMS", sum_line("other.tar.gz", &bytes).as_bytes());
    let sum = sum_line("greet.tar.gz", &bytes);
    shop.serve("greet.tar.gz.sha256", sum.as_bytes());
    shop.assert_installs("1.0.0", "prebuilt");
}

#[test]
fn the_doctor_demands_no_cargo_where_the_release_has_an_archive() {
    let shop = Shop::new("");
    shop.publish("1.0.0", ALL);
    let programs = shop.kit.path.join("programs");
    tools(&programs, &["git"]);
    let of_cargo = || {
        let doctor = shop.kit.self_update("doctor").env("PATH", &programs);
        let said = doctor.ends().json();
        let rows = said["rows"].as_array().unwrap();
        let row = rows.iter().find(|row| row["name"] == "cargo");
        row.unwrap_or_else(|| panic!("{said:#}"))["status"].clone()
    };
    assert_eq!(of_cargo(), "problem");
    shop.summed("1.0.0");
    assert_eq!(of_cargo(), "warning");
}
