//! `forge = "auto"`: what answers is found out, wherever it is, and tags stand in where there is no API.

use heph::config;

use super::machine::{Machine, asked, publish, push};
use crate::support::forge::{Forge, PROJECT, Published, Speaks};
use crate::support::http::Reply;

#[test]
fn every_kind_is_found_at_the_root_of_its_host_and_below_a_path() {
    for speaks in [Speaks::Forgejo, Speaks::Github, Speaks::Gitlab] {
        for below in ["", "/git"] {
            if speaks == Speaks::Github && !below.is_empty() {
                continue;
            }
            let forge = Forge::below(below, speaks);
            publish(&forge, ["v1.0.0"]);
            let machine = Machine::of(&forge, config::Forge::Auto);
            assert_eq!(machine.asks(), "1.0.0", "{speaks:?} at '{below}'");
            forge.forget();
            assert_eq!(machine.asks(), "1.0.0", "{speaks:?} at '{below}'");
            let seen = asked(&forge);
            let latest = format!("{below}{}", forge.latest_path());
            assert_eq!(seen[0], latest, "no probe again: {seen:?}");
        }
    }
}

#[test]
fn a_github_enterprise_server_is_known_by_its_header() {
    let forge = Forge::speaking(Speaks::Github);
    // Its pages do not have the header, only its API has.
    forge.script("/api/v1/version", Reply::with(404, &[], "<html>"));
    let header = [("X-GitHub-Enterprise-Version", "3.15.0")];
    forge.script("/api/v3/meta", Reply::with(401, &header, "{}"));
    publish(&forge, ["v1.0.0"]);
    let machine = Machine::of(&forge, config::Forge::Auto);
    assert_eq!(machine.asks(), "1.0.0");
    assert_eq!(
        asked(&forge),
        ["/api/v1/version", "/api/v3/meta", &forge.latest_path()]
    );
}

#[test]
fn a_gitlab_below_a_path_is_found_when_it_is_named_too() {
    let forge = Forge::below("/git", Speaks::Gitlab);
    publish(&forge, ["v1.0.0"]);
    let machine = Machine::of(&forge, config::Forge::Gitlab);
    assert_eq!(machine.asks(), "1.0.0");
    forge.forget();
    assert_eq!(machine.asks(), "1.0.0");
    let first = asked(&forge).remove(0);
    assert!(
        first.starts_with("/git/api/v4/projects/eblume%2F"),
        "{first}"
    );
    let release = machine.feed().named(&"1.0.0".parse().unwrap(), machine.now);
    assert!(release.is_err(), "there is no such tag");
}

#[test]
fn tags_stand_in_where_the_forge_has_no_releases_to_list() {
    for speaks in [Speaks::Forgejo, Speaks::Github, Speaks::Gitlab] {
        let forge = Forge::speaking(speaks);
        push(&forge, &["v1.0.0", "v1.1.0"]);
        forge.script(&forge.latest_path(), Reply::with(404, &[], "{}"));
        forge.script(&forge.list_path(), Reply::with(404, &[], "{}"));
        let machine = Machine::of(&forge, config::Forge::Auto);
        assert_eq!(machine.asks(), "1.1.0", "{speaks:?}");
        assert_eq!(machine.asks(), "1.1.0", "{speaks:?}, again");
    }
}

#[test]
fn tags_do_not_stand_in_where_the_list_is_there_and_empty() {
    for speaks in [Speaks::Forgejo, Speaks::Github, Speaks::Gitlab] {
        let forge = Forge::speaking(speaks);
        push(&forge, &["v1.0.0"]);
        forge.script(&forge.latest_path(), Reply::with(404, &[], "{}"));
        let machine = Machine::of(&forge, config::Forge::Auto);
        let said = machine.asks();
        assert!(
            said.contains("no release is published"),
            "{speaks:?}: {said}"
        );
    }
}

#[test]
fn tags_never_replace_an_api_that_has_answered() {
    for speaks in [Speaks::Forgejo, Speaks::Github, Speaks::Gitlab] {
        let forge = Forge::speaking(speaks);
        publish(&forge, ["v1.0.0"]);
        // Only the API knows that this is a pre-release.
        forge.publish(Published {
            prerelease: true,
            ..Published::new("v2.0.0")
        });
        push(&forge, &["v1.0.0", "v2.0.0"]);
        let mut machine = Machine::of(&forge, config::Forge::Auto);
        if speaks == Speaks::Gitlab {
            machine.settings.pin = Some("1".parse().unwrap());
        }
        assert_eq!(machine.asks(), "1.0.0", "{speaks:?}");
        let gone = || Reply::with(404, &[], "<html>");
        for path in ["/api/v1/version", "/api/v3/meta"] {
            forge.script(path, gone());
        }
        forge.script(&forge.latest_path(), gone());
        forge.script(&forge.list_path(), gone());
        let said = machine.asks();
        assert!(said.contains("404"), "{speaks:?}: {said}");
        let said = machine.asks();
        assert!(said.contains("had an API"), "{speaks:?}: {said}");
        let error = machine.feed().fetch(machine.now).unwrap_err();
        assert!(error.hint().unwrap().contains("forge = \"git\""));
        // And when it is back, all is as before.
        forge.script("/api/v1/version", Reply::Normal);
        forge.script(&forge.latest_path(), Reply::Normal);
        forge.script(&forge.list_path(), Reply::Normal);
        assert_eq!(machine.asks(), "1.0.0", "{speaks:?}");
    }
}

#[test]
fn a_plain_git_remote_is_found_after_two_probes() {
    let forge = Forge::speaking(Speaks::Git);
    push(&forge, &["v1.0.0"]);
    let machine = Machine::of(&forge, config::Forge::Auto);
    assert_eq!(machine.asks(), "1.0.0");
    assert_eq!(
        asked(&forge),
        [
            "/api/v1/version",
            "/api/v3/meta",
            &format!("/{PROJECT}/info/refs"),
            &format!("/{PROJECT}/git-upload-pack"),
        ]
    );
}
