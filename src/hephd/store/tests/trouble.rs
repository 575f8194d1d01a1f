//! What goes wrong between a hub and its spokes: hubs put back by hand, machines with impossible clocks, and peers that
//! do not keep to the protocol.

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

/// Replaces a hub by an empty one with the same epoch: a copy by hand from its first day.
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
fn a_hub_put_back_by_hand_whose_log_grew_to_look_the_same_still_loses_nothing() {
    let home = Home::new();
    let mut hub = home.open();
    let [mut a, mut b, mut c, mut d, mut e] = [(); 5].map(|()| spoke());
    // Two operations, and a third that everybody knows to be number 3.
    a.1.add("a1", None, at(1)).unwrap();
    a.1.add("a2", None, at(2)).unwrap();
    ask(&mut hub, &mut a.1);
    d.1.add("d", None, at(3)).unwrap();
    for store in [&mut d.1, &mut b.1] {
        sync_with(&mut hub, store);
    }

    let mut hub = set_back(&home, hub);
    // Two others come first, so that what is sent again gets the number that it had.
    e.1.add("e", None, at(4)).unwrap();
    c.1.add("c", None, at(5)).unwrap();
    for store in [&mut e.1, &mut c.1] {
        ask(&mut hub, store);
    }
    let answer = ask(&mut hub, &mut d.1);
    assert!(answer.reset, "its third operation is not there");
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
fn a_spoke_that_sees_a_number_taken_by_the_same_operation_is_told_of_another_log() {
    // As above, but the spoke in question asks when the log has just come to look as it was.
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
fn a_place_in_the_log_of_another_user_is_none() {
    let home = Home::new();
    let mut hub = home.open();
    let first = hub
        .exchange("a b", &request(vec![adds(&ulid(), "of b")]))
        .unwrap();
    hub.exchange("a c", &request(vec![adds(&ulid(), "of c")]))
        .unwrap();
    // A spoke whose owner logs in as somebody else, and one that tries.
    for (cursor, sent) in [(first.cursor.clone(), None), (None, first.sent.clone())] {
        let elsewhere = Request {
            cursor,
            sent,
            ..request(Vec::new())
        };
        let answer = hub.exchange("a c", &elsewhere).unwrap();
        assert!(answer.reset && answer.operations.is_empty());
        assert!(
            !hub.exchange(
                "a b",
                &Request {
                    epoch: None,
                    ..elsewhere
                }
            )
            .unwrap()
            .reset
        );
    }
    assert_eq!(fetched(&mut hub, "a c"), ["of c"]);
}

#[test]
fn the_clock_never_goes_back_whatever_came_last_before_a_restart() {
    let far = 1_890_000_000_000;
    let home = Home::new();
    let mut store = home.open();
    // A machine far ahead was seen, then a change was made here, then an old operation came in.
    let task = ulid();
    store
        .exchange("", &request(vec![operation("task.add", &task, (far, 0))]))
        .unwrap();
    store.edit(&task, "first", None, at(1)).unwrap();
    store.edit(&task, "second", None, at(2)).unwrap();
    store
        .exchange("", &request(vec![operation("task.add", &ulid(), (1, 0))]))
        .unwrap();
    drop(store);
    let mut store = home.open();
    let edited = store.edit(&task, "third", None, at(3)).unwrap();
    assert_eq!(edited.title, "third");
    assert_eq!(store.done(&task, None, at(4)).unwrap().state, State::Done);
}

#[test]
fn the_clocks_of_other_users_move_nobodys() {
    let last = 253_402_207_200_999;
    let home = Home::new();
    let mut hub = home.open();
    hub.exchange(
        "a b",
        &request(vec![operation("task.add", &ulid(), (last, u32::MAX))]),
    )
    .unwrap();
    let clock = |hub: &mut Store| {
        hub.add("one", None, at(1)).unwrap();
        let answer = hub.exchange("", &request(Vec::new())).unwrap();
        answer.operations.last().unwrap().body["clock"][0].clone()
    };
    let now = at(1).as_millisecond();
    assert_eq!(clock(&mut hub), now);
    log::rebuild_tasks(&hub.connection).unwrap();
    drop(hub);
    assert_eq!(clock(&mut home.open()), now);
}

#[test]
fn the_last_time_there_is_stops_nobody_from_writing() {
    let last = 253_402_207_200_999;
    let home = Home::new();
    let mut hub = home.open();
    let task = ulid();
    hub.exchange(
        "",
        &request(vec![operation("task.add", &task, (last, u32::MAX))]),
    )
    .unwrap();
    let (_home, mut spoke) = spoke();
    sync_with(&mut hub, &mut spoke);
    spoke.add("after the last", None, at(1)).unwrap();
    sync_with(&mut hub, &mut spoke);
    assert_eq!((spoke.pending().unwrap(), spoke.refused().unwrap()), (0, 0));
    assert!(titles(&hub).contains(&"after the last".to_owned()));
}

#[test]
fn a_reset_by_a_hub_that_was_told_nothing_changes_nothing() {
    let (_home, mut spoke) = spoke();
    spoke.add("kept", None, at(1)).unwrap();
    let mut hub = Home::new().open();
    let request = spoke.next_request(PageLimits::default()).unwrap();
    let answer = Response {
        reset: true,
        ..hub.exchange("", &request).unwrap()
    };
    spoke.apply(&request, &answer).unwrap();
    assert_eq!(spoke.pending().unwrap(), 1);
    assert_eq!(spoke.next_request(PageLimits::default()).unwrap(), request);
}

#[test]
fn an_answer_to_an_earlier_question_is_passed_over() {
    let mut hub = Home::new().open();
    let (_home, mut spoke) = spoke();
    spoke.add("one", None, at(1)).unwrap();
    let early = spoke.next_request(PageLimits::default()).unwrap();
    let answer = hub.exchange("", &early).unwrap();
    sync_with(&mut hub, &mut spoke);
    spoke.add("two", None, at(2)).unwrap();
    sync_with(&mut hub, &mut spoke);
    let now = spoke.next_request(PageLimits::default()).unwrap();
    spoke.apply(&early, &answer).unwrap();
    let reset = Response {
        reset: true,
        ..answer
    };
    spoke.apply(&early, &reset).unwrap();
    assert_eq!(spoke.next_request(PageLimits::default()).unwrap(), now);
    assert_eq!(spoke.pending().unwrap(), 0);
}

#[test]
fn a_hub_can_refuse_only_what_it_was_sent() {
    let mut hub = Home::new().open();
    let (_home, mut spoke) = spoke();
    spoke.add("one", None, at(1)).unwrap();
    let request = spoke.next_request(PageLimits::default()).unwrap();
    spoke.add("two", None, at(2)).unwrap();
    let later = spoke
        .next_request(PageLimits::default())
        .unwrap()
        .operations[1]
        .clone();
    let mut answer = hub.exchange("", &request).unwrap();
    for id in [later.id, ulid(), "no id".to_owned()] {
        let reason = "no".to_owned();
        answer.refused.push(RefusedOperation { id, reason });
    }
    spoke.apply(&request, &answer).unwrap();
    assert_eq!((spoke.pending().unwrap(), spoke.refused().unwrap()), (1, 0));
    sync_with(&mut hub, &mut spoke);
    assert_eq!(titles(&hub), ["one", "two"]);
}

#[test]
fn what_a_newer_hub_let_pass_is_kept_for_the_release_that_understands_it() {
    let mut hub = Home::new().open();
    let (_home, mut spoke) = spoke();
    let request = spoke.next_request(PageLimits::default()).unwrap();
    let mut answer = hub.exchange("", &request).unwrap();
    let mut long = adds(&ulid(), "");
    long.body
        .insert("title".to_owned(), "x".repeat(5000).into());
    answer.operations.push(long.clone());
    spoke.apply(&request, &answer).unwrap();
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
    assert!(
        hub.exchange("", &request(vec![newer]))
            .unwrap()
            .refused
            .is_empty()
    );
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
        let again = store.next_request(PageLimits::default()).unwrap();
        assert_eq!(again.operations.len(), 1);
        assert_eq!(send(&mut hub, "", &again).refused, []);
    }
}

#[test]
fn one_operation_too_large_to_send_does_not_hold_up_the_rest() {
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
    let request = store.next_request(PageLimits::default()).unwrap();
    assert!(serde_json::to_vec(&request).unwrap().len() < LARGEST_OPERATION);
    sync_with(&mut hub, &mut store);
    assert_eq!(titles(&hub), ["one", "two"]);
    assert_eq!((store.pending().unwrap(), store.refused().unwrap()), (0, 1));
}

#[test]
fn what_a_former_spoke_took_as_a_hub_goes_to_its_own_hub_later() {
    let mut hub = Home::new().open();
    let (_home, mut between) = spoke();
    between
        .exchange("", &request(vec![adds(&ulid(), "of a spoke")]))
        .unwrap();
    between
        .exchange("a b", &request(vec![adds(&ulid(), "of a user")]))
        .unwrap();
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
    let [mine, its] =
        [&spoke, &copied].map(|store| store.next_request(PageLimits::default()).unwrap());
    assert_ne!(mine.spoke, its.spoke);
    assert!(Ulid::from_string(&its.spoke).is_ok());
    assert_ne!(spoke.epoch().unwrap(), copied.epoch().unwrap());
}

#[test]
fn nobody_says_for_whom_an_operation_is_neither_a_spoke_without_a_user_nor_the_hub() {
    let mut hub = Home::new().open();
    let (_home, mut spoke) = spoke();
    let mut claims = adds(&ulid(), "claimed");
    claims.body.insert("user".to_owned(), "a b".into());
    let answer = hub.exchange("", &request(vec![claims.clone()])).unwrap();
    assert_eq!(answer.refused, []);
    assert!(fetched(&mut hub, "a b").is_empty());
    assert_eq!(fetched(&mut hub, ""), ["claimed"]);

    let request = spoke.next_request(PageLimits::default()).unwrap();
    let mut answer = hub.exchange("", &request).unwrap();
    answer.operations = vec![claims];
    spoke.apply(&request, &answer).unwrap();
    assert_eq!(titles(&spoke), ["claimed"]);
}
