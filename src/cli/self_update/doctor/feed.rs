//! Can the timer's job learn of releases, and fetch them?

use jiff::Timestamp;

use super::facts::Job;
use super::row::Row;
use crate::config::Forge;
use crate::error::{Error, Kind, Result, bail};
use crate::os::clock;
use crate::os::http::{self, Get, Limits};
use crate::release::Release;
use crate::release::source::git as git_remote;
use crate::update;

pub(super) fn forge(job: &Job) -> Option<Row> {
    let settings = &job.context.config.self_update;
    Some(forge_row(
        settings.repository.host(),
        job.latest.as_ref().map(Option::as_ref),
        settings.forge,
        clock::now(),
    ))
}

/// Judges the answer of the forge on `host`.
pub(super) fn forge_row(
    host: &str,
    latest: Result<Option<&Release>, &Error>,
    kind: Forge,
    now: Timestamp,
) -> Row {
    let error = match latest {
        Ok(Some(release)) => {
            let version = &release.version;
            return Row::ok(format!("{host} answers; the newest release is {version}"));
        }
        Ok(None) => {
            return Row::warning(
                format!("{host} answers, but has no release to install"),
                "check `repository` and `tag-prefix` under [self-update]",
            );
        }
        Err(error) => error,
    };
    let reason = error.one_line();
    match (error.kind(), error.retry_after()) {
        (Kind::Unreachable, Some(wait)) => Row::warning(
            match now.checked_add(wait) {
                Ok(until) => format!("{host} asks for no request before {until}: {reason}"),
                Err(_) => reason,
            },
            "nothing to do: the timer waits as long",
        ),
        (Kind::Unreachable, None) => Row::problem(
            reason,
            "check the network, and the proxy and certificate variables of the shell that runs `heph self-update enable`",
        ),
        _ => Row::failed(
            error,
            match kind {
                Forge::Auto => "name the kind of forge with `forge` under [self-update]",
                _ => "check `repository` and `forge` under [self-update]",
            },
        ),
    }
}

pub(super) fn git(job: &Job) -> Option<Row> {
    Some(git_row(advertised(job)))
}

/// Judges what the git remote advertises, in words.
pub(super) fn git_row(advertised: Result<String>) -> Row {
    match advertised {
        Ok(words) => Row::ok(words),
        Err(error) => Row::failed(&error, "check `repository` under [self-update]"),
    }
}

/// Asks the git remote, which cargo will ask, for the tag of the newest release, or for any tag without a release.
fn advertised(job: &Job) -> Result<String> {
    let settings = &job.context.config.self_update;
    let url = &settings.repository;
    if let Ok(Some(latest)) = &job.latest {
        let cache = job.context.paths.feed();
        let feed = update::feed(settings, &cache);
        let release = feed.tagged(&latest.version, clock::now())?;
        return Ok(format!("'{url}' has the tag {}", release.tag.as_str()));
    }
    let request = Get {
        url: &git_remote::url(url),
        accept: "*/*",
        ..Get::default()
    };
    // It may list very many refs; one byte shows that it answers.
    match http::peek(&request, &Limits::default(), 1)?.status {
        200 => Ok(format!("'{url}' answers")),
        status => bail!("'{url}' answers with status {status}"),
    }
}
