//! Opening: new, older and newer stores, and other files.

use std::os::unix::fs::PermissionsExt;

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn rejection(home: &Home) -> String {
    let error = Store::open(&home.store, |_, _| {}).unwrap_err();
    assert!(error.hint().is_some(), "{error:#}");
    error.to_string()
}

#[test]
fn all_files_of_a_store_are_private_to_its_owner() {
    let home = Home::new();
    let mut store = home.open();
    store.add("secret", None, at(1)).unwrap();
    for suffix in ["", "-wal", "-shm", ".lock"] {
        assert_eq!(mode(&home.sibling(suffix)), 0o600, "{suffix}");
    }
    drop(store);
    fs::set_permissions(&home.store, fs::Permissions::from_mode(0o644)).unwrap();
    drop(home.open());
    assert_eq!(mode(&home.store), 0o600, "an open one is closed again");
    assert!(!home.sibling("-wal").exists(), "closed cleanly");
}

#[test]
fn a_missing_folder_is_created_and_a_link_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let real = folder.path().join("real/deep/heph.db");
    let store = Store::open(&real, |_, _| {}).unwrap();
    assert_eq!(mode(real.parent().unwrap()), 0o700);

    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let error = Store::open(&link, |_, _| {}).unwrap_err();
    assert!(error.to_string().contains("another hephd has it open"));
    drop(store);
    let store = Store::open(&link, |_, _| {}).unwrap();
    assert_eq!(store.path(), fs::canonicalize(&real).unwrap());
}

#[test]
fn an_empty_file_becomes_a_store() {
    let home = Home::new();
    fs::write(&home.store, "").unwrap();
    assert!(check(&home.store).unwrap().readable);
    home.with(&["one"]);
    // What a crash between creating the file and the first migration leaves.
    let home = Home::new();
    fs::write(&home.store, "").unwrap();
    drop(connect(&home.store).unwrap());
    assert!(fs::metadata(&home.store).unwrap().len() > 0);
    assert!(check(&home.store).unwrap().readable);
    home.with(&["one"]);
}

#[test]
fn a_store_too_new_is_rejected_with_both_schemas_named_and_not_one_byte_changed() {
    let home = Home::new();
    home.with(&["one"]);
    make_newer(&home.connect(), 7, 5);
    let before = home.files();
    assert_eq!(before.len(), 1);
    let words = rejection(&home);
    assert!(
        words.contains("has schema 7") && words.contains("this one has schema 2"),
        "{words}"
    );
    assert!(words.contains("schema 5 or later"), "{words}");
    let said = check(&home.store).unwrap();
    assert_eq!(
        (said.readable, said.store_schema, said.oldest_reader),
        (false, Some(7), Some(5))
    );
    assert_eq!(home.files(), before);
    assert!(!home.sibling("-shm").exists());
}

#[test]
fn a_store_too_new_whose_hephd_was_killed_is_rejected_likewise() {
    let home = Home::new();
    home.with(&["one"]);
    let crashed = newer_and_killed(&home);
    let before = crashed.files();
    assert_eq!(before.len(), 2, "the store and its write-ahead log");
    assert!(rejection(&crashed).contains("has schema 7"));
    assert!(!check(&crashed.store).unwrap().readable);
    assert_eq!(crashed.files(), before);
}

/// Returns the store of `home` as a newer hephd leaves it that is killed before SQLite has moved anything from the
/// write-ahead log to the file.
pub fn newer_and_killed(home: &Home) -> Home {
    let crashed = Home::new();
    let newer = connect(&home.store).unwrap();
    make_newer(&newer, 7, 7);
    fs::copy(&home.store, &crashed.store).unwrap();
    fs::copy(home.sibling("-wal"), crashed.sibling("-wal")).unwrap();
    crashed
}

#[test]
fn a_newer_store_that_allows_it_is_used_and_not_migrated() {
    let home = Home::new();
    home.with(&["one"]);
    home.connect()
        .execute_batch(
            "UPDATE meta SET schema = 9, oldest_reader = 2; CREATE TABLE hubs (url TEXT)",
        )
        .unwrap();
    let mut store = Store::open(&home.store, |_, _| panic!("nothing to migrate")).unwrap();
    assert_eq!(store.schema(), 9);
    store.add("two", None, at(2)).unwrap();
    drop(store);
    assert_eq!(check(&home.store).unwrap().store_schema, Some(9));
}

/// Creates something at a path.
type Make<'a> = &'a dyn Fn(&Path);

