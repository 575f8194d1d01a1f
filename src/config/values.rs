//! What each setting takes: one function a kind of value.
//!
//! An error finishes the sentence `'KEY' …`, and never repeats what may be a secret.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use semver::VersionReq;
use toml::Spanned;
use toml::de::DeValue;

use super::{Delivery, Forge, Hook, Mode, OnBattery, SHORTEST_EVERY, ServiceManager, repository};
use crate::interval;
use crate::os::text::excerpt;

type Value<'a> = Spanned<DeValue<'a>>;
type Read<T> = Result<T, Wrong>;

/// What is wrong, and which bytes of the file say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The bytes.
    pub at: Range<usize>,
    /// What is wrong.
    pub message: String,
}

/// The longest `settle` and `health-timeout`: the job that waits for them has a time limit of its own.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);
/// The most slots to keep.
const MOST_KEPT: usize = 100;
/// The longest tag prefix, in bytes.
const LONGEST_PREFIX: usize = 64;
/// The longest package name, in bytes (what crates.io takes).
const LONGEST_NAME: usize = 64;

/// Reads `service-manager`.
pub fn service_manager(value: &Value) -> Read<ServiceManager> {
    choice(
        value,
        &[
            ("auto", ServiceManager::Auto),
            ("systemd", ServiceManager::Systemd),
            ("launchd", ServiceManager::Launchd),
            ("none", ServiceManager::None),
        ],
    )
}

/// Reads `forge`.
pub fn forge(value: &Value) -> Read<Forge> {
    choice(
        value,
        &[
            ("auto", Forge::Auto),
            ("forgejo", Forge::Forgejo),
            ("github", Forge::Github),
            ("gitlab", Forge::Gitlab),
            ("git", Forge::Git),
        ],
    )
}

/// Reads `mode`.
pub fn mode(value: &Value) -> Read<Mode> {
    choice(value, &[("apply", Mode::Apply), ("notify", Mode::Notify)])
}

/// Reads `on-battery`.
pub fn on_battery(value: &Value) -> Read<OnBattery> {
    choice(value, &[("skip", OnBattery::Skip), ("run", OnBattery::Run)])
}

/// Reads `delivery`.
pub fn delivery(value: &Value) -> Read<Delivery> {
    choice(
        value,
        &[
            ("auto", Delivery::Auto),
            ("cargo", Delivery::Cargo),
            ("prebuilt", Delivery::Prebuilt),
        ],
    )
}

/// Reads true or false.
pub fn switch(value: &Value) -> Read<bool> {
    match value.get_ref() {
        DeValue::Boolean(switch) => Ok(*switch),
        _ => Err(not(value, "true or false")),
    }
}

/// Reads a length of time.
pub fn length(value: &Value) -> Read<Duration> {
    let expected = "a length of time such as \"90s\", \"30m\", \"6h\" or \"1d\"";
    interval::parse(text(value, expected)?).map_err(|_| not(value, expected))
}

/// Reads `every`.
pub fn every(value: &Value) -> Read<Duration> {
    within(value, SHORTEST_EVERY, Duration::MAX)
}

/// Reads `settle`. It may be longer than `health-timeout`: the one counts from the first good answer, the other until it.
pub fn settle(value: &Value) -> Read<Duration> {
    within(value, Duration::ZERO, LONGEST_WAIT)
}

/// Reads `health-timeout`.
pub fn health_timeout(value: &Value) -> Read<Duration> {
    within(value, Duration::from_secs(1), LONGEST_WAIT)
}

fn within(value: &Value, least: Duration, most: Duration) -> Read<Duration> {
    let read = length(value)?;
    if read < least {
        return Err(not(value, &format!("at least {}", interval::show(least))));
    }
    if read > most {
        return Err(not(value, &format!("at most {}", interval::show(most))));
    }
    Ok(read)
}

/// Reads `keep`.
pub fn keep(value: &Value) -> Read<usize> {
    integer(value)
        .and_then(|number| usize::try_from(number).ok())
        .filter(|number| *number <= MOST_KEPT)
        .ok_or_else(|| not(value, &format!("a whole number from 0 to {MOST_KEPT}")))
}

/// Reads a number of bytes: `"512MiB"`, `"2GiB"`, or the bare number.
pub fn size(value: &Value) -> Read<u64> {
    let bytes = match value.get_ref() {
        DeValue::String(text) => size_in_words(text),
        _ => integer(value).and_then(|number| u64::try_from(number).ok()),
    };
    bytes.ok_or_else(|| {
        not(
            value,
            "a size such as \"512MiB\" or \"2GiB\", or a number of bytes",
        )
    })
}

