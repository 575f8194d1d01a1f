//! What facts mean.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use semver::Version;

use super::build::*;
use super::feed::*;
use super::installed::*;
use super::probe::Folders;
use super::row::Row;
use super::row::Status::{self, Ok as Fine, Problem, Warning};
use super::timer::*;
use crate::config::Forge;
use crate::error::{Error, Result};
use crate::platform::service;
use crate::release::{Release, Tag};

/// Checks the status, words of the detail and words of the hint; no words, no hint.
#[track_caller]
fn expect(row: &Row, status: Status, detail: &str, hint: &str) {
    assert_eq!(row.status, status, "{row:?}");
    assert!(row.detail.contains(detail), "{row:?}");
    let said = row.hint.as_deref();
    assert_eq!(said.is_none(), hint.is_empty(), "{row:?}");
    assert!(said.unwrap_or_default().contains(hint), "{row:?}");
    assert_eq!(
        row.status == Fine,
        row.hint.is_none(),
        "each remark has a remedy: {row:?}"
    );
}

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

fn path(text: &str) -> &Path {
    Path::new(text)
}

#[test]
fn the_timer_is_on_off_or_beyond_telling() {
    expect(
        &timer_row(Ok(Some("every 6h".into()))),
        Fine,
        "every 6h",
        "",
    );
    expect(&timer_row(Ok(None)), Warning, "off", "self-update enable");
    expect(
        &timer_row(Err(Error::new("damaged"))),
        Problem,
        "damaged",
        "enable",
    );
    expect(&generated_files_row(&[]), Fine, "", "");
    let stale = ["'/x' is missing".to_owned(), "'/y' is edited".to_owned()];
    expect(
        &generated_files_row(&stale),
        Problem,
        "is missing\n'/y'",
        "enable",
    );
}

#[test]
fn a_program_that_does_not_start_is_a_problem() {
    expect(
        &program_row(path("/b/heph"), Ok(version("1.0.3"))),
        Fine,
        "1.0.3",
        "",
    );
    let broken = program_row(path("/b/heph"), Err(Error::new("no such file")));
    expect(
        &broken,
        Problem,
        "'/b/heph', which does not work: no such file",
        "enable",
    );
    expect(&environment_row("here", None), Fine, "checked here", "");
    expect(
        &environment_row("here", Some(&Error::new("no bus"))),
        Problem,
        "no bus",
        "enable",
    );
}

#[test]
fn only_folders_that_differ_are_named() {
    let here = Folders {
        config: "/c".into(),
        data: "/d".into(),
        state: "/s".into(),
        cache: "/k".into(),
    };
    assert_eq!(folders_row(&here, &here), None);
    let there = Folders {
        state: "/elsewhere".into(),
        ..here.clone()
    };
    let row = folders_row(&here, &there).unwrap();
    expect(
        &row,
        Problem,
        "the job's state folder is '/elsewhere'",
        "enable",
    );
    assert!(!row.detail.contains("data"));
}

#[test]
fn cargo_is_missing_broken_or_there() {
    expect(
        &cargo_row(Ok("cargo 1.95.0, '/c/cargo'".into())),
        Fine,
        "cargo 1.95.0, '/c/cargo'",
        "",
    );
    expect(
        &cargo_row(Err(&Error::new("cannot find cargo"))),
        Problem,
        "cannot find cargo",
        "rustup.rs",
    );
    let unchosen =
        "error: rustup could not choose a version of cargo to run, because one wasn't specified";
    expect(
        &cargo_row(Err(&Error::new(unchosen))),
        Problem,
        "rustup",
        "rustup default stable",
    );
}

#[test]
fn why_a_small_build_fails_decides_the_remedy() {
    let failed = |said: &str| linker_row(Err(Error::new(said)), path("/build"));
    expect(
        &linker_row(Ok(()), path("/build")),
        Fine,
        "compiled, linked and started",
        "",
    );
    expect(
        &failed("error: linker `cc` not found"),
        Problem,
        "no C compiler",
        "build-essential",
    );
    expect(
        &failed("No space left on device (os error 28)"),
        Problem,
        "disk is full",
        "clean",
    );
    expect(
        &failed(
            "could not execute process `/b/build-script-build` (never executed)\nPermission denied (os error 13)",
        ),
        Problem,
        "'/build' (is it mounted noexec?)",
        "XDG_CACHE_HOME",
    );
    expect(
        &failed("something else"),
        Problem,
        "something else",
        "cargo run",
    );
    let long = format!(
        "  = note: \"cc\" {}\n  = note: lld: error: no such folder\n",
        "x ".repeat(999)
    );
    let row = failed(&long);
    expect(&row, Problem, "lld: error: no such folder", "cargo run");
    assert!(row.detail.len() < 300, "{row:?}");
}

#[test]
fn a_temporary_folder_without_programs_surprises_and_without_files_stops() {
    let row = |written: Result<(), &str>, started: Result<(), &str>| {
        temporary_folder_row(
            path("/tmp"),
            written.map_err(Error::new),
            started.map_err(Error::new),
        )
    };
    expect(&row(Ok(()), Ok(())), Fine, "'/tmp'", "");
    expect(&row(Ok(()), Err("denied")), Warning, "noexec", "TMPDIR");
    expect(
        &row(Err("read-only"), Err("x")),
        Problem,
        "read-only",
        "TMPDIR",
    );
}

