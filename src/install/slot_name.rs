//! The names of folders below `versions/`. Pure, apart from what makes a name unique.

use semver::Version;
use ulid::Ulid;

/// What the names of folders begin with in which releases are staged. No version begins with a dot.
const STAGING: &str = ".staging-";

/// Returns a new name for a folder in which a release is staged.
pub(super) fn staging() -> String {
    format!("{STAGING}{}", Ulid::generate())
}

pub(super) fn is_staging(name: &str) -> bool {
    name.strip_prefix(STAGING)
        .is_some_and(|unique| Ulid::from_string(unique).is_ok())
}

/// Returns the version and the number in the name of a slot; `None` for any other name.
pub(super) fn parse_name(name: &str) -> Option<(Version, u32)> {
    let (version, nth) = match name.split_once('~') {
        None => (name, 1),
        Some((version, nth)) => (version, nth.parse().ok().filter(|nth| *nth >= 2)?),
    };
    let version = Version::parse(version).ok()?;
    // One slot has one name: no `~02`, no `~+2`.
    (show_name(&version, nth) == name).then_some((version, nth))
}

pub(super) fn show_name(version: &Version, nth: u32) -> String {
    match nth {
        1 => version.to_string(),
        _ => format!("{version}~{nth}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_staged_folder_is_no_slot_and_a_slot_is_not_staged() {
        let staged = staging();
        assert!(is_staging(&staged) && parse_name(&staged).is_none());
        assert_ne!(staged, staging());
        for name in [
            "1.0.0",
            "1.0.0~2",
            ".staging-",
            ".staging-1.0.0",
            "notes",
            ".lock",
        ] {
            assert!(!is_staging(name), "{name}");
        }
    }
}
