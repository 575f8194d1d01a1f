//! From the text of a settings file to settings, and from serde's errors to ones that name the line and what would be right.

use std::ops::Range;
use std::path::Path;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, forward_to_deserialize_any};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Config, SelfUpdate, Trust};
use crate::error::{Error, Result};
use crate::os::text::{excerpt, quoted};

/// What a table's `Deserialize` expects.
pub(super) const TABLE: &str = "a table";
/// How alike a misspelt key must be to be taken for the valid one (Jaro-Winkler, 0 to 1).
const ALIKE: f64 = 0.8;
/// How many characters of a key or number an error shows.
const LONGEST_NAME: usize = 60;

/// Returns the settings that `bytes`, the content of `file`, say.
///
/// # Errors
///
/// The first problem: where it is, what is wrong and what would be right.
pub(super) fn settings(file: &Path, bytes: &[u8]) -> Result<Config> {
    let problem = |at: usize, message: &str| {
        let before = &bytes[..at.min(bytes.len())];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Error::usage(format!("'{}' line {line}: {message}", file.display()))
    };
    let text = std::str::from_utf8(bytes)
        .map_err(|error| problem(error.valid_up_to(), "this is not UTF-8 text"))?;
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().unwrap_or_default();
        problem(at.start, &error.message().trim().replace('\n', ", "))
    })?;
    Config::deserialize(toml::Deserializer::from(table.clone())).map_err(|error| {
        let at = error.span().unwrap_or_default();
        let message = match locate(table.get_ref(), &at, &mut Vec::new()) {
            Some(place) => place.explain(error.message()),
            None => error.message().to_owned(),
        };
        problem(at.start, &message)
    })
}

/// What an error points at.
struct Place<'t> {
    /// The names of the tables above it, and its own.
    path: Vec<&'t str>,
    value: &'t Spanned<DeValue<'t>>,
}

/// Finds the key or value that stands at `at`.
fn locate<'t>(
    table: &'t DeTable<'t>,
    at: &Range<usize>,
    above: &mut Vec<&'t str>,
) -> Option<Place<'t>> {
    for (key, value) in table {
        above.push(key.get_ref());
        let place = |value| Place {
            path: above.clone(),
            value,
        };
        if key.span() == *at || value.span() == *at {
            return Some(place(value));
        }
        let found = match value.get_ref() {
            DeValue::Table(below) => locate(below, at, above),
            DeValue::Array(elements) => elements
                .iter()
                .find(|element| element.span() == *at)
                .map(place),
            _ => None,
        };
        if found.is_some() {
            return found;
        }
        above.pop();
    }
    None
}

impl Place<'_> {
    /// Returns the sentence for serde's `message`.
    fn explain(&self, message: &str) -> String {
        let (name, above) = match self.path.split_last() {
            Some((name, above)) => (excerpt(name, LONGEST_NAME), above),
            None => return message.to_owned(),
        };
        if message.starts_with("unknown field") {
            return self.unknown(&name, above);
        }
        match message.split_once(", expected ") {
            Some(("", _)) | None => format!("'{name}' {message}"),
            Some((_, TABLE)) => {
                format!("'{name}' must be a table: write [{}]", self.path.join("."))
            }
            Some((_, expected)) => {
                let expected = match expected {
                    "a boolean" => "true or false",
                    expected => expected,
                };
                format!(
                    "'{name}' must be {expected}, not {}",
                    found(self.value.get_ref())
                )
            }
        }
    }

    fn unknown(&self, name: &str, above: &[&str]) -> String {
        let place = match above {
            [] => "at the top of the file".to_owned(),
            above => format!("in [{}]", above.join(".")),
        };
        let tables = tables();
        let keys = tables.iter().find(|(table, _)| *table == above);
        let keys = keys.map_or(&[][..], |(_, keys)| keys);
        let elsewhere = |(_, keys): &&(&[&str], &[&str])| {
            self.path.last().is_some_and(|name| keys.contains(name))
        };
        let remedy = match tables.iter().find(elsewhere) {
            Some(([], _)) => "it belongs at the top of the file, above every [table]".to_owned(),
            Some((table, _)) => format!("it belongs below [{}]", table.join(".")),
            None => match nearest(name, keys) {
                Some(nearest) => format!("did you mean '{nearest}'?"),
                None => format!("valid keys: {}", keys.join(", ")),
            },
        };
        format!("unknown key '{name}' {place}; {remedy}")
    }
}

