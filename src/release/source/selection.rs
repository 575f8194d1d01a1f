//! The selection among the releases that a forge lists, page by page.

use std::collections::HashSet;

use jiff::Timestamp;
use semver::VersionReq;

use super::foreign::ForeignTags;
use super::published::PublishedRelease;
use crate::release::sightings::Sightings;
use crate::release::{Release, decide};

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReleaseFilter<'a> {
    pub prefix: &'a str,
    pub prereleases: bool,
    /// Releases that match are preferred to higher ones.
    pub pin: Option<&'a VersionReq>,
    /// Releases that have been known since before this moment are preferred to higher ones; `None`: any age is enough.
    pub ripe: Option<Timestamp>,
}

impl ReleaseFilter<'_> {
    /// Returns whether only the list can answer: the forge's own latest counts neither pre-releases nor pins.
    pub(crate) fn wants_list(&self) -> bool {
        self.prereleases || self.pin.is_some() || self.ripe.is_some()
    }

    pub(crate) fn is_pinned(&self, release: &Release) -> bool {
        self.pin
            .is_none_or(|pin| decide::admits(pin, &release.version))
    }

    /// Returns whether a release counts that the forge marks as a pre-release, or does not. Either the mark or the version makes it
    /// one.
    pub(crate) fn counts(&self, release: &Release, is_marked: bool) -> bool {
        self.prereleases || (!is_marked && release.version.pre.is_empty())
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// The highest that the settings admit, or else the highest that they hold back, so that the decision can say why.
    pub latest: Option<Release>,
    pub highest: Option<Release>,
    /// Whether the same answer leads to the same selection tomorrow. It does not while a release has to ripen.
    pub lasting: bool,
}

/// What the pages of a list have in them so far.
#[derive(Debug)]
pub(crate) struct Gathered<'a> {
    filter: ReleaseFilter<'a>,
    /// Every tag, whatever its form.
    tags: HashSet<String>,
    releases: Vec<Release>,
    /// Whether there was a release with the prefix, if only a pre-release.
    pub(crate) has_own: bool,
    pub(crate) foreign: ForeignTags,
}

impl<'a> Gathered<'a> {
    pub(crate) fn new(filter: ReleaseFilter<'a>) -> Gathered<'a> {
        Gathered {
            filter,
            tags: HashSet::new(),
            releases: Vec::new(),
            has_own: false,
            foreign: ForeignTags::default(),
        }
    }

    /// Adds a page, and returns how many releases of it are new: a list that grows meanwhile repeats some. Of the releases so far,
    /// only the selected one keeps its assets, so that memory stays bounded.
    pub(crate) fn add(
        &mut self,
        page: Vec<PublishedRelease>,
        sightings: &mut Sightings,
        now: Timestamp,
    ) -> usize {
        let before = self.tags.len();
        for published in page {
            let (tag, is_marked) = (published.tag.clone(), published.is_prerelease);
            if !self.tags.insert(tag.clone()) || !published.is_public {
                continue;
            }
            match published.into_release(self.filter.prefix) {
                Some(release) => {
                    self.has_own = true;
                    if self.filter.ripe.is_some() {
                        sightings.see(&release, now);
                    }
                    if self.filter.counts(&release, is_marked) {
                        self.releases.push(release);
                    }
                }
                None if !is_marked || self.filter.prereleases => self.foreign.add(&tag),
                None => {}
            }
        }
        let kept = self.selection(sightings).latest;
        for release in &mut self.releases {
            if kept.as_ref().is_none_or(|kept| kept.tag != release.tag) {
                release.assets = Vec::new();
            }
        }
        self.tags.len() - before
    }

    /// Adds one release that the forge named apart from the list.
    pub(crate) fn add_release(&mut self, release: Release) {
        if self.tags.insert(release.tag.as_str().to_owned()) {
            self.releases.push(release);
        }
    }

    /// Returns whether there is a release to select.
    pub(crate) fn has_releases(&self) -> bool {
        !self.releases.is_empty()
    }

    /// Returns how many releases were listed.
    pub(crate) fn len(&self) -> usize {
        self.tags.len()
    }

    pub(crate) fn selection(&self, sightings: &Sightings) -> Selection {
        select(&self.releases, &self.filter, sightings)
    }
}

/// Selects from all releases that count.
pub(crate) fn select(
    releases: &[Release],
    filter: &ReleaseFilter,
    sightings: &Sightings,
) -> Selection {
    let is_ripe = |release: &Release| match filter.ripe {
        None => true,
        Some(ripe) => sightings
            .known_since(release)
            .is_some_and(|since| since <= ripe),
    };
    let latest = releases.iter().max_by_key(|release| {
        let pinned = filter.is_pinned(release);
        (pinned && is_ripe(release), pinned, &release.version)
    });
    let highest = releases.iter().max_by_key(|release| &release.version);
    Selection {
        latest: latest.cloned(),
        highest: highest.cloned(),
        lasting: releases.iter().all(is_ripe),
    }
}
