//! The flags of hephd that a service file bakes in, and how they are kept from one file to the next.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::platform::generated::check_text;

/// A flag of hephd that can be baked into its service file. The order is that of the baked command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flag {
    /// `--mode`.
    Mode,
    /// `--hub-url`.
    HubUrl,
    /// `--http-addr`.
    HttpAddr,
    /// `--oidc-issuer`.
    OidcIssuer,
    /// `--oidc-audience`.
    OidcAudience,
    /// `--oidc-client-id`.
    OidcClientId,
    /// `--insecure-no-auth`, a switch: its value is `true` or `false`.
    InsecureNoAuth,
    /// `--sync-rate`.
    SyncRate,
}

impl Flag {
    /// Every flag, in order.
    pub const ALL: [Flag; 8] = [
        Flag::Mode,
        Flag::HubUrl,
        Flag::HttpAddr,
        Flag::OidcIssuer,
        Flag::OidcAudience,
        Flag::OidcClientId,
        Flag::InsecureNoAuth,
        Flag::SyncRate,
    ];

    /// Returns its name, without the dashes.
    pub fn name(self) -> &'static str {
        match self {
            Flag::Mode => "mode",
            Flag::HubUrl => "hub-url",
            Flag::HttpAddr => "http-addr",
            Flag::OidcIssuer => "oidc-issuer",
            Flag::OidcAudience => "oidc-audience",
            Flag::OidcClientId => "oidc-client-id",
            Flag::InsecureNoAuth => "insecure-no-auth",
            Flag::SyncRate => "sync-rate",
        }
    }

    /// Returns whether it may stand without a value, and then means `true`. Baked, it always has one.
    pub fn is_switch(self) -> bool {
        self == Flag::InsecureNoAuth
    }

    /// Returns the flag called `name`, with or without leading dashes.
    pub fn named(name: &str) -> Option<Flag> {
        let name = name.strip_prefix("--").unwrap_or(name);
        Flag::ALL.into_iter().find(|flag| flag.name() == name)
    }
}

/// A set of flags with their values, each of which every service file can carry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baked(BTreeMap<Flag, String>);

impl Baked {
    /// Adds `flag`, or replaces its value.
    ///
    /// # Errors
    ///
    /// The value is empty or holds characters that [`check_text`] refuses.
    pub fn set(&mut self, flag: Flag, value: impl Into<String>) -> Result<(), Error> {
        let value = value.into();
        if value.is_empty() {
            return Err(Error::usage(format!("--{} is empty", flag.name()))
                .with_hint(format!("to remove it, pass --unset {}", flag.name())));
        }
        check_text(&format!("--{}", flag.name()), &value)?;
        self.0.insert(flag, value);
        Ok(())
    }

    /// Returns the value of `flag`.
    pub fn get(&self, flag: Flag) -> Option<&str> {
        self.0.get(&flag).map(String::as_str)
    }

