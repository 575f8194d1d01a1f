//! From the text of a settings file to settings: which keys there are, and where each problem is.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::values::{self, Wrong};
use super::{Config, SelfUpdate, Trust};

/// The keys at the top of the file.
const TOP: &[&str] = &["service-manager", "self-update"];
/// The keys of `[self-update]`.
const SELF_UPDATE: &[&str] = &[
    "repository",
    "forge",
    "packages",
    "mode",
    "every",
    "pin",
    "prereleases",
    "cooldown",
    "settle",
    "health-timeout",
    "keep",
    "build-folder-limit",
    "bin-dir",
    "tag-prefix",
    "on-battery",
    "delivery",
    "on-available",
    "on-updated",
    "on-failed",
    "trust",
];
/// The keys of `[self-update.trust]`.
const TRUST: &[&str] = &[
    "tag-signers",
    "tag-openpgp-keyring",
    "minisign-keys",
    "require",
];
/// How alike a misspelt key must be to be taken for the valid one (Jaro-Winkler, 0 to 1).
const ALIKE: f64 = 0.8;
/// How many problems one error lists.
const LISTED: usize = 10;

/// Returns the names of all settings, table by table; the name of a table itself is none.
pub fn keys() -> impl Iterator<Item = &'static str> {
    let tables = |key: &&str| matches!(*key, "self-update" | "trust");
    TOP.iter()
        .chain(SELF_UPDATE)
        .chain(TRUST)
        .copied()
        .filter(move |key| !tables(key))
}

/// One thing that is wrong in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// Returns the error text for `problems` in `file`: one line where there is one problem.
pub fn report(file: &Path, problems: &[Problem]) -> String {
    let file = file.display();
    if let [problem] = problems {
        return format!("'{file}' {problem}");
    }
    let mut text = format!("'{file}' has {} problems", problems.len());
    for problem in problems.iter().take(LISTED) {
        text.push_str(&format!("\n  {problem}"));
    }
    if problems.len() > LISTED {
        text.push_str("\n  …");
    }
    text
}

/// Returns the settings that `bytes` say. `~/` stands for `home`; `standing` is the trust that holds where they say nothing.
///
/// # Errors
///
/// All problems found, in the order of their lines.
pub fn settings(
    bytes: &[u8],
    home: Option<&Path>,
    standing: Trust,
) -> Result<Config, Vec<Problem>> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = line_at(bytes, error.valid_up_to());
        vec![Problem {
            line,
            message: "this is not UTF-8 text".to_owned(),
        }]
    })?;
    let mut reader = Reader {
        home,
        found: Vec::new(),
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    // After a syntax error the rest is guesswork: its problems would mislead.
    let config = if errors.is_empty() {
        reader.top(table.get_ref(), standing)
    } else {
        reader.found.extend(errors.iter().map(|error| Wrong {
            at: error.span().unwrap_or_default(),
            message: error.message().trim().replace('\n', ", "),
        }));
        Config::default()
    };
    if reader.found.is_empty() {
        return Ok(config);
    }
    reader.found.sort_by_key(|wrong| wrong.at.start);
    Err(reader
        .found
        .into_iter()
        .map(|wrong| Problem {
            line: line_at(bytes, wrong.at.start),
            message: wrong.message,
        })
        .collect())
}

fn line_at(bytes: &[u8], offset: usize) -> usize {
    let before = &bytes[..offset.min(bytes.len())];
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

struct Reader<'a> {
    home: Option<&'a Path>,
    found: Vec<Wrong>,
}

