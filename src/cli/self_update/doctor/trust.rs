//! Are the keys whose signatures count usable, and the clock by which they expire?

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::facts::Job;
use super::row::Row;
use crate::cli::Context;
use crate::config::trust::signers::{self, Entry, Standing};
use crate::config::trust::{LARGEST_FILE, read};
use crate::config::{Require, Signers, Trust};
use crate::error::{Result, ensure};
use crate::install::slots::Slots;
use crate::os::{clock, files};
use crate::update;

/// heph was not built before this instant. A release sets it to its own day, or leaves it: then it stays true.
const NOT_BUILT_BEFORE: &str = "2026-11-01T00:00:00Z";
/// A key that ends within this time is named.
const SOON: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// What lists the keys.
const SHOW: &str = "`heph self-update trust show` lists the keys";

/// Checks the keys whose signatures count.
pub(super) fn keys(job: &Job) -> Option<Row> {
    let trust = &job.context.config.self_update.trust;
    let found = KeyFacts::of(trust);
    Some(keys_row(trust, &found, clock::now(), &TimeZone::system()))
}

/// What was found of the configured keys.
#[derive(Debug)]
struct KeyFacts {
    /// The lines of the list of signers, or why it cannot be read.
    signers: Result<Vec<Result<Entry>>>,
    /// Whether the keyring can be read.
    keyring: Result<()>,
    /// The programs that are needed but not on PATH.
    missing: Vec<&'static str>,
}

impl KeyFacts {
    fn of(trust: &Trust) -> KeyFacts {
        let there = |found: bool, file: &Path| -> Result<()> {
            ensure!(found, "there is no file '{}'", file.display());
            Ok(())
        };
        let signers = || match &trust.tag_signers {
            None => Ok(Vec::new()),
            Some(Signers::Inline(entries)) => Ok(entries.iter().cloned().map(Ok).collect()),
            Some(Signers::File(file)) => {
                let text = read(file)?;
                there(text.is_some(), file)?;
                Ok(signers::file(&text.unwrap_or_default()))
            }
        };
        let keyring = || match &trust.tag_openpgp_keyring {
            None => Ok(()),
            Some(file) => there(files::read_if_there(file, LARGEST_FILE)?.is_some(), file),
        };
        let needed = [
            ("git", trust.signs_tags()),
            ("ssh-keygen", trust.tag_signers.is_some()),
            ("gpgv", trust.tag_openpgp_keyring.is_some()),
        ];
        let missing = |(program, needed): (&'static str, bool)| {
            (needed && which::which(program).is_err()).then_some(program)
        };
        KeyFacts {
            signers: signers(),
            keyring: keyring(),
            missing: needed.into_iter().filter_map(missing).collect(),
        }
    }
}

/// Judges the keys.
fn keys_row(trust: &Trust, found: &KeyFacts, now: Timestamp, zone: &TimeZone) -> Row {
    let signers = match (&found.signers, &found.keyring) {
        (Ok(signers), Ok(())) => signers,
        (Err(error), _) | (_, Err(error)) => return Row::problem(error.one_line(), SHOW),
    };
    if let Some(program) = found.missing.first() {
        return Row::problem(
            format!("signed tags are required, and {program} is not on PATH"),
            format!("install {program}"),
        );
    }
    if !trust.has_keys() {
        return match trust.require() {
            Require::Signature => Row::problem(
                "a signature is required, and no key is configured: every release is rejected",
                "`heph self-update trust add FILE-OR-KEY` adds the key of the owner",
            ),
            _ => Row::ok("none: the forge is trusted without proof"),
        };
    }
    let good = signers.iter().flatten();
    let of = |standing| {
        let mine = good
            .clone()
            .filter(move |entry| entry.standing(now, zone) == standing);
        mine.collect::<Vec<_>>()
    };
    let (valid, expired) = (of(Standing::Valid), of(Standing::Expired));
    if trust.tag_signers.is_some() && trust.tag_openpgp_keyring.is_none() && valid.is_empty() {
        return Row::problem(
            "no listed key is valid now: every signed tag is rejected",
            SHOW,
        );
    }
    let mut warnings: Vec<String> = Vec::new();
    for entry in expired {
        warnings.push(format!("the key of {} has expired", entry.principals));
    }
    for entry in &valid {
        let soon = |end: &Timestamp| now.checked_add(SOON).is_ok_and(|soon| *end < soon);
        if let Some(end) = entry.ends(zone).filter(soon) {
            warnings.push(format!("the key of {} expires at {end}", entry.principals));
        }
    }
    for error in signers.iter().filter_map(|line| line.as_ref().err()) {
        warnings.push(format!(
            "an unusable line of the signers is ignored: {error}"
        ));
    }
    if !warnings.is_empty() {
        return Row::warning(warnings.join("\n"), SHOW);
    }
    let mut kinds = Vec::new();
    if !valid.is_empty() {
        kinds.push(format!("{} for tags", valid.len()));
    }
    if trust.tag_openpgp_keyring.is_some() {
        kinds.push("an OpenPGP keyring".to_owned());
    }
    if !trust.minisign_keys.is_empty() {
        kinds.push(format!("{} for archives", trust.minisign_keys.len()));
    }
    let required = trust.require().name();
    Row::ok(format!("{}; required: {required}", kinds.join(", ")))
}

