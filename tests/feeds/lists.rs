//! Every release is seen: whatever the forge calls its latest, and wherever in its list a release stands.

use heph::config::Interval;

use super::machine::{FORGES, Machine, asked, many, publish};
use crate::support::forge::{Attached, Forge, Published, Speaks};
use crate::support::http::Reply;

#[test]
fn a_latest_of_another_package_or_of_a_rolling_build_hides_no_release() {
    for (speaks, kind) in FORGES {
        for other in ["other-v2.0.0", "other@2.0.0", "nightly"] {
            let forge = Forge::speaking(speaks);
            publish(&forge, ["v1.0.0", "v1.1.0", other]);
            let machine = Machine::of(&forge, kind);
            assert_eq!(machine.asks(), "1.1.0", "{speaks:?}, {other}");
            forge.forget();
            assert_eq!(machine.asks(), "1.1.0", "{speaks:?}, {other}");
            let seen = forge.seen();
            assert_eq!(seen.len(), 1, "{speaks:?}: the list at once");
            assert!(seen[0].headers.contains_key("if-none-match"));
            publish(&forge, ["v1.2.0", "other-v2.0.1"]);
            assert_eq!(machine.asks(), "1.2.0", "{speaks:?}, {other}");
        }
    }
}

#[test]
fn a_forge_whose_latest_is_ours_again_is_asked_for_it_again() {
    for (speaks, kind) in FORGES {
        let forge = Forge::speaking(speaks);
        publish(&forge, ["v1.0.0", "nightly"]);
        let mut machine = Machine::of(&forge, kind);
        assert_eq!(machine.asks(), "1.0.0");
        publish(&forge, ["v1.1.0"]);
        assert_eq!(machine.wait(8 * 24 * 60 * 60).asks(), "1.1.0");
        forge.forget();
        assert_eq!(machine.asks(), "1.1.0");
        assert_eq!(asked(&forge)[0], forge.latest_path(), "{speaks:?}");
    }
}

#[test]
fn a_back_port_does_not_hide_a_higher_release() {
    for (speaks, kind) in FORGES {
        // GitHub's latest is its owner's word.
        let expected = match speaks {
            Speaks::Github => "1.2.9",
            _ => "1.3.0",
        };
        let forge = Forge::speaking(speaks);
        publish(&forge, ["v1.2.0", "v1.3.0", "v1.2.9"]);
        let machine = Machine::of(&forge, kind);
        assert_eq!(machine.asks(), expected, "{speaks:?}, at the first check");
        forge.forget();
        assert_eq!(machine.asks(), expected);
        assert_eq!(asked(&forge).len(), 1, "{speaks:?}: one request");
        publish(&forge, ["v1.4.0"]);
        assert_eq!(machine.asks(), "1.4.0", "{speaks:?}");
    }
}

#[test]
fn a_back_port_is_noticed_with_one_more_request() {
    for (speaks, kind) in FORGES {
        let forge = Forge::speaking(speaks);
        publish(&forge, many("v1.2.", 200));
        publish(&forge, ["v1.3.0"]);
        let machine = Machine::of(&forge, kind);
        assert_eq!(machine.asks(), "1.3.0", "{speaks:?}");
        forge.forget();
        assert_eq!(machine.asks(), "1.3.0");
        assert_eq!(asked(&forge).len(), latest_requests(speaks));
        publish(&forge, ["v1.2.201"]);
        let newest = machine.asks();
        let seen = asked(&forge);
        if speaks == Speaks::Github {
            assert_eq!((newest.as_str(), seen.len()), ("1.2.201", 1));
        } else {
            assert_eq!(newest, "1.3.0", "{speaks:?}");
            let expected = latest_requests(speaks) + 1;
            assert_eq!(seen.len(), expected, "{speaks:?}: {seen:?}");
        }
    }
}

/// Returns how many requests the latest release takes; GitLab redirects to it.
fn latest_requests(speaks: Speaks) -> usize {
    if speaks == Speaks::Gitlab { 2 } else { 1 }
}

#[test]
fn a_list_that_fails_leaves_the_latest_for_now() {
    for (speaks, kind) in [FORGES[0], FORGES[2]] {
        for broken in [
            Reply::with(503, &[], ""),
            Reply::with(404, &[], ""),
            Reply::ok("{}"),
        ] {
            let forge = Forge::speaking(speaks);
            publish(&forge, ["v1.3.0", "v1.2.9"]);
            forge.scripts(&forge.list_path(), vec![broken, Reply::Normal]);
            let machine = Machine::of(&forge, kind);
            assert_eq!(machine.asks(), "1.2.9", "{speaks:?}");
            assert_eq!(machine.asks(), "1.3.0", "{speaks:?}, at the next check");
        }
    }
}

