//! Tags of another form than `tag-prefix` and a version are named, and a prefix may have an `@`.

use heph::config;

use super::machine::{FORGES, Machine, publish, push};
use crate::support::forge::{Forge, Speaks};
use crate::support::home::Home;

/// Returns a git remote with these tags.
fn remote(tags: &[&str]) -> Forge {
    let forge = Forge::speaking(Speaks::Git);
    push(&forge, tags);
    forge
}

#[test]
fn releases_with_other_tags_only_are_named_with_the_prefix_that_would_fit() {
    let tags = ["release-1.0.0", "release-1.1.0"];
    let mut all = vec![(remote(&tags), config::Forge::Git)];
    for (speaks, kind) in FORGES {
        let forge = Forge::speaking(speaks);
        publish(&forge, tags);
        all.push((forge, kind));
    }
    for (forge, kind) in all {
        let mut machine = Machine::of(&forge, kind);
        let error = machine.feed().fetch(machine.now).unwrap_err();
        let said = error.one_line();
        assert!(
            said.contains("\"release-1.1.0\"") && said.contains("are not \"v\" and a version"),
            "{kind:?}: {said}"
        );
        assert!(!said.contains("no release is published"), "{said}");
        let hint = error.hint().unwrap();
        assert!(
            hint.contains("`tag-prefix = \"release-\"`"),
            "{kind:?}: {hint}"
        );
        machine.settings.tag_prefix = "release-".parse().unwrap();
        assert_eq!(machine.asks(), "1.1.0", "{kind:?}");
    }
}

#[test]
fn an_at_sign_in_the_prefix_works_in_every_forge() {
    let tags = ["other@1.0.0", "other@1.1.0", "heph@9.0.0", "other@nightly"];
    let mut all = vec![(remote(&tags), config::Forge::Git)];
    for (speaks, kind) in FORGES {
        let forge = Forge::speaking(speaks);
        publish(&forge, tags);
        push(&forge, &tags);
        forge.attach("other@1.0.0", "other.tar.gz", b"x");
        all.push((forge, kind));
    }
    for (forge, kind) in all {
        let mut machine = Machine::of(&forge, kind);
        machine.settings.tag_prefix = "other@".parse().unwrap();
        assert_eq!(machine.asks(), "1.1.0", "{kind:?}");
        assert_eq!(machine.asks(), "1.1.0", "{kind:?}, from what is cached");
        forge.forget();
        let named = machine.feed().named(&"1.0.0".parse().unwrap(), machine.now);
        let named = named.unwrap();
        assert_eq!(named.tag.as_str(), "other@1.0.0");
        if kind != config::Forge::Git {
            assert_eq!(named.assets.len(), 1, "{kind:?}");
            let encoded = |seen: &str| seen.contains("other%401.0.0");
            assert!(
                forge.seen().iter().any(|seen| encoded(&seen.path)),
                "{kind:?}"
            );
        }
    }
}

#[test]
fn check_and_status_name_the_tags_that_are_ignored() {
    for (speaks, kind) in FORGES {
        let kind = format!("{kind:?}").to_lowercase();
        let forge = Forge::speaking(speaks);
        let home = Home::new().with_commands();
        let configure = |prefix: &str| {
            home.configure(&format!(
                "service-manager = \"none\"\n[self-update]\nrepository = \"{}\"\nforge = \"{kind}\"\ntag-prefix = \"{prefix}\"\n",
                forge.repository()
            ));
        };
        configure("v");
        publish(&forge, ["release-0.0.2", "v0.0.1", "nightly"]);
        let check = home.heph("self-update check").succeeds();
        assert!(
            check
                .out
                .contains("ignored    \"nightly\" and \"release-0.0.2\": not 'v'"),
            "{kind}: {check}"
        );
        let status = home.heph("self-update status").succeeds();
        assert!(
            status.out.contains("ignored    \"nightly\""),
            "{kind}: {status}"
        );
        let json = home.self_update("check").json();
        assert_eq!(json["ignored_tags"][0], "nightly", "{kind}");

        configure("w");
        let check = home.heph("self-update check").exits(1);
        assert!(
            check.err.contains("\"nightly\"") && check.err.contains("tag-prefix = \"v\""),
            "{kind}: {check}"
        );
        let status = home.heph("self-update status").succeeds();
        assert!(status.out.contains("\"nightly\""), "{kind}: {status}");
    }
}
