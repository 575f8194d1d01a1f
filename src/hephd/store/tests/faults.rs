//! Faults between a hub and its spokes: hubs restored by hand, machines with impossible clocks, and peers that violate the
//! protocol.

use super::*;
use crate::hephd::protocol::{LARGEST_OPERATION, RefusedOperation};

/// Returns an operation on `task`, made at `clock`.
fn operation(kind: &str, task: &str, clock: (i64, u32)) -> Operation {
    let (ms, counter) = clock;
    Operation {
        kind: kind.to_owned().into(),
        body: json(&format!(
            r#"{{"title":"at {ms}","clock":[{ms},{counter}]}}"#
        )),
        ..adds(task, "")
    }
}

fn ask(hub: &mut Store, spoke: &mut Store) -> Response {
    exchange_page(hub, "", spoke, PageLimits::default())
}

/// Replaces a hub by an empty one with the same epoch: a copy that was made by hand on its first day.
fn set_back(home: &Home, hub: Store) -> Store {
    let epoch = hub.epoch().unwrap();
    drop(hub);
    fs::remove_file(&home.store).unwrap();
    drop(home.open());
    home.connect()
        .execute("UPDATE epoch SET epoch = ?1", [&epoch])
        .unwrap();
    home.open()
}

#[test]
fn a_hub_restored_by_hand_loses_nothing_even_if_its_log_looks_the_same_again() {
    let home = Home::new();
    let mut hub = home.open();
    let [mut a, mut b, mut c, mut d, mut e] = [(); 5].map(|()| spoke());
    // Two operations, and a third that all know as number 3.
    a.1.add("a1", None, at(1)).unwrap();
    a.1.add("a2", None, at(2)).unwrap();
    ask(&mut hub, &mut a.1);
    d.1.add("d", None, at(3)).unwrap();
    for store in [&mut d.1, &mut b.1] {
        sync_with(&mut hub, store);
    }

    let mut hub = set_back(&home, hub);
    // Two others come first, so that the operation that is sent again gets its old number.
    e.1.add("e", None, at(4)).unwrap();
    c.1.add("c", None, at(5)).unwrap();
    for store in [&mut e.1, &mut c.1] {
        ask(&mut hub, store);
    }
    let response = ask(&mut hub, &mut d.1);
    assert!(response.reset, "its third operation is not there");
    for store in [&mut d.1, &mut a.1, &mut b.1, &mut c.1, &mut e.1] {
        sync_with(&mut hub, store);
    }
    for store in [&mut a.1, &mut b.1, &mut c.1, &mut d.1, &mut e.1] {
        sync_with(&mut hub, store);
        assert_eq!(titles(store), ["a1", "a2", "c", "d", "e"]);
    }
    assert_eq!(titles(&hub), ["a1", "a2", "c", "d", "e"]);
}

#[test]
fn a_spoke_that_finds_the_same_operation_at_a_number_learns_of_another_log() {
    // As above, but the spoke in question asks just when the log looks as it did.
    let home = Home::new();
    let mut hub = home.open();
    let [mut b, mut d, mut e] = [(); 3].map(|()| spoke());
    e.1.add("lost", None, at(1)).unwrap();
    sync_with(&mut hub, &mut e.1);
    d.1.add("d", None, at(2)).unwrap();
    ask(&mut hub, &mut d.1);
    sync_with(&mut hub, &mut b.1);
    let mut hub = set_back(&home, hub);
    let (_other, mut other) = spoke();
    other.add("new", None, at(3)).unwrap();
    ask(&mut hub, &mut other);
    sync_with(&mut hub, &mut d.1);
    sync_with(&mut hub, &mut b.1);
    assert!(
        titles(&b.1).contains(&"new".to_owned()),
        "{:?}",
        titles(&b.1)
    );
}

#[test]
fn a_position_in_the_log_of_another_user_does_not_count() {
    let home = Home::new();
    let mut hub = home.open();
    let first = push(&mut hub, "a b", vec![adds(&ulid(), "of b")]);
    push(&mut hub, "a c", vec![adds(&ulid(), "of c")]);
    // A spoke whose owner logs in as another user, and one that tries.
    for (cursor, sent) in [(first.cursor.clone(), None), (None, first.sent.clone())] {
        let elsewhere = Request {
            cursor,
            sent,
            ..request(Vec::new())
        };
        let response = hub.exchange("a c", &elsewhere, at(0)).unwrap();
        assert!(response.reset && response.operations.is_empty());
        assert!(
            !hub.exchange(
                "a b",
                &Request {
                    epoch: None,
                    ..elsewhere
                },
                at(0)
            )
            .unwrap()
            .reset
        );
    }
    assert_eq!(fetched(&mut hub, "a c"), ["of c"]);
}

