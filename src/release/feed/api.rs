//! The feed of a forge with an API.
//!
//! The usual case is one conditional request for the release that the forge calls its latest. That one is not always the newest
//! release here:
//!
//! - Forgejo and GitLab order by date, so a back-port hides a higher release. When their latest has changed, the list is read
//!   once. On GitHub the owner says which release is the latest, and that is followed.
//! - It may be of another package of the repository, or a pre-release. Then only the list can tell.
//!
//! While the forge's latest is not the newest release here, or the settings want another one (`pin`, `prereleases`, `cooldown`),
//! the list is asked instead, with the validators of its first page.
//!
//! Pages are counted here. The links of an answer only say whether another page follows; none is requested.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use ureq::http::HeaderMap;

use super::feed_cache::{FeedCache, Question};
use super::response::{self, ResponseClass};
use super::{HINT, get, unusable};
use crate::error::{Error, Kind, Result, ResultExt};
use crate::os::http::{Answer, Limits};
use crate::os::interrupt;
use crate::release::sightings::Sightings;
use crate::release::source::{
    Gathered, PublishedRelease, ReleaseFilter, Selection, Source, fingerprint, select,
};
use crate::release::{Release, Tag};

/// How many releases the first page has: few enough for answers that list 60 files a release, with all that GitHub says of each.
const FIRST_PAGE: usize = 30;
/// How many a page has after that, if the first one shows that they are small. No forge answers more.
const LARGE_PAGE: usize = 100;
const MOST_PAGES: usize = 20;
const MOST_RELEASES: usize = 2000;
/// How many times longer than one answer a list may take.
const SLOWER: u32 = 4;
/// How often a page may turn out to be larger than an answer may be: 30, 15, 7, 3, 1.
const MOST_RETRIES: usize = 5;
/// For how long what is known of a list, beyond its first pages, holds.
const LIST_HOLDS: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// An API, and what is asked of it.
pub(super) struct Api<'a> {
    pub source: &'static Source,
    /// The URL of the releases.
    pub releases: String,
    pub filter: ReleaseFilter<'a>,
    pub now: Timestamp,
    pub limits: &'a Limits,
}

/// A list, as far as it was read.
struct List<'a> {
    gathered: Gathered<'a>,
    /// The first page, without its body.
    first: Answer,
    fingerprint: String,
    end: End,
}

/// Where a list was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// At its end.
    Reached,
    /// Where no later page can have a better release.
    Enough,
    /// At the limit: it goes on.
    Cut,
}

