//! What a setting's value may be: the building blocks of `Deserialize` for settings.
//!
//! An error of serde's own form ("expected …") becomes `'KEY' must be …, not …` in `parse.rs`; any other finishes the
//! sentence `'KEY' …`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use directories::BaseDirs;
use semver::VersionReq;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{
    self, DeserializeOwned, Error as _, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::{Deserialize, Deserializer, Serialize};

use super::Interval;
use crate::error::{Error, Result};

/// The most slots to keep.
const MOST_KEPT: u64 = 100;
/// The longest tag prefix, in bytes.
const LONGEST_PREFIX: usize = 64;
/// The longest package name, in bytes (what crates.io takes).
const LONGEST_NAME: usize = 64;

/// Deserializes a string by `read`, which returns the reason where it knows more than that this is not `expected`.
pub(super) fn text<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: &str,
    read: impl FnOnce(&str) -> Result<T, Option<Error>>,
) -> Result<T, D::Error> {
    struct Text<'e, F>(&'e str, F);
    impl<T, F: FnOnce(&str) -> Result<T, Option<Error>>> Visitor<'_> for Text<'_, F> {
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
    deserializer.deserialize_str(Text(expected, read))
}

/// Deserializes one of the words of an enum.
pub(super) fn word<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<T, D::Error> {
    let read = |word: &str| {
        T::deserialize(IntoDeserializer::<de::value::Error>::into_deserializer(
            word,
        ))
    };
    // A derived `Deserialize` lists the words where it is given none of them.
    let unknown = read("")
        .err()
        .map(|error| error.to_string().replace('`', "\""));
    let expected = unknown
        .as_deref()
        .and_then(|error| error.split_once(", expected "));
    let expected = expected.map_or("a word", |(_, expected)| expected);
    text(deserializer, expected, |text| read(text).map_err(|_| None))
}

/// Deserializes a list that is not empty and has no element twice.
pub(super) fn list<'de, D, T>(deserializer: D, expected: &str) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + PartialEq + fmt::Display,
{
    let list: Vec<T> = words(deserializer, expected)?;
    match list
        .iter()
        .enumerate()
        .find(|(at, one)| list[..*at].contains(one))
    {
        Some((_, twice)) => Err(D::Error::custom(format!("names '{twice}' twice"))),
        None => Ok(list),
    }
}

/// Deserializes a list that is not empty.
fn words<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
    expected: &str,
) -> Result<Vec<T>, D::Error> {
    struct List<'e, T>(&'e str, std::marker::PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for List<'_, T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Vec<T>, A::Error> {
            let list = Vec::deserialize(SeqAccessDeserializer::new(list))?;
            if list.is_empty() {
                return Err(A::Error::custom(format!("must be {}, not empty", self.0)));
            }
            Ok(list)
        }
    }
    deserializer.deserialize_seq(List(expected, std::marker::PhantomData))
}

/// Deserializes a struct of settings from a table only: serde would take a list as well.
pub(super) fn table<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    struct Table<T>(std::marker::PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Table<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(super::parse::TABLE)
        }

        fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(table))
        }
    }
    deserializer.deserialize_map(Table(std::marker::PhantomData))
}

/// Deserializes an interval from `LEAST` to `MOST` seconds.
pub(super) fn within<'de, const LEAST: u64, const MOST: u64, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Interval, D::Error> {
    let interval = Interval::deserialize(deserializer)?;
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

/// Deserializes a requirement of versions.
pub(super) fn pin<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<VersionReq>, D::Error> {
    let expected = "a semver requirement such as \"1.4\", \"~1.4.2\" or \">=1, <3\"";
    text(deserializer, expected, |text| {
        text.parse().map(Some).map_err(|_| None)
    })
}

/// Deserializes a folder.
pub(super) fn folder<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<PathBuf>, D::Error> {
    let expected = "an absolute path or one that starts with \"~/\", without control characters";
    text(deserializer, expected, |text| {
        path(text).map(Some).ok_or(None)
    })
}

/// Deserializes a file.
pub(super) fn keyring<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<PathBuf>, D::Error> {
    let expected = "the absolute path of an OpenPGP keyring";
    text(deserializer, expected, |text| {
        path(text).map(Some).ok_or(None)
    })
}

/// Returns the absolute path that `text` is; `~/` stands for the user's home folder.
pub(super) fn path(text: &str) -> Option<PathBuf> {
    let path = match (text.strip_prefix("~/"), BaseDirs::new()) {
        (Some(below), Some(base)) => base.home_dir().join(below.trim_start_matches('/')),
        _ => PathBuf::from(text),
    };
    (path.is_absolute() && !text.contains(char::is_control)).then_some(path)
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
    impl<'de> Deserialize<'de> for Name {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
            let expected = "package names: letters, digits, '-' and '_', not starting with '-'";
            text(deserializer, expected, |name| {
                // It becomes an argument of cargo.
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
                let short = !name.is_empty() && name.len() <= LONGEST_NAME;
                let valid = short && !name.starts_with('-') && name.bytes().all(plain);
                valid.then(|| Name(name.to_owned())).ok_or(None)
            })
        }
    }
    let expected = "a list of package names such as [\"heph\"]";
    let names: Vec<Name> = list(deserializer, expected)?;
    Ok(names.into_iter().map(|name| name.0).collect())
}

/// What stands before the version in a tag, such as `v`, `heph-v` or `heph/v`: with a version behind it, a valid tag
/// (git-check-ref-format(1)) that no tool takes for an option and that needs no escape in a URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/+".contains(&byte);
        let folder = |part: &str| {
            part.is_empty()
                || part.starts_with('.')
                || part.ends_with('.')
                || part.ends_with(".lock")
        };
        let mut folders = prefix.rsplit('/');
        let name = folders.next().unwrap_or_default();
        if prefix.len() > LONGEST_PREFIX
            || !prefix.bytes().all(plain)
            || prefix.starts_with('-')
            || prefix.contains("..")
            || name.starts_with('.')
            || folders.any(folder)
        {
            return Err(Error::usage("this is not a tag prefix")
                .with_hint("use letters, digits and . _ + - / only, as in \"v\" or \"release/\""));
        }
        Ok(TagPrefix(prefix.to_owned()))
    }
}

impl<'de> Deserialize<'de> for TagPrefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TagPrefix, D::Error> {
        let expected = "what stands before the version in a tag, such as \"v\" or \"heph-v\"";
        text(deserializer, expected, |text| {
            text.parse().map_err(|_| None)
        })
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
        impl<'de> Deserialize<'de> for Word {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Word, D::Error> {
                text(
                    deserializer,
                    "a list of strings without the character 0",
                    |word| {
                        let valid = !word.contains('\0');
                        valid.then(|| Word(word.to_owned())).ok_or(None)
                    },
                )
            }
        }
        let expected = "a command and its arguments as a list, such as [\"notify-send\", \"heph\"]";
        let words: Vec<Word> = words(deserializer, expected)?;
        let mut words = words.into_iter().map(|word| word.0);
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
        for prefix in ["", "v", "heph-v", "heph/v", "release/", "heph_1.2+v"] {
            assert_eq!(prefix.parse::<TagPrefix>().unwrap().as_str(), prefix);
        }
        for bad in [
            "-v", "v ", "../v", "x;y", "a//v", "/v", ".v", "a/.v", "a.lock/v", "a./v", "heph@",
            "v..",
        ] {
            assert!(bad.parse::<TagPrefix>().is_err(), "{bad}");
        }
    }
}
