//! Adoption: what a plain `cargo install` left becomes a slot and links.

use std::fs;
use std::os::unix::fs::symlink;

use heph::error::Error;
use heph::install::links::BinDir;
use heph::install::slots::{Delivery, Slot};
use heph::paths::Paths;
use semver::Version;

use crate::support::call::Call;
use crate::support::disk::Disk;
use crate::support::files::{picture, script};
use crate::support::home::ODD_NAME;
use crate::support::installation::{Installation, Repository, SAYS_VERSION, command};

const COMMIT: &str = "6aadeef590353fb7f1a81cc72bc59fe6c0e7627d";

fn adopt(home: &Installation) -> heph::error::Result<Option<Slot>> {
    home.bin_dir().adopt(&home.slots())
}

fn installed(home: &Installation) -> Option<Version> {
    home.bin_dir().installed(&home.slots()).unwrap()
}

/// Asserts that adopting fails and touches nothing; returns the error.
fn assert_refused(home: &Installation) -> Error {
    let before = picture(&home.paths.home);
    let error = adopt(home).unwrap_err();
    assert_eq!(picture(&home.paths.home), before, "nothing was touched");
    error
}

#[test]
fn plain_files_become_a_slot_and_links() {
    let home = Installation::new();
    home.plain("heph", "1.0.0");
    home.plain("hephd", "1.0.0");
    home.plain("cargo-other", "7.0.0");
    home.record("heph", "1.0.0", COMMIT, &["heph", "hephd"]);
    let record = picture(home.bin().parent().unwrap());
    assert_eq!(installed(&home), Some(Version::new(1, 0, 0)));

    let slot = adopt(&home).unwrap().unwrap();
    assert_eq!(slot.name, "1.0.0");
    assert_eq!(slot.manifest.delivery, Delivery::Adopted);
    assert_eq!(slot.manifest.tag, None);
    assert_eq!(slot.manifest.commit.as_deref(), Some(COMMIT));
    assert_eq!(home.slots().current().unwrap().as_ref(), Some(&slot));
    slot.verify().unwrap();
    assert!(
        fs::symlink_metadata(home.bin().join("cargo-other"))
            .unwrap()
            .is_file()
    );
    fs::remove_file(home.bin().join("cargo-other")).unwrap();
    home.assert_linked(&["heph", "hephd"], "1.0.0");
    let of_cargo = |picture: &[(std::path::PathBuf, String)]| {
        picture
            .iter()
            .find(|(path, _)| path.ends_with(".crates2.json"))
            .cloned()
    };
    assert_eq!(
        of_cargo(&picture(home.bin().parent().unwrap())),
        of_cargo(&record),
        "cargo's record stays"
    );
    assert_eq!(installed(&home), Some(Version::new(1, 0, 0)));

    let before = picture(&home.paths.home);
    assert_eq!(adopt(&home).unwrap(), Some(slot), "again");
    assert_eq!(picture(&home.paths.home), before, "again changes nothing");
}

#[test]
fn a_real_cargo_install_of_a_third_party_package_is_adopted() {
    let repository = Repository::new();
    let (release, commit) = repository.publish("1.0.0", &["tool"], SAYS_VERSION);
    // Its binary is not called like the package: only cargo's record knows.
    repository.write(
        "tool/src/bin/gadget.rs",
        &format!("fn main() {{ {SAYS_VERSION} }}"),
    );
    repository.git("rm --quiet tool/src/main.rs");
    repository.git("tag --delete v1.0.0");
    let (_, commit) = (commit, repository.release("1.0.0").1);
    let mut home = Installation::new();
    home.settings.packages = vec!["tool".to_owned()];
    assert_eq!(adopt(&home).unwrap(), None, "nothing is installed yet");
    assert_eq!(installed(&home), None);
    let cargo = Call::clean("cargo", home.variables()).args("install --quiet --locked tool");
    let tag = ["--git", &repository.url(), "--tag", release.tag.as_str()];
    cargo.args(&tag).current_dir(&home.path).exits(0);
    assert_eq!(installed(&home), Some(Version::new(1, 0, 0)));
    let slot = adopt(&home).unwrap().unwrap();
    assert_eq!(slot.manifest.commit, Some(commit));
    assert!(slot.has("gadget") && !slot.has("tool"));
    assert_eq!(
        fs::read_link(home.bin().join("gadget")).unwrap(),
        home.paths.current().join("bin/gadget")
    );
}

