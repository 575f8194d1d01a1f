//! What a setting's value may be, and how it is deserialized.
//!
//! An error of serde's own form ("expected …") becomes `'KEY' must be …, not …` in `parse.rs`; any other finishes the
//! sentence `'KEY' …`.

use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use directories::BaseDirs;
use semver::VersionReq;
use serde::de::value::{self, MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{
    DeserializeOwned, Error as _, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::{Deserialize, Deserializer};

use super::Interval;
use crate::error::{Error, Result};

/// The most slots to keep.
const MOST_KEPT: u64 = 100;
/// The longest tag prefix, in bytes.
const LONGEST_PREFIX: usize = 64;
/// The longest package name, in bytes (what crates.io takes).
const LONGEST_NAME: usize = 64;

/// A setting that is written as a string.
pub(super) trait Text: Sized {
    /// What would be right; finishes the sentence "must be …".
    const EXPECTED: &'static str;

    /// Returns the value, or the reason where that is more than that the text is not what is expected.
    fn read(text: &str) -> Result<Self, Option<Error>>;
}

impl<T: Text> Text for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn read(text: &str) -> Result<Self, Option<Error>> {
        T::read(text).map(Some)
    }
}

/// Deserializes a string.
pub(super) fn text<'de, D: Deserializer<'de>, T: Text>(deserializer: D) -> Result<T, D::Error> {
    string(deserializer, T::EXPECTED, T::read)
}

fn string<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: &str,
    read: impl FnOnce(&str) -> Result<T, Option<Error>>,
) -> Result<T, D::Error> {
    struct StringVisitor<'e, F>(&'e str, F);
    impl<T, F: FnOnce(&str) -> Result<T, Option<Error>>> Visitor<'_> for StringVisitor<'_, F> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
            self.1(text).map_err(|reason| match reason {
                Some(reason) => E::custom(format!("must be {}: {reason}", self.0)),
                None => E::invalid_value(Unexpected::Str(text), &self.0),
            })
        }
    }
    deserializer.deserialize_str(StringVisitor(expected, read))
}

/// Deserializes one of the words of an enum.
pub(super) fn word<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<T, D::Error> {
    let read =
        |word: &str| T::deserialize(IntoDeserializer::<value::Error>::into_deserializer(word));
    // A derived `Deserialize` lists the words where it is given none of them.
    let unknown = read("")
        .err()
        .map(|error| error.to_string().replace('`', "\""));
    let expected = unknown
        .as_deref()
        .and_then(|error| error.split_once(", expected "));
    let expected = expected.map_or("a word", |(_, expected)| expected);
    string(deserializer, expected, |text| read(text).map_err(|_| None))
}

/// Deserializes a list of strings that is not empty; [`Text::EXPECTED`] is a plural.
pub(super) fn list<'de, D: Deserializer<'de>, T: Text>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    elements::<D, T, false>(deserializer)
}

/// Deserializes a list of strings, which may be empty only if `EMPTY`.
pub(super) fn elements<'de, D: Deserializer<'de>, T: Text, const EMPTY: bool>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    struct Element<T>(T);
    impl<'de, T: Text> Deserialize<'de> for Element<T> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            string(deserializer, &expected::<T>(), T::read).map(Element)
        }
    }
    fn expected<T: Text>() -> String {
        format!("a list of {}", T::EXPECTED)
    }
    struct ListVisitor<T, const EMPTY: bool>(PhantomData<T>);
    impl<'de, T: Text, const EMPTY: bool> Visitor<'de> for ListVisitor<T, EMPTY> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(&expected::<T>())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Vec<T>, A::Error> {
            let list = Vec::<Element<T>>::deserialize(SeqAccessDeserializer::new(list))?;
            if list.is_empty() && !EMPTY {
                return Err(A::Error::custom(format!(
                    "must be {}, not empty",
                    expected::<T>()
                )));
            }
            Ok(list.into_iter().map(|element| element.0).collect())
        }
    }
    deserializer.deserialize_seq(ListVisitor::<T, EMPTY>(PhantomData))
}

/// Deserializes a list of strings that is not empty and has none twice.
pub(super) fn set<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Text + PartialEq + fmt::Display,
{
    let list: Vec<T> = list(deserializer)?;
    match list
        .iter()
        .enumerate()
        .find(|(at, one)| list[..*at].contains(one))
    {
        Some((_, twice)) => Err(D::Error::custom(format!("names '{twice}' twice"))),
        None => Ok(list),
    }
}

/// Deserializes a struct of settings from a table only: serde would take a list as well.
pub(super) fn table<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    struct TableVisitor<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for TableVisitor<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(super::parse::TABLE)
        }

        fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(table))
        }
    }
    deserializer.deserialize_map(TableVisitor(PhantomData))
}

/// Deserializes an interval from `LEAST` to `MOST` seconds.
pub(super) fn within<'de, const LEAST: u64, const MOST: u64, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Interval, D::Error> {
    let interval: Interval = text(deserializer)?;
    let expected = match interval.as_secs() {
        seconds if seconds < LEAST => format!("at least {}", Interval::from_secs(LEAST)),
        seconds if seconds > MOST => format!("at most {}", Interval::from_secs(MOST)),
        _ => return Ok(interval),
    };
    Err(D::Error::invalid_value(
        Unexpected::Other("it"),
        &expected.as_str(),
    ))
}

struct Number<'e>(&'e str, u64);