#[test]
fn the_clock_never_goes_back_whatever_arrived_last_before_a_restart() {
    let far = at(20 * 3_600_000).as_millisecond();
    let home = Home::new();
    let mut store = home.open();
    // A machine far ahead was seen, then a change was made here, then an old operation came in.
    let task = ulid();
    push(&mut store, "", vec![operation("task.add", &task, (far, 0))]);
    store.edit(&task, "first", None, at(1)).unwrap();
    store.edit(&task, "second", None, at(2)).unwrap();
    push(&mut store, "", vec![operation("task.add", &ulid(), (1, 0))]);
    drop(store);
    let mut store = home.open();
    let edited = store.edit(&task, "third", None, at(3)).unwrap();
    assert_eq!(edited.title, "third");
    assert_eq!(store.done(&task, None, at(4)).unwrap().state, State::Done);
}

#[test]
fn users_do_not_drive_each_others_clocks() {
    let last = 253_402_207_200_999;
    let home = Home::new();
    let mut hub = home.open();
    push(
        &mut hub,
        "a b",
        vec![operation("task.add", &ulid(), (last, u32::MAX))],
    );
    let clock = |hub: &mut Store| {
        hub.add("one", None, at(1)).unwrap();
        let response = push(hub, "", Vec::new());
        response.operations.last().unwrap().body["clock"][0].clone()
    };
    let now = at(1).as_millisecond();
    assert_eq!(clock(&mut hub), now);
    log::rebuild_tasks(&hub.connection, i64::MAX).unwrap();
    drop(hub);
    assert_eq!(clock(&mut home.open()), now);
}

#[test]
fn an_operation_at_the_latest_time_keeps_no_machine_from_writing() {
    let last = 253_402_207_200_999;
    let home = Home::new();
    let mut hub = home.open();
    let task = ulid();
    push(
        &mut hub,
        "",
        vec![operation("task.add", &task, (last, u32::MAX))],
    );
    let (_home, mut spoke) = spoke();
    sync_with(&mut hub, &mut spoke);
    spoke.add("after the last", None, at(1)).unwrap();
    sync_with(&mut hub, &mut spoke);
    assert_eq!((spoke.pending().unwrap(), spoke.refused().unwrap()), (0, 0));
    assert!(titles(&hub).contains(&"after the last".to_owned()));
}

#[test]
fn a_reset_of_a_new_spoke_changes_nothing() {
    let (_home, mut spoke) = spoke();
    spoke.add("kept", None, at(1)).unwrap();
    let mut hub = Home::new().open();
    let request = next_request(&spoke);
    let response = Response {
        reset: true,
        ..hub.exchange("", &request, at(0)).unwrap()
    };
    spoke.apply(&request, &response, at(0)).unwrap();
    assert_eq!(spoke.pending().unwrap(), 1);
    assert_eq!(next_request(&spoke), request);
}

#[test]
fn a_response_to_an_outdated_request_is_ignored() {
    let mut hub = Home::new().open();
    let (_home, mut spoke) = spoke();
    spoke.add("one", None, at(1)).unwrap();
    let early = next_request(&spoke);
    let response = hub.exchange("", &early, at(0)).unwrap();
    sync_with(&mut hub, &mut spoke);
    spoke.add("two", None, at(2)).unwrap();
    sync_with(&mut hub, &mut spoke);
    let now = next_request(&spoke);
    spoke.apply(&early, &response, at(0)).unwrap();
    let reset = Response {
        reset: true,
        ..response
    };
    spoke.apply(&early, &reset, at(0)).unwrap();
    assert_eq!(next_request(&spoke), now);
    assert_eq!(spoke.pending().unwrap(), 0);
}

#[test]
fn a_hub_can_refuse_only_what_it_received() {
    let mut hub = Home::new().open();
    let (_home, mut spoke) = spoke();
    spoke.add("one", None, at(1)).unwrap();
    let request = next_request(&spoke);
    spoke.add("two", None, at(2)).unwrap();
    let later = next_request(&spoke).operations[1].clone();
    let mut response = hub.exchange("", &request, at(0)).unwrap();
    for id in [later.id, ulid(), "no id".to_owned()] {
        let reason = "no".to_owned();
        response.refused.push(RefusedOperation { id, reason });
    }
    spoke.apply(&request, &response, at(0)).unwrap();
    assert_eq!((spoke.pending().unwrap(), spoke.refused().unwrap()), (1, 0));
    sync_with(&mut hub, &mut spoke);
    assert_eq!(titles(&hub), ["one", "two"]);
}