#[test]
fn the_forge_answers_waits_or_does_not() {
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let row = |latest: Result<Option<Release>>| {
        let latest = latest.as_ref().map(Option::as_ref);
        forge_row("forge.example", latest, Forge::Auto, now)
    };
    let release = Release {
        version: version("1.0.3"),
        tag: Tag::of("v", &version("1.0.3")),
        url: None,
        published_at: None,
        assets: Vec::new(),
    };
    let unreachable = || Error::unreachable("no route");
    expect(&row(Ok(Some(release))), Fine, "newest release is 1.0.3", "");
    expect(&row(Ok(None)), Warning, "no release", "tag-prefix");
    let busy = unreachable().with_retry_after(Duration::from_secs(60));
    expect(
        &row(Err(busy)),
        Warning,
        "before 2026-01-01T00:01",
        "nothing to do",
    );
    expect(&row(Err(unreachable())), Problem, "no route", "proxy");
    expect(&row(Err(Error::new("HTML"))), Problem, "HTML", "`forge`");
    expect(
        &row(Err(Error::new("HTML").with_hint("look"))),
        Problem,
        "HTML",
        "look",
    );
    expect(&git_row(Ok("has the tag v1".into())), Fine, "v1", "");
    expect(
        &git_row(Err(Error::new("404"))),
        Problem,
        "404",
        "repository",
    );
}

#[test]
fn room_is_needed_for_the_build_and_for_the_release() {
    let row = |build, slots| free_space_row(Ok(Some(build)), Ok(slots));
    expect(&row(5 << 30, 5 << 30), Fine, "5.0 GiB for builds", "");
    expect(
        &row(BUILD_NEEDS, SLOT_NEEDS),
        Fine,
        "256 MiB for releases",
        "",
    );
    expect(
        &row(BUILD_NEEDS - 1, 5 << 30),
        Problem,
        "1023 MiB for builds",
        "clean",
    );
    expect(
        &row(5 << 30, 10 << 10),
        Problem,
        "10 KiB for releases",
        "clean",
    );
    expect(
        &free_space_row(Err(Error::new("denied")), Ok(1)),
        Warning,
        "denied",
        "folder",
    );
    // Without a build.
    let row = |slots| free_space_row(Ok(None), Ok(slots));
    let said = |row: &Row| assert!(!row.detail.contains("builds"), "{row:?}");
    let enough = row(SLOT_NEEDS);
    expect(&enough, Fine, "256 MiB for releases", "");
    said(&enough);
    let short = row(SLOT_NEEDS - 1);
    expect(&short, Problem, "255 MiB for releases", "clean");
    said(&short);
}

#[test]
fn what_shows_only_after_logout_or_never_is_told() {
    expect(&lingering_row(Some(true), true), Fine, "", "");
    expect(
        &lingering_row(Some(false), true),
        Warning,
        "logged in",
        "loginctl enable-linger",
    );
    expect(
        &lingering_row(None, true),
        Warning,
        "cannot tell",
        "loginctl",
    );
    expect(&cron_row(true), Fine, "", "");
    expect(
        &cron_row(false),
        Problem,
        "no cron daemon",
        "systemctl enable --now cron",
    );
}

#[test]
fn commands_that_are_not_the_installed_ones_are_told() {
    expect(&links_row(Ok(path("/b")), &[], false), Fine, "'/b'", "");
    expect(
        &links_row(Ok(path("/b")), &["'/b/heph' is foreign".into()], true),
        Problem,
        "foreign",
        "apply",
    );
    expect(
        &links_row(Err(Error::new("dpkg's")), &[], false),
        Problem,
        "dpkg",
        "bin-dir",
    );
    expect(
        &path_row(Some(path("/b/heph")), path("/b"), true),
        Fine,
        "'/b/heph'",
        "",
    );
    expect(
        &path_row(Some(path("/a/heph")), path("/b"), false),
        Warning,
        "another copy, '/a/heph'",
        "'/b' before",
    );
    expect(
        &path_row(None, path("/b"), false),
        Warning,
        "not on PATH",
        "put '/b' on PATH",
    );
}

#[test]
fn quarantine_and_daemon_are_told() {
    expect(&quarantine_row(Ok(Vec::new())), Fine, "empty", "");
    expect(
        &quarantine_row(Ok(vec![version("1.0.4")])),
        Warning,
        "1.0.4",
        "quarantine clear",
    );
    let row = |installed, running, ours| {
        let state = service::State {
            manager: "systemd",
            installed,
            running,
            program: None,
        };
        hephd_row(Ok(Some(&state)), ours)
    };
    expect(&row(true, true, true), Fine, "systemd runs it", "");
    expect(
        &row(true, true, false),
        Warning,
        "another hephd or was made by hand",
        "daemon start",
    );
    expect(&row(true, false, true), Fine, "stopped", "");
    expect(&hephd_row(Ok(None), false), Fine, "not a service", "");
    expect(
        &hephd_row(Err(&Error::new("odd")), false),
        Warning,
        "odd",
        "daemon status",
    );
}
