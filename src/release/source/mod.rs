//! Sources: one file a kind of forge, which says where its feed is and how to read it. Nothing here requests anything.
//!
//! A new kind of forge is a file beside this one, its row in [`FORGES`], and its name in [`Forge`].

pub(crate) mod git;

mod forgejo;
mod github;
mod gitlab;
mod selection;

use ureq::http::HeaderMap;

use super::Tag;
use crate::config::{Forge, Repository};
use crate::error::Result;
use selection::Source;
pub(super) use selection::{Question, ReleaseFilter, Selection};

/// All kinds, in the order in which the answer to the probe is held against them.
const FORGES: [(Forge, &Source); 4] = [
    (Forge::Gitlab, &gitlab::SOURCE),
    (Forge::Forgejo, &forgejo::SOURCE),
    (Forge::Github, &github::SOURCE),
    (Forge::Git, &git::SOURCE),
];

/// What heph knows of a forge. [`Forge::Auto`] is read as a plain git remote.
impl Forge {
    pub(super) fn source(self) -> &'static Source {
        let row = FORGES.iter().find(|(forge, _)| *forge == self);
        row.map_or(&git::SOURCE, |(_, source)| source)
    }

    /// Returns the kind that the settings name, or that the host implies.
    pub(super) fn known(self, repository: &Repository) -> Option<Forge> {
        if self != Forge::Auto {
            return Some(self);
        }
        FORGES
            .iter()
            .find(|(_, source)| source.hosts.contains(&repository.host()))
            .map(|(forge, _)| *forge)
    }

    /// Returns the URL that is requested to find out the kind: only Forgejo and Gitea answer it with their version, and
    /// GitLab gives itself away by a header. `None` if the repository can be neither's.
    pub(super) fn probe_url(repository: &Repository) -> Option<String> {
        let (forge, ..) = repository.owner_and_name().ok()?;
        Some(format!("{forge}/api/v1/version"))
    }

    /// Returns the kind that the answer to [`Forge::probe_url`] gives away.
    pub(super) fn from_probe(headers: &HeaderMap, body: &[u8]) -> Forge {
        FORGES
            .iter()
            .find(|(_, source)| (source.answers_probe)(headers, body))
            .map_or(Forge::Git, |(forge, _)| *forge)
    }

    /// Returns the URL to request.
    ///
    /// # Errors
    ///
    /// The repository's URL has no owner and name, which this forge needs.
    pub(super) fn url(self, repository: &Repository, question: Question) -> Result<String> {
        let source = self.source();
        let end = match question {
            Question::Latest => source.latest,
            Question::List => source.list,
        };
        Ok((source.releases)(repository)? + end)
    }

    /// Returns the URL of the release with exactly this tag; `None` if the forge lists no files.
    pub(super) fn tagged_url(self, repository: &Repository, tag: &Tag) -> Option<String> {
        let source = self.source();
        let releases = (source.releases)(repository).ok()?;
        let tag = tag.as_str().replace('/', "%2F");
        Some(format!("{releases}{}{tag}", source.by_tag?))
    }
}

#[cfg(test)]
mod tests;
