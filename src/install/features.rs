//! Which Cargo features a release is built with: those that the installation has, unless the settings name others. Pure.

use std::collections::BTreeMap;

use super::cargo_record::InstalledPackage;
use super::slots::{Delivery, SlotManifest};
use crate::config::Features;

/// What is known of the features of an installation.
#[derive(Clone, Debug, Default)]
pub(super) struct Known<'a> {
    /// What the settings ask for.
    pub chosen: Option<&'a Features>,
    /// The slot in use.
    pub slot: Option<&'a SlotManifest>,
    /// What cargo recorded beside bin-dir.
    pub recorded: &'a [InstalledPackage],
    /// The packages that `cargo install` has put over heph's links since the last update.
    pub installed_since: &'a [String],
}

/// Returns the features of each of `packages`.
pub(super) fn of(packages: &[String], known: &Known) -> BTreeMap<String, Features> {
    let with_features = |package: &String| (package.clone(), of_one(package, known));
    packages.iter().map(with_features).collect()
}

fn of_one(package: &String, known: &Known) -> Features {
    if let Some(chosen) = known.chosen {
        return chosen.clone();
    }
    let slot = known
        .slot
        .filter(|_| !known.installed_since.contains(package));
    if let Some(features) = slot.and_then(|slot| slot.features.get(package)) {
        return features.clone();
    }
    // What cargo recorded is of an installation before that archive.
    if slot.is_some_and(|slot| slot.delivery == Delivery::Prebuilt) {
        return Features::default();
    }
    let mut recorded = known.recorded.iter();
    let recorded = recorded.find(|installed| installed.package == *package);
    recorded.map_or_else(Features::default, |installed| installed.features.clone())
}

/// Returns the packages with equal features together: cargo builds a group of them at a time.
pub(super) fn groups<'a>(
    packages: &'a [String],
    features: &BTreeMap<String, Features>,
) -> Vec<(Features, Vec<&'a String>)> {
    let mut groups: Vec<(Features, Vec<&String>)> = Vec::new();
    for package in packages {
        let features = features.get(package).cloned().unwrap_or_default();
        match groups.iter_mut().find(|(of, _)| *of == features) {
            Some((_, group)) => group.push(package),
            None => groups.push((features, vec![package])),
        }
    }
    groups
}

/// Returns the features that are not the default ones, in words; `None` if all are default.
pub(super) fn in_words(features: &BTreeMap<String, Features>) -> Option<String> {
    let special = features.values().filter(|features| !features.are_default());
    let mut words: Vec<String> = special.flat_map(Features::arguments).collect();
    words.dedup();
    (!words.is_empty()).then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use semver::Version;

    fn features(names: &[&str]) -> Features {
        Features {
            features: names.iter().map(|name| (*name).to_owned()).collect(),
            ..Features::default()
        }
    }

    fn recorded(names: &[&str]) -> InstalledPackage {
        InstalledPackage {
            package: "tool".to_owned(),
            version: Version::new(1, 0, 0),
            source: String::new(),
            binaries: vec!["tool".to_owned()],
            features: features(names),
        }
    }

    fn slot(delivery: Delivery, names: Option<&[&str]>) -> SlotManifest {
        let known = names.map(|names| ("tool".to_owned(), features(names)));
        SlotManifest {
            schema: 1,
            version: Version::new(1, 0, 0),
            tag: None,
            commit: None,
            delivery,
            signed_by: None,
            features: known.into_iter().collect(),
            binaries: Vec::new(),
            installed_at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn the_settings_decide_then_the_last_installation_then_cargos_record() {
        let tool = ["tool".to_owned()];
        let (chosen, none) = (features(&["mine"]), Features::default());
        let cargo = [recorded(&["of-cargo"])];
        use Delivery::*;
        for (chosen, slot, since, expected) in [
            (None, None, false, &["of-cargo"][..]),
            (Some(&chosen), None, false, &["mine"]),
            (Some(&none), None, false, &[]),
            (None, Some(slot(Cargo, Some(&["kept"]))), false, &["kept"]),
            (None, Some(slot(Cargo, Some(&[]))), false, &[]),
            (None, Some(slot(Adopted, Some(&["kept"]))), false, &["kept"]),
            // Of release 0.1.0, which did not record them and built without.
            (None, Some(slot(Cargo, None)), false, &["of-cargo"]),
            (None, Some(slot(Prebuilt, None)), false, &[]),
            // A plain `cargo install` over the links is the newest installation.
            (
                None,
                Some(slot(Cargo, Some(&["kept"]))),
                true,
                &["of-cargo"],
            ),
            (None, Some(slot(Prebuilt, None)), true, &["of-cargo"]),
            (
                Some(&chosen),
                Some(slot(Cargo, Some(&["kept"]))),
                true,
                &["mine"],
            ),
        ] {
            let known = Known {
                chosen,
                slot: slot.as_ref(),
                recorded: &cargo,
                installed_since: if since { &tool } else { &[] },
            };
            let found = of(&tool, &known);
            assert_eq!(found["tool"], features(expected), "{known:?}");
        }
        assert_eq!(of(&tool, &Known::default())["tool"], Features::default());
    }

    #[test]
    fn packages_with_the_same_features_are_built_together() {
        let packages = ["a", "b", "c"].map(str::to_owned);
        let known = BTreeMap::from([
            ("a".to_owned(), features(&["x"])),
            ("c".to_owned(), features(&["x"])),
        ]);
        let groups = groups(&packages, &known);
        assert_eq!(groups.len(), 2);
        assert_eq!(
            groups[0],
            (features(&["x"]), vec![&packages[0], &packages[2]])
        );
        assert_eq!(groups[1], (Features::default(), vec![&packages[1]]));
        assert_eq!(in_words(&known).as_deref(), Some("--features=x"));
        assert_eq!(in_words(&BTreeMap::new()), None);
    }
}
