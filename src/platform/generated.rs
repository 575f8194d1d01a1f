//! Files that heph generates from a template: how they are marked, filled and written.
//!
//! Every generated file says so near its top. One that does not was made by a person, and is not overwritten unasked.

use std::fs::Metadata;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::os::files;

/// What every generated file says near its top, before its template version.
const MARKER: &str = "Made by heph, template ";
/// Generated files are small; a larger one is not ours.
const LIMIT: u64 = 1 << 20;

/// A file to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// Where.
    pub path: PathBuf,
    /// All of it.
    pub text: String,
    /// Its permissions.
    pub mode: u32,
}

/// Returns the template version in the marker of `text`; `None` where a person made the file.
pub fn template_of(text: &str) -> Option<u32> {
    let line = text.lines().take(3).find_map(|line| {
        line.trim_start_matches("# ")
            .trim_start_matches("<!-- ")
            .strip_prefix(MARKER)
    })?;
    line.split('.').next()?.parse().ok()
}

/// Returns `template` with its placeholders filled: a line with `{{name}}` is repeated for each value of that name, and
/// vanishes where there is none.
pub fn fill(template: &str, values: &[(&str, Vec<String>)]) -> String {
    let mut text = String::new();
    for line in template.lines() {
        // What is filled in is not looked at again, so a value may hold braces.
        let hole = values.iter().find_map(|(name, values)| {
            let (before, after) = line.split_once(&format!("{{{{{name}}}}}"))?;
            Some((before, values, after))
        });
        match hole {
            None => text.extend([line, "\n"]),
            Some((before, values, after)) => {
                for value in values {
                    text.extend([before, value, after, "\n"]);
                }
            }
        }
    }
    text
}

/// Checks that units, property lists and scripts can all carry `text`; `what` names it in the error.
///
/// # Errors
///
/// It holds control characters, such as newlines, or Unicode noncharacters: systemd drops lines with those (`utf8.c`),
/// XML 1.0 has no way to write them (section 2.2).
pub fn check_text(what: &str, text: &str) -> Result<(), Error> {
    let unfit = |c: &char| {
        let noncharacter =
            ('\u{fdd0}'..='\u{fdef}').contains(c) || u32::from(*c) & 0xfffe == 0xfffe;
        c.is_control() || noncharacter
    };
    match text.chars().find(unfit) {
        None => Ok(()),
        Some(c) => Err(Error::usage(format!(
            "{what} holds the character '{}', which a generated file cannot carry",
            c.escape_unicode()
        ))
        .with_hint("newlines, tabs and other control characters are refused")),
    }
}

/// Returns `path` as text that generated files can carry; `what` names it in the error.
///
/// # Errors
///
/// It is relative, not UTF-8, or holds what [`check_text`] refuses.
pub fn check_path<'a>(what: &str, path: &'a Path) -> Result<&'a str, Error> {
    if !path.is_absolute() {
        let message = format!("{what} is the relative path '{}'", path.display());
        return Err(Error::usage(message));
    }
    let text = path.to_str().ok_or_else(|| {
        Error::usage(format!("{what} is not UTF-8: '{}'", path.display()))
            .with_hint("generated files are UTF-8: use another path")
    })?;
    check_text(what, text)?;
    Ok(text)
}

/// Returns the text of the generated file `path`; `None` where it is not there.
///
/// # Errors
///
/// It cannot be read, or a person made it.
pub fn read(path: &Path) -> Result<Option<String>> {
    let Some(bytes) = files::read_if_there(path, LIMIT)? else {
        return Ok(None);
    };
    match String::from_utf8(bytes) {
        Ok(text) if template_of(&text).is_some() => Ok(Some(text)),
        _ => Err(hand_made(path)),
    }
}

/// Returns whether [`write()`] has anything to write.
///
/// # Errors
///
/// As [`write()`].
pub fn is_due(all: &[Generated], force: bool) -> Result<bool> {
    Ok(!due(all, force)?.is_empty())
}

/// Writes `all` and returns whether anything was not as it should be; what is right already is left alone.
///
/// # Errors
///
/// A file cannot be written, or one was made by a person and `force` is not set; nothing is written then.
pub fn write(all: &[Generated], force: bool) -> Result<bool> {
    let due = due(all, force)?;
    for file in &due {
        files::write_atomic(&file.path, file.text.as_bytes(), file.mode)?;
    }
    Ok(!due.is_empty())
}

