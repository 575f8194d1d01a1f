//! The tags that the git remote advertises: one request, by the side of the feed.

use jiff::Timestamp;
use semver::Version;

use super::{Feed, HINT, Trouble, get, of_no_use};
use crate::config::Repository;
use crate::error::{Error, Result};
use crate::os::http::Limits;
use crate::release::source::git::Advertised;
use crate::release::source::{ForgeKind, git};
use crate::release::{Release, Tag};

impl Feed<'_> {
    /// Returns the release with exactly this version, from the git remote's advertised tags (one request).
    ///
    /// It asks even while the forge's feed wants to be left alone: a person named the release, and git is another service.
    ///
    /// # Errors
    ///
    /// There is no such tag (exit 1, naming the nearest), or the remote cannot be reached (exit 75).
    pub fn named(&self, version: &Version, now: Timestamp) -> Result<Release> {
        let release = self.tagged(version, now)?;
        self.with_assets(release, now)
    }

    /// Returns the release of exactly this version as the git remote knows it, without its files, and remembers nothing.
    ///
    /// # Errors
    ///
    /// As [`Feed::named`].
    pub fn tagged(&self, version: &Version, now: Timestamp) -> Result<Release> {
        let repository = &self.settings.repository;
        let prefix = self.settings.tag_prefix.as_str();
        let found = ask(repository, now, |body| git::named(body, prefix, version))?;
        found.map_err(|near| {
            Error::new(format!(
                "{repository} has no tag '{}'",
                Tag::of(prefix, version).as_str()
            ))
            .with_hint(match near.as_slice() {
                [] => format!("it has no tag that is '{prefix}' and a version; {HINT}"),
                near => format!(
                    "the nearest are {}",
                    near.iter()
                        .map(Tag::as_str)
                        .collect::<Vec<_>>()
                        .join(" and ")
                ),
            })
        })
    }

    /// Returns every release that the git remote has a tag for, with the commit of each (one request).
    ///
    /// # Errors
    ///
    /// What answers is no git remote (exit 1), or the remote cannot be reached (exit 75).
    pub fn advertised(&self, now: Timestamp) -> Result<Vec<Advertised>> {
        let prefix = self.settings.tag_prefix.as_str();
        ask(&self.settings.repository, now, |body| {
            git::advertised(body, prefix)
        })
    }
}

fn ask<T>(
    repository: &Repository,
    now: Timestamp,
    read: impl FnOnce(&[u8]) -> Result<T, String>,
) -> Result<T> {
    let url = git::url(repository);
    let found = get(&url, ForgeKind::Git, None, now, &Limits::default())
        .and_then(|(answer, class)| class.usable(&url, HINT).map(|()| answer))
        .and_then(|answer| read(&answer.body).map_err(|wrong| of_no_use(&url, &wrong)));
    found.map_err(|trouble| match trouble {
        Trouble::Later(reason, _) => Error::unreachable(reason)
            .with_hint("try again later; `heph self-update doctor` looks for the cause"),
        Trouble::Wrong(error) => error,
    })
}