#[test]
fn what_a_newer_hub_accepts_is_kept_for_a_release_that_understands_it() {
    let mut hub = Home::new().open();
    let (_home, mut spoke) = spoke();
    let request = next_request(&spoke);
    let mut response = hub.exchange("", &request, at(0)).unwrap();
    let mut long = adds(&ulid(), "");
    long.body
        .insert("title".to_owned(), "x".repeat(5000).into());
    response.operations.push(long.clone());
    spoke.apply(&request, &response, at(0)).unwrap();
    assert!(log::find(&spoke.connection, &long.id).unwrap().is_some());
}

#[test]
fn numbers_with_many_digits_are_the_same_operation_when_they_come_back() {
    let mut hub = Home::new().open();
    let [(_one, mut one), (_two, mut two)] = [spoke(), spoke()];
    let mut newer = operation("task.paint", &ulid(), (1, 0));
    for (index, number) in (0..500_u32).map(|n| (n, (f64::from(n) + 0.1).powf(19.7))) {
        newer.body.insert(format!("n{index}"), number.into());
    }
    assert!(push(&mut hub, "", vec![newer]).refused.is_empty());
    for store in [&mut one, &mut two] {
        sync_with(&mut hub, store);
    }
    // Both send it again, as after a reset.
    for store in [&one, &two] {
        store
            .connection
            .execute("INSERT INTO unsent SELECT seq FROM ops", [])
            .unwrap();
    }
    for store in [&mut one, &mut two] {
        let again = next_request(store);
        assert_eq!(again.operations.len(), 1);
        assert_eq!(send(&mut hub, "", &again).refused, []);
    }
}

#[test]
fn an_operation_too_large_to_send_does_not_block_the_rest() {
    let mut hub = Home::new().open();
    let home = Home::new();
    home.with(&["one"]);
    home.connect()
        .execute(
            "INSERT INTO ops (id, kind, task, body, created_at)
             VALUES (?1, 'task.paint', ?2, json_object('x', ?3), 5)",
            [ulid(), ulid(), "x".repeat(LARGEST_OPERATION * 80)],
        )
        .unwrap();
    let mut store = home.open();
    store.add("two", None, at(2)).unwrap();
    store.become_spoke().unwrap();
    let request = next_request(&store);
    assert!(serde_json::to_vec(&request).unwrap().len() < LARGEST_OPERATION);
    sync_with(&mut hub, &mut store);
    assert_eq!(titles(&hub), ["one", "two"]);
    assert_eq!((store.pending().unwrap(), store.refused().unwrap()), (0, 1));
}

#[test]
fn what_a_former_spoke_took_as_a_hub_is_sent_to_its_own_hub_later() {
    let mut hub = Home::new().open();
    let (_home, mut between) = spoke();
    push(&mut between, "", vec![adds(&ulid(), "of a spoke")]);
    push(&mut between, "a b", vec![adds(&ulid(), "of a user")]);
    between.become_spoke().unwrap();
    sync_with(&mut hub, &mut between);
    assert_eq!(titles(&hub), ["of a spoke"]);
    assert_eq!(fetched(&mut hub, ""), ["of a spoke"]);
}

#[test]
fn a_task_done_before_it_was_added_by_a_clock_set_back_stays_done() {
    let home = Home::new();
    let task = ulid();
    home.with_schema_1(&task, 1_790_000_000_009, 1_790_000_000_002);
    let mut store = home.open();
    assert_eq!(store.list(Which::Done).unwrap()[0].done_at, Some(at(2)));
    store.reopen(&task, None, at(0)).unwrap();
    assert_eq!(store.list(Which::Open).unwrap().len(), 1);
}

#[test]
fn a_copy_of_a_spoke_is_another_spoke_and_another_hub() {
    let (home, spoke) = spoke();
    let copy = home.sibling(".copy");
    write_copy(&home.store, &copy).unwrap();
    let copied = Store::open(&copy, |_, _| {}).unwrap();
    let [mine, its] = [&spoke, &copied].map(next_request);
    assert_ne!(mine.spoke, its.spoke);
    assert!(Ulid::from_string(&its.spoke).is_ok());
    assert_ne!(spoke.epoch().unwrap(), copied.epoch().unwrap());
}

#[test]
fn neither_a_spoke_nor_its_hub_can_claim_an_operation_for_another_user() {
    let mut hub = Home::new().open();
    let (_home, mut spoke) = spoke();
    let mut claims = adds(&ulid(), "claimed");
    claims.body.insert("user".to_owned(), "a b".into());
    let response = push(&mut hub, "", vec![claims.clone()]);
    assert_eq!(response.refused, []);
    assert!(fetched(&mut hub, "a b").is_empty());
    assert_eq!(fetched(&mut hub, ""), ["claimed"]);

    let request = next_request(&spoke);
    let mut response = hub.exchange("", &request, at(0)).unwrap();
    response.operations = vec![claims];
    spoke.apply(&request, &response, at(0)).unwrap();
    assert_eq!(titles(&spoke), ["claimed"]);
}
