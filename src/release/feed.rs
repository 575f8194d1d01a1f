//! The feed: one conditional request, and what is remembered of it between runs (`feed.json`).
//!
//! A request goes out only when the forge has not asked to be left alone. What comes back is one of three things. An
//! answer: [`News::Latest`]. No answer, or one that says "later" (no connection, no trust, no time, 429, a rate limit,
//! 5xx): [`News::Unreachable`], and the next run tries again. Or an answer that is of no use (a page of HTML, a hostile
//! tag, 404): an error, for a person has to look. Whichever it is, the cache keeps when and why; the newest release that
//! was ever seen stays until a good answer replaces it.

mod assets;
mod feed_cache;
mod response;
mod tags;

use std::path::Path;

use super::Release;
use super::source::{FeedAnswer, ForgeKind, Question, ReleaseFilter, forgejo, gitlab};
use crate::config::{Repository, SelfUpdate};
use crate::error::{Error, Kind, Result};
use crate::os::http::{self, Answer, Get, Limits};
use feed_cache::{FeedCache, FeedKey};
use jiff::Timestamp;
use response::{ResponseClass, classify};

/// What helps when an answer is of no use.
const HINT: &str =
    "check `repository`, `forge` and `tag-prefix` under [self-update] in the settings file";

/// A feed, as settings name it and as the state file remembers it.
#[derive(Debug)]
pub struct Feed<'a> {
    /// Where releases are.
    pub settings: &'a SelfUpdate,
    /// `feed.json`.
    pub state: &'a Path,
}

/// What came of asking.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// The forge answered (or 304 confirmed what is remembered): the newest release that it names and the settings admit.
    /// Where they admit none, the newest at all, so that the decision can say what holds it back.
    Latest(Option<Release>),
    /// The forge could not be reached, or asked to be left alone until later: exit 75.
    Unreachable {
        /// One sentence.
        reason: String,
        /// When asking makes sense again, where the forge said so.
        retry_at: Option<Timestamp>,
    },
}

/// What came of asking, and what came of remembering it.
#[derive(Debug)]
pub struct FeedCheck {
    /// As [`Feed::fetch`] returns it.
    pub news: Result<News>,
    /// Why the state file could not be written, if it could not.
    pub unwritten: Option<Error>,
}

/// What is known without asking the network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Remembered {
    /// The newest release at the last success that the settings admit (or, where they admit none, the newest).
    pub latest: Option<Release>,
    /// The highest release at the last success, whatever `pin` and `cooldown` say: [`decide::objection`] says why not it.
    ///
    /// [`decide::objection`]: super::decide::objection
    pub highest: Option<Release>,
    /// The highest release that an earlier answer named, where the last one names none as high.
    pub withdrawn: Option<Release>,
    /// When the forge last answered well.
    pub last_success: Option<Timestamp>,
    /// When it was last asked.
    pub last_attempt: Option<Timestamp>,
    /// What went wrong at the last attempt, if it did.
    pub last_error: Option<String>,
}

/// Why there is no release to name.
enum Trouble {
    /// Later it may work.
    Later(String, Option<Timestamp>),
    /// It will not.
    Wrong(Error),
}

