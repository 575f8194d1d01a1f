//! Archives that are what they should be.

use std::fs;

use super::kit::{Key, Kit, TAG, archive, lay_out, pack, stem, sum_line, tool};
use crate::support::files::entries;
use crate::support::forge::{Attached, Forge, Published, Speaks};
use crate::support::programs::heph;

#[test]
fn every_kind_of_archive_is_installed() {
    for ending in ["tar.gz", "tgz", "tar.bz2", "tar.xz", "tar.zst", "zip"] {
        let kit = Kit::new();
        kit.publish(ending, &archive("1.0.0", ending));
        kit.assert_updates();
        let slot = kit.data().join("versions/1.0.0");
        assert_eq!(entries(&slot), ["bin", "release.json"], "{ending}");
        assert_eq!(entries(&slot.join("bin")), ["heph", "hephd"]);
        assert_eq!(kit.manifest()["signed_by"], serde_json::Value::Null);
        assert!(entries(&kit.downloads()).is_empty(), "nothing is left");
    }
}

#[test]
fn archives_are_found_without_a_folder_and_in_bin() {
    let folder = tempfile::tempdir().unwrap();
    lay_out(&folder.path().join("bin"), "1.0.0");
    let kit = Kit::new();
    kit.publish("tar.xz", &pack(folder.path(), "bin", "tar.xz"));
    kit.assert_updates();

    let folder = tempfile::tempdir().unwrap();
    let flat = folder.path().join("flat");
    lay_out(&flat, "1.0.0");
    tool("tar", &flat, "--zstd -cf ../flat.tar.zst .");
    let bytes = fs::read(folder.path().join("flat.tar.zst")).unwrap();
    let kit = Kit::new();
    kit.publish("tar.zst", &bytes);
    kit.assert_updates();
}

#[test]
fn long_names_of_gnu_and_of_posix_are_understood() {
    for format in ["gnu", "posix", "ustar", "v7"] {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().join(stem());
        lay_out(&top, "1.0.0");
        let long = match format {
            "v7" => "short".to_owned(),
            "ustar" => format!("{}/{}", "a".repeat(90), "b".repeat(90)),
            _ => format!("{}/{}", "a".repeat(200), "b".repeat(200)),
        };
        let file = top.join("doc").join(long);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "x").unwrap();
        let option = format!("--format={format}");
        tool("tar", folder.path(), &[&option, "-czf", "a.tgz", &stem()]);
        let kit = Kit::new();
        kit.publish("tar.gz", &fs::read(folder.path().join("a.tgz")).unwrap());
        kit.assert_updates();
    }
}

#[test]
fn several_streams_in_one_file_are_one_archive() {
    let folder = tempfile::tempdir().unwrap();
    lay_out(&folder.path().join(stem()), "1.0.0");
    for (ending, packer) in [
        ("tar.gz", "gzip"),
        ("tar.bz2", "bzip2"),
        ("tar.xz", "xz"),
        ("tar.zst", "zstd"),
    ] {
        let script = format!(
            "set -e; tar -cf all.tar {0}; head -c 3000 all.tar > one; tail -c +3001 all.tar > two; \
             {packer} -c one > whole; {packer} -c two >> whole",
            stem()
        );
        tool("sh", folder.path(), &["-c", &script]);
        let kit = Kit::new();
        kit.publish(ending, &fs::read(folder.path().join("whole")).unwrap());
        kit.assert_updates();
    }
}

#[test]
fn a_signed_list_of_checksums_names_its_signer_in_the_history() {
    let kit = Kit::new().trusting(&[Key::next(), Key::owner()]);
    kit.publish_signed("tar.gz", &archive("1.0.0", "tar.gz"), Key::owner());
    let report = kit.assert_updates();
    let signer = format!("minisign {}", Key::owner().public);
    assert_eq!(report["signed_by"], signer);
    assert_eq!(kit.manifest()["signed_by"], signer);
    kit.heph("self-update history")
        .exits(0)
        .says(&Key::owner().public);
    let runs = kit.heph("self-update history --json").json();
    assert_eq!(runs["runs"][0]["delivery"], "prebuilt");
    assert_eq!(runs["runs"][0]["signed_by"], signer);
}