#[test]
fn a_bin_dir_of_any_name_and_without_a_record_will_do() {
    for name in [ODD_NAME, "%h", "bin", "größe", "new\nline", "-rf"] {
        let mut home = Installation::new();
        home.set_bin(name);
        home.plain("heph", "1.0.0");
        home.plain("hephd", "1.0.0");
        assert_eq!(installed(&home), Some(Version::new(1, 0, 0)), "{name}");
        adopt(&home).unwrap().unwrap();
        home.assert_linked(&["heph", "hephd"], "1.0.0");
    }
}

#[test]
fn heph_alone_is_adopted_alone() {
    let home = Installation::new();
    home.plain("heph", "1.0.0");
    adopt(&home).unwrap().unwrap();
    home.assert_linked(&["heph"], "1.0.0");
}

#[test]
fn a_plain_cargo_install_over_the_links_wins() {
    let home = Installation::new();
    for (version, slot) in [("1.0.0", "1.0.0"), ("1.1.0", "1.1.0"), ("0.9.0", "0.9.0")] {
        home.plain("heph", version);
        home.plain("hephd", version);
        assert_eq!(installed(&home), Some(Version::parse(version).unwrap()));
        assert_eq!(adopt(&home).unwrap().unwrap().name, slot);
        home.assert_linked(&["heph", "hephd"], version);
    }
    assert_eq!(home.versions(), ["0.9.0", "1.0.0", "1.1.0"]);
    // The same files again: the slot that has them is used again.
    home.plain("heph", "1.0.0");
    home.plain("hephd", "1.0.0");
    assert_eq!(adopt(&home).unwrap().unwrap().name, "1.0.0");
    home.assert_linked(&["heph", "hephd"], "1.0.0");
    assert_eq!(home.versions(), ["0.9.0", "1.0.0", "1.1.0"]);
}

#[test]
fn a_rebuilt_command_of_the_same_release_is_kept() {
    let home = Installation::new();
    home.plain("heph", "1.0.0");
    home.plain("hephd", "1.0.0");
    adopt(&home).unwrap();
    // Built again with a patch of one's own, and only one of the two.
    script(&home.bin().join("hephd"), "# patched\necho 'hephd 1.0.0'");
    let slot = adopt(&home).unwrap().unwrap();
    assert_eq!(slot.name, "1.0.0~2");
    home.assert_linked(&["heph", "hephd"], "1.0.0");
    assert!(
        fs::read_to_string(slot.binary("hephd"))
            .unwrap()
            .contains("patched")
    );
}

#[test]
fn commands_of_different_releases_are_refused_by_name() {
    let home = Installation::new();
    home.plain("heph", "1.1.0");
    home.plain("hephd", "1.0.0");
    let error = assert_refused(&home);
    let text = error.to_string();
    assert!(
        text.contains("heph' is 1.1.0") && text.contains("hephd' is 1.0.0"),
        "{text}"
    );
    assert!(error.hint().unwrap().contains("cargo install"));
    assert_eq!(
        installed(&home),
        Some(Version::new(1, 1, 0)),
        "the main command decides"
    );

    // The same where one of them is a link.
    home.plain("heph", "1.0.0");
    adopt(&home).unwrap();
    home.plain("heph", "1.1.0");
    assert!(
        assert_refused(&home)
            .to_string()
            .contains("different releases")
    );
    // A cargo install that is carried on makes it whole.
    home.plain("hephd", "1.1.0");
    adopt(&home).unwrap();
    home.assert_linked(&["heph", "hephd"], "1.1.0");
}

#[test]
fn a_command_that_does_not_work_is_refused() {
    let home = Installation::new();
    home.plain("heph", "1.0.0");
    script(&home.bin().join("hephd"), "exit 5");
    let text = assert_refused(&home).one_line();
    assert!(
        text.contains("cannot adopt") && text.contains("exited with 5"),
        "{text}"
    );
}

#[test]
fn a_link_of_somebody_else_is_refused() {
    let home = Installation::new();
    home.plain("heph", "1.0.0");
    let elsewhere = command(&home.paths.home.join("src"), "hephd", "1.0.0");
    symlink(elsewhere, home.bin().join("hephd")).unwrap();
    let error = assert_refused(&home);
    assert!(
        error.to_string().contains("hephd' is in the way"),
        "{error}"
    );
}

