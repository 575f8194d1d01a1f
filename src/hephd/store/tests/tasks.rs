//! Tasks: added, found, done, and derived from the log alone.

use std::collections::BTreeMap;
use std::slice;

use proptest::prelude::*;

use super::log::Record;
use super::merge::Stamp;
use super::*;
use crate::error::Kind;
use crate::hephd::protocol::OperationKind;

#[test]
fn what_was_acknowledged_is_there_after_a_restart() {
    let home = Home::new();
    let mut store = home.open();
    let milk = store.add(" milk ", None, at(1)).unwrap();
    let bread = store.add("bread", None, at(2)).unwrap();
    let done = store.done(&milk.id, None, at(3)).unwrap();
    assert_eq!(
        (milk.title.as_str(), milk.state, done.done_at),
        ("milk", State::Open, Some(at(3)))
    );
    drop(store);

    let store = home.open();
    assert_eq!(store.list(Which::Open).unwrap(), slice::from_ref(&bread));
    assert_eq!(store.list(Which::Done).unwrap(), slice::from_ref(&done));
    assert_eq!(store.list(Which::All).unwrap(), [done, bread.clone()]);
    assert_eq!(store.next().unwrap(), Some(bread));
    assert_eq!(store.open_tasks().unwrap(), 1);
}

#[test]
fn the_oldest_open_task_is_next_even_if_the_clock_went_back() {
    let home = Home::new();
    let mut store = home.open();
    store.add("second", None, at(2000)).unwrap();
    let first = store.add("first", None, at(0)).unwrap();
    assert_eq!(store.next().unwrap(), Some(first.clone()));
    let all = store.list(Which::All).unwrap();
    assert_eq!(all[0], first);
    assert!(all[0].id > all[1].id, "ids still go up");
}

#[test]
fn invalid_titles_are_rejected() {
    let home = Home::new();
    let mut store = home.open();
    for (title, why) in [
        ("", "is empty"),
        (" \t ", "is empty"),
        ("a\nb", "control character"),
        ("\u{1b}[2J", "control character"),
        ("a\u{0}b", "control character"),
        ("a\u{85}b", "control character"),
        (&"x".repeat(4097), "4097 bytes"),
        (&"ž".repeat(2049), "4098 bytes"),
    ] {
        let error = store.add(title, None, at(1)).unwrap_err().to_string();
        assert!(error.contains(why), "{title:?}: {error}");
    }
    store.add(&"x".repeat(4096), None, at(1)).unwrap();
    assert_eq!(store.list(Which::All).unwrap().len(), 1);
}

#[test]
fn a_repeated_operation_is_done_once() {
    let home = Home::new();
    let mut store = home.open();
    let operation = Ulid::generate();
    let task = store.add("once", Some(operation), at(1)).unwrap();
    assert_eq!(store.add(" once", Some(operation), at(9)).unwrap(), task);
    drop(store);
    let mut store = home.open();
    assert_eq!(store.add("once", Some(operation), at(9)).unwrap(), task);
    assert_eq!(store.list(Which::All).unwrap(), slice::from_ref(&task));

    let other = store.add("other", Some(operation), at(9));
    assert_eq!(other.unwrap_err().kind(), Kind::Conflict);
    let done = store.done(&task.id, Some(operation), at(9));
    assert_eq!(done.unwrap_err().kind(), Kind::Conflict);

    let operation = Ulid::generate();
    let done = store.done(&task.id, Some(operation), at(10)).unwrap();
    assert_eq!(store.done(&task.id, Some(operation), at(11)).unwrap(), done);
    assert_eq!(store.done(&task.id, None, at(12)).unwrap(), done);
}

#[test]
fn a_full_disk_rejects_a_task_and_loses_none() {
    let home = Home::new();
    let mut store = home.open();
    let pages: u32 = store
        .connection
        .query_row("PRAGMA page_count", [], |row| row.get(0))
        .unwrap();
    let limit = |store: &Store, pages: u32| {
        let sql = format!("PRAGMA max_page_count = {pages}");
        store.connection.query_row(&sql, [], |_| Ok(())).unwrap();
    };
    limit(&store, pages + 4);
    let title = "x".repeat(1000);
    let mut kept = 0;
    let error = loop {
        match store.add(&title, None, at(kept)) {
            Ok(_) => kept += 1,
            Err(error) => break error.to_string(),
        }
        assert!(kept < 1000, "never full");
    };
    assert!(error.contains("full"), "{error}");
    let count = |store: &Store| i64::try_from(store.list(Which::All).unwrap().len()).unwrap();
    assert_eq!(count(&store), kept);
    limit(&store, 1 << 20);
    store.add("again", None, at(kept)).unwrap();
    drop(store);
    assert_eq!(count(&home.open()), kept + 1);
}