    /// Returns the flags with their values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Flag, &str)> {
        self.0.iter().map(|(flag, value)| (*flag, value.as_str()))
    }

    /// Returns what is baked next: every flag of `self` that is not in `unset`, replaced and joined by those of `passed`.
    pub fn merge(&self, passed: &Baked, unset: &[Flag]) -> Baked {
        let mut merged = self.0.clone();
        merged.retain(|flag, _| !unset.contains(flag));
        merged.extend(passed.0.clone());
        Baked(merged)
    }

    /// Returns the arguments of hephd. Value and name are one argument, so that no value can be taken for another flag.
    pub fn to_arguments(&self) -> Vec<String> {
        self.iter()
            .map(|(flag, value)| format!("--{}={value}", flag.name()))
            .collect()
    }

    /// Reads arguments of hephd back, also as a person would write them (`--mode local`); the last of two wins.
    /// Returns, beside the flags, the arguments that are none that heph bakes.
    ///
    /// # Errors
    ///
    /// A value is one that [`Baked::set`] refuses.
    pub fn from_arguments(arguments: &[String]) -> Result<(Baked, Vec<String>), Error> {
        let mut baked = Baked::default();
        let mut foreign = Vec::new();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let long = argument.strip_prefix("--").unwrap_or_default();
            let (name, inline) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (long, None),
            };
            let Some(flag) = Flag::ALL.into_iter().find(|flag| flag.name() == name) else {
                foreign.push(argument.clone());
                continue;
            };
            let value = match inline {
                // The next argument is not its own: hephd takes a value only after `=`.
                None if flag.is_switch() => Some("true"),
                None => arguments.next().map(String::as_str),
                inline => inline,
            };
            match value {
                Some(value) => baked.set(flag, value)?,
                None => foreign.push(argument.clone()),
            }
        }
        Ok((baked, foreign))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::platform::generated::tests::any_text;
    use proptest::prelude::*;

    pub(crate) fn any_baked() -> impl Strategy<Value = Baked> {
        proptest::collection::btree_map(
            proptest::sample::select(Flag::ALL.as_slice()),
            any_text(),
            0..=Flag::ALL.len(),
        )
        .prop_map(Baked)
    }

    fn baked(flags: &[(Flag, &str)]) -> Baked {
        let mut baked = Baked::default();
        for (flag, value) in flags {
            baked.set(*flag, *value).unwrap();
        }
        baked
    }

    #[test]
    fn what_is_passed_replaces_what_is_unset_goes_and_the_rest_stays() {
        let existing = baked(&[
            (Flag::Mode, "local"),
            (Flag::HubUrl, "https://a"),
            (Flag::HttpAddr, ":1"),
        ]);
        let passed = baked(&[(Flag::HubUrl, "https://b"), (Flag::OidcIssuer, "https://i")]);
        let merged = existing.merge(&passed, &[Flag::HttpAddr, Flag::OidcAudience]);
        assert_eq!(
            merged.to_arguments(),
            [
                "--mode=local",
                "--hub-url=https://b",
                "--oidc-issuer=https://i"
            ]
        );
    }

    #[test]
    fn arguments_are_read_as_people_write_them_and_foreign_ones_are_named() {
        let read = |words: &[&str]| {
            Baked::from_arguments(&words.iter().map(ToString::to_string).collect::<Vec<_>>())
                .unwrap()
        };
        let (flags, foreign) = read(&["--mode", "local", "--hub-url=a=b", "-v", "--mode=server"]);
        assert_eq!(
            flags,
            baked(&[(Flag::Mode, "server"), (Flag::HubUrl, "a=b")])
        );
        assert_eq!(foreign, ["-v"]);
        let (flags, foreign) = read(&["--insecure-no-auth", "--sync-rate", "9", "stray"]);
        assert_eq!(
            flags.to_arguments(),
            ["--insecure-no-auth=true", "--sync-rate=9"]
        );
        assert_eq!(foreign, ["stray"]);
        assert_eq!(read(&["--hub-url"]).1, ["--hub-url"]);
        assert_eq!(read(&["mode", "--modest=x"]).1, ["mode", "--modest=x"]);
    }

    #[test]
    fn what_no_service_file_can_carry_is_refused_with_its_name() {
        for bad in [
            "", "a\nb", "a\tb", "\u{7f}", "\u{85}", "\u{fffe}", "\u{fdd0}",
        ] {
            let error = Baked::default().set(Flag::HubUrl, bad).unwrap_err();
            assert!(error.to_string().contains("--hub-url"), "{bad:?}: {error}");
        }
    }

    #[test]
    fn flags_are_found_by_name_with_or_without_dashes() {
        assert_eq!(Flag::named("--hub-url"), Some(Flag::HubUrl));
        assert_eq!(Flag::named("hub-url"), Some(Flag::HubUrl));
        assert_eq!(Flag::named("-hub-url"), None);
        assert_eq!(Flag::named("hub_url"), None);
    }

    proptest! {
        #[test]
        fn what_is_baked_is_read_back(flags in any_baked()) {
            prop_assert_eq!(Baked::from_arguments(&flags.to_arguments()).unwrap(), (flags, Vec::new()));
        }

        #[test]
        fn merging_twice_changes_nothing_more(old in any_baked(), new in any_baked()) {
            let once = old.merge(&new, &[Flag::Mode]);
            prop_assert_eq!(once.merge(&new, &[Flag::Mode]), once);
        }
    }
}