impl Api<'_> {
    /// Puts what the forge answers into `cache`, and what it lists into `sightings`.
    pub(super) fn ask(&self, cache: &mut FeedCache, sightings: &mut Sightings) -> Result<()> {
        let list_first = self.filter.wants_list() || self.is_recent(cache.list_first_since);
        if list_first {
            self.ask_list(cache, sightings)
        } else {
            self.ask_latest(cache, sightings)
        }
    }

    /// Returns whether the list exists, whatever it lists.
    pub(super) fn has_list(&self) -> Result<bool> {
        let url = self.page_url(FIRST_PAGE, 1);
        let (_, class) = get(&url, self.source.accept, None, self.now, self.limits)?;
        Ok(class == ResponseClass::Body)
    }

    fn ask_latest(&self, cache: &mut FeedCache, sightings: &mut Sightings) -> Result<()> {
        let url = format!("{}{}", self.releases, self.source.latest);
        let Some(answer) = self.get(&url, Question::Latest, cache)? else {
            return Ok(());
        };
        let published = (self.source.one)(&answer.body).with_context(|| unusable(&url))?;
        let mark = fingerprint([&published]);
        let is_same = cache.is_same(Question::Latest, &mark);
        match self.counting(published) {
            Some(_) if self.source.latest_is_by_date && is_same => {}
            Some(release) if self.source.latest_is_by_date => {
                let newest = self.second_opinion(&release, cache, sightings);
                if newest.as_ref() != Some(&release.tag) {
                    return Ok(());
                }
            }
            Some(release) => {
                let releases = [release];
                cache.store(select(&releases, &self.filter, sightings), None);
            }
            None => {
                self.ask_list(cache, sightings)?;
                cache.list_first_since = Some(self.now);
                return Ok(());
            }
        }
        cache.list_first_since = None;
        cache.validate(Question::Latest, &answer, mark);
        Ok(())
    }

    /// Asks the list whether `release`, the last one by date, hides a higher one. Returns the tag of the newest release if the list
    /// says so, and `None` if it could not be read: then the next run asks again.
    fn second_opinion(
        &self,
        release: &Release,
        cache: &mut FeedCache,
        sightings: &mut Sightings,
    ) -> Option<Tag> {
        match self.read_list(cache, sightings) {
            Ok(Some(mut list)) => {
                list.gathered.add_release(release.clone());
                let selection = list.gathered.selection(sightings);
                let newest = selection.latest.as_ref().map(|newest| newest.tag.clone());
                self.keep(list, selection, cache);
                cache.list_first_since = Some(self.now);
                newest
            }
            Ok(None) => {
                cache.list_first_since = Some(self.now);
                cache.latest.as_ref().map(|newest| newest.tag.clone())
            }
            Err(error) => {
                let wait = error.retry_after();
                let until = wait.and_then(|wait| self.now.checked_add(wait).ok());
                cache.not_before = cache.not_before.max(until);
                let known = cache.latest.take().filter(|known| self.is_admitted(known));
                let releases: Vec<Release> = known.into_iter().chain([release.clone()]).collect();
                let selection = select(&releases, &self.filter, sightings);
                let foreign = cache.foreign.take();
                cache.store(selection, foreign);
                None
            }
        }
    }

    fn ask_list(&self, cache: &mut FeedCache, sightings: &mut Sightings) -> Result<()> {
        if let Some(list) = self.read_list(cache, sightings)? {
            if let Some(error) = self.objection(&list) {
                return Err(error);
            }
            let selection = list.gathered.selection(sightings);
            self.keep(list, selection, cache);
        }
        Ok(())
    }

    /// Returns why nothing can be selected from `list`; `None` if something can, or if nothing is published.
    fn objection(&self, list: &List) -> Option<Error> {
        let (gathered, is_cut) = (&list.gathered, list.end == End::Cut);
        if gathered.has_releases() {
            return None;
        }
        let url = self.page_url(FIRST_PAGE, 1);
        let mut error = if !gathered.has_own && !gathered.foreign.is_empty() {
            gathered.foreign.error(self.filter.prefix)
        } else if is_cut {
            Error::new("none of them may be installed")
        } else {
            return None;
        };
        if is_cut {
            let count = gathered.len();
            error = error.context(format!(
                "it lists more than {count} releases, and only the last {count} were read"
            ));
        }
        let hint = error.hint().unwrap_or(HINT).to_owned();
        Some(error.context(Error::new(format!("cannot use the answer of '{url}'")).with_hint(hint)))
    }

    /// Caches what was selected from `list`, and its first page if the same one leads to the same selection tomorrow.
    fn keep(&self, list: List, selection: Selection, cache: &mut FeedCache) {
        let is_lasting = selection.lasting;
        cache.store(selection, Some(list.gathered.foreign));
        if list.end != End::Enough {
            cache.listed_at = Some(self.now);
        }
        if is_lasting {
            cache.validate(Question::List, &list.first, list.fingerprint);
        }
    }

    /// Reads the list; `None` if it is the one that the cache is about.
    fn read_list(
        &self,
        cache: &mut FeedCache,
        sightings: &mut Sightings,
    ) -> Result<Option<List<'_>>> {
        if !self.is_recent(cache.listed_at) {
            cache.invalidate();
        }
        let start = Instant::now();
        let limit = self.limits.total.saturating_mul(SLOWER);
        let (mut size, mut number) = (FIRST_PAGE, 1);
        let mut gathered = Gathered::new(self.filter);
        let mut first: Option<(Answer, String)> = None;
        let mut retries = 0;
        let end = loop {
            interrupt::check()?;
            let url = self.page_url(size, number);
            if start.elapsed() > limit {
                let limit = limit.as_secs();
                let reason = format!("reading the list at '{url}' timed out after {limit} s");
                return Err(Error::unreachable(reason));
            }
            let answer = match &first {
                None => self.get(&url, Question::List, cache),
                Some(_) => self.get_page(&url, cache).map(Some),
            };
            let mut answer = match answer {
                Ok(Some(answer)) => answer,
                Ok(None) => return Ok(None),
                Err(error)
                    if error.kind() == Kind::TooLarge && size > 1 && retries < MOST_RETRIES =>
                {
                    // Pages of another size start elsewhere.
                    retries += 1;
                    (size, number) = (size / 2, 1);
                    gathered = Gathered::new(self.filter);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let body = std::mem::take(&mut answer.body);
            let page = (self.source.list)(&body).with_context(|| unusable(&url))?;
            let count = page.len();
            let follows = has_next(&answer.headers, count, size);
            if first.is_none() {
                let mark = fingerprint(&page);
                if cache.is_same(Question::List, &mark) {
                    cache.validate(Question::List, &answer, mark);
                    return Ok(None);
                }
                first = Some((answer, mark));
            }
            let added = gathered.add(page, sightings, self.now);
            if !follows || added == 0 {
                break End::Reached;
            }
            if self.is_enough(&gathered, cache, sightings) {
                break End::Enough;
            }
            if number == MOST_PAGES || gathered.len() >= MOST_RELEASES {
                break End::Cut;
            }
            let larger = body.len() / count.max(1) * LARGE_PAGE;
            if number == 1 && size == FIRST_PAGE && (larger as u64) < self.limits.body / 2 {
                size = LARGE_PAGE;
                gathered = Gathered::new(self.filter);
            } else {
                number += 1;
            }
        };
        sightings.complete();
        // The first page always comes before the end.
        let (first, fingerprint) = first.context("the list has no page")?;
        Ok(Some(List {
            gathered,
            first,
            fingerprint,
            end,
        }))
    }

    /// Returns whether no later page can have a better release: what is there was there when the list was last read, and is lower.
    fn is_enough(&self, gathered: &Gathered, cache: &FeedCache, sightings: &Sightings) -> bool {
        let Some(known) = cache
            .latest
            .as_ref()
            .filter(|known| self.is_admitted(known))
        else {
            return false;
        };
        self.filter.ripe.is_none()
            && self.is_recent(cache.listed_at)
            && gathered
                .selection(sightings)
                .latest
                .is_some_and(|best| self.is_admitted(&best) && best.version >= known.version)
    }

    fn is_admitted(&self, release: &Release) -> bool {
        self.filter.is_pinned(release) && self.filter.counts(release, false)
    }

    fn is_recent(&self, since: Option<Timestamp>) -> bool {
        let since = since.filter(|since| *since <= self.now);
        since
            .and_then(|since| since.checked_add(LIST_HOLDS).ok())
            .is_some_and(|until| self.now < until)
    }

    fn counting(&self, published: PublishedRelease) -> Option<Release> {
        let is_marked = published.is_prerelease;
        let release = published.is_public.then_some(published)?;
        let release = release.into_release(self.filter.prefix)?;
        self.filter.counts(&release, is_marked).then_some(release)
    }

    fn page_url(&self, size: usize, number: usize) -> String {
        format!("{}{}", self.releases, (self.source.page)(size, number))
    }

    /// Returns the answer to `question`; `None` if it is the cached one.
    fn get(&self, url: &str, question: Question, cache: &mut FeedCache) -> Result<Option<Answer>> {
        let conditional = cache.has_validators(question);
        let cached = conditional.then_some(&*cache);
        let (answer, class) = get(url, self.source.accept, cached, self.now, self.limits)?;
        cache.not_before = response::used_up(&answer, self.now);
        if conditional && class == ResponseClass::NotModified {
            return Ok(None);
        }
        class.usable(url, self.now)?;
        Ok(Some(answer))
    }

    fn get_page(&self, url: &str, cache: &mut FeedCache) -> Result<Answer> {
        let (answer, class) = get(url, self.source.accept, None, self.now, self.limits)?;
        cache.not_before = response::used_up(&answer, self.now);
        class.usable(url, self.now)?;
        Ok(answer)
    }
}

