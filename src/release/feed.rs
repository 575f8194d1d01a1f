//! The feed: one conditional request, and what is remembered of it between runs (`feed.json`).
//!
//! A request goes out only when the forge has not asked to be left alone. What comes back is one of three things. An
//! answer: [`News::Latest`]. No answer, or one that says "later" (no connection, no trust, no time, 429, a rate limit,
//! 5xx): [`News::Unreachable`], and the next run tries again. Or an answer that is of no use (a page of HTML, a hostile
//! tag, 404): an error, for a person has to look. Whichever it is, the memory keeps when and why; the newest release that
//! was ever seen stays until a good answer replaces it.

mod assets;
mod memory;
mod tags;
mod verdict;

use std::path::Path;

use super::source::{Found, Kind, Question, Repository, Wanted, forgejo, gitlab};
use super::version::quoted;
use super::{Release, Tag};
use crate::config::SelfUpdate;
use crate::error::{Error, Result};
use crate::os::http::{self, Answer, Failure, Get, Limits};
use jiff::Timestamp;
use memory::{Key, Memory};
use verdict::{Verdict, judge};

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
pub struct Asked {
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
    /// A state file that cannot be written does not spoil the answer: all that is lost is memory, and the next request is
    /// unconditional. [`Feed::ask`] tells of it.
    ///
    /// # Errors
    ///
    /// The forge answered with something that is not a feed (exit 1), or the settings name no usable URL (exit 2).
    pub fn fetch(&self, now: Timestamp) -> Result<News> {
        self.ask(now, &Limits::default()).news
    }

    /// Like [`Feed::fetch`], within other limits, and tells whether the answer could be remembered.
    pub fn ask(&self, now: Timestamp, limits: &Limits) -> Asked {
        let repository = match self.repository() {
            Ok(repository) => repository,
            Err(news) => {
                return Asked {
                    news: Err(news),
                    unwritten: None,
                };
            }
        };
        let mut memory = Memory::load(self.state, &Key::of(self.settings), now);
        if let Some(until) = memory.not_before.filter(|until| *until > now) {
            let reason = format!("{} asked to be left alone until {until}", repository.host);
            return Asked {
                news: Ok(News::Unreachable {
                    reason,
                    retry_at: Some(until),
                }),
                unwritten: None,
            };
        }
        memory.last_attempt = Some(now);
        memory.not_before = None;
        let news = match self.request(&repository, &mut memory, now, limits) {
            Ok(()) => {
                memory.last_success = Some(now);
                memory.last_error = None;
                Ok(News::Latest(memory.latest.clone()))
            }
            Err(Trouble::Later(reason, retry_at)) => {
                memory.last_error = Some(reason.clone());
                memory.not_before = memory.not_before.max(retry_at);
                Ok(News::Unreachable { reason, retry_at })
            }
            Err(Trouble::Wrong(error)) => {
                memory.last_error = Some(error.one_line());
                // Perhaps another forge answers there by now: the next run finds out afresh.
                memory.detected = None;
                Err(error)
            }
        };
        let unwritten = memory.save(self.state).err();
        Asked { news, unwritten }
    }

    /// Returns what is remembered, without any request. A file that cannot be read as such is as good as none.
    pub fn remembered(&self) -> Remembered {
        let memory = Memory::load(self.state, &Key::of(self.settings), Timestamp::MAX);
        Remembered {
            latest: memory.latest.clone(),
            highest: memory.highest.clone(),
            last_success: memory.last_success,
            last_attempt: memory.last_attempt,
            last_error: memory.last_error.clone(),
            withdrawn: memory.withdrawn(),
        }
    }

    /// Returns the repository that the settings name.
    fn repository(&self) -> Result<Repository> {
        let prefix = &self.settings.tag_prefix;
        if Tag::try_from(format!("{prefix}1.0.0")).is_err() {
            return Err(
                Error::usage(format!("`tag-prefix` = {} will not do", quoted(prefix))).with_hint(
                    "use letters, digits and . _ + - / only, as in \"v\" or \"release/\"",
                ),
            );
        }
        Repository::parse(&self.settings.repository)
    }

