//! What kind of forge it is, and below which path: found out once, then cached.

use jiff::Timestamp;

use super::api::Api;
use super::feed_cache::FeedCache;
use super::response::{ResponseClass, classify};
use super::{Feed, later};
use crate::config::Forge;
use crate::error::{Error, Kind, Result};
use crate::os::http::{self, Get, Limits};
use crate::release::sightings::Sightings;
use crate::release::source::{ReleaseFilter, Source};

impl Feed<'_> {
    /// Asks whatever kind of forge it is.
    pub(super) fn request(
        &self,
        cache: &mut FeedCache,
        sightings: &mut Sightings,
        now: Timestamp,
        limits: &Limits,
    ) -> Result<()> {
        let filter = self.filter(now);
        let kind = self.kind(cache, now, limits)?;
        let Some(source) = kind.source() else {
            return self.ask_git(cache, &filter, sightings, now, limits);
        };
        let mut found: Option<Error> = None;
        for base in self.bases(kind, cache) {
            let api = self.api(source, &base, filter, now, limits)?;
            match api.ask(cache, sightings) {
                Ok(()) => {
                    cache.detected = Some(kind);
                    cache.set_had_api();
                    cache.base = (!base.is_empty()).then_some(base);
                    return Ok(());
                }
                Err(error) if error.kind() == Kind::Unreachable => return Err(error),
                // There the forge may not be at all.
                Err(error) => {
                    let is_missing = |error: &Error| error.kind() == Kind::NotFound;
                    if found.as_ref().is_none_or(is_missing)
                        && !(found.is_some() && is_missing(&error))
                    {
                        found = Some(error);
                    }
                }
            }
        }
        let error = found.unwrap_or_else(|| Error::new("there is no place for the forge"));
        let may_fall_back = self.forge == Forge::Auto && !cache.had_api();
        if error.kind() != Kind::NotFound || !may_fall_back {
            return Err(error);
        }
        // Without a list there are no marks of pre-releases either that bare tags could lose.
        for base in self.bases(kind, cache) {
            let api = self.api(source, &base, filter, now, limits)?;
            if api.has_list().unwrap_or(true) {
                return Err(error);
            }
        }
        cache.detected = Some(kind);
        self.ask_git(cache, &filter, sightings, now, limits)
            .map_err(|_| error)
    }

    /// Returns the kind of forge that the settings, the cache or the host imply.
    pub(super) fn known_kind(&self, cache: &FeedCache) -> Option<Forge> {
        if self.forge != Forge::Auto {
            return Some(self.forge);
        }
        cache.detected.or_else(|| Forge::of_host(self.repository))
    }

    /// Returns the kind of forge, which is found out with a few requests if it is not known.
    pub(super) fn kind(&self, cache: &FeedCache, now: Timestamp, limits: &Limits) -> Result<Forge> {
        if let Some(kind) = self.known_kind(cache) {
            return Ok(kind);
        }
        for url in Forge::probes(self.repository) {
            let request = Get {
                url: &url,
                accept: "application/json",
                ..Get::default()
            };
            match http::get(&request, limits) {
                Ok(answer) => {
                    if let ResponseClass::Later(why, until) = classify(&answer, now) {
                        let host = self.repository.host();
                        return Err(later(format!("{host} {why}"), until, now));
                    }
                    if let Some(kind) = Forge::from_probe(&answer.headers, &answer.body) {
                        return Ok(kind);
                    }
                }
                Err(error) if error.kind() == Kind::Unreachable => return Err(error),
                // Whatever that was, it is not an API.
                Err(_) => {}
            }
        }
        if cache.had_api() {
            let host = self.repository.host();
            return Err(Error::new(format!(
                "{host} had an API that lists its releases, and has none now"
            ))
            .with_hint("if its tags are the releases from now on, set `forge = \"git\"` under [self-update]"));
        }
        Ok(Forge::Git)
    }

    /// Returns the paths below which the forge may be.
    pub(super) fn bases(&self, kind: Forge, cache: &FeedCache) -> Vec<String> {
        let all = kind.bases(self.repository);
        match &cache.base {
            Some(base) if all.contains(base) => vec![base.clone()],
            _ => all,
        }
    }

    fn api<'a>(
        &self,
        source: &'static Source,
        base: &str,
        filter: ReleaseFilter<'a>,
        now: Timestamp,
        limits: &'a Limits,
    ) -> Result<Api<'a>> {
        Ok(Api {
            source,
            releases: (source.releases)(self.repository, base)?,
            filter,
            now,
            limits,
        })
    }
}
