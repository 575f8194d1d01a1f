//! Slots: complete or absent, listed in order, switched at once, removed safely.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use heph::install::slots::{Binary, Slot, excess};
use proptest::prelude::*;
use semver::Version;

use crate::support::files::{entries, picture};
use crate::support::installation::{Installation, command, manifest, says};

fn names(slots: &[Slot]) -> Vec<&str> {
    slots.iter().map(|slot| slot.name.as_str()).collect()
}

#[test]
fn slots_are_listed_by_version_and_then_newest_first() {
    let home = Installation::new();
    for version in [
        "1.9.0",
        "1.10.0",
        "1.10.0",
        "1.10.0-rc.1",
        "1.10.0",
        "0.1.0+b.1",
    ] {
        home.slot(version, &["heph"]);
    }
    let slots = home.slots();
    assert_eq!(
        names(&slots.list().unwrap()),
        [
            "1.10.0~3",
            "1.10.0~2",
            "1.10.0",
            "1.10.0-rc.1",
            "1.9.0",
            "0.1.0+b.1"
        ]
    );
    let find = |version| slots.find(&Version::parse(version).unwrap()).unwrap();
    assert_eq!(find("1.10.0").unwrap().name, "1.10.0~3");
    assert_eq!(find("0.1.0+b.1").unwrap().name, "0.1.0+b.1");
    assert_eq!(find("0.1.0"), None);
}

#[test]
fn a_number_is_not_used_again_while_a_later_one_is_there() {
    let home = Installation::new();
    let first = home.slot("1.0.0", &["heph"]);
    home.slot("1.0.0", &["heph"]);
    let slots = home.slots();
    slots.remove(&first).unwrap();
    let next = slots.unused(&Version::new(1, 0, 0)).unwrap();
    assert!(next.ends_with("1.0.0~3"), "{}", next.display());
}

#[test]
fn what_is_no_slot_is_neither_listed_nor_touched() {
    let home = Installation::new();
    let slot = home.slot("1.0.0", &["heph"]);
    let versions = home.paths.versions();
    for foreign in [
        "notes", "1.0", "v1.0.0", "1.0.0~", "1.0.0~1", "1.0.0~02", "1.0.0~+2", "01.0.0", "~2",
    ] {
        fs::create_dir(versions.join(foreign)).unwrap();
    }
    fs::write(versions.join("2.0.0"), "a file").unwrap();
    symlink("1.0.0", versions.join("3.0.0")).unwrap();
    let newer = home.slot("4.0.0", &["heph"]);
    let text = fs::read_to_string(newer.path.join("release.json")).unwrap();
    fs::write(
        newer.path.join("release.json"),
        text.replace("\"schema\": 1", "\"schema\": 2"),
    )
    .unwrap();

    let before = picture(&versions);
    let slots = home.slots();
    assert_eq!(slots.list().unwrap(), [slot]);
    assert_eq!(slots.sweep().unwrap(), [""; 0]);
    assert_eq!(picture(&versions), before);
    for name in ["3.0.0", "4.0.0", "..", "notes", "", "../versions/1.0.0"] {
        assert_eq!(slots.open(name).unwrap(), None, "{name}");
    }
    for version in ["2.0.0", "3.0.0", "4.0.0"] {
        let unused = slots.unused(&Version::parse(version).unwrap()).unwrap();
        assert!(
            unused.ends_with(format!("{version}~2")),
            "{}",
            unused.display()
        );
    }
}