impl Reader<'_> {
    fn top(&mut self, table: &DeTable, standing: Trust) -> Config {
        let mut config = Config::default();
        config.self_update.trust = standing;
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            match name {
                "service-manager" => self.set(
                    name,
                    value,
                    values::service_manager,
                    &mut config.service_manager,
                ),
                "self-update" => match value.get_ref() {
                    DeValue::Table(table) => self.self_update(table, &mut config.self_update),
                    _ => self.found.push(Wrong {
                        at: key.span(),
                        message: "'self-update' must be a table: write [self-update]".to_owned(),
                    }),
                },
                _ => self.unknown(key.span(), name, TOP, "at the top of the file"),
            }
        }
        config
    }

    fn self_update(&mut self, table: &DeTable, to: &mut SelfUpdate) {
        for (key, value) in table {
            let home = self.home;
            let name = key.get_ref().as_ref();
            match name {
                "repository" => self.set(name, value, values::repository, &mut to.repository),
                "forge" => self.set(name, value, values::forge, &mut to.forge),
                "packages" => self.set(name, value, values::packages, &mut to.packages),
                "mode" => self.set(name, value, values::mode, &mut to.mode),
                "every" => self.set(name, value, values::every, &mut to.every),
                "pin" => self.set_some(name, value, values::pin, &mut to.pin),
                "prereleases" => self.set(name, value, values::switch, &mut to.prereleases),
                "cooldown" => self.set(name, value, values::length, &mut to.cooldown),
                "settle" => self.set(name, value, values::settle, &mut to.settle),
                "health-timeout" => {
                    self.set(name, value, values::health_timeout, &mut to.health_timeout)
                }
                "keep" => self.set(name, value, values::keep, &mut to.keep),
                "build-folder-limit" => {
                    self.set(name, value, values::size, &mut to.build_folder_limit)
                }
                "bin-dir" => {
                    let folder = |value: &Spanned<DeValue<'_>>| values::folder(value, home);
                    self.set_some(name, value, folder, &mut to.bin_dir)
                }
                "tag-prefix" => self.set(name, value, values::tag_prefix, &mut to.tag_prefix),
                "on-battery" => self.set(name, value, values::on_battery, &mut to.on_battery),
                "delivery" => self.set(name, value, values::delivery, &mut to.delivery),
                "on-available" => self.set_some(name, value, values::hook, &mut to.on_available),
                "on-updated" => self.set_some(name, value, values::hook, &mut to.on_updated),
                "on-failed" => self.set_some(name, value, values::hook, &mut to.on_failed),
                "trust" => match value.get_ref() {
                    DeValue::Table(table) => self.trust(table, &mut to.trust),
                    _ => self.found.push(Wrong {
                        at: key.span(),
                        message: "'trust' must be a table: write [self-update.trust]".to_owned(),
                    }),
                },
                _ => self.unknown(key.span(), name, SELF_UPDATE, "in [self-update]"),
            }
        }
    }

    fn trust(&mut self, table: &DeTable, to: &mut Trust) {
        let mut require = None;
        for (key, value) in table {
            let home = self.home;
            let name = key.get_ref().as_ref();
            match name {
                "tag-signers" => {
                    let signers =
                        |value: &Spanned<DeValue<'_>>| super::trust::tag_signers(value, home);
                    self.set_some(name, value, signers, &mut to.tag_signers);
                }
                "tag-openpgp-keyring" => {
                    let keyring = |value: &Spanned<DeValue<'_>>| super::trust::keyring(value, home);
                    self.set_some(name, value, keyring, &mut to.tag_openpgp_keyring);
                }
                "minisign-keys" => self.set(
                    name,
                    value,
                    super::trust::minisign_keys,
                    &mut to.minisign_keys,
                ),
                "require" => self.set_some(name, value, super::trust::require, &mut require),
                _ => self.unknown(key.span(), name, TRUST, "in [self-update.trust]"),
            }
        }
        to.require = require.unwrap_or(to.default_require());
    }

    fn set<T>(
        &mut self,
        name: &str,
        value: &Spanned<DeValue>,
        read: impl FnOnce(&Spanned<DeValue>) -> Result<T, Wrong>,
        to: &mut T,
    ) {
        match read(value) {
            Ok(read) => *to = read,
            Err(wrong) => self.found.push(Wrong {
                at: wrong.at,
                message: format!("'{name}' {}", wrong.message),
            }),
        }
    }

    fn set_some<T>(
        &mut self,
        name: &str,
        value: &Spanned<DeValue>,
        read: impl FnOnce(&Spanned<DeValue>) -> Result<T, Wrong>,
        to: &mut Option<T>,
    ) {
        self.set(name, value, |value| read(value).map(Some), to);
    }

    fn unknown(&mut self, at: Range<usize>, name: &str, valid: &[&str], place: &str) {
        let remedy = if valid != TRUST && TRUST.contains(&name) {
            "it belongs below [self-update.trust]".to_owned()
        } else if valid == TOP && SELF_UPDATE.contains(&name) {
            "it belongs below [self-update]".to_owned()
        } else if valid == SELF_UPDATE && TOP.contains(&name) {
            "it belongs at the top of the file, above every [table]".to_owned()
        } else if let Some(nearest) = nearest(name, valid) {
            format!("did you mean '{nearest}'?")
        } else {
            format!("valid keys: {}", valid.join(", "))
        };
        let name = values::shown(name);
        self.found.push(Wrong {
            at,
            message: format!("unknown key '{name}' {place}; {remedy}"),
        });
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_empty_file_means_defaults() {
        assert_eq!(settings(b"", None, Trust::default()), Ok(Config::default()));
        let comments = "\u{feff}# nothing yet\n[self-update]\n";
        assert_eq!(
            settings(comments.as_bytes(), None, Trust::default()),
            Ok(Config::default())
        );
    }

    #[test]
    fn keys_and_code_agree() {
        // A key of the list that the reader does not know would be reported as unknown.
        for (keys, table) in [
            (TOP, ""),
            (SELF_UPDATE, "[self-update]\n"),
            (TRUST, "[self-update.trust]\n"),
        ] {
            for key in keys {
                let text = format!("{table}{key} = 2020-02-02\n");
                let problems = settings(text.as_bytes(), None, Trust::default()).unwrap_err();
                assert_eq!(problems.len(), 1);
                assert!(
                    problems[0].message.starts_with(&format!("'{key}' must be")),
                    "{}",
                    problems[0]
                );
            }
        }
    }

    #[test]
    fn all_problems_are_told_in_the_order_of_the_file() {
        let text = "service-manager = 'upstart'\n[self-update]\nsettle = 3\n\nkeeep = 1\n";
        let problems = settings(text.as_bytes(), None, Trust::default()).unwrap_err();
        let lines: Vec<usize> = problems.iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [1, 3, 5]);
        let text = report(Path::new("/c"), &problems);
        assert!(text.starts_with("'/c' has 3 problems\n  line 1: 'service-manager'"));
    }

    fn toml_like() -> impl Strategy<Value = String> {
        let word = prop::sample::select(
            [
                SELF_UPDATE,
                TRUST,
                TOP,
                &[
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
                ],
            ]
            .concat(),
        );
        prop::collection::vec(word, 0..40).prop_map(|words| words.concat())
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = settings(&bytes, None, Trust::default());
        }

        #[test]
        fn no_text_panics_and_every_problem_names_a_line_of_the_file(text in toml_like()) {
            if let Err(problems) = settings(text.as_bytes(), Some(Path::new("/h")), Trust::default()) {
                prop_assert!(!problems.is_empty());
                for problem in problems {
                    prop_assert!(problem.line >= 1 && problem.line <= text.matches('\n').count() + 1);
                    prop_assert!(!problem.message.is_empty());
                }
            }
        }
    }
}