impl Feed<'_> {
    /// Asks the forge for its newest release: one request (plus one probe the first time with `forge = "auto"`, plus one
    /// for the list where the forge's latest turns out to be a pre-release).
    ///
    /// A state file that cannot be written does not spoil the answer: all that is lost is cache, and the next request is
    /// unconditional. [`Feed::ask`] tells of it.
    ///
    /// # Errors
    ///
    /// The forge answered with something that is not a feed (exit 1), or the settings name no usable URL (exit 2).
    pub fn fetch(&self, now: Timestamp) -> Result<News> {
        self.ask(now, &Limits::default()).news
    }

    /// Like [`Feed::fetch`], within other limits, and tells whether the answer could be remembered.
    pub fn ask(&self, now: Timestamp, limits: &Limits) -> FeedCheck {
        let repository = &self.settings.repository;
        let mut cache = FeedCache::load(self.state, &FeedKey::of(self.settings), now);
        if let Some(until) = cache.not_before.filter(|until| *until > now) {
            let reason = format!("{} asked to be left alone until {until}", repository.host());
            return FeedCheck {
                news: Ok(News::Unreachable {
                    reason,
                    retry_at: Some(until),
                }),
                unwritten: None,
            };
        }
        cache.last_attempt = Some(now);
        cache.not_before = None;
        let news = match self.request(repository, &mut cache, now, limits) {
            Ok(()) => {
                cache.last_success = Some(now);
                cache.last_error = None;
                Ok(News::Latest(cache.latest.clone()))
            }
            Err(Trouble::Later(reason, retry_at)) => {
                cache.last_error = Some(reason.clone());
                cache.not_before = cache.not_before.max(retry_at);
                Ok(News::Unreachable { reason, retry_at })
            }
            Err(Trouble::Wrong(error)) => {
                cache.last_error = Some(error.one_line());
                // Perhaps another forge answers there by now: the next run finds out afresh.
                cache.detected = None;
                Err(error)
            }
        };
        let unwritten = cache.save(self.state).err();
        FeedCheck { news, unwritten }
    }

    /// Returns what is remembered, without any request. A file that cannot be read as such is as good as none.
    pub fn remembered(&self) -> Remembered {
        let cache = FeedCache::load(self.state, &FeedKey::of(self.settings), Timestamp::MAX);
        Remembered {
            latest: cache.latest.clone(),
            highest: cache.highest.clone(),
            last_success: cache.last_success,
            last_attempt: cache.last_attempt,
            last_error: cache.last_error.clone(),
            withdrawn: cache.withdrawn(),
        }
    }

    /// Asks, and puts what was learnt into `cache`.
    fn request(
        &self,
        repository: &Repository,
        cache: &mut FeedCache,
        now: Timestamp,
        limits: &Limits,
    ) -> Result<(), Trouble> {
        let wanted = ReleaseFilter {
            prefix: self.settings.tag_prefix.as_str(),
            prereleases: self.settings.prereleases,
            pin: self.settings.pin.as_ref(),
            ripe: (!self.settings.cooldown.is_zero()).then(|| {
                now.checked_sub(*self.settings.cooldown)
                    .unwrap_or(Timestamp::MIN)
            }),
        };
        let kind = match ForgeKind::known(self.settings.forge, repository).or(cache.detected) {
            Some(kind) => kind,
            None => probe(repository, now, limits)?,
        };
        let mut question = kind.question(&wanted);
        loop {
            let url = kind.url(repository, question).map_err(Trouble::Wrong)?;
            // What is remembered answers the first question only; the list is asked afresh.
            let first = question == kind.question(&wanted);
            let conditional = first && cache.has_validators();
            let (answer, class) = get(&url, kind, conditional.then_some(&*cache), now, limits)?;
            cache.not_before = response::used_up(|name| answer.header(name), now);
            if conditional && class == ResponseClass::NotModified {
                return Ok(());
            }
            class.usable(&url, HINT)?;
            let found = kind
                .parse(question, &answer.body, &wanted)
                .map_err(|wrong| of_no_use(&url, &wrong))?;
            match found {
                FeedAnswer::Releases(choice) => {
                    let confirmable = first && choice.lasting;
                    cache.remember(kind, *choice, confirmable.then_some(&answer));
                    return Ok(());
                }
                FeedAnswer::NeedsList => question = Question::List,
            }
        }
    }
}

/// Finds out what kind of forge answers, with one request.
fn probe(repository: &Repository, now: Timestamp, limits: &Limits) -> Result<ForgeKind, Trouble> {
    let Some(url) = forgejo::version_url(repository) else {
        return Ok(ForgeKind::Git);
    };
    let request = Get {
        url: &url,
        accept: ForgeKind::Forgejo.accept(),
        ..Get::default()
    };
    match http::get(&request, limits) {
        Ok(answer) => match classify(&answer, now) {
            ResponseClass::Later(why, until) => Err(Trouble::Later(
                format!("{} {why}", repository.host()),
                until,
            )),
            _ => Ok(ForgeKind::from_probe(
                &answer.body,
                answer.header(gitlab::HEADER).is_some(),
            )),
        },
        Err(error) if error.kind() == Kind::Unreachable => {
            Err(Trouble::Later(error.one_line(), None))
        }
        // Whatever that was, it is no API.
        Err(_) => Ok(ForgeKind::Git),
    }
}

/// Sends one request and judges the status of its answer.
fn get(
    url: &str,
    kind: ForgeKind,
    remembered: Option<&FeedCache>,
    now: Timestamp,
    limits: &Limits,
) -> Result<(Answer, ResponseClass), Trouble> {
    let request = Get {
        url,
        accept: kind.accept(),
        etag: remembered.and_then(|cache| cache.etag.as_deref()),
        last_modified: remembered.and_then(|cache| cache.last_modified.as_deref()),
        ..Get::default()
    };
    match http::get(&request, limits) {
        Ok(answer) => {
            let class = classify(&answer, now);
            Ok((answer, class))
        }
        Err(error) if error.kind() == Kind::Unreachable => {
            Err(Trouble::Later(error.one_line(), None))
        }
        Err(error) => Err(of_no_use(url, &error.one_line())),
    }
}

fn of_no_use(url: &str, why: &str) -> Trouble {
    Trouble::Wrong(Error::new(format!("the answer of '{url}' is of no use: {why}")).with_hint(HINT))
}

impl ResponseClass {
    /// Goes on where the answer has a body to read.
    fn usable(self, url: &str, hint: &str) -> Result<(), Trouble> {
        match self {
            ResponseClass::Body => Ok(()),
            ResponseClass::NotModified => {
                Err(of_no_use(url, "it says 304, but nothing was known before"))
            }
            ResponseClass::Later(why, until) => {
                Err(Trouble::Later(format!("'{url}' {why}"), until))
            }
            ResponseClass::Missing(status) => Err(Trouble::Wrong(
                Error::new(format!(
                    "no release is published at '{url}', or there is no such repository ({status})"
                ))
                .with_hint(format!("publish a release there, or {hint}")),
            )),
            ResponseClass::Wrong(why) => Err(of_no_use(url, &why)),
        }
    }
}
