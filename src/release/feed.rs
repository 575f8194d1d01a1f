//! The feed: one conditional request, and what is cached of it between runs (`feed.json`).
//!
//! A request goes out only if the forge has not asked for a pause. There are three results. A good answer: the newest
//! release. No answer, or one that says "later" (no connection, no trust, a time-out, 429, a rate limit, 5xx): an error of
//! [`Kind::Unreachable`], and the next run tries again. Or an unusable answer (a page of HTML, a hostile tag, 404): any
//! other error, which needs a person. The cache records when and why in all three cases; the newest release that was ever
//! seen stays until a good answer replaces it.

mod api;
mod detect;
mod feed_cache;
mod named;
mod remote;
mod response;

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::Release;
use super::decide::{self, Policy};
use super::sightings::Sightings;
use super::source::ReleaseFilter;
use crate::config::{Forge, Repository, TagPrefix};
use crate::error::{Error, Kind, Result};
use crate::os::http::{self, Answer, Get, Limits};
pub use feed_cache::FeedCache;
use feed_cache::FeedKey;
use response::{ResponseClass, classify};

const HINT: &str =
    "check `repository`, `forge` and `tag-prefix` under [self-update] in the settings file";

/// Where releases are published, and which of them count.
#[derive(Clone, Debug)]
pub struct Feed<'a> {
    /// Where releases are published.
    pub repository: &'a Repository,
    /// What kind of forge that is.
    pub forge: Forge,
    /// What stands before the version in a tag.
    pub tag_prefix: &'a TagPrefix,
    /// Which releases count.
    pub policy: Policy,
    /// `feed.json`.
    pub cache: &'a Path,
}

/// What one request to the feed led to.
#[derive(Debug)]
pub struct FeedCheck {
    /// See [`Feed::fetch`].
    pub latest: Result<Option<Release>>,
    /// Why the state file could not be written, if it could not.
    pub unwritten: Option<Error>,
}

