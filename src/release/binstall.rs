//! Archives that no forge lists: where `[package.metadata.binstall]` of a release's Cargo.toml says they are.
//!
//! The table is cargo-binstall's (SUPPORT.md of that project), and so are its keys: `pkg-url` is a template for the URL of an
//! archive, `pkg-fmt` says how it is packed, `overrides` have both for single targets. Here a URL is built from the template
//! and from what is known of the release; a template with an unknown key is an error. A URL is a guess until a request shows
//! that something is there.
//!
//! Nothing here reads a file or uses the network.

mod template;

use std::collections::BTreeMap;

use semver::Version;
use serde::Deserialize;
use toml::{Table, Value};

use super::asset::{Asset, Format};
use crate::error::{Error, Result, ResultExt, bail};
use crate::os::http;
use crate::os::text::quoted;
use template::Template;

const MOST_MEMBERS: usize = 100;
/// The values of `pkg-fmt`, and the endings that belong to them, the usual one first.
const FORMATS: [(&[&str], Format, &[&str]); 5] = [
    (&["tgz"], Format::TarGz, &[".tgz", ".tar.gz"]),
    (&["txz"], Format::TarXz, &[".txz", ".tar.xz"]),
    (&["tbz2"], Format::TarBz2, &[".tbz2", ".tar.bz2"]),
    (
        &["tzstd", "tzst"],
        Format::TarZst,
        &[".tzstd", ".tzst", ".tar.zst"],
    ),
    (&["zip"], Format::Zip, &[".zip"]),
];
/// Conditions for targets that heph does not run on.
const ELSEWHERE: [&str; 3] = [
    "cfg(windows)",
    "cfg(target_os=\"windows\")",
    "cfg(target_family=\"windows\")",
];

/// What is known of a release without its Cargo.toml.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    pub package: &'a str,
    pub version: &'a Version,
    /// The targets whose binaries run here, the best first.
    pub targets: &'a [String],
    /// The URL of the repository, for a Cargo.toml without `repository`.
    pub repository: &'a str,
}

/// An archive that may be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The archive, of unknown size.
    pub archive: Asset,
    pub format: Format,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CargoToml {
    root: Table,
}

/// Where packages of a workspace are, in folders below that of its Cargo.toml.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    Folder(String),
    /// In the folders of this folder; an empty path is the top.
    Below(String),
}

/// `[package.metadata.binstall]`, without the keys that do not affect where an archive is.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Binstall {
    #[serde(flatten)]
    always: ArchiveTemplate,
    #[serde(default)]
    disabled_strategies: Vec<String>,
    #[serde(default)]
    overrides: BTreeMap<String, ArchiveTemplate>,
}

/// The part of the table that can differ by target.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ArchiveTemplate {
    pkg_url: Option<String>,
    pkg_fmt: Option<String>,
}

impl CargoToml {
    pub fn parse(text: &str) -> Result<CargoToml> {
        let root = text.parse().map_err(|error: toml::de::Error| {
            Error::new(format!("it is not TOML: {}", error.message()))
        })?;
        Ok(CargoToml { root })
    }

    pub fn is_of(&self, package: &str) -> bool {
        self.at(&["package", "name"]).and_then(Value::as_str) == Some(package)
    }

    /// Returns where its workspace has packages: plain folders, and those named by a trailing `*`.
    pub fn members(&self) -> Vec<Member> {
        let listed = self.at(&["workspace", "members"]).and_then(Value::as_array);
        listed
            .into_iter()
            .flatten()
            .filter_map(|member| member_of(member.as_str()?))
            .take(MOST_MEMBERS)
            .collect()
    }

