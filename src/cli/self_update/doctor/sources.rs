//! Will cargo get the sources of the newest release, on its own way and by its own settings?
//!
//! heph asks the git remote itself, but what is built, cargo fetches: with git, by the settings of cargo and of git, through
//! their proxies. So cargo is asked to look at the package without adding it to anything.

use std::path::Path;
use std::time::Duration;

use super::build::{Folder, of_builds, shortened, succeeds, write_package};
use super::facts::Job;
use super::row::Row;
use crate::error::{Kind, Result};
use crate::install::Progress;
use crate::install::build_failure;
use crate::install::cargo::Cargo;
use crate::install::cargo_git::{WITHOUT_PASSWORDS, needs_password};
use crate::release::Release;

/// How long cargo may take. A first fetch of a large repository takes longer, and a run waits longer for it.
const LIMIT: Duration = Duration::from_secs(120);

pub(super) fn sources(job: &Job) -> Option<Row> {
    let (release, (cargo, _)) = (job.newest()?, job.cargo.as_ref().ok()?);
    of_builds(job.building, || {
        let settings = &job.context.config.self_update;
        let folder = Folder::make(&job.context.paths.build().join(".doctor"));
        let fetched = folder.and_then(|folder| {
            let url = settings.repository.url();
            fetch(cargo, &folder.0, url, release, &settings.packages)
        });
        sources_row(release.tag.as_str(), fetched)
    })
}

/// Judges cargo's look at the sources of `tag`; the error is what cargo says.
pub(super) fn sources_row(tag: &str, fetched: Result<()>) -> Row {
    let Err(error) = fetched else {
        return Row::ok(format!("cargo fetches {tag} by its own settings and git's"));
    };
    let output = error.to_string();
    let said = shortened(conclusion(&output).into_iter());
    if needs_password(&output) {
        let detail = format!(
            "a run would end as `failed`: cargo cannot fetch {tag} without a password\n{said}"
        );
        return Row::problem(detail, WITHOUT_PASSWORDS);
    }
    let failure = build_failure::recognize(&output).error(tag, "the repository", &output);
    let outcome = match failure.kind() {
        Kind::Unreachable => "unreachable",
        _ => "failed",
    };
    Row::problem(
        format!("a run would end as `{outcome}`: cargo cannot fetch {tag}\n{said}"),
        "see `insteadOf` and `proxy` in git's settings (`git config --list --show-origin`), and [net] and [http] in cargo's \
         config.toml",
    )
}

/// Returns what git says, cargo's error and the last of its causes, without the warnings about attempts before.
fn conclusion(output: &str) -> Vec<&str> {
    let lines = || {
        output
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
    };
    let mut found: Vec<&str> = Vec::new();
    let of_git = lines().filter(|line| line.starts_with("fatal:"));
    let of_cargo = lines().filter(|line| line.starts_with("error:"));
    for line in of_git.chain(of_cargo).chain(lines().next_back()) {
        if !found.contains(&line) {
            found.push(line);
        }
    }
    found
}

/// Has cargo fetch the packages of `release` and read their manifests, in `folder`.
fn fetch(
    cargo: &Cargo,
    folder: &Path,
    url: &str,
    release: &Release,
    packages: &[String],
) -> Result<()> {
    write_package(folder)?;
    let log = Progress::Log(folder.join("log"));
    let run = cargo
        .run(folder, folder, &folder.join("target"), &log)
        .args(["add", "--dry-run"])
        .arg(format!("--git={url}"))
        .arg(format!("--tag={}", release.tag.as_str()))
        .arg("--")
        .args(packages)
        .limit(LIMIT);
    succeeds(run)
}

#[cfg(test)]
mod tests {
    use super::super::row::Status;
    use super::*;
    use crate::error::Error;

    #[test]
    fn the_words_that_decide_are_shown_and_attempts_before_are_not() {
        let output = "warning: spurious network error (1 try remaining): process didn't exit\n\
            fatal: unable to access 'http://f/': Failed to connect\n\
            fatal: unable to access 'http://f/': Failed to connect\nerror: failed to load source\n\n\
            Caused by:\n  Unable to update http://f\n\nCaused by:\n  the last cause\n";
        assert_eq!(
            conclusion(output),
            [
                "fatal: unable to access 'http://f/': Failed to connect",
                "error: failed to load source",
                "the last cause"
            ]
        );
    }

    #[test]
    fn what_cargo_says_about_the_sources_predicts_the_outcome_of_a_run() {
        assert_eq!(sources_row("v1.0.0", Ok(())).status, Status::Ok);
        for (said, words, hint) in [
            (
                "error: failed to load source\nCaused by:\n  fatal: could not read Username for 'https://f': terminal prompts disabled",
                "`failed`: cargo cannot fetch v1.0.0 without a password",
                "no credential helper",
            ),
            (
                "error: failed to get `tool`\nCaused by:\n  failed to connect to p port 1: Connection refused",
                "`unreachable`",
                "insteadOf",
            ),
            (
                "error: could not find `tool` in `https://f/a/b`",
                "`failed`",
                "config.toml",
            ),
        ] {
            let row = sources_row("v1.0.0", Err(Error::new(said)));
            assert_eq!(row.status, Status::Problem);
            assert!(row.detail.contains(words), "{}", row.detail);
            assert!(row.hint.unwrap().contains(hint), "{said}");
        }
    }
}