impl Feed<'_> {
    /// Requests the newest release that the settings admit, or else the newest of all, so that the decision can say what holds
    /// it back. `None`: nothing is published.
    ///
    /// That is one request, plus a few probes the first time with `forge = "auto"`, plus those for the list if the forge's latest
    /// has changed and may hide a higher release. A state file that cannot be written does not spoil the answer: the next request
    /// is unconditional, that is all.
    ///
    /// # Errors
    ///
    /// The forge cannot be reached or asked for a pause (exit 75, with the time to wait if it is known), it answered with
    /// something that is not a feed (exit 1), or it needs a repository with an owner and a name (exit 2).
    pub fn fetch(&self, now: Timestamp) -> Result<Option<Release>> {
        self.check(now, &Limits::default()).latest
    }

    /// As [`Feed::fetch`], within other limits, and says whether the answer could be cached.
    pub fn check(&self, now: Timestamp, limits: &Limits) -> FeedCheck {
        let mut cache = self.load(now);
        if let Some(until) = cache.not_before.filter(|until| *until > now) {
            let host = self.repository.host();
            let reason = format!("{host} asked for no request before {until}");
            return FeedCheck {
                latest: Err(later(reason, Some(until), now)),
                unwritten: None,
            };
        }
        cache.last_attempt = Some(now);
        cache.not_before = None;
        let waits = !self.policy.cooldown.is_zero();
        let mut sightings = match waits {
            true => self.sightings(now),
            false => Sightings::default(),
        };
        if waits && !sightings.has_begun() {
            // Without a record, an unchanged answer would not say which releases it lists.
            cache.invalidate();
        }
        let latest = self.request(&mut cache, &mut sightings, now, limits);
        let mut recorded = Ok(());
        match &latest {
            Ok(()) => {
                if waits {
                    let pin = self.policy.pin.as_ref();
                    recorded = sightings.save(&self.first_seen(), |version| {
                        pin.is_none_or(|pin| decide::admits(pin, version))
                    });
                }
                cache.last_success = Some(now);
                cache.last_error = None;
            }
            Err(error) => {
                cache.last_error = Some(error.one_line());
                if error.kind() == Kind::Unreachable {
                    let until = error
                        .retry_after()
                        .and_then(|wait| now.checked_add(wait).ok());
                    cache.not_before = cache.not_before.max(until);
                } else {
                    // Another kind of forge may answer there by now: the next run probes again.
                    cache.detected = None;
                    cache.base = None;
                }
            }
        }
        FeedCheck {
            latest: latest.map(|()| cache.latest.clone()),
            unwritten: cache.save(self.cache).and(recorded).err(),
        }
    }

    /// Returns what is cached, without a request. An unreadable file counts as missing.
    pub fn cached(&self) -> FeedCache {
        self.load(Timestamp::MAX)
    }

    /// Returns whether the releases are known to come from a plain git remote, which lists no files. Sends no request.
    pub(crate) fn is_plain_git(&self, now: Timestamp) -> bool {
        self.known_kind(&self.load(now)) == Some(Forge::Git)
    }

    /// Returns for how long `release` has been known; `None` if nothing dates it. With a `cooldown`, the date of the forge does not
    /// make it older than its first sighting. Sends no request.
    pub fn age(&self, release: &Release, now: Timestamp) -> Option<Duration> {
        let since = if self.policy.cooldown.is_zero() {
            release.published_at
        } else {
            self.sightings(now).known_since(release)
        };
        // A release from the future has no age.
        since.map(|since| Duration::try_from(now.duration_since(since)).unwrap_or_default())
    }

    fn load(&self, now: Timestamp) -> FeedCache {
        let key = FeedKey::new(self.repository, self.forge, self.tag_prefix, &self.policy);
        FeedCache::load(self.cache, &key, now)
    }

    fn sightings(&self, now: Timestamp) -> Sightings {
        Sightings::load(&self.first_seen(), self.repository, self.tag_prefix, now)
    }

    /// Returns the path of `first-seen.json`.
    fn first_seen(&self) -> PathBuf {
        self.cache.with_file_name("first-seen.json")
    }

    fn filter(&self, now: Timestamp) -> ReleaseFilter<'_> {
        let cooldown = *self.policy.cooldown;
        ReleaseFilter {
            prefix: self.tag_prefix.as_str(),
            prereleases: self.policy.prereleases,
            pin: self.policy.pin.as_ref(),
            ripe: (!cooldown.is_zero())
                .then(|| now.checked_sub(cooldown).unwrap_or(Timestamp::MIN)),
        }
    }
}

fn get(
    url: &str,
    accept: &str,
    cached: Option<&FeedCache>,
    now: Timestamp,
    limits: &Limits,
) -> Result<(Answer, ResponseClass)> {
    let request = Get {
        url,
        accept,
        etag: cached.and_then(|cache| cache.etag.as_deref()),
        last_modified: cached.and_then(|cache| cache.last_modified.as_deref()),
        ..Get::default()
    };
    let answer = http::get(&request, limits).map_err(|error| match error.kind() {
        Kind::Unreachable => error,
        _ => error.context(unusable(url)),
    })?;
    let class = classify(&answer, now);
    Ok((answer, class))
}

/// Returns what is put on top of an error about the answer of `url`.
fn unusable(url: &str) -> Error {
    Error::new(format!("cannot use the answer of '{url}'")).with_hint(HINT)
}

/// Returns the error of a forge that asks for a pause.
fn later(reason: String, until: Option<Timestamp>, now: Timestamp) -> Error {
    let wait = until.and_then(|until| Duration::try_from(until.duration_since(now)).ok());
    Error::unreachable(reason).with_retry_after(wait)
}

impl ResponseClass {
    fn usable(self, url: &str, now: Timestamp) -> Result<()> {
        let why = match self {
            ResponseClass::Body => return Ok(()),
            ResponseClass::Later(why, until) => {
                return Err(later(format!("'{url}' {why}"), until, now));
            }
            ResponseClass::Missing(status) => {
                return Err(Error::new(format!(
                    "no release is published at '{url}', or there is no such repository ({status})"
                ))
                .with_hint(format!("publish a release there, or {HINT}"))
                .with_kind(Kind::NotFound));
            }
            ResponseClass::NotModified => "its status is 304, but nothing was cached".to_owned(),
            ResponseClass::Wrong(why) => why,
        };
        Err(Error::new(why).context(unusable(url)))
    }
}