#[test]
fn a_damaged_slot_is_none() {
    type Damage = fn(&Slot);
    let damages: [(&str, Damage); 6] = [
        ("no manifest", |slot| {
            fs::remove_file(slot.path.join("release.json")).unwrap()
        }),
        ("a cut manifest", |slot| {
            fs::write(slot.path.join("release.json"), "{").unwrap()
        }),
        ("a missing binary", |slot| {
            fs::remove_file(slot.binary("hephd")).unwrap()
        }),
        ("a cut binary", |slot| {
            fs::write(slot.binary("hephd"), "#!").unwrap()
        }),
        ("a link for a binary", |slot| {
            fs::remove_file(slot.binary("hephd")).unwrap();
            symlink("heph", slot.binary("hephd")).unwrap();
        }),
        ("the manifest of another version", |slot| {
            let text = fs::read_to_string(slot.path.join("release.json")).unwrap();
            fs::write(
                slot.path.join("release.json"),
                text.replace("1.0.0", "1.0.1"),
            )
            .unwrap();
        }),
    ];
    for (what, damage) in damages {
        let home = Installation::new();
        let slot = home.slot("1.0.0", &["heph", "hephd"]);
        let slots = home.slots();
        slots.switch(&slot).unwrap();
        assert_eq!(slots.current().unwrap().as_ref(), Some(&slot));
        damage(&slot);
        assert_eq!(slots.open("1.0.0").unwrap(), None, "{what}");
        assert_eq!(slots.list().unwrap(), [], "{what}");
        let error = slots.current().unwrap_err().to_string();
        assert!(error.contains("not a complete release"), "{what}: {error}");
        assert!(slots.switch(&slot).is_err(), "{what}");
        // In use, it may still serve: only what is not in use is swept.
        assert_eq!(slots.sweep().unwrap(), [""; 0], "{what}");
        let other = home.slot("1.1.0", &["heph"]);
        slots.switch(&other).unwrap();
        assert_eq!(slots.sweep().unwrap(), ["1.0.0"], "{what}");
        assert_eq!(home.versions(), ["1.1.0"]);
    }
}

#[test]
fn changed_content_of_the_same_size_is_found_by_its_digest() {
    let home = Installation::new();
    let slot = home.slot("1.0.0", &["heph", "hephd"]);
    slot.verify().unwrap();
    command(&slot.path.join("bin"), "hephd", "1.0.1");
    assert_eq!(home.slots().open("1.0.0").unwrap().as_ref(), Some(&slot));
    let error = slot.verify().unwrap_err().to_string();
    assert!(
        error.contains("bin/hephd' was changed since its installation"),
        "{error}"
    );
}

#[test]
fn a_folder_is_sealed_only_where_it_is_what_it_says() {
    let home = Installation::new();
    let slots = home.slots();
    let folder = slots.staging().unwrap();
    let heph = Binary::of("heph", &command(&folder.join("bin"), "heph", "1.0.0")).unwrap();
    let gone = Binary {
        name: "hephd".to_owned(),
        ..heph.clone()
    };
    let long = Binary {
        size: 7,
        ..heph.clone()
    };
    let outside = Binary {
        name: "../bin/heph".to_owned(),
        ..heph.clone()
    };
    for bad in [
        manifest("1.0.0", vec![]),
        manifest("1.0.0", vec![heph.clone(), gone]),
        manifest("1.0.0", vec![heph.clone(), heph.clone()]),
        manifest("1.0.0", vec![long]),
        manifest("1.0.0", vec![outside]),
    ] {
        assert!(slots.seal(&folder, bad.clone()).is_err(), "{bad:?}");
        assert_eq!(entries(&folder), ["bin"]);
    }
    assert!(
        slots
            .seal(
                &home.paths.hephd.data,
                manifest("1.0.0", vec![heph.clone()])
            )
            .is_err()
    );
    let slot = slots.seal(&folder, manifest("1.0.0", vec![heph])).unwrap();
    assert_eq!(slots.open("1.0.0").unwrap(), Some(slot));
}

#[test]
fn a_switch_is_one_relative_link() {
    let home = Installation::new();
    let (old, new) = (home.slot("1.0.0", &["heph"]), home.slot("1.1.0", &["heph"]));
    let slots = home.slots();
    assert_eq!(slots.current().unwrap(), None);
    for (slot, said) in [
        (&old, "heph 1.0.0"),
        (&new, "heph 1.1.0"),
        (&old, "heph 1.0.0"),
    ] {
        slots.switch(slot).unwrap();
        assert_eq!(slots.current().unwrap().as_ref(), Some(slot));
        assert_eq!(says(&home.paths.current().join("bin/heph")), said);
        assert_eq!(
            fs::read_link(home.paths.current()).unwrap(),
            Path::new("versions").join(&slot.name)
        );
    }
}

