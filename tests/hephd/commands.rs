//! `heph add`, `list`, `next`, `done` and `backup`.

use serde_json::Value;

use crate::support::call::{Ended, Words};
use crate::support::home::Home;

/// Returns what a command prints that succeeds and has nothing to complain of.
#[track_caller]
fn heph(home: &Home, words: &(impl Words + ?Sized)) -> String {
    home.heph(words).exits(0).quietly().out
}

#[track_caller]
fn heph_json(home: &Home, words: &(impl Words + ?Sized)) -> Value {
    let said = heph(home, words);
    assert!(said.starts_with("{\n  \"schema\": 1,"), "{said}");
    serde_json::from_str(&said).unwrap()
}

#[test]
fn a_day_with_a_list() {
    let home = Home::new();
    let _daemon = home.start("");
    assert_eq!(heph(&home, "next"), "nothing to do\n");
    assert_eq!(heph(&home, "list"), "");
    let added = heph(&home, &["add", "buy", "milk", "&", "ž\u{202e}x"]);
    let id = added.split_whitespace().nth(1).unwrap().to_owned();
    assert_eq!(added, format!("added {id}  buy milk & ž\\u{{202e}}x\n"));
    heph(&home, "add -- --rest");
    assert!(heph(&home, "next").starts_with(&id));
    assert!(heph(&home, &["done", &id.to_lowercase()]).starts_with(&format!("done {id}  buy")));
    assert!(heph(&home, "list").ends_with("  --rest\n"));
    let all = heph(&home, "list --all");
    assert!(
        all.contains("  done  buy milk") && all.contains("  open  --rest"),
        "{all}"
    );
    assert!(heph(&home, "list --done").starts_with(&id));
}

#[test]
fn a_task_is_changed_taken_back_and_deleted() {
    let home = Home::new();
    let _daemon = home.start("");
    let added = heph_json(&home, "add 'buy milk' --json");
    let id = added["task"]["id"].as_str().unwrap().to_owned();
    assert_eq!(
        heph(&home, &["edit", &id, "buy", "oat", "milk"]),
        format!("edited {id}  buy oat milk\n")
    );
    heph(&home, &["done", &id]);
    assert_eq!(
        heph(&home, &["reopen", &id]),
        format!("reopened {id}  buy oat milk\n")
    );
    // What it is already is no error, and is not called a change.
    assert_eq!(
        heph(&home, &["reopen", &id]),
        format!("already open {id}  buy oat milk\n")
    );
    assert_eq!(
        heph(&home, &["edit", &id, "buy oat milk"]),
        format!("unchanged {id}  buy oat milk\n")
    );
    heph(&home, &["done", &id]);
    assert_eq!(
        heph(&home, &["done", &id]),
        format!("already done {id}  buy oat milk\n")
    );
    let again = heph_json(&home, &["done", &id, "--json"]);
    assert_eq!(again["changed"], false);
    let reopened = heph_json(&home, &["reopen", &id, "--json"]);
    assert_eq!(reopened["changed"], true);
    assert!(heph(&home, "next").starts_with(&id));
    let deleted = heph_json(&home, &["delete", &id, "--json"]);
    assert_eq!(deleted["task"]["title"], "buy oat milk");
    assert_eq!(heph(&home, "list --all"), "");
    let again = home.heph(&["delete", &id]).ends();
    again.complains("there is no task").complains("hint:");
}

#[test]
fn a_task_that_was_deleted_by_mistake_comes_back() {
    let home = Home::new();
    let _daemon = home.start("");
    let id = home.add("buy milk");
    heph(&home, &["done", &id]);
    assert_eq!(
        heph(&home, &["delete", &id]),
        format!("deleted {id}  buy milk\n")
    );
    let again = home.heph(&["reopen", &id]).exits(1);
    again.complains(&format!("hint: `heph undelete {id}` brings it back"));
    let back = heph_json(&home, &["undelete", &id, "--json"])["task"].clone();
    assert_eq!(back["title"], "buy milk");
    assert_eq!(back["state"], "done");
    assert_eq!(
        heph(&home, "undelete --since 2h"),
        "no task that was deleted since then is missing\n"
    );
    let reopened = home.heph(&["reopen", &id]).exits(1);
    reopened.complains(&format!(
        "hint: it is back as '{}'",
        back["id"].as_str().unwrap()
    ));
    home.heph("undelete").exits(2).complains("--since");
    home.heph("undelete --since yesterday")
        .exits(2)
        .complains("30m, 2h or 1d");
}

#[test]
fn the_objects_that_scripts_read() {
    let home = Home::new();
    let _daemon = home.start("");
    assert_eq!(heph_json(&home, "next --json")["task"], Value::Null);
    let added = heph_json(&home, "add one --json")["task"].clone();
    assert_eq!(heph_json(&home, "next --json")["task"], added);
    let listed = heph_json(&home, "list --json")["tasks"].clone();
    assert_eq!(listed, Value::from(vec![added.clone()]));
    let members: Vec<_> = added.as_object().unwrap().keys().cloned().collect();
    assert_eq!(members, ["created_at", "done_at", "id", "state", "title"]);
    let done = heph_json(&home, &["done", added["id"].as_str().unwrap(), "--json"]);
    assert_eq!(done["task"]["state"], "done");
    let all = heph_json(&home, "list --all --json")["tasks"].clone();
    assert_eq!(all, Value::from(vec![done["task"].clone()]));

    let written = heph_json(&home, "backup 'a copy.db' --json");
    let file = home.path.join("a copy.db");
    assert_eq!(written["file"], file.to_str().unwrap());
    assert!(file.exists(), "beside where it was asked for");
}

#[test]
fn what_goes_wrong_says_what_helps() {
    let home = Home::new();
    let failed = |words: &[&str]| -> Ended {
        let ended = home.heph(words).exits(1);
        assert_eq!(ended.out, "", "{words:?}");
        ended
    };
    for words in [
        &["list"][..],
        &["next", "--json"],
        &["add", "x"],
        &["done", "x"],
    ] {
        let ended = failed(words).complains("hint: run `hephd`: there is no service manager");
        let error = "error: hephd is not running\n";
        assert!(ended.err.starts_with(error), "{ended}");
    }
    let _daemon = home.start("");
    failed(&["done", "7ZZZ"]).complains("hint: `heph list --all`");
    failed(&["add", "a\nb"]).complains("control character");
    heph(&home, "backup copy.db");
    failed(&["backup", "copy.db"]).complains("exists");
}

#[test]
fn what_another_release_wrote_cannot_steer_the_terminal() {
    let home = Home::new();
    home.start("").stop();
    rusqlite::Connection::open(home.store())
        .unwrap()
        .execute_batch(
            "INSERT INTO tasks (user, id, title, created_at, deleted) VALUES ('', '01X', char(27) || '[2J', 1, 0)",
        )
        .unwrap();
    let _daemon = home.start("");
    assert_eq!(heph(&home, "list"), "01X  \\u{1b}[2J\n");
}
