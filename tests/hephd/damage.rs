//! Stores with damage: what a user notices of it, and how a backup brings everything back.

use std::fs;

use rusqlite::Connection;
use serde_json::json;

use crate::support::home::Home;

/// Changes one letter of a title on the disk, in the table of tasks, as a bad disk does. No hephd runs.
fn damage(home: &Home, title: &str) {
    // All of it is in the file of the store once nothing has it open.
    drop(Connection::open(home.store()).unwrap());
    let mut bytes = fs::read(home.store()).unwrap();
    let at = bytes
        .windows(title.len())
        .rposition(|window| window == title.as_bytes());
    bytes[at.unwrap()] ^= 1;
    fs::write(home.store(), bytes).unwrap();
}

#[test]
fn a_damaged_store_is_named_is_not_backed_up_and_is_restored_without_a_loss() {
    let home = Home::new();
    let daemon = home.start("");
    home.add("one");
    home.heph("backup good.db").exits(0);
    home.add("two");
    daemon.stop();
    home.hephd("store check").exits(0).says("has no damage");

    damage(&home, "two");
    for words in ["store check", "store check --json"] {
        let check = home.hephd(words).exits(1);
        if words.ends_with("json") {
            let said = check.json();
            assert_eq!(said["readable"], true);
            assert!(
                said["damage"].as_str().unwrap().contains("differ"),
                "{said}"
            );
        } else {
            check
                .complains("is damaged")
                .complains("hint: ")
                .complains("hephd store restore --backup FILE");
        }
    }
    let daemon = home.start("");
    assert_eq!(home.titles().len(), 2, "what can be read is served");
    let backup = home.heph("backup bad.db").exits(1);
    backup
        .complains("the store is damaged")
        .complains("hephd store check");
    assert!(!home.path.join("bad.db").exists());
    assert!(home.path.join("good.db").exists());
    daemon.stop();

    let restored = home.hephd("store restore --backup good.db --json").json();
    assert_eq!(restored["operations_carried"], 1);
    let kept = restored["kept_as"].as_str().unwrap();
    assert!(kept.contains("heph.db.damaged-"), "{kept}");
    home.hephd("store check").exits(0);
    let _daemon = home.start("");
    assert_eq!(home.titles(), ["one", "two"]);
    home.heph("backup better.db").exits(0);
}

#[test]
fn a_write_ahead_log_that_went_missing_is_noticed_and_a_backup_fills_the_gap() {
    let home = Home::new();
    let daemon = home.start("");
    home.add("one");
    daemon.stop();
    let daemon = home.start("");
    home.add("two");
    home.heph("backup late.db").exits(0);
    home.add("three");
    daemon.kill();
    fs::remove_file(home.data().join("heph.db-wal")).unwrap();

    let check = home.hephd("store check").exits(1);
    check.complains("the last 2 operations");
    let daemon = home.start("");
    assert!(daemon.log().contains("warning: the last 2 operations"));
    let status = home.status();
    let warning = status["warning"].as_str().unwrap();
    assert!(warning.contains("hephd store restore"), "{warning}");
    home.heph("daemon status").exits(0).says("warning");
    assert_eq!(home.titles(), ["one"], "it is served all the same");
    daemon.stop();

    home.hephd("store restore --backup late.db").exits(0);
    let _daemon = home.start("");
    assert_eq!(home.titles(), ["one", "two"]);
    assert_eq!(home.status()["warning"], json!(null));
}

#[test]
fn kills_clean_ends_backups_and_copies_are_no_reason_to_warn() {
    let home = Home::new();
    for round in 0..3 {
        let daemon = home.start("");
        home.add(&format!("round {round}"));
        assert_eq!(home.status()["warning"], json!(null));
        match round {
            0 => daemon.kill(),
            _ => daemon.stop(),
        }
        home.hephd("store check").exits(0);
    }
    let daemon = home.start("");
    home.heph("backup copy.db").exits(0);
    home.add("after the backup");
    daemon.stop();
    // As the how-to restores one by hand.
    fs::copy(home.path.join("copy.db"), home.store()).unwrap();
    let daemon = home.start("");
    assert_eq!(home.status()["warning"], json!(null));
    assert_eq!(home.titles().len(), 3);
    daemon.stop();
    // Another machine.
    let other = Home::new();
    fs::create_dir_all(other.data()).unwrap();
    fs::copy(home.store(), other.store()).unwrap();
    other.hephd("store check").exits(0);
    let _daemon = other.start("");
    assert_eq!(other.status()["warning"], json!(null));
}