#[test]
fn links_that_were_lost_or_bent_are_put_right() {
    let home = Installation::new();
    home.plain("heph", "1.0.0");
    home.plain("hephd", "1.0.0");
    let slot = adopt(&home).unwrap().unwrap();
    fs::remove_file(home.bin().join("heph")).unwrap();
    assert_eq!(adopt(&home).unwrap().as_ref(), Some(&slot));
    home.assert_linked(&["heph", "hephd"], "1.0.0");
    fs::remove_file(home.bin().join("heph")).unwrap();
    symlink(slot.binary("heph"), home.bin().join("heph")).unwrap();
    assert_eq!(adopt(&home).unwrap().as_ref(), Some(&slot));
    home.assert_linked(&["heph", "hephd"], "1.0.0");
    // Whoever removed all of them meant it.
    fs::remove_file(home.bin().join("heph")).unwrap();
    fs::remove_file(home.bin().join("hephd")).unwrap();
    assert_eq!(adopt(&home).unwrap(), Some(slot));
    assert_eq!(home.commands_say(), []);
    assert_eq!(installed(&home), None);
}

#[test]
fn a_damaged_slot_gives_way_to_plain_files() {
    let home = Installation::new();
    home.plain("heph", "1.0.0");
    home.plain("hephd", "1.0.0");
    let slot = adopt(&home).unwrap().unwrap();
    fs::remove_file(slot.binary("hephd")).unwrap();
    assert_eq!(
        installed(&home),
        Some(Version::new(1, 0, 0)),
        "heph still says so"
    );
    assert_eq!(adopt(&home).unwrap(), None);
    fs::remove_dir_all(home.paths.versions()).unwrap();
    assert_eq!(installed(&home), None, "any release is better than none");

    home.plain("heph", "1.0.1");
    home.plain("hephd", "1.0.1");
    adopt(&home).unwrap().unwrap();
    home.assert_linked(&["heph", "hephd"], "1.0.1");
}

#[test]
fn a_read_only_bin_dir_is_refused_before_anything_is_copied() {
    let home = Installation::new();
    home.plain("heph", "1.0.0");
    let read_only = Disk::read_only(&home.bin());
    let error = assert_refused(&home);
    assert!(
        error.to_string().contains(home.bin().to_str().unwrap()),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("bin-dir"));
    drop(read_only);
    adopt(&home).unwrap();
    home.assert_linked(&["heph"], "1.0.0");
}

#[test]
fn a_full_or_noexec_data_folder_is_refused_with_the_commands_untouched() {
    for (options, words) in [
        ("size=64k", "No space left"),
        ("size=8m,noexec", "cannot run"),
    ] {
        let home = Installation::new();
        let body = format!("echo 'heph 1.0.0'; exit\n{}", "#".repeat(100_000));
        script(&home.bin().join("heph"), &body);
        let data = Disk::small(&home.paths.hephd.data, options);
        let before = picture(&home.bin());
        let text = adopt(&home).unwrap_err().one_line();
        assert!(text.contains(words), "{text}");
        assert_eq!(picture(&home.bin()), before);
        assert_eq!(home.versions(), [""; 0]);
        drop(data);
        adopt(&home).unwrap();
        home.assert_linked(&["heph"], "1.0.0");
    }
}

#[test]
fn bin_dir_is_remembered_until_nothing_is_in_it() {
    let home = Installation::new();
    let remembered = home.paths.state.join("installation.json");
    home.plain("heph", "1.0.0");
    adopt(&home).unwrap();
    let text = fs::read_to_string(&remembered).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["schema"], 1);
    assert_eq!(json["bin_dir"], home.bin().to_str().unwrap());
}

#[test]
fn the_setting_decides_and_a_build_of_one_s_own_is_refused_without_it() {
    // This very test runs from a Cargo target folder.
    let home = Installation::new();
    let paths: &Paths = &home.paths;
    let find = |setting| BinDir::find(setting, &home.settings.packages, paths);
    let error = find(None).unwrap_err();
    assert!(error.to_string().contains("Cargo target folder"), "{error}");
    assert!(error.hint().unwrap().contains("bin-dir"));
    assert_eq!(find(Some(&home.bin())).unwrap().path, home.bin());
}
