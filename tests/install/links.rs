//! Links in bin-dir: what is added, removed and refused when a release has other commands than the one before.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use heph::install::links::BinDir;
use semver::Version;

use crate::support::disk::Disk;
use crate::support::files::{picture, script};
use crate::support::home::Home;
use crate::support::installation::Installation;

#[test]
fn a_release_with_other_commands_changes_the_links() {
    let home = Installation::new();
    let old = home.slot("1.0.0", &["heph", "hephd", "heph-old"]);
    let new = home.slot("1.1.0", &["heph", "hephd", "heph-new"]);
    let (slots, bin_dir) = (home.slots(), home.bin_dir());
    slots.switch(&old).unwrap();
    bin_dir.check(&old).unwrap();
    bin_dir.relink(&old).unwrap();
    home.assert_linked(&["heph", "heph-old", "hephd"], "1.0.0");
    assert_eq!(bin_dir.problems(&old), [""; 0]);

    bin_dir.check(&new).unwrap();
    // What goes is removed before the switch, so that no link ever points at nothing.
    bin_dir.retire(&new).unwrap();
    home.assert_linked(&["heph", "hephd"], "1.0.0");
    slots.switch(&new).unwrap();
    home.assert_linked(&["heph", "hephd"], "1.1.0");
    assert_eq!(bin_dir.problems(&new).len(), 1);
    bin_dir.relink(&new).unwrap();
    home.assert_linked(&["heph", "heph-new", "hephd"], "1.1.0");

    let before = picture(&home.paths.home);
    bin_dir.relink(&new).unwrap();
    assert_eq!(picture(&home.paths.home), before, "again changes nothing");

    slots.switch(&old).unwrap();
    bin_dir.relink(&old).unwrap();
    home.assert_linked(&["heph", "heph-old", "hephd"], "1.0.0");
}

#[test]
fn the_first_installation_makes_bin_dir() {
    let home = Installation::new();
    fs::remove_dir(home.bin()).unwrap();
    let slot = home.slot("1.0.0", &["tool"]);
    home.slots().switch(&slot).unwrap();
    let bin_dir = home.bin_dir();
    assert_eq!(bin_dir.installed(&home.slots()).unwrap(), None);
    bin_dir.check(&slot).unwrap();
    bin_dir.relink(&slot).unwrap();
    home.assert_linked(&["tool"], "1.0.0");
}

#[test]
fn links_of_others_stay_and_are_not_overwritten() {
    let home = Installation::new();
    let slot = home.slot("1.0.0", &["heph", "hephd"]);
    home.slots().switch(&slot).unwrap();
    let bin_dir = home.bin_dir();
    // A pinned copy under a name of the user's own, a dangling link and a tool of somebody else.
    symlink(slot.binary("heph"), home.bin().join("heph-1.0.0")).unwrap();
    symlink("/nowhere", home.bin().join("dangling")).unwrap();
    symlink("/bin/true", home.bin().join("other")).unwrap();
    bin_dir.relink(&slot).unwrap();
    for name in ["heph-1.0.0", "dangling", "other"] {
        assert!(home.bin().join(name).symlink_metadata().is_ok(), "{name}");
    }

    type Put = fn(&Path);
    let obstacles: [(&str, Put); 3] = [
        ("a link", |path| symlink("/bin/true", path).unwrap()),
        ("a folder", |path| fs::create_dir(path).unwrap()),
        ("a file", |path| {
            script(path, "echo other 7.0.0");
        }),
    ];
    for (what, put) in obstacles {
        let home = Installation::new();
        let old = home.slot("1.0.0", &["heph"]);
        let new = home.slot("1.1.0", &["heph", "hephctl"]);
        home.slots().switch(&old).unwrap();
        let bin_dir = home.bin_dir();
        bin_dir.relink(&old).unwrap();
        put(&home.bin().join("hephctl"));
        let before = picture(&home.bin());
        for result in [bin_dir.check(&new), bin_dir.relink(&new)] {
            let error = result.unwrap_err();
            assert!(
                error.to_string().contains("hephctl' is in the way"),
                "{what}: {error}"
            );
            assert!(error.hint().is_some());
        }
        assert_eq!(picture(&home.bin()), before, "{what}");
    }
}

#[test]
fn a_read_only_bin_dir_matters_only_where_links_change() {
    let home = Installation::new();
    let old = home.slot("1.0.0", &["heph"]);
    let same = home.slot("1.1.0", &["heph"]);
    let more = home.slot("1.2.0", &["heph", "hephd"]);
    let slots = home.slots();
    let bin_dir = home.bin_dir();
    slots.switch(&old).unwrap();
    bin_dir.relink(&old).unwrap();

    let _read_only = Disk::read_only(&home.bin());
    bin_dir.check(&same).unwrap();
    slots.switch(&same).unwrap();
    bin_dir.relink(&same).unwrap();
    home.assert_linked(&["heph"], "1.1.0");

    let error = bin_dir.check(&more).unwrap_err();
    assert!(
        error.to_string().contains(home.bin().to_str().unwrap()),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("bin-dir"));
    assert!(bin_dir.relink(&more).is_err());
    home.assert_linked(&["heph"], "1.1.0");
}

#[test]
fn every_kind_of_damage_is_a_sentence() {
    let home = Installation::new();
    let slot = home.slot("1.0.0", &["absent", "astray", "foreign", "plain", "sound"]);
    home.slots().switch(&slot).unwrap();
    let bin_dir = home.bin_dir();
    bin_dir.relink(&slot).unwrap();
    for name in ["absent", "astray", "foreign", "plain"] {
        fs::remove_file(home.bin().join(name)).unwrap();
    }
    symlink(slot.binary("astray"), home.bin().join("astray")).unwrap();
    symlink("/bin/true", home.bin().join("foreign")).unwrap();
    home.plain("plain", "1.0.0");
    symlink(
        home.paths.current().join("bin/gone"),
        home.bin().join("gone"),
    )
    .unwrap();
    let problems = bin_dir.problems(&slot).join("\n");
    for sentence in [
        "absent' is missing",
        "astray' does not follow '",
        "foreign' was not put there by heph",
        "plain' is a file, not a link",
        "gone' links to a command that the release does not have",
    ] {
        assert!(
            problems.contains(sentence),
            "'{sentence}' is not in:\n{problems}"
        );
    }
    assert_eq!(problems.lines().count(), 5, "{problems}");
}

#[test]
fn a_home_spelled_in_two_ways_is_one_home() {
    let home = Installation::new();
    let slot = home.slot("1.0.0", &["heph"]);
    home.slots().switch(&slot).unwrap();
    home.bin_dir().relink(&slot).unwrap();
    let other = home.paths.home.with_file_name("other");
    symlink(&home.paths.home, &other).unwrap();
    let same = Installation::of(Home::at(other));
    let before = picture(&home.bin());
    let bin_dir = BinDir::at(same.bin(), &same.settings.packages, &same.paths);
    bin_dir.relink(&slot).unwrap();
    assert_eq!(bin_dir.problems(&slot), [""; 0]);
    assert_eq!(picture(&home.bin()), before);
    let installed = bin_dir.installed(&same.slots()).unwrap();
    assert_eq!(installed, Some(Version::new(1, 0, 0)));
}
