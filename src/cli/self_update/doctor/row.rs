//! What a check of the doctor found, and how a list of that is shown.

use serde::{Deserialize, Serialize};

use crate::cli::ui::{self, Ui};
use crate::error::Error;

/// How serious it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Status {
    /// As it should be.
    Ok,
    /// The timer's run works, but something about it may surprise.
    Warning,
    /// The timer's run will not work.
    Problem,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Row {
    pub status: Status,
    /// What was found, without secrets.
    pub detail: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// A row under the name of its check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NamedRow {
    name: String,
    #[serde(flatten)]
    pub row: Row,
}

impl Row {
    /// Returns a row about something as it should be.
    pub fn ok(detail: impl AsRef<str>) -> Row {
        Row::new(Status::Ok, detail.as_ref(), None)
    }

    /// Returns a row about something that may surprise.
    pub fn warning(detail: impl AsRef<str>, hint: impl AsRef<str>) -> Row {
        Row::new(Status::Warning, detail.as_ref(), Some(hint.as_ref()))
    }

    /// Returns a row about something that stops the timer's run.
    pub fn problem(detail: impl AsRef<str>, hint: impl AsRef<str>) -> Row {
        Row::new(Status::Problem, detail.as_ref(), Some(hint.as_ref()))
    }

    /// Returns the problem that `error` is; `hint` helps where it carries no hint of its own.
    pub fn failed(error: &Error, hint: &str) -> Row {
        Row::problem(error.one_line(), error.hint().unwrap_or(hint))
    }

    /// Returns the row with a problem lessened to a warning, for `why`.
    pub fn lessened(mut self, why: &str) -> Row {
        if self.status == Status::Problem {
            self.status = Status::Warning;
            self.detail.push_str(why);
        }
        self
    }

    pub fn named(self, name: &str) -> NamedRow {
        NamedRow {
            name: name.to_owned(),
            row: self,
        }
    }

    fn new(status: Status, detail: &str, hint: Option<&str>) -> Row {
        Row {
            status,
            detail: without_secrets(detail),
            hint: hint.map(without_secrets),
        }
    }
}

/// Returns `text` with what stands before the `@` of each URL replaced: proxies are often given with a password.
fn without_secrets(text: &str) -> String {
    let mut clean = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("://") {
        let (before, after) = rest.split_at(start + 3);
        clean.push_str(before);
        let end = after
            .find(|c: char| c == '/' || c.is_whitespace() || matches!(c, '\'' | '"' | '`'))
            .unwrap_or(after.len());
        // The last '@' ends the password: one that is not escaped may hold others.
        rest = match after[..end].rfind('@') {
            Some(at) => {
                clean.push('…');
                &after[at..]
            }
            None => after,
        };
    }
    clean + rest
}

/// Returns `rows` as lines for people: aligned, each hint below its row.
pub(super) fn table(rows: &[NamedRow], ui: &Ui) -> String {
    let width = rows
        .iter()
        .map(|row| row.name.chars().count())
        .max()
        .unwrap_or_default();
    let mut text = String::new();
    for NamedRow { name, row } in rows {
        let status = match row.status {
            Status::Ok => ui.painted(ui::GREEN, "ok     "),
            Status::Warning => ui.painted(ui::YELLOW, "warning"),
            Status::Problem => ui.painted(ui::RED, "problem"),
        };
        let indent = " ".repeat(7 + 2 + width + 2);
        let detail = row.detail.trim().replace('\n', &format!("\n{indent}"));
        text.push_str(&format!("{status}  {name:width$}  {detail}\n"));
        if let Some(hint) = &row.hint {
            text.push_str(&format!("{indent}hint: {hint}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_and_passwords_of_urls_are_never_shown() {
        for (text, clean) in [
            ("no url", "no url"),
            (
                "proxy http://me:pa@ss@proxy:3128/ refused",
                "proxy http://…@proxy:3128/ refused",
            ),
            (
                "'https://tok@a/b' and https://c/d@e",
                "'https://…@a/b' and https://c/d@e",
            ),
            ("a://b@c d://e:f@g", "a://…@c d://…@g"),
            ("://@", "://…@"),
        ] {
            assert_eq!(Row::ok(text).detail, clean);
        }
        let row = Row::problem("y", "unset https_proxy=http://u:secret@h");
        assert!(!row.hint.unwrap().contains("secret"));
    }

    #[test]
    fn rows_are_aligned_and_hints_stand_below() {
        let rows = [
            Row::ok("on").named("timer"),
            Row::problem("none\nat all", "make room").named("free space"),
        ];
        assert_eq!(
            table(&rows, &Ui::new()),
            "ok       timer       on\n\
             problem  free space  none\n                     at all\n                     hint: make room\n"
        );
    }

    proptest! {
        #[test]
        fn no_password_of_any_url_is_left(user in "[a-z:@%]{0,9}", text in "[ a-z/:'@]{0,20}") {
            let row = Row::ok(format!("{text} http://{user}SECRET@host/{text}"));
            prop_assert!(!row.detail.contains("SECRET"), "{}", row.detail);
        }
    }
}
