//! The feed: one conditional request, and what is cached of it between runs (`feed.json`).
//!
//! A request goes out only if the forge has not asked for a pause. There are three results. A good answer: the newest
//! release. No answer, or one that says "later" (no connection, no trust, a time-out, 429, a rate limit, 5xx): an error of
//! [`Kind::Unreachable`], and the next run tries again. Or an unusable answer (a page of HTML, a hostile tag, 404): any
//! other error, which needs a person. The cache records when and why in all three cases; the newest release that was ever
//! seen stays until a good answer replaces it.

mod feed_cache;
mod named;
mod response;

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::Release;
use super::decide::Policy;
use super::source::{Question, ReleaseFilter};
use crate::config::{Forge, Repository, TagPrefix};
use crate::error::{Error, Kind, Result, ResultExt};
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
    /// That is one request, plus one probe the first time with `forge = "auto"`, plus one for the list if the forge's latest
    /// turns out to be a pre-release. A state file that cannot be written does not spoil the answer: the next request is
    /// unconditional, that is all.
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
        let latest = self.request(&mut cache, now, limits);
        match &latest {
            Ok(()) => {
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
                }
            }
        }
        FeedCheck {
            latest: latest.map(|()| cache.latest.clone()),
            unwritten: cache.save(self.cache).err(),
        }
    }

    /// Returns what is cached, without a request. An unreadable file counts as missing.
    pub fn cached(&self) -> FeedCache {
        self.load(Timestamp::MAX)
    }

    /// Returns whether the releases are known to come from a plain git remote, which lists no files. Sends no request.
    pub(crate) fn is_plain_git(&self, now: Timestamp) -> bool {
        let detected = || self.load(now).detected;
        self.forge.known(self.repository).or_else(detected) == Some(Forge::Git)
    }

    /// Returns the kind of forge, which is found out with one request if neither the settings, the host nor the cache has it.
    fn kind(&self, cache: &FeedCache, now: Timestamp, limits: &Limits) -> Result<Forge> {
        if let Some(kind) = self.forge.known(self.repository).or(cache.detected) {
            return Ok(kind);
        }
        let Some(url) = Forge::probe_url(self.repository) else {
            return Ok(Forge::Git);
        };
        let request = Get {
            url: &url,
            accept: "application/json",
            ..Get::default()
        };
        match http::get(&request, limits) {
            Ok(answer) => match classify(&answer, now) {
                ResponseClass::Later(why, until) => {
                    let host = self.repository.host();
                    Err(later(format!("{host} {why}"), until, now))
                }
                _ => Ok(Forge::from_probe(&answer.headers, &answer.body)),
            },
            Err(error) if error.kind() == Kind::Unreachable => Err(error),
            // Whatever that was, it is not an API.
            Err(_) => Ok(Forge::Git),
        }
    }

    fn load(&self, now: Timestamp) -> FeedCache {
        let key = FeedKey::new(self.repository, self.forge, self.tag_prefix, &self.policy);
        FeedCache::load(self.cache, &key, now)
    }

    /// Sends the request, and puts what the answer says into `cache`.
    fn request(&self, cache: &mut FeedCache, now: Timestamp, limits: &Limits) -> Result<()> {
        let cooldown = *self.policy.cooldown;
        let filter = ReleaseFilter {
            prefix: self.tag_prefix.as_str(),
            prereleases: self.policy.prereleases,
            pin: self.policy.pin.as_ref(),
            ripe: (!cooldown.is_zero())
                .then(|| now.checked_sub(cooldown).unwrap_or(Timestamp::MIN)),
        };
        let kind = self.kind(cache, now, limits)?;
        let mut question = filter.question();
        loop {
            let url = kind.url(self.repository, question)?;
            // What is cached answers the first question only; the list is requested unconditionally.
            let first = question == filter.question();
            let conditional = first && cache.has_validators();
            let (answer, class) = get(&url, kind, conditional.then_some(&*cache), now, limits)?;
            cache.not_before = response::used_up(&answer, now);
            if conditional && class == ResponseClass::NotModified {
                return Ok(());
            }
            class.usable(&url, now)?;
            let selection = (kind.source().parse)(question, &answer.body, &filter)
                .with_context(|| unusable(&url))?;
            if let Some(selection) = selection {
                let confirmable = first && selection.lasting;
                cache.update(kind, selection, confirmable.then_some(&answer));
                return Ok(());
            }
            question = Question::List;
        }
    }
}

fn get(
    url: &str,
    kind: Forge,
    cached: Option<&FeedCache>,
    now: Timestamp,
    limits: &Limits,
) -> Result<(Answer, ResponseClass)> {
    let request = Get {
        url,
        accept: kind.source().accept,
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
                .with_hint(format!("publish a release there, or {HINT}")));
            }
            ResponseClass::NotModified => "its status is 304, but nothing was cached".to_owned(),
            ResponseClass::Wrong(why) => why,
        };
        Err(Error::new(why).context(unusable(url)))
    }
}
