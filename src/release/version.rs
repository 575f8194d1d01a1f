//! Versions and tags, parsed from untrusted text.

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, bail};
use crate::os::text::quoted;

const LONGEST: usize = 128;

/// A tag name that is exactly a prefix and a semver: safe as an argument, as part of a URL and as part of a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);

impl Tag {
    /// Returns the tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the tag for `version`.
    pub fn of(prefix: &str, version: &Version) -> Tag {
        Tag(format!("{prefix}{version}"))
    }

    /// Parses `name` as exactly `prefix` and a semver, safe everywhere.
    pub fn parse(prefix: &str, name: &str) -> Option<(Tag, Version)> {
        let tag = Tag::try_from(name.to_owned()).ok()?;
        let version = name.strip_prefix(prefix)?.parse().ok()?;
        Some((tag, version))
    }
}

impl TryFrom<String> for Tag {
    type Error = Error;

    /// Accepts what is safe as an argument, in a URL and in a path, and what git accepts (git-check-ref-format(1)):
    /// ASCII letters, digits and `.` `_` `+` `-` `/` `@`, no leading `-`, no empty part, no part that starts with a dot or
    /// ends in `.lock`, no two dots in a row. (`@{`, which git reads as a date, cannot occur, and `@` alone means HEAD.)
    fn try_from(name: String) -> Result<Tag> {
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-/@".contains(&byte);
        let part = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && !part.ends_with('.')
                && !part.ends_with(".lock")
        };
        if name.len() <= LONGEST
            && name.bytes().all(safe)
            && !name.starts_with('-')
            && name != "@"
            && !name.contains("..")
            && name.split('/').all(part)
        {
            Ok(Tag(name))
        } else {
            bail!("{} is not a safe tag name", quoted(&name))
        }
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> String {
        tag.0
    }
}

/// Returns the version in what a binary prints for `--version`, such as `heph 1.0.3 (abc123)`, or in `1.0.3 (abc123)`:
/// the first word that is a semver, with or without a `v` before it.
pub(crate) fn in_output(text: &str) -> Option<Version> {
    text.split_whitespace().find_map(|word| {
        let word = word.trim_end_matches([',', ';']);
        word.strip_prefix('v').unwrap_or(word).parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_tag_is_exactly_a_prefix_and_a_semver() {
        let version =
            |prefix, name| Tag::parse(prefix, name).map(|(_, version)| version.to_string());
        assert_eq!(version("v", "v1.2.3").as_deref(), Some("1.2.3"));
        assert_eq!(version("", "1.2.3").as_deref(), Some("1.2.3"));
        assert_eq!(
            version("heph/v", "heph/v1.2.3-rc.1+b.5").as_deref(),
            Some("1.2.3-rc.1+b.5")
        );
        assert_eq!(version("heph@", "heph@1.2.3").as_deref(), Some("1.2.3"));
        assert_eq!(
            version("@scope/heph@", "@scope/heph@1.2.3").as_deref(),
            Some("1.2.3")
        );
        for name in [
            "1.2.3", "V1.2.3", "vv1.2.3", "v1.2", "v01.2.3", "v1.2.3 ", "v1.2.3.4", "v", "latest",
        ] {
            assert_eq!(version("v", name), None, "{name:?}");
        }
    }

    #[test]
    fn names_that_are_options_paths_or_shell_words_are_no_tags() {
        let long = format!("v1.0.0-{}", "a".repeat(200));
        for name in [
            "--config=x",
            "-v1.0.0",
            "v1.0.0;rm",
            "v1.0.0 && rm",
            "$(id)",
            "`id`",
            "../..",
            "/etc/passwd",
            "v/../1.0.0",
            "v1.0.0/",
            "v//1.0.0",
            ".v1.0.0",
            "a/.git/b",
            "v1.0.0.lock",
            "v1.0.0\n",
            "v1.0.0\0",
            "v1.0.0\u{202e}",
            "vé",
            "v1.0.0@{0}",
            "v1.0.0:x",
            "v1.0.0%2e",
            "v1.0.0\\x",
            "@",
            "-@1.0.0",
            "a@/../1.0.0",
            "heph@1.0.0@{u}",
            "",
            &long,
        ] {
            let error = Tag::try_from(name.to_owned()).expect_err(name).to_string();
            assert!(
                error.len() < 400 && !error.contains(char::is_control),
                "{error}"
            );
        }
    }

    #[test]
    fn the_version_in_the_output_of_a_binary_is_found() {
        let found = |text| in_output(text).map(|version| version.to_string());
        assert_eq!(found("heph 1.0.3 (abc123)").as_deref(), Some("1.0.3"));
        assert_eq!(found("1.0.3 (abc123)\n").as_deref(), Some("1.0.3"));
        assert_eq!(
            found("tool, v2.0.0-rc.1, built").as_deref(),
            Some("2.0.0-rc.1")
        );
        assert_eq!(found("heph 1.0.3\nlibc 2.36.0").as_deref(), Some("1.0.3"));
        assert_eq!(found("heph 1.0 (abc123)"), None);
        assert_eq!(found(""), None);
    }

    proptest! {
        #[test]
        fn no_text_panics(prefix in ".{0,5}", text in ".*") {
            let _ = in_output(&text);
            let _ = quoted(&text);
            let _ = Tag::parse(&prefix, &text);
        }

        #[test]
        fn what_is_accepted_is_safe_everywhere(name in "[-a-z0-9./_+ ;$~:@{}\\\\]{0,12}") {
            if let Ok(tag) = Tag::try_from(name) {
                let name = tag.as_str();
                prop_assert!(!name.starts_with(['-', '/', '.']));
                let tricks = ['\\', ' ', ';', '$', '~', ':', '{', '}'];
                prop_assert!(!name.contains(tricks) && name != "@");
                prop_assert!(!std::path::Path::new(name).components()
                    .any(|part| !matches!(part, std::path::Component::Normal(_))));
                let unquoted = format!("refs/tags/{name}");
                prop_assert_eq!(shlex::try_quote(&unquoted).unwrap(), unquoted.as_str());
            }
        }

        #[test]
        fn a_tag_made_from_a_version_gives_it_back(major: u16, minor: u16, pre in "[a-z]{0,3}") {
            let dash = if pre.is_empty() { "" } else { "-" };
            let version: Version = format!("{major}.{minor}.0{dash}{pre}").parse().unwrap();
            let tag = Tag::of("v", &version);
            prop_assert_eq!(Tag::parse("v", tag.as_str()).unwrap(), (tag, version));
        }
    }
}