#[test]
fn a_task_is_found_by_an_unambiguous_prefix_of_its_id() {
    let home = Home::new();
    let mut store = home.open();
    let one = store.add("one", None, at(0)).unwrap();
    let two = store.add("two", None, at(1 << 40)).unwrap();
    let differs = one
        .id
        .bytes()
        .zip(two.id.bytes())
        .position(|(one, two)| one != two)
        .unwrap();
    let mut kind = |id: &str| store.done(id, None, at(9)).unwrap_err().kind();
    assert_eq!(kind(&one.id[..differs]), Kind::Ambiguous);
    for id in ["", "%", "_", "' OR 1=1", &format!("{}0", one.id), "é"] {
        assert_eq!(kind(id), Kind::Invalid, "{id:?}");
    }
    assert_eq!(kind("7ZZZ"), Kind::NotFound);
    let prefix = one.id[..=differs].to_lowercase();
    assert_eq!(store.done(&prefix, None, at(9)).unwrap().id, one.id);
}

#[test]
fn the_log_cannot_be_changed() {
    let home = Home::new();
    home.with(&["kept"]);
    let connection = home.connect();
    assert!(connection.execute("DELETE FROM ops", []).is_err());
    assert!(
        connection
            .execute("UPDATE ops SET body = '{}'", [])
            .is_err()
    );
}

/// What a client may do, with few tasks so that acts meet.
#[derive(Clone, Debug)]
enum Act {
    Add(u8),
    Done(u8),
    Strange(u8),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        (0u8..8).prop_map(Act::Add),
        (0u8..8).prop_map(Act::Done),
        (0u8..8).prop_map(Act::Strange),
    ];
    proptest::collection::vec(act, 0..40)
}

fn record(number: usize, act: &Act) -> Record {
    let id = format!("OP{number:04}");
    let created_at = i64::try_from(number).unwrap();
    let title = format!("title {number}");
    let (kind, task, title) = match act {
        Act::Add(task) => (OperationKind::Add, task, Some(title.as_str())),
        Act::Done(task) => (OperationKind::Done, task, None),
        Act::Strange(task) => (OperationKind::Other("task.paint".to_owned()), task, None),
    };
    let stamp = Stamp {
        generation: 0,
        clock: Clock(created_at, 0),
        operation: id,
    };
    Record::new(kind, format!("TASK{task}"), title, &stamp, created_at)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_tasks_are_the_replayed_log_and_equal_a_simple_model(acts in acts()) {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection, 0, STEPS, i64::MAX).unwrap();
        let (mut model, mut dones) = (BTreeMap::new(), BTreeMap::new());
        for (number, act) in acts.iter().enumerate() {
            let record = record(number, act);
            let insert = || log::append_and_apply(&connection, &record, &record.content());
            prop_assert!(insert().unwrap().is_some());
            prop_assert!(insert().unwrap().is_none(), "a repeated one is not applied twice");
            let at = record.created_at;
            match act {
                Act::Add(_) => {
                    let title = format!("title {number}");
                    // The first one determines when it was added, the last one its title.
                    model.entry(record.task).or_insert((String::new(), at)).0 = title;
                }
                // Done is done, also where that comes before the task itself.
                Act::Done(_) => drop(dones.insert(record.task, at)),
                Act::Strange(_) => {}
            }
        }
        let before = derived(&connection);
        log::rebuild_tasks(&connection, i64::MAX).unwrap();
        prop_assert_eq!(&derived(&connection), &before);
        prop_assert_eq!(before.len(), model.len());
        for (row, (id, (title, created))) in before.iter().zip(&model) {
            let done = dones.get(id).copied();
            let task: (String, i64, Option<i64>) = connection
                .query_row("SELECT title, created_at, done_at FROM tasks WHERE id = ?1", [id], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })
                .unwrap();
            prop_assert_eq!(task, (title.clone(), *created, done), "{}", row);
        }
    }
}