#[test]
fn a_current_that_is_not_heph_s_is_an_error_and_stays() {
    let home = Installation::new();
    let slot = home.slot("1.0.0", &["heph"]);
    let slots = home.slots();
    let current = home.paths.current();
    let unfinished = slots.unused(&Version::new(2, 0, 0)).unwrap();
    fs::create_dir(&unfinished).unwrap();
    for target in [
        "/etc",
        "versions/../versions/1.0.0",
        "versions/1.0.0/bin",
        "1.0.0",
        "versions",
    ] {
        symlink(target, &current).unwrap();
        assert!(slots.current().is_err(), "{target}");
        assert!(slots.remove(&slot).is_err(), "{target}");
        assert_eq!(slots.sweep().unwrap(), [""; 0], "{target}");
        assert!(unfinished.exists(), "what is in use cannot be told");
        assert_eq!(fs::read_link(&current).unwrap(), Path::new(target));
        fs::remove_file(&current).unwrap();
    }
    fs::create_dir(&current).unwrap();
    assert!(slots.current().is_err() && slots.switch(&slot).is_err());
    fs::remove_dir(&current).unwrap();
    symlink(&slot.path, &current).unwrap();
    assert_eq!(
        slots.current().unwrap(),
        Some(slot),
        "an absolute link is as good"
    );
}

#[test]
fn the_slot_in_use_is_not_removed() {
    let home = Installation::new();
    let (old, new) = (home.slot("1.0.0", &["heph"]), home.slot("1.1.0", &["heph"]));
    let slots = home.slots();
    slots.switch(&new).unwrap();
    let error = slots.remove(&new).unwrap_err().to_string();
    assert!(error.ends_with("it is in use"), "{error}");
    slots.remove(&old).unwrap();
    assert_eq!(home.versions(), ["1.1.0"]);
    assert_eq!(slots.current().unwrap(), Some(new));
}

/// Slots that exist only on paper, `hours` after the first.
fn on_paper(hours: &[(&str, i64)]) -> Vec<Slot> {
    hours
        .iter()
        .map(|(name, hours)| {
            let mut manifest = manifest(name.split('~').next().unwrap(), Vec::new());
            manifest.installed_at += jiff::SignedDuration::from_hours(*hours);
            Slot {
                name: (*name).to_owned(),
                path: Path::new("/versions").join(name),
                manifest,
            }
        })
        .collect()
}

#[test]
fn besides_the_current_slot_the_newest_stay() {
    let all = on_paper(&[
        ("1.3.0", 3),
        ("1.2.0", 2),
        ("1.1.0", 1),
        ("1.0.0~2", 4),
        ("1.0.0", 0),
    ]);
    let removed = |current, protected: &[&str], keep| {
        let protected: Vec<String> = protected.iter().map(|name| (*name).to_owned()).collect();
        excess(&all, current, &protected, keep)
            .into_iter()
            .map(|slot| slot.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(removed(Some("1.3.0"), &[], 2), ["1.1.0", "1.0.0"]);
    assert_eq!(removed(Some("1.0.0"), &[], 2), ["1.2.0", "1.1.0"]);
    assert_eq!(removed(Some("1.3.0"), &["1.0.0"], 2), ["1.1.0"]);
    assert_eq!(removed(Some("1.3.0"), &["1.2.0"], 1), ["1.1.0", "1.0.0"]);
    assert_eq!(removed(Some("1.3.0"), &[], 0).len(), 4);
    assert_eq!(removed(Some("1.3.0"), &[], 9), [""; 0]);
    assert_eq!(removed(None, &[], 4), ["1.0.0"]);
}

proptest! {
    #[test]
    fn excess_never_takes_what_is_in_use_or_protected(
        hours in proptest::collection::vec(0i64..5, 0..8), current in 0usize..8, protected in 0usize..8, keep in 0usize..9,
    ) {
        let named: Vec<_> = hours.iter().enumerate().map(|(n, hours)| (format!("1.{n}.0"), *hours)).collect();
        let named: Vec<_> = named.iter().map(|(name, hours)| (name.as_str(), *hours)).collect();
        let all = on_paper(&named);
        let (current, protected) = (format!("1.{current}.0"), format!("1.{protected}.0"));
        let removed = excess(&all, Some(&current), std::slice::from_ref(&protected), keep);
        prop_assert!(removed.iter().all(|slot| slot.name != current && slot.name != protected));
        let others = all.iter().filter(|slot| slot.name != current).count();
        prop_assert!(others - removed.len() >= keep.min(others));
        prop_assert!(others - removed.len() <= keep + 1);
        // What stays is never older than what goes, protection aside.
        for gone in &removed {
            for kept in all.iter().filter(|slot| !removed.contains(slot) && slot.name != current && slot.name != protected) {
                prop_assert!(kept.manifest.installed_at >= gone.manifest.installed_at);
            }
        }
    }
}