impl Visitor<'_> for Number<'_> {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<u64, E> {
        let allowed = u64::try_from(number)
            .ok()
            .filter(|number| *number <= self.1);
        allowed.ok_or_else(|| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<u64, E> {
        let size = if self.1 == u64::MAX {
            bytes(text)
        } else {
            None
        };
        size.ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

/// Deserializes how many slots to keep.
pub(super) fn slots<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let expected = format!("a whole number from 0 to {MOST_KEPT}");
    let kept = deserializer.deserialize_any(Number(&expected, MOST_KEPT))?;
    Ok(usize::try_from(kept).unwrap_or(usize::MAX))
}

/// Deserializes a number of bytes: `"512MiB"`, `"2GiB"`, or the bare number.
pub(super) fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let expected = "a size such as \"512MiB\" or \"2GiB\", or a number of bytes";
    deserializer.deserialize_any(Number(expected, u64::MAX))
}

fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let shift = match unit {
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

impl Text for VersionReq {
    const EXPECTED: &'static str =
        "a semver requirement such as \"1.4\", \"~1.4.2\" or \">=1, <3\"";

    fn read(text: &str) -> Result<VersionReq, Option<Error>> {
        text.parse().map_err(|_| None)
    }
}

impl Text for PathBuf {
    const EXPECTED: &'static str =
        "an absolute path or one that starts with \"~/\", without control characters";

    /// `~/` stands for the user's home folder.
    fn read(text: &str) -> Result<PathBuf, Option<Error>> {
        let path = match (text.strip_prefix("~/"), BaseDirs::new()) {
            (Some(below), Some(base)) => base.home_dir().join(below.trim_start_matches('/')),
            _ => PathBuf::from(text),
        };
        let valid = path.is_absolute() && !text.contains(char::is_control);
        valid.then_some(path).ok_or(None)
    }
}

/// Deserializes the names of Cargo packages.
pub(super) fn packages<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    #[derive(PartialEq)]
    struct Name(String);
    impl fmt::Display for Name {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(&self.0)
        }
    }
    impl Text for Name {
        const EXPECTED: &'static str =
            "package names (letters, digits, '-' and '_', not starting with '-')";

        fn read(name: &str) -> Result<Name, Option<Error>> {
            // It becomes an argument of cargo.
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
            let short = !name.is_empty() && name.len() <= LONGEST_NAME;
            let valid = short && !name.starts_with('-') && name.bytes().all(plain);
            valid.then(|| Name(name.to_owned())).ok_or(None)
        }
    }
    let names = set(deserializer)?;
    Ok(names.into_iter().map(|Name(name)| name).collect())
}

/// What stands before the version in a tag, such as `v`, `heph-v`, `heph/v` or `heph@`: with a version behind it, a valid tag
/// (git-check-ref-format(1)) that no tool takes for an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagPrefix(String);

impl TagPrefix {
    /// Returns it as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for TagPrefix {
    fn default() -> TagPrefix {
        TagPrefix("v".to_owned())
    }
}

impl fmt::Display for TagPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TagPrefix {
    type Err = Error;

    fn from_str(prefix: &str) -> Result<TagPrefix> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/+@".contains(&byte);
        let tag = format!("{prefix}1");
        let part = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && !part.ends_with('.')
                && !part.ends_with(".lock")
        };
        if prefix.len() <= LONGEST_PREFIX
            && prefix.bytes().all(plain)
            && !prefix.starts_with('-')
            && !tag.contains("..")
            && tag.split('/').all(part)
        {
            return Ok(TagPrefix(prefix.to_owned()));
        }
        Err(Error::usage("this is not a tag prefix"))
    }
}

impl Text for TagPrefix {
    const EXPECTED: &'static str =
        "what stands before the version in a tag, such as \"v\" or \"heph-v\"";

    fn read(text: &str) -> Result<TagPrefix, Option<Error>> {
        text.parse().map_err(|_| None)
    }
}

/// A command with its arguments. No shell is involved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// An absolute path, or a name on PATH.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
}

impl<'de> Deserialize<'de> for Hook {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Hook, D::Error> {
        struct Word(String);
        impl Text for Word {
            const EXPECTED: &'static str = "strings (a command and its arguments, without the character 0), such as [\"notify-send\", \"heph\"]";

            fn read(word: &str) -> Result<Word, Option<Error>> {
                let valid = !word.contains('\0');
                valid.then(|| Word(word.to_owned())).ok_or(None)
            }
        }
        let mut words = list(deserializer)?.into_iter().map(|Word(word)| word);
        let program = words.next().unwrap_or_default();
        if program.is_empty() || (program.contains('/') && !Path::new(&program).is_absolute()) {
            let expected =
                "a list that starts with an absolute path or the name of a command on PATH";
            return Err(D::Error::invalid_value(Unexpected::Seq, &expected));
        }
        Ok(Hook {
            program,
            arguments: words.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_binary_units() {
        assert_eq!(bytes("2GiB"), Some(2 << 30));
        assert_eq!(bytes("512MiB"), Some(512 << 20));
        for bad in [
            "",
            "GiB",
            "2",
            "2GB",
            "2 GiB",
            "-2GiB",
            "2.5GiB",
            "99999999999TiB",
        ] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_tag_prefix_begins_a_tag_that_is_safe_everywhere() {
        for prefix in [
            "",
            "v",
            "heph-v",
            "heph/v",
            "release/",
            "heph_1.2+v",
            "heph@",
            "@scope/heph@",
            "@",
        ] {
            assert_eq!(prefix.parse::<TagPrefix>().unwrap().as_str(), prefix);
        }
        for bad in [
            "-v", "v ", "../v", "x;y", "a//v", "/v", ".v", "a/.v", "a.lock/v", "a./v", "-@",
            "heph@{", "v..",
        ] {
            assert!(bad.parse::<TagPrefix>().is_err(), "{bad}");
        }
    }
}
