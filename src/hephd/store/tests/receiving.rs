//! What a hub sends to its spoke, and how much of it is stored.

use super::*;
use crate::error::Kind;
use crate::hephd::protocol::{OperationKind, Position};

/// Returns the answer of a hub that sends these operations, up to its position `seq`.
fn answer(seq: u64, operations: Vec<Operation>) -> Response {
    let id = ulid();
    Response {
        epoch: "hub".to_owned(),
        cursor: Some(Position { seq, id }),
        operations,
        ..push(&mut Home::new().open(), "", Vec::new())
    }
}

/// Returns an operation of a kind that no release knows, of about `size` bytes.
fn paints(size: usize) -> Operation {
    Operation {
        kind: "task.paint".to_owned().into(),
        body: json(&format!(
            r#"{{"clock":[5,0],"colour":"{}"}}"#,
            "x".repeat(size)
        )),
        ..adds(&ulid(), "")
    }
}

#[test]
fn a_page_is_applied_in_slices_between_which_this_machine_writes() {
    let (home, mut store) = spoke();
    let request = next_request(&store);
    let response = answer(
        1,
        (0..250).map(|n| adds(&ulid(), &format!("{n}"))).collect(),
    );
    let first = store
        .apply_slice(&request, &response, 0, at(9), || true)
        .unwrap();
    assert_eq!(first.next, Some(100));
    let mine = store.add("mine", None, at(1)).unwrap();
    // hephd is killed: nothing says that the page was there.
    drop(store);
    let mut store = home.open();
    assert_eq!(next_request(&store).cursor, None);
    assert_eq!(titles(&store).len(), 101);
    let request = next_request(&store);
    store.apply(&request, &response, at(9)).unwrap();
    assert_eq!(titles(&store).len(), 251);
    assert_eq!(next_request(&store).cursor, response.cursor);
    assert_eq!(store.pending().unwrap(), 0, "the one that was sent");
    assert!(store.list(Which::All).unwrap().contains(&mine));
    // Large operations make smaller slices.
    let response = answer(2, (0..250).map(|_| paints(1000)).collect());
    let request = next_request(&store);
    let first = store
        .apply_slice(&request, &response, 0, at(9), || true)
        .unwrap();
    assert!(first.next.is_some_and(|next| next < 40), "{first:?}");
}

#[test]
fn operations_of_kinds_that_no_release_knows_are_kept_up_to_a_bound() {
    let (_home, mut store) = spoke();
    let mut error = None;
    let mut seq = 0;
    while error.is_none() {
        seq += 1;
        assert!(seq < 100, "no bound");
        let request = next_request(&store);
        let response = answer(seq, (0..30).map(|_| paints(30_000)).collect());
        error = store.apply(&request, &response, at(9)).err();
    }
    let error = error.unwrap();
    assert_eq!(error.kind(), Kind::TooLarge);
    assert!(error.to_string().contains("16."), "{error}");
    assert!(error.hint().is_some());
    // What this release understands goes on, as does this machine.
    store.add("mine", None, at(1)).unwrap();
    let request = next_request(&store);
    let rejected = answer(seq + 1, vec![paints(100_000)]);
    store.apply(&request, &rejected, at(9)).unwrap_err();
    assert_eq!(titles(&store), ["mine"]);
    assert_ne!(next_request(&store).cursor, rejected.cursor);
}

#[test]
fn what_a_hub_stores_here_has_a_bound_that_a_flag_sets() {
    let (_home, mut store) = spoke();
    store.set_allowance(100_000);
    let task = ulid();
    let request = next_request(&store);
    store
        .apply(&request, &answer(1, vec![adds(&task, "one")]), at(9))
        .unwrap();
    let edits = |count: usize| {
        let edit = |_| Operation {
            kind: "task.edit".to_owned().into(),
            ..adds(&task, "edited")
        };
        (0..count).map(edit).collect()
    };
    let request = next_request(&store);
    store
        .apply(&request, &answer(2, edits(100)), at(9))
        .unwrap();
    let request = next_request(&store);
    let error = store
        .apply(&request, &answer(3, edits(400)), at(9))
        .unwrap_err();
    assert_eq!(error.kind(), Kind::TooLarge);
    assert!(error.hint().unwrap().contains("--quota-bytes"), "{error:?}");
    store.set_allowance(1_000_000);
    let request = next_request(&store);
    store
        .apply(&request, &answer(3, edits(400)), at(9))
        .unwrap();
}

