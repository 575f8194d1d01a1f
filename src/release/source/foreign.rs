//! Tags of another form than the settings name: of another package of the repository, or of a rolling build. They are ignored,
//! and named, so that a wrong `tag-prefix` does not look like a project without releases.

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::config::TagPrefix;
use crate::error::Error;
use crate::os::text::{printable, quoted};

/// How many are named.
const NAMED: usize = 3;
const LONGEST_NAME: usize = 80;

/// The tags that are not a prefix and a version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ForeignTags {
    /// The first few of them, as they came from the network, cut short.
    pub names: Vec<String>,
    pub count: usize,
}

impl ForeignTags {
    pub(super) fn add(&mut self, name: &str) {
        if self.names.len() < NAMED {
            self.names.push(name.chars().take(LONGEST_NAME).collect());
        }
        self.count += 1;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns their names in quotes, and how many there are besides.
    pub(crate) fn in_words(&self) -> String {
        let names: Vec<_> = self
            .names
            .iter()
            .take(NAMED)
            .map(|name| quoted(name))
            .collect();
        let more = self.count.saturating_sub(names.len());
        match (names.split_last(), more) {
            (None, _) => "none".to_owned(),
            (Some((last, [])), 0) => last.clone(),
            (Some((last, names)), 0) => format!("{} and {last}", names.join(", ")),
            (Some(_), more) => format!("{} and {more} more", names.join(", ")),
        }
    }

    /// Returns the first few names, fit to show.
    pub(crate) fn printable_names(&self) -> Vec<String> {
        let names = self.names.iter().take(NAMED);
        names.map(|name| printable(name)).collect()
    }

    /// Returns the error that none of the tags is `prefix` and a version.
    pub(crate) fn error(&self, prefix: &str) -> Error {
        let (noun, verb) = if self.count == 1 {
            ("tag", "is")
        } else {
            ("tags", "are")
        };
        let error = Error::new(format!(
            "the {noun} {} {verb} not {} and a version, as in '{prefix}1.2.3'",
            self.in_words(),
            quoted(prefix)
        ));
        match self.names.iter().find_map(|name| prefix_of(name)) {
            Some(prefix) => error.with_hint(format!(
                "if these are the releases, set `tag-prefix = \"{prefix}\"` under [self-update]"
            )),
            None => error,
        }
    }
}

/// Returns the prefix with which `name` would be a release.
fn prefix_of(name: &str) -> Option<TagPrefix> {
    let starts = name.char_indices().map(|(at, _)| at);
    let prefixes = starts.filter_map(|at| {
        let (prefix, version) = name.split_at(at);
        version.parse::<Version>().ok()?;
        prefix.parse().ok()
    });
    prefixes.into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tags(names: &[&str]) -> ForeignTags {
        let mut tags = ForeignTags::default();
        for name in names {
            tags.add(name);
        }
        tags
    }

    #[test]
    fn a_few_are_named_and_the_rest_is_counted() {
        assert_eq!(tags(&["a"]).in_words(), "\"a\"");
        assert_eq!(tags(&["a", "b"]).in_words(), "\"a\" and \"b\"");
        assert_eq!(tags(&["a", "b", "c"]).in_words(), "\"a\", \"b\" and \"c\"");
        let many = tags(&["a", "b", "c", "d", "e"]);
        assert_eq!(many.in_words(), "\"a\", \"b\", \"c\" and 2 more");
    }

    #[test]
    fn the_error_names_the_form_and_the_prefix_that_would_fit() {
        let error = tags(&["nightly", "other@2.0.0"]).error("v");
        let text = error.to_string();
        assert!(
            text.contains("\"nightly\" and \"other@2.0.0\" are not \"v\""),
            "{text}"
        );
        assert!(error.hint().unwrap().contains("`tag-prefix = \"other@\"`"));
        assert_eq!(tags(&["nightly"]).error("v").hint(), None);
    }

    #[test]
    fn a_prefix_is_all_before_the_version_if_it_can_be_a_setting() {
        let prefix = |name| prefix_of(name).map(|prefix| prefix.to_string());
        for (name, expected) in [
            ("1.2.3", Some("")),
            ("V1.2.3-rc.1", Some("V")),
            ("@scope/heph@10.2.3", Some("@scope/heph@")),
            ("release-2024.1.2", Some("release-")),
            ("v1.2", None),
            ("nightly", None),
            ("-1.2.3", None),
            ("v2.0.0;rm", None),
        ] {
            assert_eq!(prefix(name).as_deref(), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn whatever_they_are_called_the_error_is_one_short_line(names in proptest::collection::vec(".*", 1..6)) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let error = tags(&names).error("v");
            let text = format!("{error:#} {}", error.hint().unwrap_or_default());
            prop_assert!(text.len() < 1500 && !text.contains(char::is_control), "{}", text);
        }
    }
}