    /// Asks, and puts what was learnt into `memory`.
    fn request(
        &self,
        repository: &Repository,
        memory: &mut Memory,
        now: Timestamp,
        limits: &Limits,
    ) -> Result<(), Trouble> {
        let wanted = Wanted {
            prefix: &self.settings.tag_prefix,
            prereleases: self.settings.prereleases,
            pin: self.settings.pin.as_ref(),
            ripe: (!self.settings.cooldown.is_zero()).then(|| {
                now.checked_sub(self.settings.cooldown)
                    .unwrap_or(Timestamp::MIN)
            }),
        };
        let kind = match Kind::known(self.settings.forge, repository).or(memory.detected) {
            Some(kind) => kind,
            None => probe(repository, now, limits)?,
        };
        let mut question = kind.question(&wanted);
        loop {
            let url = kind.url(repository, question).map_err(Trouble::Wrong)?;
            // What is remembered answers the first question only; the list is asked afresh.
            let first = question == kind.question(&wanted);
            let conditional = first && memory.has_validators();
            let (answer, verdict) = get(&url, kind, conditional.then_some(&*memory), now, limits)?;
            memory.not_before = verdict::used_up(|name| answer.header(name), now);
            if conditional && verdict == Verdict::NotModified {
                return Ok(());
            }
            verdict.usable(&url, HINT)?;
            let found = kind
                .parse(question, &answer.body, &wanted)
                .map_err(|wrong| of_no_use(&url, &wrong))?;
            match found {
                Found::Newest(choice) => {
                    let confirmable = first && choice.lasting;
                    memory.remember(kind, *choice, confirmable.then_some(&answer));
                    return Ok(());
                }
                Found::AskForList => question = Question::List,
            }
        }
    }
}

/// Finds out what kind of forge answers, with one request.
fn probe(repository: &Repository, now: Timestamp, limits: &Limits) -> Result<Kind, Trouble> {
    let Some(url) = forgejo::version_url(repository) else {
        return Ok(Kind::Git);
    };
    let request = Get {
        url: &url,
        accept: Kind::Forgejo.accept(),
        ..Get::default()
    };
    match http::get(&request, limits) {
        Ok(answer) => match judge(&answer, now) {
            Verdict::Later(why, until) => {
                Err(Trouble::Later(format!("{} {why}", repository.host), until))
            }
            _ => Ok(Kind::from_probe(
                &answer.body,
                answer.header(gitlab::HEADER).is_some(),
            )),
        },
        Err(Failure::Unreachable(reason)) => Err(Trouble::Later(reason, None)),
        // Whatever that was, it is no API.
        Err(Failure::Refused(_)) => Ok(Kind::Git),
    }
}

/// Sends one request and judges the status of its answer.
fn get(
    url: &str,
    kind: Kind,
    remembered: Option<&Memory>,
    now: Timestamp,
    limits: &Limits,
) -> Result<(Answer, Verdict), Trouble> {
    let request = Get {
        url,
        accept: kind.accept(),
        etag: remembered.and_then(|memory| memory.etag.as_deref()),
        last_modified: remembered.and_then(|memory| memory.last_modified.as_deref()),
        ..Get::default()
    };
    match http::get(&request, limits) {
        Ok(answer) => {
            let verdict = judge(&answer, now);
            Ok((answer, verdict))
        }
        Err(Failure::Unreachable(reason)) => Err(Trouble::Later(reason, None)),
        Err(Failure::Refused(why)) => Err(of_no_use(url, &why)),
    }
}

fn of_no_use(url: &str, why: &str) -> Trouble {
    Trouble::Wrong(Error::new(format!("the answer of '{url}' is of no use: {why}")).with_hint(HINT))
}

impl Verdict {
    /// Goes on where the answer has a body to read.
    fn usable(self, url: &str, hint: &str) -> Result<(), Trouble> {
        match self {
            Verdict::Body => Ok(()),
            Verdict::NotModified => {
                Err(of_no_use(url, "it says 304, but nothing was known before"))
            }
            Verdict::Later(why, until) => Err(Trouble::Later(format!("'{url}' {why}"), until)),
            Verdict::Missing(status) => Err(Trouble::Wrong(
                Error::new(format!(
                    "no release is published at '{url}', or there is no such repository ({status})"
                ))
                .with_hint(format!("publish a release there, or {hint}")),
            )),
            Verdict::Wrong(why) => Err(of_no_use(url, &why)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Exit;

    #[test]
    fn settings_that_name_no_forge_are_wrong_configuration_and_leave_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("feed.json");
        for (repository, prefix) in [
            ("http://forge.example/a/b", "v"),
            ("https://forge.example/a/b", "--config="),
            ("https://forge.example/a/b", "../"),
        ] {
            let settings = SelfUpdate {
                repository: repository.to_owned(),
                tag_prefix: prefix.to_owned(),
                ..SelfUpdate::default()
            };
            let feed = Feed {
                settings: &settings,
                state: &state,
            };
            let error = feed.fetch(Timestamp::UNIX_EPOCH).unwrap_err();
            assert_eq!(error.exit(), Exit::Usage, "{error}");
            assert!(!state.exists());
        }
    }
}
