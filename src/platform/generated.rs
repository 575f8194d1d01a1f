//! Files that heph generates from a template.
//!
//! Near its top a generated file names its template and carries, as one JSON comment, its source: all that it was made from.
//! heph reads that comment, and none of the syntaxes around it. A file without the first line was made by hand, and a file
//! that its source does not render to was edited by hand. heph overwrites and removes neither unless it is forced to.

use std::cmp::Ordering;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result, ResultExt, bail};
use crate::os::files;

/// Precedes the template version, in one of the first three lines.
const MARKER: &str = "Made by heph, template ";
/// Precedes the source.
const SOURCE: &str = "Made from: ";
/// Generated files are small; a larger one is not ours.
const LIMIT: u64 = 1 << 20;

/// The values of a template's placeholders, each with the name of its placeholder.
pub(super) type Values = Vec<(&'static str, String)>;

/// One kind of generated file, whose source is an `S`.
pub(super) struct Format<S: 'static> {
    pub template: &'static str,
    /// Its permissions.
    pub mode: u32,
    /// Fills the template. Fails where the file cannot carry a value.
    pub values: fn(&S) -> Result<Values>,
    /// Reads a file of release 0.1.0, which carries no source.
    pub legacy: Option<fn(&str) -> Result<S>>,
}

impl<S: Serialize + DeserializeOwned> Format<S> {
    /// Returns the file of `source`.
    pub fn render(&self, source: &S) -> Result<String> {
        let mut json = serde_json::to_string(source)?;
        if self.template.starts_with("<?xml") {
            // Not allowed in comments (XML 1.0, section 2.5).
            json = json.replace("--", r"\u002d\u002d");
        }
        let mut values = (self.values)(source)?;
        values.push(("source", json));
        Ok(fill(self.template, &values))
    }

    /// Returns the file of `source`, to be written to `path`.
    pub fn plan(&self, path: PathBuf, source: &S) -> Result<Planned> {
        let text = self.render(source)?;
        let there = files::read_if_there(&path, LIMIT).ok().flatten();
        // A script that lost its mode would not start; a unit that gained some would show a proxy's password.
        let mode = path
            .metadata()
            .map(|metadata| metadata.permissions().mode() & 0o777);
        Ok(Planned {
            is_due: there.as_deref() != Some(text.as_bytes()) || mode.ok() != Some(self.mode),
            link: path.read_link().ok(),
            path,
            text,
            mode: self.mode,
        })
    }

    /// Reads the file `path`. Fails where it exists and cannot be read.
    pub fn read(&self, path: &Path) -> Result<OnDisk<S>> {
        let (state, source) = match files::read_if_there(path, LIMIT)? {
            None => {
                let message = format!("'{}' does not exist", path.display());
                (FileState::Absent, Err(Error::new(message)))
            }
            Some(bytes) => self
                .compare(&bytes)
                .unwrap_or_else(|| (FileState::HandMade, Err(made_by_hand(path)))),
        };
        Ok(OnDisk {
            path: path.to_owned(),
            state,
            source,
        })
    }

    /// Compares a file with what its source renders to; `None` where heph did not make it.
    fn compare(&self, bytes: &[u8]) -> Option<(FileState, Result<S>)> {
        // heph writes UTF-8 only.
        let text = std::str::from_utf8(bytes).ok()?;
        let version = version(text)?;
        let source = self.source(text);
        let rendered = || self.render(source.as_ref().ok()?).ok();
        let state = match Some(version).cmp(&self::version(self.template)) {
            Ordering::Less => FileState::OlderTemplate,
            Ordering::Greater => FileState::NewerTemplate,
            Ordering::Equal if rendered().as_deref() == Some(text) => FileState::Current,
            Ordering::Equal => FileState::Edited,
        };
        Some((state, source))
    }

    fn source(&self, text: &str) -> Result<S> {
        let comment = text.lines().find_map(|line| line.split_once(SOURCE));
        match (comment, self.legacy) {
            (Some((_, json)), _) => {
                let json = json.trim_end().trim_end_matches("-->");
                serde_json::from_str(json).context("cannot read the comment with its source")
            }
            (None, Some(legacy)) => legacy(text),
            (None, None) => bail!("it carries no comment with its source"),
        }
    }
}

/// How a file on disk compares to what heph would write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FileState {
    Absent,
    /// It is what this heph renders from its source.
    Current,
    OlderTemplate,
    /// It is from the template of a newer heph.
    NewerTemplate,
    /// heph made it, and it was edited by hand.
    Edited,
    /// It was made by hand, or by another program.
    HandMade,
}