#[test]
fn a_signature_of_the_archive_itself_is_as_good() {
    let kit = Kit::new().trusting(&[Key::owner()]);
    let name = format!("{}.tar.zst", stem());
    let bytes = archive("1.0.0", "tar.zst");
    kit.attach(&name, &bytes);
    let signature = Key::owner().sign(&name, &bytes, &["-t", "a comment of one's own"]);
    kit.attach(&format!("{name}.minisig"), &signature);
    kit.assert_updates();
}

#[test]
fn a_checksum_beside_the_archive_is_enough_without_keys() {
    let kit = Kit::new();
    let name = format!("{}.tar.gz", stem());
    let bytes = archive("1.0.0", "tar.gz");
    kit.attach(&name, &bytes);
    let digest = sum_line(&name, &bytes);
    let digest = digest.split(' ').next().unwrap();
    kit.attach(&format!("{name}.sha256"), digest.as_bytes());
    kit.assert_updates();
}

#[test]
fn nothing_need_vouch_for_an_archive_where_the_settings_say_so() {
    let kit = Kit::new().asking("delivery = \"prebuilt\"\n[self-update.trust]\nrequire = \"none\"");
    kit.attach(&format!("{}.zip", stem()), &archive("1.0.0", "zip"));
    kit.assert_updates();
}

#[test]
fn the_files_of_github_and_gitlab_are_found_too() {
    for (speaks, forge) in [(Speaks::Github, "github"), (Speaks::Gitlab, "gitlab")] {
        let mut kit = Kit::new();
        kit.forge = Forge::speaking(speaks);
        kit.forge.publish(Published::new(TAG));
        kit.tag();
        let kit = kit.asking("delivery = \"prebuilt\"");
        let file = kit.path.join(".config/heph/config.toml");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(file, text.replace("\"forgejo\"", &format!("{forge:?}"))).unwrap();
        kit.publish("tar.gz", &archive("1.0.0", "tar.gz"));
        kit.assert_updates();
    }
}

#[test]
fn an_answer_that_has_not_changed_still_has_its_files() {
    let kit = Kit::new().asking("delivery = \"prebuilt\"\nmode = \"notify\"");
    kit.publish("tar.gz", &archive("1.0.0", "tar.gz"));
    kit.heph("self-update check").exits(100);
    kit.forge.forget();
    kit.assert_updates();
    let first = kit.forge.seen().remove(0);
    assert!(first.headers.contains_key("if-none-match"));
}

#[test]
fn a_release_that_is_named_has_its_files_too() {
    let kit = Kit::new();
    kit.publish("tar.gz", &archive("1.0.0", "tar.gz"));
    kit.assert_updates_with("apply --to 1.0.0");
}

#[test]
fn other_files_of_the_release_are_left_alone() {
    let kit = Kit::new();
    kit.forge.unpublish();
    let mut release = Published::new(TAG);
    release.assets = ["../../etc/passwd", "x y", "heph.tar.gz", "http"]
        .map(|name| Attached {
            name: name.to_owned(),
            url: "http://forge.example/evil".to_owned(),
            size: None,
        })
        .to_vec();
    kit.forge.publish(release);
    kit.publish("tar.gz", &archive("1.0.0", "tar.gz"));
    kit.assert_updates();
}

#[test]
fn on_a_terminal_a_bar_shows_how_much_has_arrived() {
    let kit = Kit::new();
    kit.publish("tar.gz", &super::downloads::large());
    let line = format!("'{}' self-update apply", heph().display());
    // script(1) runs it on a terminal of its own.
    let script = kit.command("script");
    let script = script.args(&["-qec", &line, "/dev/null"]);
    script.exits(0).says("downloading  #");
}