fn size_in_words(text: &str) -> Option<u64> {
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

/// Reads `pin`.
pub fn pin(value: &Value) -> Read<VersionReq> {
    let expected = "a semver requirement such as \"1.4\", \"~1.4.2\" or \">=1, <3\"";
    VersionReq::parse(text(value, expected)?).map_err(|_| not(value, expected))
}

/// Reads `repository`, without trailing slashes.
pub fn repository(value: &Value) -> Read<String> {
    let url = text(value, "the URL of a repository")?;
    repository::check(url).map_err(|message| wrong(value, &message))
}

/// Reads `packages`. They become arguments of cargo, so none may look like an option.
pub fn packages(value: &Value) -> Read<Vec<String>> {
    let expected = "a list of package names such as [\"heph\"]";
    let mut names: Vec<String> = Vec::new();
    for element in elements(value, expected)? {
        let name = text(element, "a package name")?;
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if name.is_empty()
            || name.len() > LONGEST_NAME
            || name.starts_with('-')
            || !name.bytes().all(letters)
        {
            return Err(not(
                element,
                "package names: letters, digits, '-' and '_', not starting with '-'",
            ));
        }
        if names.iter().any(|other| other == name) {
            return Err(wrong(element, &format!("names '{name}' twice")));
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

/// Reads `tag-prefix`, such as `v`, `heph-v`, `heph/v` or `heph@`: with a version behind it, a valid tag
/// (git-check-ref-format(1)) that no tool takes for an option.
pub fn tag_prefix(value: &Value) -> Read<String> {
    let expected = "what stands before the version in a tag, such as \"v\" or \"heph-v\"";
    let prefix = text(value, expected)?;
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/@+".contains(&byte);
    let folders = |part: &str| part.starts_with('.') || part.ends_with(".lock");
    if prefix.len() > LONGEST_PREFIX
        || !prefix.bytes().all(letters)
        || prefix.starts_with(['-', '/'])
        || prefix.contains("..")
        || prefix.contains("//")
        || prefix.split('/').any(folders)
    {
        return Err(not(value, expected));
    }
    Ok(prefix.to_owned())
}

/// Reads an absolute folder; `~/` stands for `home`.
pub fn folder(value: &Value, home: Option<&Path>) -> Read<PathBuf> {
    path(
        value,
        home,
        "an absolute path, or one that starts with \"~/\"",
    )
}

/// Reads an absolute path; `~/` stands for `home`.
pub fn path(value: &Value, home: Option<&Path>, expected: &str) -> Read<PathBuf> {
    let path = text(value, expected)?;
    if path.chars().any(char::is_control) {
        return Err(not(value, "a path without control characters"));
    }
    let path = match (path.strip_prefix("~/"), home) {
        (Some(below), Some(home)) => home.join(below.trim_start_matches('/')),
        _ => PathBuf::from(path),
    };
    if path.is_absolute() {
        Ok(path)
    } else {
        Err(not(value, expected))
    }
}

/// Reads a hook.
pub fn hook(value: &Value) -> Read<Hook> {
    let expected = "a command and its arguments as a list, such as [\"notify-send\", \"heph\"]";
    let words = elements(value, expected)?
        .iter()
        .map(|element| {
            let word = text(element, "a list of strings")?;
            if word.contains('\0') {
                return Err(not(element, "words without the character 0"));
            }
            Ok(word.to_owned())
        })
        .collect::<Read<Hook>>()?;
    let program = Path::new(&words[0]);
    let on_path = !words[0].contains('/');
    if words[0].is_empty() || !(on_path || program.is_absolute()) {
        return Err(not(
            value,
            "a list that starts with an absolute path or the name of a command on PATH",
        ));
    }
    Ok(words)
}

/// Returns the elements of a list that is not empty.
pub fn elements<'a, 'i>(value: &'a Value<'i>, expected: &str) -> Read<&'a [Value<'i>]> {
    match value.get_ref() {
        DeValue::Array(elements) if elements.is_empty() => {
            Err(wrong(value, &format!("must be {expected}, not empty")))
        }
        DeValue::Array(elements) => Ok(elements),
        _ => Err(not(value, expected)),
    }
}

/// Returns the text of a string.
pub fn text<'a>(value: &'a Value, expected: &str) -> Read<&'a str> {
    value.get_ref().as_str().ok_or_else(|| not(value, expected))
}

fn integer(value: &Value) -> Option<i64> {
    let integer = value.get_ref().as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// Reads one of `choices`.
pub fn choice<T: Copy>(value: &Value, choices: &[(&str, T)]) -> Read<T> {
    let names: Vec<String> = choices
        .iter()
        .map(|(name, _)| format!("\"{name}\""))
        .collect();
    let expected = match names.as_slice() {
        [first, second] => format!("{first} or {second}"),
        _ => format!("one of {}", names.join(", ")),
    };
    let text = text(value, &expected)?;
    choices
        .iter()
        .find(|(name, _)| *name == text)
        .map(|(_, choice)| *choice)
        .ok_or_else(|| not(value, &expected))
}

/// Returns what is wrong with `value`.
pub fn wrong(value: &Value, message: &str) -> Wrong {
    Wrong {
        at: value.span(),
        message: message.to_owned(),
    }
}

/// Returns "must be `expected`, not …", with the value where it is short and of no concern.
pub fn not(value: &Value, expected: &str) -> Wrong {
    let found = match value.get_ref() {
        DeValue::String(text) => format!("\"{}\"", shown(text)),
        DeValue::Integer(number) => format!("the number {}", shown(number.as_str())),
        DeValue::Float(number) => format!("the number {}", shown(number.as_str())),
        DeValue::Boolean(switch) => switch.to_string(),
        DeValue::Datetime(_) => "a date or time".to_owned(),
        DeValue::Array(_) => "this list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    };
    wrong(value, &format!("must be {expected}, not {found}"))
}

/// Returns `text` fit for one line of a terminal: short, without control characters.
pub fn shown(text: &str) -> String {
    excerpt(text, 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_binary_units() {
        assert_eq!(size_in_words("2GiB"), Some(2 << 30));
        assert_eq!(size_in_words("512MiB"), Some(512 << 20));
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
            assert_eq!(size_in_words(bad), None, "{bad}");
        }
    }
}