/// Returns the latest instant that is known to be over, and what it is.
fn past(context: &Context) -> Option<(Timestamp, &'static str)> {
    let paths = &context.paths;
    let remembered = update::feed(&context.config.self_update, &paths.feed()).cached();
    let published = remembered.highest.and_then(|release| release.published_at);
    let current = Slots::new(paths).current().ok().flatten();
    let candidates = [
        (NOT_BUILT_BEFORE.parse().ok(), "heph was built"),
        (published, "the newest known release was published"),
        (
            current.map(|slot| slot.manifest.installed_at),
            "what runs here was installed",
        ),
    ];
    let known = candidates
        .into_iter()
        .filter_map(|(at, what)| Some((at?, what)));
    known.max_by_key(|(at, _)| *at)
}

/// Checks the clock, by which keys expire.
pub(super) fn clock(job: &Job) -> Option<Row> {
    Some(clock_row(clock::now(), past(job.context)))
}

/// Judges the clock, given an instant that is known to be over, and what it is.
fn clock_row(now: Timestamp, past: Option<(Timestamp, &str)>) -> Row {
    match past {
        Some((at, what)) if now < at => Row::warning(
            format!("it says {now}, but {what} later than that, at {at}"),
            "set the clock: keys expire by it, and certificates are judged by it",
        ),
        _ => Row::ok("plausible"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::Status;
    use super::*;
    use crate::error::Error;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBbVnWRGrrVxYqGYGyJzn8pgmM3pTDoLpHyBm3cAiuMe";

    fn now() -> Timestamp {
        "2026-06-01T00:00:00Z".parse().unwrap()
    }

    /// Returns the row about a list of signers with these lines.
    fn listed(lines: &[&str]) -> Row {
        let trust = Trust {
            tag_signers: Some(Signers::File("/s".into())),
            require: Some(Require::Signature),
            ..Trust::default()
        };
        let found = KeyFacts {
            signers: Ok(lines.iter().map(|line| line.parse()).collect()),
            keyring: Ok(()),
            missing: Vec::new(),
        };
        keys_row(&trust, &found, now(), &TimeZone::UTC)
    }

    #[test]
    fn keys_are_told_with_what_is_wrong_about_them() {
        let good = format!("a@b {KEY}");
        let expired = format!("old@b valid-before=\"20260101\" {KEY}");
        let soon = format!("soon@b valid-before=\"20260610\" {KEY}");
        for (lines, status, words) in [
            (
                vec![good.as_str()],
                Status::Ok,
                "1 for tags; required: signature",
            ),
            (vec![&good, &expired], Status::Warning, "old@b has expired"),
            (vec![&soon], Status::Warning, "soon@b expires at 2026-06-10"),
            (vec![&good, "nonsense"], Status::Warning, "is ignored"),
            (vec![&expired], Status::Problem, "no listed key is valid"),
            (vec![], Status::Problem, "no listed key is valid"),
        ] {
            let row = listed(&lines);
            assert_eq!(row.status, status, "{lines:?}");
            assert!(row.detail.contains(words), "{}", row.detail);
        }
    }

    #[test]
    fn what_stops_every_release_is_a_problem() {
        let nothing = || KeyFacts {
            signers: Ok(Vec::new()),
            keyring: Ok(()),
            missing: Vec::new(),
        };
        let row =
            |trust: &Trust, found: &KeyFacts| keys_row(trust, found, now(), &TimeZone::UTC).status;
        let none = Trust::default();
        assert_eq!(row(&none, &nothing()), Status::Ok);
        let required = Trust {
            require: Some(Require::Signature),
            ..Trust::default()
        };
        assert_eq!(row(&required, &nothing()), Status::Problem);
        for broken in [
            KeyFacts {
                signers: Err(Error::new("gone")),
                ..nothing()
            },
            KeyFacts {
                keyring: Err(Error::new("gone")),
                ..nothing()
            },
            KeyFacts {
                missing: vec!["git"],
                ..nothing()
            },
        ] {
            assert_eq!(row(&none, &broken), Status::Problem);
        }
    }

    #[test]
    fn a_clock_before_what_is_known_to_be_over_is_named() {
        let later = "2026-06-02T00:00:00Z".parse().unwrap();
        let row = clock_row(now(), Some((later, "heph was built")));
        assert_eq!(row.status, Status::Warning);
        assert!(row.detail.contains("2026-06-01") && row.detail.contains("heph was built"));
        assert_eq!(clock_row(later, Some((now(), "x"))).status, Status::Ok);
        assert_eq!(clock_row(now(), None).status, Status::Ok);
    }
}
