//! The state and the stores of release 0.1.0.

use std::fs;

use serde_json::{Value, json};

use super::{fixture, text};
use crate::support::forge::{Forge, PROJECT, Published, WorkTree};
use crate::support::home::{Home, texts};

/// Nothing listens here.
const NOWHERE: &str = "http://127.0.0.1:1";

/// A home with the state that release 0.1.0 left, whose repository is on the forge at `url`.
fn home(url: &str) -> Home {
    let home = Home::named("jo").with_commands();
    for name in [
        "quarantine.json",
        "trust.json",
        "feed.json",
        "installation.json",
        "history.jsonl",
    ] {
        let text = text(&format!("state/{name}"), &home);
        let text = text.replace("http://127.0.0.1:3000", url);
        home.write(&format!(".local/state/heph/{name}"), text);
    }
    home.configure(&format!(
        "service-manager = \"none\"\n[self-update]\nrepository = \"{url}/{PROJECT}\"\n"
    ));
    home
}

#[test]
fn history_quarantine_and_feed_are_read() {
    let home = home(NOWHERE);
    let runs = fs::read_to_string(fixture("state/history.jsonl")).unwrap();
    let runs = runs
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let told = home.heph("self-update history --json").json();
    let told = told["runs"].as_array().unwrap();
    assert_eq!(told.len(), 6);
    for (run, told) in runs.zip(told) {
        for (key, value) in run.as_object().unwrap() {
            // The reason of one names the forge.
            assert!(key == "reason" || told[key] == *value, "{key}: {told}");
        }
    }
    let status = home.heph("self-update status --json").json();
    let versions = texts(&status["quarantine"], "version");
    assert_eq!(versions, ["1.1.5", "1.0.1"]);
    assert_eq!(status["quarantine"][1]["at"], "2026-11-28T11:29:28.14Z");
    // Its build failed, which is no reason for a quarantine any more.
    let failed = &status["failed_build"];
    assert_eq!(failed["version"], "1.1.1");
    assert_eq!(failed["reason"], "cannot build v1.1.1: it does not compile");
    assert_eq!(status["latest"], "1.1.1");
    assert_eq!(status["withdrawn"], "1.1.5");
    assert_eq!(status["last_check"], "2026-11-28T11:29:40.086Z");
    assert_eq!(status["last_outcome"], "skipped");
}

#[test]
fn a_tag_that_was_seen_must_not_move() {
    let forge = Forge::start();
    let folder = tempfile::tempdir().unwrap();
    let tree = WorkTree::new(folder.path());
    tree.write("x", "another one").commit("another one");
    tree.tag("v1.1.1");
    forge.push(&tree);
    forge.publish(Published::new("v1.1.1"));
    let home = home(&forge.url());
    home.heph("self-update quarantine clear 1.1.1").exits(0);
    home.apply()
        .exits(1)
        .complains("4d0f10be64fa6865d3656b175bf26c8b95dbed2f");
}

#[test]
fn each_journal_is_brought_to_its_end() {
    for (name, unfinished, outcome) in [
        ("update-switching", Some("1.0.1"), "failed"),
        ("update-rolling-back", Some("1.1.5"), "failed"),
        ("go-back-switching", Some("1.0.0"), "failed"),
        ("update-ended", None, "updated"),
        ("rolled-back-ended", None, "rolled-back"),
        ("go-back-ended", None, "rolled-back"),
    ] {
        let home = home(NOWHERE);
        let journal = text(&format!("state/journal-{name}.json"), &home);
        let run = serde_json::from_str::<Value>(&journal).unwrap()["run"].clone();
        let journal = home.write(".local/state/heph/journal.json", journal);
        fs::remove_file(home.state().join("history.jsonl")).unwrap();
        let status = home.heph("self-update status --json").json();
        if let Some(version) = unfinished {
            assert_eq!(status["unfinished"], version, "{name}");
        }
        home.apply().exits(75);
        assert!(!journal.exists(), "{name}");
        let told = home.heph("self-update history --json").json();
        let told = &told["runs"][0];
        assert_eq!(
            (&told["run"], &told["outcome"]),
            (&run, &json!(outcome)),
            "{name}"
        );
    }
}

#[test]
fn a_login_is_still_one() {
    let home = Home::named("jo").with_commands();
    home.write(
        ".local/share/heph/tokens.json",
        text("state/tokens.json", &home),
    );
    let status = home.heph("auth status --json").json();
    assert_eq!(status["issuer"], "http://127.0.0.1:28791");
    assert_eq!(status["client_id"], "heph-cli");
    assert_eq!(status["subject"], "jo");
    assert_eq!(status["renewable"], true);
}

#[test]
fn stores_of_a_hub_and_of_a_spoke_have_every_task_and_what_was_not_sent() {
    for (name, hub) in [("hub", ""), ("spoke", NOWHERE)] {
        let home = Home::named("jo").with_commands();
        let store = fs::read(fixture(&format!("stores/{name}/heph.db"))).unwrap();
        home.write(".local/share/heph/heph.db", store);
        let _hephd = match hub {
            "" => home.start(""),
            hub => home.start(&["--hub-url", hub]),
        };
        let expected = fs::read(fixture(&format!("stores/{name}/expected.json"))).unwrap();
        let expected: Value = serde_json::from_slice(&expected).unwrap();
        assert_eq!(home.list(), expected["tasks"], "{name}");
        if name == "spoke" {
            let status = home.heph("sync status --json").json();
            assert_eq!(status["pending"], 2);
        }
    }
}
