//! The flags of hephd in its service file, and how they are kept from one file to the next.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::flags::Flag;
use crate::platform::generated::check_text;

/// Flags with their values, each of which every service file can carry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceFlags(BTreeMap<Flag, String>);

impl ServiceFlags {
    /// Adds `flag`, or replaces its value.
    ///
    /// # Errors
    ///
    /// The value is empty or contains characters that [`check_text`] rejects.
    pub fn set(&mut self, flag: Flag, value: impl Into<String>) -> Result<()> {
        let value = value.into();
        let name = flag.name();
        if value.is_empty() {
            return Err(Error::usage(format!("--{name} is empty"))
                .with_hint(format!("to remove it, pass --unset {name}")));
        }
        check_text(&format!("--{name}"), &value)?;
        self.0.insert(flag, value);
        Ok(())
    }

    /// Returns the value of the flag called `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(&Flag::named(name)?).map(String::as_str)
    }

    /// Returns the flags with their values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Flag, &str)> {
        self.0.iter().map(|(flag, value)| (*flag, value.as_str()))
    }

    /// Returns the flags of the next service file: these without `unset`, replaced and joined by `given`.
    pub fn merge(&self, given: &ServiceFlags, unset: &[Flag]) -> ServiceFlags {
        let mut merged = self.0.clone();
        merged.retain(|flag, _| !unset.contains(flag));
        merged.extend(given.0.clone());
        ServiceFlags(merged)
    }

    /// Returns the arguments of hephd. Name and value are one argument, so that no value passes for a flag.
    pub fn to_arguments(&self) -> Vec<String> {
        self.iter()
            .map(|(flag, value)| format!("--{}={value}", flag.name()))
            .collect()
    }

    /// Parses arguments of hephd, also as a person would write them (`--mode local`); the last of two wins. Returns the
    /// arguments that this heph does not know beside the flags.
    ///
    /// # Errors
    ///
    /// As [`ServiceFlags::set`].
    pub fn from_arguments(arguments: &[String]) -> Result<(ServiceFlags, Vec<String>)> {
        let mut flags = ServiceFlags::default();
        let mut foreign = Vec::new();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let long = argument.strip_prefix("--").unwrap_or_default();
            let (name, inline) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (long, None),
            };
            let Some(flag) = Flag::all().find(|flag| flag.name() == name) else {
                foreign.push(argument.clone());
                continue;
            };
            let value = match inline {
                // hephd takes the value of a switch only after `=`, so the next argument is not its value.
                None if flag.is_switch() => Some("true"),
                None => arguments.next().map(String::as_str),
                inline => inline,
            };
            match value {
                Some(value) => flags.set(flag, value)?,
                None => foreign.push(argument.clone()),
            }
        }
        Ok((flags, foreign))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::platform::generated::tests::any_text;
    use proptest::prelude::*;

    pub(crate) fn any_flags() -> impl Strategy<Value = ServiceFlags> {
        let all: Vec<Flag> = Flag::all().collect();
        let count = all.len();
        proptest::collection::btree_map(proptest::sample::select(all), any_text(), 0..=count)
            .prop_map(ServiceFlags)
    }

    fn parse(words: &[&str]) -> (ServiceFlags, Vec<String>) {
        let words: Vec<_> = words.iter().map(ToString::to_string).collect();
        ServiceFlags::from_arguments(&words).unwrap()
    }

    pub(crate) fn flags(words: &[&str]) -> ServiceFlags {
        parse(words).0
    }

    #[test]
    fn given_flags_replace_unset_ones_go_and_the_rest_stays() {
        let existing = flags(&["--mode=local", "--hub-url=https://a", "--http-addr=:1"]);
        let given = flags(&["--hub-url=https://b", "--oidc-issuer=https://i"]);
        let unset = ["http-addr", "oidc-audience"].map(|name| Flag::named(name).unwrap());
        assert_eq!(
            existing.merge(&given, &unset).to_arguments(),
            [
                "--mode=local",
                "--hub-url=https://b",
                "--oidc-issuer=https://i"
            ]
        );
    }

    #[test]
    fn arguments_are_parsed_as_people_write_them_and_foreign_ones_are_named() {
        let (parsed, foreign) = parse(&["--mode", "local", "--hub-url=a=b", "-v", "--mode=server"]);
        assert_eq!(parsed, flags(&["--mode=server", "--hub-url=a=b"]));
        assert_eq!(foreign, ["-v"]);
        let (parsed, foreign) = parse(&["--insecure-no-auth", "--sync-rate", "9", "stray"]);
        assert_eq!(
            parsed.to_arguments(),
            ["--insecure-no-auth=true", "--sync-rate=9"]
        );
        assert_eq!(foreign, ["stray"]);
        assert_eq!(parse(&["--hub-url"]).1, ["--hub-url"]);
        assert_eq!(parse(&["mode", "--modest=x"]).1, ["mode", "--modest=x"]);
    }

    #[test]
    fn what_no_service_file_can_carry_is_rejected_with_its_name() {
        let hub_url = Flag::named("hub-url").unwrap();
        for bad in [
            "", "a\nb", "a\tb", "\u{7f}", "\u{85}", "\u{fffe}", "\u{fdd0}",
        ] {
            let error = ServiceFlags::default().set(hub_url, bad).unwrap_err();
            assert!(error.to_string().contains("--hub-url"), "{bad:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(flags in any_flags()) {
            let arguments = flags.to_arguments();
            prop_assert_eq!(ServiceFlags::from_arguments(&arguments).unwrap(), (flags, Vec::new()));
        }

        #[test]
        fn merging_twice_changes_nothing_more(old in any_flags(), new in any_flags()) {
            let mode = Flag::named("mode").unwrap();
            let once = old.merge(&new, &[mode]);
            prop_assert_eq!(once.merge(&new, &[mode]), once);
        }
    }
}
