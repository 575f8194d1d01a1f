//! Restoring a backup, after a newer release has migrated the store beyond what this one can read.

use super::opening::newer_and_killed;
use super::*;
use crate::error::Error;

/// Returns a store and a backup of it, as at the start of an update, with the tasks of both.
fn updated() -> (Home, PathBuf, Vec<Task>) {
    let home = Home::new();
    let tasks = home.with(&["one", "two"]);
    let backup = home.store.with_file_name("backup.db");
    write_copy(&home.store, &backup).unwrap();
    (home, backup, tasks)
}

fn operations(connection: &Connection) -> Vec<String> {
    logged(connection)
        .iter()
        .map(|record| format!("{} {}", record.kind.as_str(), record.body))
        .collect()
}

#[test]
fn operations_of_the_newer_release_are_carried_over_and_its_file_is_kept() {
    let (home, backup, tasks) = updated();
    make_newer(&home.connect(), 7, 7);
    let newer = fs::read(&home.store).unwrap();
    let restored = restore(&home.store, &backup, at(0)).unwrap();
    assert_eq!(restored.operations_carried, 3);
    assert_eq!(restored.operations_unread, None);
    let kept = restored.kept_as.unwrap();
    assert!(kept.contains("heph.db.newer-schema7-2026"), "{kept}");
    assert_eq!(check(Path::new(&kept)).unwrap().store_schema, Some(7));
    // Only the two bytes of the header that name the journal mode may differ.
    let now = fs::read(&kept).unwrap();
    assert_eq!(now.len(), newer.len());

    let store = home.open();
    let all = store.list(Which::All).unwrap();
    assert!(tasks.iter().all(|task| all.contains(task)));
    let carried = all.iter().find(|task| task.id == "01NEW").unwrap();
    assert_eq!(
        (carried.title.as_str(), carried.state),
        ("from the newer release", State::Done)
    );
    let log = operations(&store.connection);
    assert!(
        log.contains(&r#"task.paint {"colour":"red"}"#.to_owned()),
        "an operation this release does not know waits in the log: {log:?}"
    );
    let names: Vec<String> = home.files().into_iter().map(|(name, _)| name).collect();
    assert!(
        !names.iter().any(|name| name.contains("restoring")),
        "{names:?}"
    );
}

#[test]
fn operations_in_the_write_ahead_log_only_are_carried_over() {
    let (home, backup, _) = updated();
    let crashed = newer_and_killed(&home);
    let restored = restore(&crashed.store, &backup, at(0)).unwrap();
    assert_eq!(restored.operations_carried, 3);
    assert_eq!(restored.operations_unread, None);
    assert!(!crashed.sibling("-wal").exists() && !crashed.sibling("-shm").exists());
    let kept = PathBuf::from(restored.kept_as.unwrap());
    assert_eq!(check(&kept).unwrap().store_schema, Some(7));
    assert_eq!(crashed.open().list(Which::All).unwrap().len(), 3);
}

#[test]
fn the_next_newer_release_applies_the_operations_that_waited_in_the_log() {
    let (home, backup, _) = updated();
    make_newer(&home.connect(), 7, 7);
    restore(&home.store, &backup, at(0)).unwrap();
    drop(home.open());
    let steps = [
        STEPS[0],
        STEPS[1],
        Step {
            schema: 7,
            oldest_reader: 7,
            sql: "ALTER TABLE tasks ADD COLUMN colour TEXT;
                  CREATE TRIGGER paint AFTER INSERT ON tasks BEGIN
                    UPDATE tasks SET colour = (SELECT body ->> 'colour' FROM ops
                      WHERE kind = 'task.paint' AND task = NEW.id) WHERE id = NEW.id;
                  END",
        },
    ];
    let store = Store::open_with(&home.store, &steps, |_, _| {}).unwrap();
    let colour: String = store
        .connection
        .query_row("SELECT colour FROM tasks WHERE id = '01NEW'", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(colour, "red");
}

#[test]
fn an_unreadable_log_leaves_the_backup_alone_and_is_reported() {
    for (what, spoil) in [
        ("another layout", "DROP TABLE ops"),
        (
            "another type",
            "DROP TABLE ops; CREATE TABLE ops (seq, id, kind, task, body, created_at);
             INSERT INTO ops VALUES (1, 2, 3, 4, 5, 'six')",
        ),
        ("another reader", "DROP TABLE meta"),
    ] {
        let (home, backup, tasks) = updated();
        let connection = home.connect();
        make_newer(&connection, 7, 7);
        connection.execute_batch(spoil).unwrap();
        drop(connection);
        let restored = restore(&home.store, &backup, at(0)).unwrap();
        let all = home.open().list(Which::All).unwrap();
        if what == "another reader" {
            assert_eq!(restored.operations_carried, 3, "the log itself is there");
            assert!(restored.kept_as.unwrap().contains(".unreadable-"));
        } else {
            assert!(restored.operations_unread.is_some(), "{what}");
            assert_eq!(all, tasks, "{what}");
        }
    }
}

#[test]
fn a_file_that_is_not_a_database_is_kept_with_its_companions() {
    let (home, backup, tasks) = updated();
    let rubbish = "rubbish ".repeat(1000);
    fs::write(&home.store, &rubbish).unwrap();
    fs::write(home.sibling("-wal"), "old").unwrap();
    let restored = restore(&home.store, &backup, at(0)).unwrap();
    assert!(
        restored
            .operations_unread
            .unwrap()
            .contains("not a database")
    );
    let kept = PathBuf::from(restored.kept_as.unwrap());
    assert_eq!(fs::read_to_string(&kept).unwrap(), rubbish);
    assert_eq!(
        fs::read_to_string(file::sibling(&kept, "-wal")).unwrap(),
        "old"
    );
    assert_eq!(home.open().list(Which::All).unwrap(), tasks);
}

#[test]
fn a_missing_store_is_restored_from_the_backup() {
    let (home, backup, tasks) = updated();
    fs::remove_file(&home.store).unwrap();
    let restored = restore(&home.store, &backup, at(0)).unwrap();
    assert_eq!(restored.kept_as, None);
    assert_eq!(home.open().list(Which::All).unwrap(), tasks);
}

#[test]
fn the_leftovers_of_an_interrupted_restore_are_used_or_replaced() {
    let (home, backup, _) = updated();
    make_newer(&home.connect(), 7, 7);
    // Interrupted just before the last rename: both names, and a complete restored store.
    let kept = home.sibling(".newer-schema7-20260101T000000Z");
    fs::hard_link(&home.store, &kept).unwrap();
    fs::write(home.sibling(".restoring"), "half a copy").unwrap();
    fs::write(home.sibling(".restoring-journal"), "half a journal").unwrap();
    let restored = restore(&home.store, &backup, at(0)).unwrap();
    assert_eq!(restored.kept_as, Some(kept.display().to_string()));
    assert_eq!(restored.operations_carried, 3);
    assert_eq!(home.open().list(Which::All).unwrap().len(), 3);
    assert!(!home.sibling(".restoring").exists());
}

#[test]
fn two_restores_in_one_second_keep_both_files() {
    let (home, backup, _) = updated();
    for kept in ["", "-2", "-3"] {
        if kept.is_empty() {
            make_newer(&home.connect(), 7, 7);
        } else {
            let raise = "UPDATE meta SET schema = 7, oldest_reader = 7";
            home.connect().execute(raise, []).unwrap();
        }
        let restored = restore(&home.store, &backup, at(0)).unwrap();
        let name = restored.kept_as.unwrap();
        assert!(name.ends_with(&format!("Z{kept}")), "{name}");
    }
    assert_eq!(home.open().list(Which::All).unwrap().len(), 3);
}

#[test]
fn a_rejected_restore_changes_nothing() {
    let (home, backup, _) = updated();
    let words = |error: Error| format!("{error:#}");
    let before = home.files();
    let error = restore(&home.store, &backup, at(0)).unwrap_err();
    assert!(words(error).contains("this release can read the store"));
    assert_eq!(home.files(), before);

    make_newer(&home.connect(), 7, 7);
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let rubbish = folder.path().join("rubbish");
    fs::write(&rubbish, "rubbish ".repeat(1000)).unwrap();
    let too_new = folder.path().join("newer");
    fs::copy(&home.store, &too_new).unwrap();
    let cut = folder.path().join("cut");
    let whole = fs::read(&backup).unwrap();
    fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let live = Home::new();
    live.with(&["live"]);
    let mut in_use = live.open();
    in_use.add("more", None, at(1)).unwrap();
    let before: Vec<_> = home.files();
    for (backup, why) in [
        (&missing, "contains no store"),
        (&rubbish, "not a database"),
        (&too_new, "has schema 7"),
        (&cut, ""),
        (&live.store, "in use"),
    ] {
        let words = words(restore(&home.store, backup, at(0)).unwrap_err());
        assert!(
            words.contains(why) && words.contains(backup.to_str().unwrap()),
            "{words}"
        );
        assert_eq!(home.files().len(), before.len(), "{why}");
        assert_eq!(check(&home.store).unwrap().store_schema, Some(7));
    }

    let held = file::lock(&fs::canonicalize(&home.store).unwrap()).unwrap();
    let error = restore(&home.store, &backup, at(0)).unwrap_err();
    assert!(words(error).contains("another hephd"));
    drop(held);
}
