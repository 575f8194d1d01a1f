//! Templates of URLs: `{ name }` stands for a value, `\{`, `\}` and `\\` for themselves.

use super::Facts;
use crate::error::{Error, Result, ResultExt};
use crate::os::text::quoted;

/// Keys that stand for the ending of an archive, the last of them with its dot.
const ENDINGS: [&str; 3] = ["archive-format", "format", "archive-suffix"];
/// Where the forges that cargo-binstall knows show a folder of a repository, between owner, name and branch.
const FOLDERS: [(&str, &[&str]); 3] = [
    ("github.com", &["tree"]),
    ("gitlab.com", &["-", "blob"]),
    ("codeberg.org", &["src", "branch"]),
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template<'a> {
    parts: Vec<Part<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part<'a> {
    Text(&'a str),
    Key(&'a str),
}

impl<'a> Template<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Template<'a>> {
        let wrong = || Error::new(format!("{} is not a template", quoted(text)));
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['\\', '{', '}']) {
            let (before, special) = rest.split_at(at);
            parts.push(Part::Text(before));
            if let Some(escaped) = special.strip_prefix('\\') {
                let length = usize::from(escaped.starts_with(['\\', '{', '}']));
                if length == 0 {
                    return Err(wrong());
                }
                let (literal, after) = escaped.split_at(length);
                parts.push(Part::Text(literal));
                rest = after;
            } else {
                let (key, after) = special
                    .strip_prefix('{')
                    .and_then(|inside| inside.split_once('}'))
                    .ok_or_else(wrong)?;
                if key.contains(['\\', '{']) {
                    return Err(wrong());
                }
                parts.push(Part::Key(key.trim()));
                rest = after;
            }
        }
        parts.push(Part::Text(rest));
        Ok(Template { parts })
    }

    /// Returns whether the ending of the archive depends on its format.
    pub(crate) fn names_format(&self) -> bool {
        self.parts
            .iter()
            .any(|part| matches!(part, Part::Key(key) if ENDINGS.contains(key)))
    }

    /// Fills it in for `target`; `ending` is that of an archive, with its dot.
    ///
    /// # Errors
    ///
    /// It has an unknown key.
    pub(crate) fn fill(&self, facts: &Facts, target: &str, ending: &str) -> Result<String> {
        let mut filled = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Key(key) if ENDINGS.contains(key) => {
                    let dotless = ending.strip_prefix('.').unwrap_or(ending);
                    filled.push_str(if *key == "archive-suffix" {
                        ending
                    } else {
                        dotless
                    });
                }
                Part::Key(key) => {
                    let value = value(key, facts, target).with_context(|| {
                        format!("its `pkg-url` has the unknown key {}", quoted(key))
                    })?;
                    filled.push_str(&value);
                }
            }
        }
        Ok(filled)
    }
}

/// Returns the value of `key`. The names are cargo-binstall's: its `target-family` is the system, and its
/// `target-libc` the environment. rustc's name of a target is processor, vendor, system and, where there is one, the
/// environment.
fn value(key: &str, facts: &Facts, target: &str) -> Option<String> {
    let mut triple = target.splitn(4, '-');
    let (arch, vendor, system) = (triple.next()?, triple.next()?, triple.next()?);
    Some(match key {
        "name" => facts.package.to_owned(),
        "version" => facts.version.to_string(),
        "target" => target.to_owned(),
        "repo" => repository_and_folder(facts.repository).0,
        "subcrate" => repository_and_folder(facts.repository).1?,
        // Only Windows has one, and heph does not run there.
        "binary-ext" => String::new(),
        "target-arch" => arch.to_owned(),
        "target-vendor" => vendor.to_owned(),
        "target-family" => system.to_owned(),
        "target-libc" => triple.next().unwrap_or("unknown").to_owned(),
        "os-name" if system == "darwin" => "macos".to_owned(),
        "os-name" => system.to_owned(),
        _ => return None,
    })
}

/// Returns the URL of the repository, and the package's folder if the URL is that of a page which shows one.
fn repository_and_folder(url: &str) -> (String, Option<String>) {
    let url = url.trim_end_matches('/');
    match folder_of(url) {
        Some((repository, folder)) => (repository, Some(folder)),
        None => (url.strip_suffix(".git").unwrap_or(url).to_owned(), None),
    }
}

/// Splits the URL of a page that shows a folder of a repository: `https://github.com/me/it/tree/main/crates/cli`.
fn folder_of(url: &str) -> Option<(String, String)> {
    let (scheme, rest) = url.split_once("://")?;
    let mut parts = rest.split('/');
    let (host, owner, name) = (parts.next()?, parts.next()?, parts.next()?);
    let (_, between) = FOLDERS.iter().find(|(forge, _)| *forge == host)?;
    for word in *between {
        parts.next().filter(|part| part == word)?;
    }
    let _branch = parts.next()?;
    let folder = match parts.next()? {
        "crates" => parts.next()?,
        folder => folder,
    };
    let repository = format!("{scheme}://{host}/{owner}/{name}");
    parts
        .next()
        .is_none()
        .then(|| (repository, folder.to_owned()))
}
