//! Deleted tasks that come back.

use super::*;
use crate::error::Kind;
use crate::hephd::protocol::OperationKind;

/// Returns an operation of another machine that deletes `task`, and claims to be from 1970.
fn deletes(task: &str) -> Operation {
    Operation {
        kind: OperationKind::Delete,
        body: json(r#"{"clock":[1,0]}"#),
        created_at: 1,
        ..adds(task, "")
    }
}

/// Moves all deletions until now to this time.
fn set_deletions(store: &Store, at: Timestamp) {
    let sql = "UPDATE deletions SET at = ?1";
    store
        .connection
        .execute(sql, [at.as_millisecond()])
        .unwrap();
}

#[test]
fn a_deleted_task_comes_back_as_it_was_and_only_once() {
    let home = Home::new();
    let mut store = home.open();
    let open = store.add("open", None, at(1)).unwrap();
    let done = store.add("done", None, at(2)).unwrap();
    store.done(&done.id, None, at(3)).unwrap();
    let done = store.edit(&done.id, "edited", None, at(4)).unwrap();
    for task in [open, done] {
        store.delete(&task.id, None, at(5)).unwrap();
        let error = store.reopen(&task.id, None, at(6)).unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound);
        let hint = format!("`heph undelete {}` brings it back", task.id);
        assert_eq!(error.hint(), Some(hint.as_str()));

        let back = store.undelete(&task.id[..20], None, at(7)).unwrap();
        let as_it_was = Task {
            id: back.id.clone(),
            ..task.clone()
        };
        assert_eq!(back, as_it_was);
        assert_ne!(back.id, task.id);
        let before = store.operations().unwrap();
        assert_eq!(store.undelete(&task.id, None, at(8)).unwrap(), back);
        assert_eq!(store.operations().unwrap(), before, "nothing to do");
        let error = store.edit(&task.id, "x", None, at(9)).unwrap_err();
        assert!(error.hint().unwrap().contains(&back.id), "{error:?}");
        let error = store.undelete(&back.id, None, at(9)).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);

        // Deleted once more, it comes back once more, and its first id still leads to it.
        store.delete(&back.id, None, at(10)).unwrap();
        let again = store.undelete(&task.id, None, at(11)).unwrap();
        assert_eq!((again.title, again.done_at), (task.title, task.done_at));
        store.delete(&again.id, None, at(12)).unwrap();
    }
    let error = store.undelete("7ZZZ", None, at(13)).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(titles(&store).is_empty());
}

#[test]
fn what_comes_back_reaches_every_machine_by_operations_of_every_release() {
    let (hub_home, [(_a, mut one), (_b, mut other)]) = (Home::new(), [spoke(), spoke()]);
    let mut hub = hub_home.open();
    let task = one.add("milk", None, at(1)).unwrap();
    one.done(&task.id, None, at(2)).unwrap();
    sync_with(&mut hub, &mut one);
    sync_with(&mut hub, &mut other);
    other.delete(&task.id, None, at(3)).unwrap();
    sync_with(&mut hub, &mut other);
    sync_with(&mut hub, &mut one);
    assert!(titles(&one).is_empty());
    // Both bring it back before either knows of the other.
    let back = one.undelete(&task.id, None, at(4)).unwrap();
    let same = other.undelete(&task.id, None, at(5)).unwrap();
    assert_eq!(back, same);
    for _ in 0..2 {
        sync_with(&mut hub, &mut one);
        sync_with(&mut hub, &mut other);
    }
    for store in [&one, &other, &hub] {
        assert_eq!(store.list(Which::All).unwrap(), std::slice::from_ref(&back));
    }
    let known = "SELECT count(*) FROM ops WHERE kind NOT IN
        ('task.add', 'task.edit', 'task.done', 'task.reopen', 'task.delete')";
    assert_eq!(hub.count(known).unwrap(), 0);
}

#[test]
fn everything_deleted_since_a_time_comes_back_whatever_time_the_hub_claims() {
    let (_home, mut store) = spoke();
    let mut add = |title| store.add(title, None, at(1)).unwrap().id;
    let [before, mine, theirs, _kept] = ["before", "mine", "theirs", "kept"].map(&mut add);
    store.delete(&before, None, at(2)).unwrap();
    set_deletions(&store, at(2));
    store.delete(&mine, None, at(3)).unwrap();
    let request = next_request(&store);
    let unknown = deletes(&ulid());
    let response = Response {
        sent: None,
        operations: vec![deletes(&theirs), unknown],
        ..push(&mut Home::new().open(), "", Vec::new())
    };
    store.apply(&request, &response, at(0)).unwrap();
    assert_eq!(titles(&store), ["kept"]);

    let mut back = Vec::new();
    let mut after = Some(0);
    while let Some(number) = after {
        let (tasks, next) = store.undelete_since(at(3), number, 1, at(4)).unwrap();
        back.extend(tasks.into_iter().map(|task| task.title));
        after = next;
    }
    assert_eq!(back, ["mine", "theirs"]);
    assert_eq!(titles(&store), ["kept", "mine", "theirs"]);
    let (again, _) = store.undelete_since(at(3), 0, 100, at(5)).unwrap();
    assert!(again.is_empty(), "{again:?}");
    let (all, next) = store.undelete_since(at(0), 0, 100, at(5)).unwrap();
    assert_eq!((all.len(), next), (1, None));
}

#[test]
fn what_was_deleted_under_an_older_release_comes_back_by_the_time_in_the_log() {
    let home = Home::new();
    let mut store = home.open();
    let [one, other] = ["one", "other"].map(|title| store.add(title, None, at(1)).unwrap().id);
    store.delete(&one, None, at(2)).unwrap();
    store.delete(&other, None, at(4)).unwrap();
    let forget = "DROP TRIGGER deletions_of_visible_tasks; DROP TABLE deletions;";
    store.connection.execute_batch(forget).unwrap();
    let (back, _) = store.undelete_since(at(3), 0, 100, at(5)).unwrap();
    assert_eq!(back.len(), 1);
    assert_eq!(titles(&store), ["other"]);
    store.undelete(&one, None, at(6)).unwrap();
    // A rebuild from the log keeps the times.
    let times = "SELECT group_concat(at) FROM deletions";
    let times = |store: &Store| -> String {
        store
            .connection
            .query_row(times, [], |row| row.get(0))
            .unwrap()
    };
    let before = times(&store);
    log::rebuild_tasks(&store.connection, i64::MAX).unwrap();
    assert_eq!(times(&store), before);
    assert_eq!(titles(&store), ["one", "other"]);
}

#[test]
fn a_hub_that_deletes_the_next_ids_beforehand_keeps_no_task_from_coming_back() {
    let (_home, mut store) = spoke();
    let task = store.add("milk", None, at(1)).unwrap().id;
    store.delete(&task, None, at(2)).unwrap();
    let mut operations = Vec::new();
    let mut id = task.clone();
    for _ in 0..100 {
        id = super::super::deletions::derived_id(&id);
        operations.push(deletes(&id));
    }
    let response = Response {
        operations,
        ..push(&mut Home::new().open(), "", Vec::new())
    };
    let request = next_request(&store);
    store.apply(&request, &response, at(0)).unwrap();
    let back = store.undelete(&task, None, at(3)).unwrap();
    assert_eq!(back.title, "milk");
    assert_eq!(titles(&store), ["milk"]);
}