#[test]
fn files_that_are_not_stores_are_rejected_and_left_untouched() {
    let cases: [(&str, Make, &str); 5] = [
        (
            "text",
            &|path| {
                fs::write(
                    path,
                    "a shopping list, longer than the header of a database: ".repeat(99),
                )
                .unwrap()
            },
            "not a database",
        ),
        (
            "short",
            &|path| fs::write(path, "x").unwrap(),
            "not a database",
        ),
        (
            "of another program",
            &|path| {
                let other = Connection::open(path).unwrap();
                other.execute_batch("CREATE TABLE bookmarks (url)").unwrap();
            },
            "another program",
        ),
        (
            "without its marks",
            &|path| {
                let other = Connection::open(path).unwrap();
                other
                    .execute_batch("PRAGMA application_id = 0x68657068; CREATE TABLE ops (x)")
                    .unwrap();
            },
            "no such table: meta",
        ),
        (
            "a folder",
            &|path| fs::create_dir(path).unwrap(),
            "not a file",
        ),
    ];
    for (name, make, why) in cases {
        let home = Home::new();
        make(&home.store);
        let before = home.files();
        let words = rejection(&home);
        assert!(words.contains(why), "{name}: {words}");
        let said = check(&home.store).unwrap();
        assert!(
            !said.readable && said.reason.unwrap().contains(why),
            "{name}"
        );
        assert_eq!(home.files(), before, "{name}");
    }
}

#[test]
fn checking_a_missing_store_creates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let said = check(&folder.path().join("not/there/heph.db")).unwrap();
    assert_eq!((said.readable, said.store_schema), (true, None));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn checking_a_store_in_use_does_not_disturb_it() {
    let home = Home::new();
    let mut store = home.open();
    store.add("one", None, at(1)).unwrap();
    let before = home.files();
    assert_eq!(check(&home.store).unwrap().store_schema, Some(2));
    assert_eq!(home.files(), before);
    store.add("two", None, at(2)).unwrap();
}

/// The migrations of a later release, with another column in `tasks`.
const LATER: [Step; 4] = [
    STEPS[0],
    STEPS[1],
    Step {
        schema: 3,
        oldest_reader: 2,
        sql: "CREATE TABLE hubs (url TEXT)",
    },
    Step {
        schema: 4,
        oldest_reader: 4,
        sql: "ALTER TABLE tasks ADD COLUMN colour TEXT",
    },
];

#[test]
fn an_older_store_is_migrated_step_by_step_and_keeps_its_tasks() {
    let home = Home::new();
    let tasks = home.with(&["one", "two"]);
    let mut seen = None;
    let store = Store::open_with(&home.store, &LATER, |from, to| seen = Some((from, to))).unwrap();
    assert_eq!(seen, Some((2, 4)));
    assert_eq!(store.list(Which::All).unwrap(), tasks);
    drop(store);
    let said = check(&home.store).unwrap();
    assert_eq!((said.store_schema, said.oldest_reader), (Some(4), Some(4)));
    let again = Store::open_with(&home.store, &LATER, |_, _| panic!("migrated twice"));
    assert_eq!(again.unwrap().schema(), 4);
}

#[test]
fn a_step_that_fails_leaves_the_store_as_the_step_before_left_it() {
    let home = Home::new();
    let tasks = home.with(&["one"]);
    let mut steps = LATER;
    steps[3].sql = "CREATE TABLE half (done); INSERT INTO nowhere VALUES (1)";
    let error = Store::open_with(&home.store, &steps, |_, _| {}).unwrap_err();
    let words = format!("{error:#}");
    assert!(
        words.contains("to schema 4") && words.contains("nowhere"),
        "{words}"
    );
    let said = check(&home.store).unwrap();
    assert_eq!((said.store_schema, said.oldest_reader), (Some(3), Some(2)));
    let half = "SELECT count(*) FROM sqlite_schema WHERE name = 'half'";
    let half: u32 = home
        .connect()
        .query_row(half, [], |row| row.get(0))
        .unwrap();
    assert_eq!(half, 0);
    assert_eq!(home.open().list(Which::All).unwrap(), tasks);
}

#[test]
fn a_migration_rebuilds_the_tasks_from_the_log() {
    let home = Home::new();
    let tasks = home.with(&["one"]);
    home.connect().execute("DELETE FROM tasks", []).unwrap();
    let store = Store::open_with(&home.store, &LATER, |_, _| {}).unwrap();
    assert_eq!(store.list(Which::All).unwrap(), tasks);
}
