//! Cargo features: what a release is built with.

use serde::{Deserialize, Deserializer, Serialize};

use super::SelfUpdate;
use super::values::{Text, elements};
use crate::error::{Error, Result};

/// The longest name of a feature, in bytes.
const LONGEST_NAME: usize = 64;

/// The features of one package, as cargo records them and as `release.json` has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Features {
    /// Those beyond the default ones, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// Whether it has all.
    #[serde(default, skip_serializing_if = "is_false")]
    pub all_features: bool,
    /// Whether it lacks the default ones.
    #[serde(default, skip_serializing_if = "is_false")]
    pub no_default_features: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl Features {
    /// Returns the arguments of cargo that ask for them.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        if self.all_features {
            arguments.push("--all-features".to_owned());
        }
        if self.no_default_features {
            arguments.push("--no-default-features".to_owned());
        }
        if !self.features.is_empty() {
            arguments.push(format!("--features={}", self.features.join(",")));
        }
        arguments
    }

    pub(crate) fn are_default(&self) -> bool {
        *self == Features::default()
    }
}

impl SelfUpdate {
    /// Returns the features that the settings ask for; `None` where they leave them as they are. Any of the three settings
    /// speaks for all: what is left out is as for `cargo install` without options.
    pub fn chosen_features(&self) -> Option<Features> {
        let settings = (&self.features, self.all_features, self.no_default_features);
        if settings == (&None, None, None) {
            return None;
        }
        let mut features = self.features.clone().unwrap_or_default();
        features.sort();
        Some(Features {
            features,
            all_features: self.all_features.unwrap_or_default(),
            no_default_features: self.no_default_features.unwrap_or_default(),
        })
    }
}

/// Deserializes the names of features; there may be none.
pub(super) fn names<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<String>>, D::Error> {
    struct Name(String);
    impl Text for Name {
        const EXPECTED: &'static str = "names of Cargo features";

        fn read(name: &str) -> Result<Name, Option<Error>> {
            // It becomes a part of an argument of cargo, which separates features by commas and spaces.
            let plain = |c: char| c.is_alphanumeric() || "_-+./?:".contains(c);
            let valid = !name.is_empty() && name.len() <= LONGEST_NAME && name.chars().all(plain);
            let valid = valid && !name.starts_with('-');
            valid.then(|| Name(name.to_owned())).ok_or(None)
        }
    }
    let names = elements::<D, Name, true>(deserializer)?;
    Ok(Some(names.into_iter().map(|Name(name)| name).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_of_the_three_settings_speaks_for_all() {
        let chosen = |edit: fn(&mut SelfUpdate)| {
            let mut settings = SelfUpdate::default();
            edit(&mut settings);
            settings
                .chosen_features()
                .map(|features| features.arguments())
        };
        assert_eq!(chosen(|_| ()), None);
        assert_eq!(chosen(|it| it.features = Some(Vec::new())), Some(vec![]));
        assert_eq!(chosen(|it| it.all_features = Some(false)), Some(vec![]));
        assert_eq!(
            chosen(|it| it.features = Some(vec!["tls".to_owned(), "extra".to_owned()])),
            Some(vec!["--features=extra,tls".to_owned()])
        );
        let both = |it: &mut SelfUpdate| {
            it.all_features = Some(true);
            it.no_default_features = Some(true);
        };
        let arguments = ["--all-features", "--no-default-features"];
        assert_eq!(chosen(both), Some(arguments.map(str::to_owned).to_vec()));
    }
}
