//! Sources: one file a kind of forge, which says where its feed is and how to read it. Nothing here requests anything.
//!
//! A new kind of forge is a file beside this one, its row in [`SOURCES`], and its name in [`Forge`]. A plain git remote has no
//! API, so it has no row: [`git`] reads the tags that it advertises.

pub(crate) mod git;

mod foreign;
mod forgejo;
mod github;
mod gitlab;
mod published;
mod selection;

use ureq::http::HeaderMap;

use super::Tag;
use crate::config::{Forge, Repository};
use crate::error::Result;
pub(crate) use foreign::ForeignTags;
pub(super) use published::{PublishedRelease, Source, fingerprint};
pub(super) use selection::{Gathered, ReleaseFilter, Selection, select};

/// All kinds with an API, in the order in which the answer to a probe is held against them.
const SOURCES: [(Forge, &Source); 3] = [
    (Forge::Gitlab, &gitlab::SOURCE),
    (Forge::Github, &github::SOURCE),
    (Forge::Forgejo, &forgejo::SOURCE),
];
/// Below how many paths of its host a forge is looked for.
const MOST_BASES: usize = 4;

/// What heph knows of a forge.
impl Forge {
    /// Returns how its API is read; `None` for a plain git remote.
    pub(super) fn source(self) -> Option<&'static Source> {
        let row = SOURCES.iter().find(|(forge, _)| *forge == self);
        row.map(|(_, source)| *source)
    }

    /// Returns the kind that the host implies.
    pub(super) fn of_host(repository: &Repository) -> Option<Forge> {
        SOURCES
            .iter()
            .find(|(_, source)| source.hosts.contains(&repository.host()))
            .map(|(forge, _)| *forge)
    }

    /// Returns the URLs that are requested in turn to find out the kind, until [`Forge::from_probe`] recognizes an answer: only
    /// Forgejo and Gitea answer the first one with their version, GitLab gives itself away by a header, and so does a GitHub
    /// Enterprise Server. Empty if the repository can belong to none of them.
    pub(super) fn probes(repository: &Repository) -> Vec<String> {
        let Ok((forge, ..)) = repository.owner_and_name() else {
            return Vec::new();
        };
        let root = repository.root();
        let of_gitlab = bases(repository)
            .into_iter()
            .map(|base| format!("{root}{base}"))
            // The first URL has tried that one.
            .filter(|address| *address != forge)
            .map(|address| format!("{address}/api/v4/version"));
        [format!("{forge}/api/v1/version")]
            .into_iter()
            .chain(of_gitlab)
            .chain([format!("{root}/api/v3/meta")])
            .collect()
    }

    /// Returns the kind that the answer to one of [`Forge::probes`] gives away.
    pub(super) fn from_probe(headers: &HeaderMap, body: &[u8]) -> Option<Forge> {
        SOURCES
            .iter()
            .find(|(_, source)| (source.answers_probe)(headers, body))
            .map(|(forge, _)| *forge)
    }

    /// Returns the paths of the host below which the forge may be. GitLab's groups nest, so they look like such a path; any other
    /// forge is where [`Repository::owner_and_name`] says.
    pub(super) fn bases(self, repository: &Repository) -> Vec<String> {
        if self == Forge::Gitlab && Forge::of_host(repository).is_none() {
            bases(repository)
        } else {
            vec![String::new()]
        }
    }
}

/// Returns the paths above owner and name, the shortest first.
fn bases(repository: &Repository) -> Vec<String> {
    let parts: Vec<&str> = repository.path().split('/').collect();
    let longest = parts.len().saturating_sub(2);
    (0..=longest.min(MOST_BASES - 1))
        .map(|count| {
            parts[..count]
                .iter()
                .map(|part| format!("/{part}"))
                .collect()
        })
        .collect()
}

impl Source {
    /// Returns the URL of the release with exactly this tag. `base` is one of [`Forge::bases`].
    pub(super) fn tagged_url(
        &self,
        repository: &Repository,
        base: &str,
        tag: &Tag,
    ) -> Result<String> {
        let releases = (self.releases)(repository, base)?;
        Ok(format!("{releases}{}{}", self.by_tag, percent_encoded(tag)))
    }
}

/// Returns `tag` as one segment of a path (RFC 3986, section 2.3).
fn percent_encoded(tag: &Tag) -> String {
    let encoded = tag.as_str().bytes().map(|byte| match byte {
        byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    });
    encoded.collect()
}

#[cfg(test)]
mod tests;