/// Returns operations that delete these tasks.
fn deletes(tasks: &[String]) -> Vec<Operation> {
    let delete = |task: &String| Operation {
        kind: OperationKind::Delete,
        body: json(r#"{"clock":[5,0]}"#),
        ..adds(task, "")
    };
    tasks.iter().map(delete).collect()
}

/// Lets the hub send these operations in a round of its own, and returns how many deletions wait then.
fn round(store: &mut Store, seq: u64, operations: Vec<Operation>, now: Timestamp) -> u64 {
    store.watch_deletions(now).unwrap();
    let request = next_request(store);
    store
        .apply(&request, &answer(seq, operations), now)
        .unwrap();
    if store.may_delete(now).unwrap() {
        while store.apply_deletions(false).unwrap().is_some() {}
    }
    store.held_deletions().unwrap()
}

#[test]
fn deletions_wait_by_the_number_of_tasks_that_were_here_before() {
    let hours = |hours: i64| at(hours * 60 * 60 * 1000);
    let (home, mut store) = spoke();
    let mut add = |_| store.add("mine", None, at(0)).unwrap().id;
    let mine: Vec<String> = (0..40).map(&mut add).collect();
    assert_eq!(round(&mut store, 1, Vec::new(), hours(0)), 0);
    assert_eq!(round(&mut store, 2, deletes(&mine[..20]), hours(1)), 0);
    assert_eq!(titles(&store).len(), 20, "half of them");
    // Many tasks of the hub make its deletions no fewer, and those of its own tasks no more.
    let theirs: Vec<String> = (0..100).map(|_| ulid()).collect();
    let adding = theirs.iter().map(|task| adds(task, "theirs")).collect();
    assert_eq!(round(&mut store, 3, adding, hours(2)), 0);
    assert_eq!(round(&mut store, 4, deletes(&theirs[..90]), hours(3)), 0);
    assert_eq!(round(&mut store, 5, deletes(&mine[20..21]), hours(4)), 1);
    // An older add of a task that was here before does not make it one of the hub's.
    let again = vec![adds(&mine[21], "again"), deletes(&mine[21..22]).remove(0)];
    assert_eq!(round(&mut store, 6, again, hours(5)), 2);
    assert_eq!(titles(&store).len(), 30);
    // The next day changes nothing about those that wait; neither does a rebuild, nor a new hub.
    assert_eq!(round(&mut store, 7, Vec::new(), hours(50)), 2);
    log::rebuild_tasks(&store.connection, i64::MAX).unwrap();
    drop(store);
    let mut store = home.open();
    assert_eq!(titles(&store).len(), 30);
    let request = next_request(&store);
    let reset = Response {
        reset: true,
        ..answer(8, Vec::new())
    };
    store.apply(&request, &reset, at(9)).unwrap();
    let sent = store
        .next_request(PageLimits::default())
        .unwrap()
        .operations;
    let is_held = |operation: &&Operation| {
        mine[20..22].contains(&operation.task) && operation.kind == OperationKind::Delete
    };
    assert_eq!(sent.iter().filter(is_held).count(), 0);

    while store.apply_deletions(true).unwrap().is_some() {}
    store.accept_deletions(hours(51)).unwrap();
    assert_eq!(store.held_deletions().unwrap(), 0);
    assert_eq!(titles(&store).len(), 28);
    // All operations were there all the time: another release sees what is accepted now.
    let before = derived(&store.connection);
    log::rebuild_tasks(&store.connection, i64::MAX).unwrap();
    assert_eq!(derived(&store.connection), before);
}

#[test]
fn a_million_tasks_are_within_what_a_hub_may_store() {
    use super::super::allowance::{ALLOWANCE, Received};
    use super::super::log::Record;
    let add = adds(&ulid(), &"x".repeat(100));
    let record = Record {
        id: add.id,
        kind: add.kind,
        task: add.task,
        body: serde_json::to_string(&add.body).unwrap(),
        created_at: 5,
    };
    let mut received = Received::default();
    for _ in 0..1_000_000 {
        received.count(&record, true);
    }
    received.check(ALLOWANCE, None).unwrap();
}