/// Returns whether another page follows one of `count` releases, of which `size` were requested: by `Link` (RFC 8288), or by
/// GitLab's `X-Next-Page`, or else if the page is full. A page with more than was requested is of a server that has no pages.
fn has_next(headers: &HeaderMap, count: usize, size: usize) -> bool {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if count == 0 || count > size {
        return false;
    }
    match (header("link"), header("x-next-page")) {
        (Some(link), _) => link.split([',', ';']).any(|part| {
            let part = part.trim();
            part == "rel=\"next\"" || part == "rel=next"
        }),
        (None, Some(next)) => !next.trim().is_empty(),
        (None, None) => count == size,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ureq::http::HeaderName;

    fn next(headers: &[(&str, &str)], count: usize) -> bool {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
            .collect();
        has_next(&headers, count, 30)
    }

    #[test]
    fn whether_a_page_follows_is_said_by_a_header_or_by_a_full_page() {
        let link = "<https://f.example/r?page=2>; rel=\"next\", <https://f.example/r?page=9>; rel=\"last\"";
        assert!(next(&[("Link", link)], 30));
        assert!(next(&[("Link", link)], 10), "a forge with smaller pages");
        let last = "<https://f.example/r?page=1>; rel=\"prev\", <https://f.example/r?page=1>; rel=\"first\"";
        assert!(!next(&[("Link", last)], 30));
        assert!(next(&[("X-Next-Page", "2")], 20));
        assert!(!next(&[("X-Next-Page", "")], 30));
        assert!(next(&[], 30));
        assert!(!next(&[], 29));
        assert!(!next(&[], 31), "a server that has no pages");
        assert!(!next(&[("Link", link)], 0), "it has to end");
    }
}