fn due(all: &[Generated], force: bool) -> Result<Vec<&Generated>> {
    let mut due = Vec::new();
    for file in all {
        let there = match read(&file.path) {
            Err(_) if force => None,
            there => there?,
        };
        // A script that lost its mode would not start; a unit that gained some would show a proxy's password.
        let mode = |metadata: Metadata| metadata.permissions().mode() & 0o777;
        let mode = file.path.metadata().map(mode);
        if there.as_ref() != Some(&file.text) || mode.ok() != Some(file.mode) {
            due.push(file);
        }
    }
    Ok(due)
}

/// Removes the generated file `path`. Returns whether it was there.
///
/// # Errors
///
/// It cannot be removed, or was made by a person and `force` is not set.
pub fn remove(path: &Path, force: bool) -> Result<bool> {
    if !force {
        read(path)?;
    }
    files::remove_file_if_there(path)
        .map_err(|error| Error::from(error).context(format!("cannot remove '{}'", path.display())))
}

fn hand_made(path: &Path) -> Error {
    Error::new(format!("'{}' was not made by heph", path.display()))
        .with_hint("keep a copy if you need it; `heph self-update enable --force` replaces it, `disable --force` removes it")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    /// Texts that [`check_text`] accepts, full of what quoting gets wrong.
    pub(crate) fn any_text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            "[ '\"\\\\%$&<>;#!=-]{1,4}",
            "[a-z]{1,3}",
            "(\\$\\{HOME\\}|\\$x|`x`|%h|%%|\\\\n|\\\\x41|&amp;|\\]\\]>|<!--|--|\\{\\{log\\}\\}|é|日本|😀)",
            "\\PC{1,4}",
        ];
        proptest::collection::vec(piece, 1..6)
            .prop_map(|pieces| pieces.concat())
            .prop_filter("only what a generated file carries", |text| {
                check_text("text", text).is_ok()
            })
    }

    #[test]
    fn the_marker_is_found_near_the_top_only() {
        let deep = "\n\n\n\n# Made by heph, template 1.\n";
        let comment = "# Made by heph, template 12. Edits …\n";
        assert_eq!(template_of(comment), Some(12));
        let xml = "<?xml?>\n<!-- Made by heph, template 3. x -->";
        assert_eq!(template_of(xml), Some(3));
        let not_ours = ["", "[Service]\n", deep, "# Made by heph, template x."];
        for hand_made in not_ours {
            assert_eq!(template_of(hand_made), None, "{hand_made:?}");
        }
    }

    #[test]
    fn a_line_is_repeated_for_each_value_and_values_are_not_filled_again() {
        let template = "a\n x={{x}};\n{{y}}\nb\n";
        let values = [
            ("x", vec!["{{y}}".to_owned(), "2".to_owned()]),
            ("y", vec![]),
        ];
        assert_eq!(fill(template, &values), "a\n x={{y}};\n x=2;\nb\n");
    }

    #[test]
    fn a_hand_made_file_stops_the_write_before_anything_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| Generated {
            path: folder.path().join(name),
            text: format!("# Made by heph, template 1.\n{name}\n"),
            mode: files::SHARED,
        };
        let all = [file("a"), file("b")];
        fs::write(&all[1].path, "mine\n").unwrap();
        let error = write(&all, false).unwrap_err();
        assert!(error.to_string().contains("not made by heph"), "{error}");
        assert!(error.hint().unwrap().contains("--force"));
        assert!(!all[0].path.exists());
        assert!(remove(&all[1].path, false).is_err());

        assert!(write(&all, true).unwrap());
        assert!(!write(&all, false).unwrap(), "nothing is left to do");
        fs::set_permissions(&all[0].path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(write(&all, false).unwrap(), "the mode is part of it");
        assert_eq!(read(&all[1].path).unwrap().as_ref(), Some(&all[1].text));
        assert!(remove(&all[1].path, false).unwrap());
        assert!(!remove(&all[1].path, false).unwrap());
    }

    #[test]
    fn what_no_generated_file_can_carry_is_refused() {
        use std::os::unix::ffi::OsStrExt;
        let latin1 = Path::new(std::ffi::OsStr::from_bytes(b"/h\xf6me"));
        let cases = [
            (Path::new("heph"), "relative"),
            (Path::new("/a\nb"), "character"),
            (Path::new("/a\u{ffff}b"), "character"),
            (latin1, "UTF-8"),
        ];
        for (path, cause) in cases {
            let error = check_path("it", path).unwrap_err().to_string();
            assert!(error.contains(cause), "{error}");
        }
    }
}