    /// Returns the archives that its table leads to, the best first; empty without such a table. `workspace` is the
    /// Cargo.toml of the workspace, from which `repository` may be inherited.
    ///
    /// # Errors
    ///
    /// The table is not valid, or not supported.
    pub fn archives(&self, workspace: Option<&CargoToml>, facts: &Facts) -> Result<Vec<Candidate>> {
        let Some(table) = self.at(&["package", "metadata", "binstall"]) else {
            return Ok(Vec::new());
        };
        let table: Binstall = table.clone().try_into().map_err(|error: toml::de::Error| {
            Error::new(format!(
                "its table is not cargo-binstall's: {}",
                error.message()
            ))
        })?;
        let barred = |strategy: &String| strategy == "crate-meta-data";
        if table.disabled_strategies.iter().any(barred) {
            bail!("its `disabled-strategies` exclude it");
        }
        let facts = Facts {
            repository: self.repository(workspace).unwrap_or(facts.repository),
            ..*facts
        };
        let mut found = Vec::new();
        let mut failure = None;
        for target in facts.targets {
            let template = table.template(target);
            match template.and_then(|template| template.archives(&facts, target)) {
                Ok(archives) => found.extend(archives),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match failure {
            Some(error) if found.is_empty() => Err(error),
            _ => Ok(found),
        }
    }

    fn repository<'a>(&'a self, workspace: Option<&'a CargoToml>) -> Option<&'a str> {
        match self.at(&["package", "repository"])? {
            Value::String(own) => Some(own),
            Value::Table(_) => workspace
                .unwrap_or(self)
                .at(&["workspace", "package", "repository"])?
                .as_str(),
            _ => None,
        }
    }

    fn at(&self, path: &[&str]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        rest.iter()
            .try_fold(self.root.get(*first)?, |value, key| value.get(*key))
    }
}

/// Parses an entry of `members`. One that is not plain is ignored, because it becomes a path in the repository.
fn member_of(entry: &str) -> Option<Member> {
    let entry = entry.trim_start_matches("./").trim_end_matches('/');
    let is_plain = |path: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
        path.len() <= 512
            && path
                .split('/')
                .all(|part| !matches!(part, "" | "." | "..") && part.bytes().all(plain))
    };
    match entry.strip_suffix('*') {
        Some("") => Some(Member::Below(String::new())),
        Some(above) => {
            let above = above.strip_suffix('/')?;
            is_plain(above).then(|| Member::Below(above.to_owned()))
        }
        None => is_plain(entry).then(|| Member::Folder(entry.to_owned())),
    }
}

impl Binstall {
    /// Returns the template for `target`: its override, completed by what holds for all targets.
    fn template(&self, target: &str) -> Result<ArchiveTemplate> {
        let own = self.overrides.get(target).cloned().unwrap_or_default();
        let decided = own.pkg_url.is_some() && own.pkg_fmt.is_some();
        let condition = self.overrides.iter().find(|(key, choice)| {
            let bare: String = key.split_whitespace().collect();
            bare.starts_with("cfg(")
                && !ELSEWHERE.contains(&bare.as_str())
                && (choice.pkg_url.is_some() || choice.pkg_fmt.is_some())
        });
        if let Some((key, _)) = condition.filter(|_| !decided) {
            bail!(
                "it has an override for {}, and heph supports only those for single targets",
                quoted(key)
            );
        }
        Ok(ArchiveTemplate {
            pkg_url: own.pkg_url.or_else(|| self.always.pkg_url.clone()),
            pkg_fmt: own.pkg_fmt.or_else(|| self.always.pkg_fmt.clone()),
        })
    }
}

impl ArchiveTemplate {
    /// Returns the archives that it leads to; empty without a URL.
    fn archives(&self, facts: &Facts, target: &str) -> Result<Vec<Candidate>> {
        let Some(text) = &self.pkg_url else {
            return Ok(Vec::new());
        };
        let template = Template::parse(text)?;
        let format = self.pkg_fmt.as_deref().map(format_named).transpose()?;
        if !template.names_format() {
            let url = template.fill(facts, target, "")?;
            return Ok(vec![candidate(url, format)?]);
        }
        // The default of cargo-binstall.
        let format = format.unwrap_or(Format::TarGz);
        FORMATS
            .iter()
            .filter(|(_, other, _)| *other == format)
            .flat_map(|(_, _, endings)| *endings)
            .map(|ending| candidate(template.fill(facts, target, ending)?, Some(format)))
            .collect()
    }
}

fn format_named(name: &str) -> Result<Format> {
    let found = FORMATS.iter().find(|(names, ..)| names.contains(&name));
    let (_, format, _) = found.with_context(|| {
        format!(
            "its `pkg-fmt` is {}, and heph unpacks tgz, txz, tbz2, tzstd and zip",
            quoted(name)
        )
    })?;
    Ok(*format)
}

/// Validates a URL as those of a forge's files are validated; `format` is the one that the table names.
fn candidate(url: String, format: Option<Format>) -> Result<Candidate> {
    let leads_to = || format!("it leads to {}", quoted(&url));
    let wrong = |why: &str| Error::new(why).context(leads_to());
    http::check(&url).with_context(leads_to)?;
    if !url.bytes().all(|byte| byte.is_ascii_graphic()) || url.contains(['?', '#']) {
        return Err(wrong("it has more than a plain path"));
    }
    let name = url.rsplit('/').next().unwrap_or_default().to_owned();
    let mut endings = FORMATS
        .iter()
        .flat_map(|(_, format, endings)| endings.iter().map(move |ending| (*format, *ending)));
    let (found, _) = endings
        .find(|(_, ending)| name.ends_with(ending))
        .ok_or_else(|| wrong("heph unpacks no archive with this ending"))?;
    if format.is_some_and(|format| format != found) {
        return Err(wrong("its ending contradicts `pkg-fmt`"));
    }
    let archive = Asset::new(name, url.clone(), None)
        .ok_or_else(|| wrong("its last part is not a plain file name"))?;
    Ok(Candidate {
        archive,
        format: found,
    })
}

#[cfg(test)]
mod tests;
