//! What earlier builds left may be damaged by a power cut: then it is built once more without, with the real cargo.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::scene::Scene;
use crate::support::files::{entries, script};

/// Makes what is left of a file from its content.
type Damage = fn(&[u8]) -> Vec<u8>;

/// What a power cut does to a file whose blocks were not on disk yet.
const DAMAGES: [(&str, Damage); 3] = [
    ("empty", |_| Vec::new()),
    ("short", |bytes| bytes[..bytes.len() / 2].to_vec()),
    ("zeros", |bytes| vec![0; bytes.len()]),
];

/// Spoils the file `path`, whose time stays as it was.
fn damage(path: &Path, how: Damage) {
    let metadata = fs::metadata(path).unwrap();
    let bytes = how(&fs::read(path).unwrap());
    let mut permissions = metadata.permissions();
    permissions.set_mode(permissions.mode() | 0o200);
    fs::set_permissions(path, permissions).unwrap();
    fs::write(path, bytes).unwrap();
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(metadata.modified().unwrap()).unwrap();
}

/// Returns the one file below `folder` whose name has `part`.
fn find(folder: &Path, part: &str) -> PathBuf {
    let names = entries(folder).into_iter();
    let found: Vec<_> = names.filter(|name| name.contains(part)).collect();
    assert_eq!(found.len(), 1, "{part} in {found:?}");
    folder.join(&found[0])
}

/// Has the tool depend on a package of the registry, which is a folder here.
fn with_dependency(scene: &Scene) {
    let sum = "0".repeat(64);
    let part = "vendor/part";
    scene.write(
        &format!("{part}/Cargo.toml"),
        "[package]\nname = \"part\"\nversion = \"1.0.0\"\n",
    );
    scene.write(
        &format!("{part}/src/lib.rs"),
        "pub fn word() -> &'static str { \"tiny\" }\n",
    );
    let checksums = format!("{{\"files\":{{}},\"package\":\"{sum}\"}}");
    scene.write(&format!("{part}/.cargo-checksum.json"), checksums);
    let vendor = scene.path.join("vendor");
    scene.write(
        ".cargo/config.toml",
        format!(
            "[source.crates-io]\nreplace-with = \"vendor\"\n[source.vendor]\ndirectory = {:?}\n",
            vendor.to_str().unwrap()
        ),
    );
}

/// Publishes a release of the tool with that dependency.
fn publish(scene: &Scene, version: &str) {
    let sum = "0".repeat(64);
    let package = format!("[package]\nname = \"tiny\"\nversion = \"{version}\"\n");
    let registry = "registry+https://github.com/rust-lang/crates.io-index";
    let lock = format!(
        "version = 4\n\n[[package]]\nname = \"part\"\nversion = \"1.0.0\"\nsource = \"{registry}\"\nchecksum = \"{sum}\"\n\n\
         [{}dependencies = [\n \"part\",\n]\n",
        package.replace("[package]", "[package]]")
    );
    scene
        .tree
        .write(
            "Cargo.toml",
            &format!("{package}edition = \"2024\"\n[dependencies]\npart = \"1.0.0\"\n"),
        )
        .write("Cargo.lock", &lock)
        .write(
            "src/main.rs",
            "fn main() { println!(\"{} {}\", part::word(), env!(\"CARGO_PKG_VERSION\")); }\n",
        )
        .commit(version);
    scene.tree.tag(&format!("v{version}"));
    scene.forge.push(&scene.tree);
    scene.name(version);
}

#[test]
fn a_damaged_part_of_an_earlier_build_is_built_again() {
    let scene = Scene::new();
    with_dependency(&scene);
    publish(&scene, "1.1.0");
    scene.timer().reports(0, "updated");
    let deps = scene.path.join(".cache/heph/build/release/deps");
    for (number, (name, how)) in (2..).zip(DAMAGES) {
        damage(&find(&deps, ".rlib"), how);
        let version = format!("1.{number}.0");
        publish(&scene, &version);
        let report = scene.timer().reports(0, "updated");
        let notes = report["notes"].to_string();
        assert!(notes.contains("parts of earlier builds"), "{name}: {notes}");
        assert_eq!(scene.installed(), format!("tiny {version}"), "{name}");
    }
    assert!(scene.quarantined().is_empty());
}

/// A user whose cargo has checked 1.1.0 out, and could not compile it.
fn checked_out() -> Scene {
    let mut scene = Scene::new();
    scene.publish("1.1.0");
    let wrapper = scene.path.join("tools/wrapper");
    script(
        &wrapper,
        "case \"$*\" in *'--crate-name tiny'*) exit 1 ;; esac\nexec \"$@\"",
    );
    scene.set("RUSTC_WRAPPER", wrapper.to_str().unwrap());
    scene.apply().exits(1);
    scene.set("RUSTC_WRAPPER", "");
    scene
}

#[test]
fn a_damaged_source_file_of_the_checkout_is_checked_out_again() {
    for (name, how) in DAMAGES {
        let scene = checked_out();
        let checkouts = scene.path.join(".cargo/git/checkouts");
        let checkout = find(&find(&checkouts, "hephaestus-"), "");
        damage(&checkout.join("src/main.rs"), how);
        let report = scene.self_update("apply").reports(0, "updated");
        let notes = report["notes"].to_string();
        assert!(
            notes.contains("an earlier copy of its repository"),
            "{name}: {notes}"
        );
        assert_eq!(scene.installed(), "tiny 1.1.0", "{name}");
        assert!(scene.quarantined().is_empty());
    }
}

#[test]
fn damaged_objects_of_the_repository_are_fetched_again() {
    let scene = checked_out();
    let git = scene.path.join(".cargo/git");
    fs::remove_dir_all(git.join("checkouts")).unwrap();
    let objects = find(&git.join("db"), "hephaestus-").join("objects");
    for folder in entries(&objects) {
        for object in entries(&objects.join(&folder)) {
            damage(&objects.join(&folder).join(object), |bytes| {
                let mut bytes = bytes.to_vec();
                let half = bytes.len() / 2;
                bytes[half..].fill(0);
                bytes
            });
        }
    }
    let report = scene.self_update("apply").reports(0, "updated");
    assert!(!report["notes"].as_array().unwrap().is_empty());
    assert_eq!(scene.installed(), "tiny 1.1.0");
}

#[test]
fn a_release_that_does_not_compile_is_tried_twice_and_waits() {
    let scene = Scene::new();
    with_dependency(&scene);
    publish(&scene, "1.1.0");
    scene.timer().reports(0, "updated");
    scene
        .tree
        .write("src/main.rs", "fn main() { part::word(); broken }\n");
    scene.tree.write(
        "Cargo.toml",
        "[package]\nname = \"tiny\"\nversion = \"1.2.0\"\nedition = \"2024\"\n[dependencies]\npart = \"1.0.0\"\n",
    );
    let lock = fs::read_to_string(scene.tree.folder.join("Cargo.lock")).unwrap();
    scene
        .tree
        .write("Cargo.lock", &lock.replace("1.1.0", "1.2.0"));
    scene.tree.commit("1.2.0");
    scene.tree.tag("v1.2.0");
    scene.forge.push(&scene.tree);
    scene.name("1.2.0");
    let report = scene.timer().reports(1, "failed");
    report.because(&["compiling `tiny` failed"]);
    assert!(
        report["notes"]
            .to_string()
            .contains("parts of earlier builds")
    );
    assert!(scene.quarantined().is_empty());
    assert_eq!(scene.installed(), "tiny 1.1.0");
    scene
        .timer()
        .reports(0, "skipped")
        .because(&["tried again after"]);
}