#[test]
fn a_pinned_release_is_found_behind_hundreds_of_higher_ones() {
    for (speaks, kind) in FORGES {
        let forge = Forge::speaking(speaks);
        // A back-port is newer than the release that is wanted.
        publish(&forge, ["v1.0.0", "v1.1.0", "v1.0.1"]);
        publish(&forge, many("v2.0.", 250));
        let mut machine = Machine::of(&forge, kind);
        machine.settings.pin = Some("1".parse().unwrap());
        assert_eq!(machine.asks(), "1.1.0", "{speaks:?}");
        forge.forget();
        assert_eq!(machine.asks(), "1.1.0", "{speaks:?}, again");
        assert_eq!(asked(&forge).len(), 1);
        publish(&forge, ["v2.0.251"]);
        assert_eq!(machine.asks(), "1.1.0", "{speaks:?}, when it has grown");
    }
}

#[test]
fn a_ripe_release_is_found_behind_hundreds_of_another_package() {
    for (speaks, kind) in FORGES {
        let forge = Forge::speaking(speaks);
        publish(&forge, ["v1.0.0", "v1.1.0"]);
        publish(&forge, many("other-v2.0.", 250));
        let mut machine = Machine::of(&forge, kind);
        machine.settings.cooldown = Interval::from_secs(24 * 60 * 60);
        machine.wait(2 * 24 * 60 * 60);
        assert_eq!(machine.asks(), "1.1.0", "{speaks:?}");
    }
}

#[test]
fn a_release_is_found_behind_hundreds_of_pre_releases() {
    for (speaks, kind) in FORGES {
        let forge = Forge::speaking(speaks);
        publish(&forge, ["v1.0.0", "v1.1.0"]);
        for tag in many("v1.2.0-rc.", 250) {
            forge.publish(Published {
                prerelease: true,
                ..Published::new(&tag)
            });
        }
        let mut machine = Machine::of(&forge, kind);
        assert_eq!(machine.asks(), "1.1.0", "{speaks:?}");
        machine.settings.pin = Some("1".parse().unwrap());
        assert_eq!(machine.asks(), "1.1.0", "{speaks:?}, from the list");
        machine.settings.prereleases = true;
        assert_eq!(machine.asks(), "1.2.0-rc.250", "{speaks:?}");
    }
}

#[test]
fn a_release_is_found_at_the_end_of_two_thousand() {
    for (speaks, kind) in [FORGES[1], FORGES[2]] {
        let forge = Forge::speaking(speaks);
        publish(&forge, ["v1.1.0"]);
        publish(&forge, many("other-v2.0.", 1990));
        let machine = Machine::of(&forge, kind);
        assert_eq!(machine.asks(), "1.1.0", "{speaks:?}");
    }
}

#[test]
fn a_list_that_was_cut_is_never_taken_for_an_empty_one() {
    for (speaks, kind) in FORGES {
        let forge = Forge::speaking(speaks);
        publish(&forge, ["v1.1.0"]);
        publish(&forge, many("other-v2.0.", 2100));
        let machine = Machine::of(&forge, kind);
        let said = machine.asks();
        assert!(said.contains("only the last"), "{speaks:?}: {said}");
        assert!(said.contains("other-v2.0."), "{speaks:?}: {said}");
        assert!(!said.contains("no release is published"), "{said}");
        assert!(asked(&forge).len() <= 30, "bounded");
    }
}

#[test]
fn pages_of_releases_with_very_many_files_are_as_small_as_they_must_be() {
    for (speaks, kind) in FORGES {
        let forge = Forge::speaking(speaks);
        let asset = |number| Attached {
            name: format!("a{number}.tar.gz"),
            url: format!("https://forge.example/{}/{number}", "a".repeat(1900)),
            size: Some(1),
        };
        for tag in many("v1.0.", 40).into_iter().chain(["nightly".to_owned()]) {
            forge.publish(Published {
                assets: (0..100).map(asset).collect(),
                ..Published::new(&tag)
            });
        }
        let mut machine = Machine::of(&forge, kind);
        assert_eq!(machine.asks(), "1.0.40", "{speaks:?}");
        machine.settings.pin = Some("<=1.0.1".parse().unwrap());
        assert_eq!(machine.asks(), "1.0.1", "{speaks:?}");
        let cached = machine.feed().cached().latest.unwrap();
        assert_eq!(cached.assets.len(), 100, "{speaks:?}");
    }
}

#[test]
fn a_pre_release_is_never_taken_unasked_whoever_calls_it_one() {
    for (speaks, kind) in FORGES {
        let forge = Forge::speaking(speaks);
        publish(&forge, ["v1.0.0"]);
        // By its version, and the forge does not say so.
        publish(&forge, ["v2.0.0-rc.1"]);
        let mut machine = Machine::of(&forge, kind);
        assert_eq!(machine.asks(), "1.0.0", "{speaks:?}");
        if speaks != Speaks::Gitlab {
            // By the mark of the forge, and its version does not say so.
            forge.publish(Published {
                prerelease: true,
                ..Published::new("v3.0.0")
            });
            assert_eq!(machine.asks(), "1.0.0", "{speaks:?}");
        }
        machine.settings.pin = Some("*".parse().unwrap());
        assert_eq!(machine.asks(), "1.0.0", "{speaks:?}, from the list");
        publish(&forge, ["nightly"]);
        assert_eq!(machine.asks(), "1.0.0", "{speaks:?}, behind another tag");
    }
}
