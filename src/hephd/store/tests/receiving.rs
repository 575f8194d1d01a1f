//! What a hub sends to its spoke, and how much of it is stored.

use super::*;
use crate::error::Kind;
use crate::hephd::protocol::Position;

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
    let first = store.apply_slice(&request, &response, 0, at(9)).unwrap();
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
    let first = store.apply_slice(&request, &response, 0, at(9)).unwrap();
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