impl FileState {
    /// Checks that heph may overwrite or remove the file `path` in this state; the error has `hint`.
    pub(super) fn check_replaceable(self, path: &Path, hint: &str) -> Result<()> {
        let error = match self {
            FileState::HandMade => made_by_hand(path),
            FileState::Edited => Error::new(format!("'{}' was edited by hand", path.display())),
            _ => return Ok(()),
        };
        Err(error.with_hint(hint))
    }
}

/// A generated file as it is on disk.
#[derive(Debug)]
pub(crate) struct OnDisk<S> {
    pub path: PathBuf,
    pub state: FileState,
    /// What it was made from, or why heph cannot tell.
    pub source: Result<S>,
}

impl<S> OnDisk<S> {
    pub(super) fn and_then<T>(self, convert: impl FnOnce(S) -> Result<T>) -> OnDisk<T> {
        OnDisk {
            path: self.path,
            state: self.state,
            source: self.source.and_then(convert),
        }
    }
}

pub(super) fn made_by_hand(path: &Path) -> Error {
    Error::new(format!("'{}' was not made by heph", path.display()))
}

/// A file to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Where.
    pub path: PathBuf,
    /// All of it.
    pub text: String,
    mode: u32,
    /// Whether text or permissions on disk differ.
    pub(super) is_due: bool,
    /// What the path leads to, where it is a link, such as into a folder of dotfiles. To write it replaces the link by a file.
    link: Option<PathBuf>,
}

/// Writes those of `all` that are due. Returns whether any was.
pub(super) fn write(all: &[Planned]) -> Result<bool> {
    for file in all.iter().filter(|file| file.is_due) {
        files::write_atomic(&file.path, file.text.as_bytes(), file.mode)?;
    }
    Ok(all.iter().any(|file| file.is_due))
}

/// Checks that none of `all` that is due is a link. The hint of the error goes on with `otherwise`.
pub(super) fn check_links(all: &[Planned], otherwise: &str) -> Result<()> {
    for file in all.iter().filter(|file| file.is_due) {
        if let Some(target) = &file.link {
            let (path, target) = (file.path.display(), target.display());
            let message = format!("'{path}' has to change, and is a link to '{target}'");
            let hint = format!("put the file there yourself, {otherwise}");
            return Err(Error::new(message).with_hint(hint));
        }
    }
    Ok(())
}

/// Returns those of `all` that exist with the text that they have now, to be written again if the change fails. What is no text
/// is left out.
pub(super) fn as_they_are(all: &[Planned]) -> Vec<Planned> {
    let now = |file: &Planned| {
        let text = files::read_text_if_there(&file.path, LIMIT).ok()??;
        Some(Planned {
            text,
            mode: file.path.metadata().ok()?.permissions().mode() & 0o777,
            is_due: true,
            ..file.clone()
        })
    };
    all.iter().filter_map(now).collect()
}

/// Removes the file `path`. Returns whether it existed.
pub(super) fn remove(path: &Path) -> Result<bool> {
    files::remove_file_if_there(path).with_context(|| format!("cannot remove '{}'", path.display()))
}

/// Returns the template version in the marker of `text`; `None` where heph did not make the file.
fn version(text: &str) -> Option<u32> {
    let line = text.lines().take(3).find_map(|line| {
        line.trim_start_matches("# ")
            .trim_start_matches("<!-- ")
            .strip_prefix(MARKER)
    })?;
    line.split('.').next()?.parse().ok()
}

/// Returns `template` with its placeholders filled: a line with `{{name}}` is repeated for each value of that name, and
/// vanishes without one. What is filled in is not looked at again, so a value may hold braces.
fn fill(template: &str, values: &[(&str, String)]) -> String {
    let mut text = String::new();
    for line in template.lines() {
        let placeholder = line.split_once("{{").and_then(|(before, rest)| {
            let (name, after) = rest.split_once("}}")?;
            Some((before, name, after))
        });
        let Some((before, name, after)) = placeholder else {
            text.extend([line, "\n"]);
            continue;
        };
        for (_, value) in values.iter().filter(|(of, _)| *of == name) {
            text.extend([before, value, after, "\n"]);
        }
    }
    text
}

/// Checks that units, property lists and scripts can all carry `text`; `what` names it in the error.
///
/// They cannot carry control characters, such as newlines, nor Unicode noncharacters: systemd drops lines with those
/// (`utf8.c`), and XML 1.0 cannot express them (section 2.2).
pub(super) fn check_text(what: &str, text: &str) -> Result<()> {
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
        .with_hint("remove newlines, tabs and other control characters")),
    }
}

/// Returns `path`, an absolute one, as text that generated files can carry; `what` names it in the error.
pub(super) fn check_path<'a>(what: &str, path: &'a Path) -> Result<&'a str> {
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

#[cfg(test)]
pub(crate) mod tests;