fn nearest<'a>(name: &str, valid: &[&'a str]) -> Option<&'a str> {
    let name = name.to_lowercase().replace('_', "-");
    valid
        .iter()
        .map(|key| (*key, strsim::jaro_winkler(&name, key)))
        .filter(|(_, alike)| *alike >= ALIKE)
        .max_by(|(_, one), (_, other)| one.total_cmp(other))
        .map(|(key, _)| key)
}

/// Returns what stands in the file, fit for the end of a sentence.
fn found(value: &DeValue) -> String {
    match value {
        DeValue::String(text) => quoted(text),
        DeValue::Integer(number) => {
            format!("the number {}", excerpt(number.as_str(), LONGEST_NAME))
        }
        DeValue::Float(number) => format!("the number {}", excerpt(number.as_str(), LONGEST_NAME)),
        DeValue::Boolean(switch) => switch.to_string(),
        DeValue::Datetime(_) => "a date or time".to_owned(),
        DeValue::Array(_) => "this list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// Every table of the settings file, with its keys.
type Tables = [(&'static [&'static str], &'static [&'static str]); 3];

fn tables() -> Tables {
    [
        (&[], keys::<Config>()),
        (&["self-update"], keys::<SelfUpdate>()),
        (&["self-update", "trust"], keys::<Trust>()),
    ]
}

/// Returns the keys of a table, as its `Deserialize` names them.
fn keys<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    struct Names<'a>(&'a mut &'static [&'static str]);
    impl<'de> Deserializer<'de> for Names<'_> {
        type Error = de::value::Error;

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
            Err(de::Error::custom("only the names are wanted"))
        }

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            visitor: V,
        ) -> Result<V::Value, Self::Error> {
            *self.0 = fields;
            self.deserialize_any(visitor)
        }

        forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }
    let mut keys: &'static [&'static str] = &[];
    let _ = T::deserialize(Names(&mut keys));
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Config> {
        settings(Path::new("/c"), text.as_bytes())
    }

    #[test]
    fn every_key_says_what_it_takes_and_has_a_row_with_its_default_in_the_reference() {
        let reference = include_str!("../../docs/reference.md");
        for (table, keys) in tables() {
            assert!(!keys.is_empty());
            for key in keys
                .iter()
                .filter(|key| !["self-update", "trust"].contains(key))
            {
                let header = match table {
                    [] => String::new(),
                    table => format!("[{}]\n", table.join(".")),
                };
                let said = parse(&format!("{header}{key} = 2020-02-02\n")).unwrap_err();
                let said = said.to_string();
                assert!(said.contains(&format!(": '{key}' must be ")), "{said}");
                assert!(said.ends_with(", not a date or time"), "{said}");
                let row = reference.split_once(&format!("\n| `{key}` | "));
                let (_, row) =
                    row.unwrap_or_else(|| panic!("docs/reference.md has no row for '{key}'"));
                let default = row
                    .split(" | ")
                    .next()
                    .unwrap()
                    .strip_prefix('`')
                    .and_then(|text| text.strip_suffix('`'));
                if let Some(default) = default.filter(|text| !text.contains('`')) {
                    let config = parse(&format!("{header}{key} = {default}\n")).unwrap();
                    assert_eq!(
                        config,
                        Config::default(),
                        "the default of '{key}' is not {default}"
                    );
                }
            }
        }
    }

    fn toml_like() -> impl Strategy<Value = String> {
        let words = [
            "[self-update]",
            "[self-update.trust]",
            "=",
            "\n",
            "[",
            "]",
            "\"",
            "'",
            "6h",
            "true",
            "-1",
            "1e9",
            "{",
            "}",
            ",",
            ".",
            "é",
            "\"\u{7}\"",
            "9999999999999999999999",
            "0x_",
            "nan",
            "1979-05-27",
            "#",
            " ",
            "\"\"\"",
        ];
        let keys = tables().map(|(_, keys)| keys).concat();
        let word = prop::sample::select([keys, words.to_vec()].concat());
        prop::collection::vec(word, 0..40).prop_map(|words| words.concat())
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = settings(Path::new("/c"), &bytes);
        }

        #[test]
        fn no_text_panics_and_every_problem_names_a_line_of_the_file(text in toml_like()) {
            if let Err(error) = parse(&text) {
                let error = error.to_string();
                let (line, message) = error.strip_prefix("'/c' line ").unwrap().split_once(": ").unwrap();
                let line: usize = line.parse().unwrap();
                prop_assert!(line >= 1 && line <= text.matches('\n').count() + 1);
                prop_assert!(!message.is_empty());
            }
        }
    }
}
