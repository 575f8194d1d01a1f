//! What is kept between runs: validators, the kind of forge, waits, and what went wrong.

use std::time::Duration;

use heph::config::{self, Interval};
use heph::error::Kind;
use heph::os::http::Limits;

use super::machine::{Machine, asked};
use crate::support::forge::{Forge, Published, Speaks};
use crate::support::http::Reply;

#[test]
fn a_feed_that_has_not_changed_is_not_sent_again() {
    let forge = Forge::start();
    forge.publish(Published::new("v1.0.0"));
    let machine = Machine::of(&forge, config::Forge::Forgejo);
    assert_eq!(machine.asks(), "1.0.0");
    assert!(!forge.seen()[0].headers.contains_key("if-none-match"));
    forge.forget();
    assert_eq!(machine.asks(), "1.0.0");
    let seen = forge.seen();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].headers.contains_key("if-none-match"));
    let agent = concat!("heph/", env!("CARGO_PKG_VERSION"));
    assert_eq!(seen[0].headers["user-agent"], agent);
    forge.publish(Published::new("v1.0.1"));
    assert_eq!(machine.asks(), "1.0.1");
}

#[test]
fn the_date_of_a_feed_is_a_validator_too() {
    let forge = Forge::start();
    let machine = Machine::of(&forge, config::Forge::Forgejo);
    let date = ("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT");
    forge.scripts(
        &forge.latest_path(),
        vec![
            Reply::with(200, &[date], r#"{"tag_name":"v1.0.0"}"#),
            Reply::with(304, &[], ""),
        ],
    );
    assert_eq!(machine.asks(), "1.0.0");
    forge.forget();
    assert_eq!(machine.asks(), "1.0.0");
    assert_eq!(forge.seen()[0].headers["if-modified-since"], date.1);
}

#[test]
fn a_304_that_confirms_nothing_is_an_error() {
    let forge = Forge::start();
    let machine = Machine::of(&forge, config::Forge::Forgejo);
    forge.script(&forge.latest_path(), Reply::with(304, &[], ""));
    assert!(machine.asks().contains("304"), "{}", machine.asks());
}

#[test]
fn a_forge_that_wants_to_be_left_alone_is_left_alone() {
    let forge = Forge::start();
    forge.publish(Published::new("v1.0.0"));
    let mut machine = Machine::of(&forge, config::Forge::Forgejo);
    let busy = Reply::with(429, &[("Retry-After", "600")], "");
    forge.scripts(&forge.latest_path(), vec![busy, Reply::Normal]);
    assert_eq!(machine.asks(), "later");
    assert_eq!(asked(&forge).len(), 1);

    machine.wait(599);
    let error = machine.feed().fetch(machine.now).unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
    assert_eq!(
        error.one_line(),
        "127.0.0.1 asked for no request before 2026-01-01T00:10:00Z"
    );
    assert_eq!(asked(&forge).len(), 0, "no request before its time");
    let remembered = machine.feed().cached();
    assert!(
        remembered.last_error.unwrap().contains("429"),
        "the reason stays known"
    );

    assert_eq!(machine.wait(1).asks(), "1.0.0");
    assert_eq!(machine.feed().cached().last_error, None);
}

#[test]
fn a_rate_limit_that_the_last_good_answer_used_up_is_obeyed() {
    let forge = Forge::speaking(Speaks::Github);
    let mut machine = Machine::of(&forge, config::Forge::Github);
    let headers = [
        ("X-RateLimit-Remaining", "0"),
        ("X-RateLimit-Reset", "1767226200"),
    ];
    forge.scripts(
        &forge.latest_path(),
        vec![
            Reply::with(200, &headers, r#"{"tag_name":"v1.0.0"}"#),
            Reply::ok(r#"{"tag_name":"v1.0.1"}"#),
        ],
    );
    assert_eq!(machine.asks(), "1.0.0");
    assert_eq!(machine.wait(599).asks(), "later");
    assert_eq!(asked(&forge).len(), 1);
    assert_eq!(machine.wait(1).asks(), "1.0.1");
}

#[test]
fn the_kind_of_a_forge_is_found_out_with_one_probe_and_remembered() {
    for (speaks, own) in [
        (Speaks::Forgejo, "/api/v1/repos/"),
        (Speaks::Gitlab, "/api/v4/projects/"),
        (Speaks::Git, "/eblume/hephaestus/info/refs"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let forge = Forge::speaking(speaks);
        forge.publish(Published::new("v1.0.0"));
        let work = crate::support::forge::WorkTree::new(folder.path());
        work.commit("one");
        work.tag("v1.0.0");
        forge.push(&work);
        let mut machine = Machine::of(&forge, config::Forge::Auto);
        assert_eq!(machine.asks(), "1.0.0", "{speaks:?}");
        let first = asked(&forge);
        assert_eq!(first[0], "/api/v1/version");
        let probes = first.iter().filter(|path| path.contains("/v3/"));
        let probes = 1 + probes.count();
        assert!(first[probes].starts_with(own), "{first:?}");
        assert_eq!(machine.asks(), "1.0.0", "{speaks:?}");
        let second = asked(&forge);
        assert!(second[0].starts_with(own), "no probe again: {second:?}");

        let moved = format!("{}-moved", machine.settings.repository);
        machine.settings.repository = moved.parse().unwrap();
        let _ = machine.asks();
        assert_eq!(asked(&forge)[0], "/api/v1/version", "another repository");
    }
}

#[test]
fn a_forge_that_became_another_is_found_out_after_one_failure() {
    let forge = Forge::start();
    forge.publish(Published::new("v1.0.0"));
    let machine = Machine::of(&forge, config::Forge::Auto);
    assert_eq!(machine.asks(), "1.0.0");
    forge.script(&forge.latest_path(), Reply::with(404, &[], ""));
    assert!(machine.asks().contains("404"));
    let header = [("X-Gitlab-Meta", "{}")];
    forge.script("/api/v1/version", Reply::with(404, &header, ""));
    let path = "/api/v4/projects/eblume%2Fhephaestus/releases/permalink/latest";
    forge.script(path, Reply::ok(r#"{"tag_name":"v1.0.1"}"#));
    assert_eq!(machine.asks(), "1.0.1");
}

#[test]
fn a_probe_that_fails_for_now_decides_nothing() {
    let forge = Forge::start();
    forge.publish(Published::new("v1.0.0"));
    let machine = Machine::of(&forge, config::Forge::Auto);
    forge.scripts(
        "/api/v1/version",
        vec![
            Reply::with(503, &[], ""),
            Reply::Bytes(Vec::new()),
            Reply::Normal,
        ],
    );
    assert_eq!(machine.asks(), "later");
    assert_eq!(machine.asks(), "later");
    assert_eq!(machine.asks(), "1.0.0");
}

#[test]
fn drafts_and_pre_releases_do_not_exist_unless_asked_for() {
    for speaks in [Speaks::Forgejo, Speaks::Github, Speaks::Gitlab] {
        let forge = Forge::speaking(speaks);
        let kind = match speaks {
            Speaks::Github => config::Forge::Github,
            Speaks::Gitlab => config::Forge::Gitlab,
            _ => config::Forge::Forgejo,
        };
        forge.publish(Published::new("v1.0.0"));
        // Not marked as a pre-release, but by its version it is one; the forge calls it its latest.
        forge.publish(Published::new("v1.1.0-rc.1"));
        forge.publish(Published {
            draft: true,
            ..Published::new("v2.0.0")
        });
        let mut machine = Machine::of(&forge, kind);
        assert_eq!(machine.asks(), "1.0.0", "{speaks:?}");
        assert_eq!(machine.asks(), "1.0.0", "{speaks:?}, again");
        machine.settings.prereleases = true;
        assert_eq!(machine.asks(), "1.1.0-rc.1", "{speaks:?}");
        machine.settings.pin = Some("=1.0.0".parse().unwrap());
        assert_eq!(machine.asks(), "1.0.0", "{speaks:?}");
    }
}

#[test]
fn a_release_that_has_to_ripen_is_taken_when_it_has_although_the_feed_is_the_same() {
    let forge = Forge::start();
    for (tag, at) in [
        ("v1.0.0", "2025-12-01T00:00:00Z"),
        ("v1.0.1", "2025-12-31T00:00:00Z"),
    ] {
        forge.publish(Published {
            at: at.to_owned(),
            ..Published::new(tag)
        });
    }
    let mut machine = Machine::of(&forge, config::Forge::Forgejo);
    machine.settings.cooldown = Interval::from_secs(2 * 24 * 60 * 60);
    assert_eq!(machine.asks(), "1.0.0");
    let highest = machine.feed().cached().highest.unwrap();
    assert_eq!(highest.tag.as_str(), "v1.0.1");
    assert_eq!(machine.wait(24 * 60 * 60 - 1).asks(), "1.0.0");
    assert_eq!(machine.wait(1).asks(), "1.0.1");
}

#[test]
fn redirects_are_followed_up_to_five() {
    let forge = Forge::start();
    forge.publish(Published::new("v1.0.0"));
    let machine = Machine::of(&forge, config::Forge::Forgejo);
    let to = |path: &str| Reply::with(307, &[("Location", path)], "moved");
    let real = forge.latest_path();
    for (hops, expected) in [(4, "1.0.0"), (5, "redirects more than 5 times")] {
        // The first answer leads to a chain of hops, which leads back.
        forge.scripts(&real, vec![to("/hop/0"), Reply::Normal]);
        for hop in 0..hops {
            let next = if hop + 1 == hops {
                real.clone()
            } else {
                format!("/hop/{}", hop + 1)
            };
            forge.script(&format!("/hop/{hop}"), to(&next));
        }
        let said = machine.asks();
        assert!(said.contains(expected), "{hops}: {said}");
    }
}

#[test]
fn a_state_file_that_cannot_be_written_does_not_spoil_the_answer() {
    let forge = Forge::start();
    forge.publish(Published::new("v1.0.0"));
    let mut machine = Machine::of(&forge, config::Forge::Auto);
    std::fs::create_dir_all(machine.state.parent().unwrap()).unwrap();
    // A file where the folder should be: not even root can write below it.
    let file = machine.state.parent().unwrap().join("file");
    std::fs::write(&file, "").unwrap();
    machine.state = file.join("feed.json");
    assert_eq!(machine.asks(), "1.0.0");
    let asked = machine.feed().check(machine.now, &Limits::default());
    assert!(matches!(asked.latest, Ok(Some(_))));
    let unwritten = asked.unwritten.unwrap().to_string();
    assert!(unwritten.contains(file.to_str().unwrap()), "{unwritten}");
    machine.assert_nothing_cached();
}

#[test]
fn garbage_in_the_state_file_is_as_good_as_none() {
    let forge = Forge::start();
    forge.publish(Published::new("v1.0.0"));
    let machine = Machine::of(&forge, config::Forge::Forgejo);
    assert_eq!(machine.asks(), "1.0.0");
    let good = std::fs::read(&machine.state).unwrap();
    for garbage in [&good[..good.len() / 2], b"", b"[1,2]", b"\xff\xfe"] {
        std::fs::write(&machine.state, garbage).unwrap();
        machine.assert_nothing_cached();
        assert_eq!(machine.asks(), "1.0.0");
        assert_eq!(machine.feed().cached().last_success, Some(machine.now));
    }
}
