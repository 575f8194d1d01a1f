//! The tags of a git remote, over smart HTTP. Of the protocol's version 2 only the command `ls-refs` is spoken, which leaves out
//! all refs but tags with the prefix; a server without it lists all its refs.

use jiff::Timestamp;
use ureq::http::{HeaderName, header};

use super::feed_cache::FeedCache;
use super::response::classify;
use super::{Feed, HINT, unusable};
use crate::config::{Forge, Repository};
use crate::error::{Error, Kind, Result, ResultExt};
use crate::os::http::{self, Get, Limits};
use crate::release::sightings::Sightings;
use crate::release::source::git::{self, Listing, Refs, RefsReader};
use crate::release::source::{ReleaseFilter, select};
use crate::release::{Release, Tag};

const GIT_PROTOCOL: HeaderName = HeaderName::from_static("git-protocol");
/// How much a remote may list: half a million annotated tags with long names.
const LARGEST: u64 = 128 << 20;
/// How many times longer than any other answer that may take.
const SLOWER: u32 = 4;
/// After so many tags of another form, enough is known of them.
const ENOUGH: usize = 1000;

impl Feed<'_> {
    /// Puts the newest tag into `cache`.
    pub(super) fn ask_git(
        &self,
        cache: &mut FeedCache,
        filter: &ReleaseFilter,
        sightings: &mut Sightings,
        now: Timestamp,
        limits: &Limits,
    ) -> Result<()> {
        let refs = self.refs(None, now, limits)?;
        if refs.tags.is_empty() && !refs.foreign.is_empty() {
            let error = refs.foreign.error(filter.prefix);
            let hint = error.hint().unwrap_or(HINT).to_owned();
            let url = git::url(self.repository);
            let outer = Error::new(format!("cannot use the answer of '{url}'")).with_hint(hint);
            return Err(error.context(outer));
        }
        let mut releases: Vec<Release> = refs.tags.into_iter().map(Release::from).collect();
        if filter.ripe.is_some() {
            for release in &releases {
                sightings.see(release, now);
            }
            sightings.complete();
        }
        releases.retain(|release| filter.counts(release, false));
        let selection = select(&releases, filter, sightings);
        cache.store(selection, Some(refs.foreign));
        if self.known_kind(cache).is_none() {
            cache.detected = Some(Forge::Git);
        }
        Ok(())
    }

    /// Returns the tags with the prefix, each with its commit: of very many the highest, and `wanted`.
    pub(super) fn refs(
        &self,
        wanted: Option<&Tag>,
        now: Timestamp,
        limits: &Limits,
    ) -> Result<Refs> {
        let prefix = self.tag_prefix.as_str();
        let remote = Remote {
            repository: self.repository,
            now,
            limits: Limits {
                body: LARGEST,
                total: limits.total.saturating_mul(SLOWER),
                ..*limits
            },
        };
        let advertised = || RefsReader::of_advertisement(prefix, wanted);
        let object_format =
            match remote.advertisement(&[(GIT_PROTOCOL, "version=2")], advertised())? {
                Listing::Refs(refs) => return Ok(refs),
                Listing::OnCommand { object_format } => object_format,
            };
        let below =
            |prefix: &str| Refs::command(&format!("refs/tags/{prefix}"), object_format.as_deref());
        let mut listed = RefsReader::of_list(prefix, wanted);
        let complete = remote.command(&below(prefix), &mut listed, |_| false);
        let listing = complete.and_then(|()| listed.finish().with_context(|| remote.unusable()));
        let mut refs = match listing {
            Ok(Listing::Refs(refs)) => refs,
            Ok(Listing::OnCommand { .. }) => Refs::default(),
            Err(error) if error.kind() == Kind::Unreachable => return Err(error),
            // What stands between may pass on nothing but GET.
            Err(error) => match remote.advertisement(&[], advertised()) {
                Ok(Listing::Refs(refs)) => refs,
                Ok(Listing::OnCommand { .. }) | Err(_) => return Err(error),
            },
        };
        if refs.tags.is_empty() && refs.foreign.is_empty() && !prefix.is_empty() {
            let mut others = RefsReader::of_list(prefix, None);
            let enough = |reader: &RefsReader| reader.foreign().count >= ENOUGH;
            remote.command(&below(""), &mut others, enough)?;
            refs.foreign = others.foreign().clone();
        }
        Ok(refs)
    }
}

struct Remote<'a> {
    repository: &'a Repository,
    now: Timestamp,
    limits: Limits,
}

impl Remote<'_> {
    fn advertisement(
        &self,
        headers: &[(HeaderName, &str)],
        mut reader: RefsReader,
    ) -> Result<Listing> {
        let request = Get {
            url: &git::url(self.repository),
            accept: git::ADVERTISEMENT,
            headers,
            ..Get::default()
        };
        self.read(&request, &mut reader, |_| false)?;
        reader.finish().with_context(|| self.unusable())
    }

    /// Sends a command of version 2, and reads until there is no more or `enough`.
    fn command(
        &self,
        command: &[u8],
        reader: &mut RefsReader,
        enough: impl Fn(&RefsReader) -> bool,
    ) -> Result<()> {
        let request = Get {
            url: &git::command_url(self.repository),
            accept: git::RESULT,
            headers: &[
                (GIT_PROTOCOL, "version=2"),
                (header::CONTENT_TYPE, git::REQUEST),
            ],
            post: Some(command),
            ..Get::default()
        };
        self.read(&request, reader, enough)
    }

    fn read(
        &self,
        request: &Get,
        reader: &mut RefsReader,
        enough: impl Fn(&RefsReader) -> bool,
    ) -> Result<()> {
        let answer = http::stream(request, &self.limits, |piece| {
            reader.push(piece)?;
            Ok(!enough(reader))
        });
        let answer = answer.map_err(|error| match error.kind() {
            Kind::Unreachable => error,
            _ => error.context(unusable(request.url)),
        })?;
        classify(&answer, self.now).usable(request.url, self.now)
    }

    fn unusable(&self) -> Error {
        unusable(&git::url(self.repository))
    }
}
