//! What the doctor says of the keys whose signatures count, and of the clock by which they expire.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::row::Row;
use crate::cli::Context;
use crate::config::trust::signers::{self, Entry, Standing};
use crate::config::trust::{LARGEST_FILE, read};
use crate::config::{Require, Signers, Trust};
use crate::error::Result;
use crate::install::slots::Slots;
use crate::os::{clock, files};
use crate::update;

/// heph was not built before this instant. A release sets it to its own day, or leaves it: then it stays true.
const NOT_BUILT_BEFORE: &str = "2026-11-01T00:00:00Z";
/// A key that ends within this time is named.
const SOON: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// What lists the keys.
const SHOW: &str = "`heph self-update trust show` lists the keys";

/// Returns the rows about the keys and about the clock.
pub fn look(context: &Context) -> Vec<Row> {
    let trust = &context.config.self_update.trust;
    let now = clock::now();
    vec![
        keys(trust, &found(trust), now, &TimeZone::system()),
        time(now, past(context)),
    ]
}

/// What was found of the configured keys.
#[derive(Debug)]
struct Found {
    /// The lines of the list of signers, or why it cannot be read.
    signers: Result<Vec<Result<Entry>>, String>,
    /// Whether the keyring can be read.
    keyring: Result<(), String>,
    /// The programs that are needed and not there.
    missing: Vec<&'static str>,
}

fn found(trust: &Trust) -> Found {
    let there = |found: bool, file: &std::path::Path| {
        found
            .then_some(())
            .ok_or(format!("there is no file '{}'", file.display()))
    };
    let lines = |text: &str| signers::file(text).into_iter().map(|(_, line)| line);
    let mut needed = Vec::new();
    if trust.signs_tags() {
        needed.push("git");
    }
    if trust.tag_signers.is_some() {
        needed.push("ssh-keygen");
    }
    if trust.tag_openpgp_keyring.is_some() {
        needed.push("gpgv");
    }
    Found {
        signers: match &trust.tag_signers {
            None => Ok(Vec::new()),
            Some(Signers::Inline(all)) => Ok(all.iter().cloned().map(Ok).collect()),
            Some(Signers::File(file)) => read(file)
                .map_err(|error| error.one_line())
                .and_then(|text| there(text.is_some(), file).map(|()| text.unwrap_or_default()))
                .map(|text| lines(&text).collect()),
        },
        keyring: trust.tag_openpgp_keyring.as_ref().map_or(Ok(()), |file| {
            files::read_if_there(file, LARGEST_FILE)
                .map_err(|error| error.one_line())
                .and_then(|bytes| there(bytes.is_some(), file))
        }),
        missing: needed
            .into_iter()
            .filter(|program| which::which(program).is_err())
            .collect(),
    }
}

/// Returns the row about the keys.
fn keys(trust: &Trust, found: &Found, now: Timestamp, zone: &TimeZone) -> Row {
    const NAME: &str = "trusted keys";
    let signers = match (&found.signers, &found.keyring) {
        (Ok(signers), Ok(())) => signers,
        (Err(why), _) | (_, Err(why)) => return Row::problem(NAME, why, SHOW),
    };
    if let Some(program) = found.missing.first() {
        return Row::problem(
            NAME,
            format!("signed tags are required, and {program} is not on PATH"),
            format!("install {program}"),
        );
    }
    if !trust.has_keys() {
        return match trust.require() {
            Require::Signature => Row::problem(
                NAME,
                "a signature is required, and no key is configured: every release is refused",
                "`heph self-update trust add FILE-OR-KEY` adds the key of the owner",
            ),
            _ => Row::ok(NAME, "none: whoever controls the forge is believed"),
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
            NAME,
            "no listed key is valid now: every signed tag is refused",
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
    for why in signers.iter().filter_map(|line| line.as_ref().err()) {
        warnings.push(format!(
            "a line of the signers counts for nothing: it {why}"
        ));
    }
    if !warnings.is_empty() {
        return Row::warning(NAME, warnings.join("\n"), SHOW);
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
    Row::ok(NAME, format!("{}; required: {required}", kinds.join(", ")))
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

/// Returns the row about the clock.
fn time(now: Timestamp, past: Option<(Timestamp, &str)>) -> Row {
    const NAME: &str = "clock";
    match past {
        Some((at, what)) if now < at => Row::warning(
            NAME,
            format!("it says {now}, but {what} later than that, at {at}"),
            "set the clock: keys expire by it, and certificates are judged by it",
        ),
        _ => Row::ok(NAME, "plausible"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::Status;
    use super::*;

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
        let found = Found {
            signers: Ok(lines.iter().map(|line| line.parse()).collect()),
            keyring: Ok(()),
            missing: Vec::new(),
        };
        keys(&trust, &found, now(), &TimeZone::UTC)
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
            (
                vec![&good, "nonsense"],
                Status::Warning,
                "counts for nothing",
            ),
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
        let nothing = || Found {
            signers: Ok(Vec::new()),
            keyring: Ok(()),
            missing: Vec::new(),
        };
        let row = |trust: &Trust, found: &Found| keys(trust, found, now(), &TimeZone::UTC).status;
        let none = Trust::default();
        assert_eq!(row(&none, &nothing()), Status::Ok);
        let required = Trust {
            require: Some(Require::Signature),
            ..Trust::default()
        };
        assert_eq!(row(&required, &nothing()), Status::Problem);
        for broken in [
            Found {
                signers: Err("gone".to_owned()),
                ..nothing()
            },
            Found {
                keyring: Err("gone".to_owned()),
                ..nothing()
            },
            Found {
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
        let row = time(now(), Some((later, "heph was built")));
        assert_eq!(row.status, Status::Warning);
        assert!(row.detail.contains("2026-06-01") && row.detail.contains("heph was built"));
        assert_eq!(time(later, Some((now(), "x"))).status, Status::Ok);
        assert_eq!(time(now(), None).status, Status::Ok);
    }
}
