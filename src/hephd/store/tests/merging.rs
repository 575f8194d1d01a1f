//! Single cases of merging and of an exchange, from either side.

use std::collections::BTreeMap;
use std::slice;

use super::sync::begin_another_epoch;
use super::world::{World, small};
use super::*;
use crate::hephd::sync::wire::{Next, Operation, Page, Place, Request};

pub fn request(operations: Vec<Operation>) -> Request {
    Request {
        schema: 1,
        version: "1.2.3".to_owned(),
        spoke: Ulid::generate().to_string(),
        epoch: None,
        cursor: None,
        sent: None,
        operations,
    }
}

pub fn adds(task: &str, title: &str) -> Operation {
    Operation {
        id: Ulid::generate().to_string(),
        kind: "task.add".to_owned(),
        task: task.to_owned(),
        body: json(&format!(r#"{{"title":"{title}","clock":[5,0]}}"#)),
        created_at: 5,
    }
}

pub fn json(text: &str) -> serde_json::Map<String, serde_json::Value> {
    serde_json::from_str(text).unwrap()
}

pub fn fetched(hub: &mut Store, user: &str) -> Vec<String> {
    let answer = hub.exchange(user, &request(Vec::new())).unwrap();
    answer
        .operations
        .iter()
        .map(|operation| {
            assert!(!operation.body.contains_key("user"));
            operation.body["title"].as_str().unwrap().to_owned()
        })
        .collect()
}

#[test]
fn two_users_never_meet_not_even_by_the_ids_of_tasks() {
    let home = Home::new();
    let mut hub = home.open();
    let task = Ulid::generate().to_string();
    let [one, other] = ["https://id.example one", "https://id.example other"];
    hub.exchange(one, &request(vec![adds(&task, "of one")]))
        .unwrap();
    hub.exchange(other, &request(vec![adds(&task, "of the other")]))
        .unwrap();
    let mut claims = adds(&task, "of nobody");
    claims.body.insert("user".to_owned(), one.into());
    let answer = hub.exchange(other, &request(vec![claims])).unwrap();
    assert!(answer.refused.is_empty());
    assert_eq!(fetched(&mut hub, one), ["of one"]);
    assert_eq!(fetched(&mut hub, other), ["of the other", "of nobody"]);
    assert!(fetched(&mut hub, "").is_empty());
    assert!(hub.list(Which::All).unwrap().is_empty(), "the hub's owner");
    // And the same after the state was derived anew.
    log::derive_anew(&hub.connection).unwrap();
    assert_eq!(fetched(&mut hub, one), ["of one"]);
}

#[test]
fn an_operation_id_of_another_user_is_no_obstacle_and_says_nothing_of_that_one() {
    let home = Home::new();
    let mut hub = home.open();
    let operation = adds(&Ulid::generate().to_string(), "secret");
    hub.exchange("a b", &request(vec![operation.clone()]))
        .unwrap();
    let again = hub.exchange("a b", &request(vec![operation.clone()]));
    assert!(again.unwrap().refused.is_empty(), "sent twice, taken once");
    let answer = hub
        .exchange("a c", &request(vec![operation.clone()]))
        .unwrap();
    assert!(answer.refused.is_empty() && answer.operations.is_empty());
    let place = answer.sent.unwrap();
    assert_ne!(place.id, operation.id);
    let before = hub.operations().unwrap();
    let again = hub.exchange("a c", &request(vec![operation.clone()]));
    assert_eq!(
        again.unwrap().sent,
        Some(place),
        "known by the id it has here"
    );
    assert_eq!(hub.operations().unwrap(), before);
    assert_eq!(fetched(&mut hub, "a c"), ["secret"]);
    let mut changed = operation;
    changed.body.insert("title".to_owned(), "changed".into());
    let answer = hub.exchange("a b", &request(vec![changed])).unwrap();
    assert!(answer.refused[0].reason.contains("another operation"));
    assert_eq!(fetched(&mut hub, "a b"), ["secret"]);
}

#[test]
fn a_hub_that_begins_to_ask_for_tokens_passes_on_what_it_had_before() {
    let (home, first, second) = (Home::new(), Home::new(), Home::new());
    let mut hub = home.open();
    let mut stores = [first.open(), second.open()];
    for store in &mut stores {
        store.become_spoke().unwrap();
    }
    let task = stores[0].add("from before", None, at(1)).unwrap();
    let sync = |hub: &mut Store, spoke: &mut Store, user: &str| {
        for _ in 0..10 {
            let request = spoke.next_request(Page::default()).unwrap();
            let answer = hub.exchange(user, &request).unwrap();
            assert!(answer.refused.is_empty(), "{:?}", answer.refused);
            if spoke.apply(&request, &answer).unwrap() == Next::Done && !answer.reset {
                return;
            }
        }
        panic!("it never ends");
    };
    sync(&mut hub, &mut stores[0], "");
    // The same person, by a token now; and another machine of theirs, which the hub has never seen.
    sync(&mut hub, &mut stores[0], "https://id.example me");
    sync(&mut hub, &mut stores[1], "https://id.example me");
    let tasks = stores[1].list(Which::All).unwrap();
    assert_eq!(tasks, slice::from_ref(&task));
    stores[1].done(&task.id, None, at(2)).unwrap();
    sync(&mut hub, &mut stores[1], "https://id.example me");
    sync(&mut hub, &mut stores[0], "https://id.example me");
    let tasks = stores[0].list(Which::All).unwrap();
    assert_eq!((tasks.len(), tasks[0].state), (1, State::Done));
}

#[test]
fn what_is_no_operation_is_refused_alone() {
    let home = Home::new();
    let mut hub = home.open();
    let task = Ulid::generate().to_string();
    type Spoil = fn(&mut Operation);
    let cases: [(&str, Spoil); 12] = [
        ("id", |op| op.id = "../../etc".to_owned()),
        ("id", |op| op.id = op.id.to_lowercase()),
        ("task", |op| op.task.clear()),
        ("kind", |op| op.kind.clear()),
        ("kind", |op| op.kind = "x".repeat(65)),
        ("kind", |op| op.kind = "a b".to_owned()),
        ("time", |op| op.created_at = i64::MAX),
        ("clock", |op| {
            drop(op.body.insert("clock".to_owned(), "now".into()))
        }),
        ("clock", |op| op.body.extend(json(r#"{"clock":[-1,0]}"#))),
        ("clock", |op| {
            op.body.extend(json(r#"{"clock":[9223372036854775807,0]}"#))
        }),
        ("title", |op| {
            op.body.extend(json(r#"{"title":"a\u001bb"}"#))
        }),
        ("bytes", |op| {
            drop(op.body.insert("x".to_owned(), "x".repeat(70_000).into()))
        }),
    ];
    for (why, spoil) in cases {
        let mut spoilt = adds(&task, "spoilt");
        spoil(&mut spoilt);
        let good = adds(&Ulid::generate().to_string(), why);
        let answer = hub.exchange("", &request(vec![spoilt, good])).unwrap();
        assert_eq!(answer.refused.len(), 1, "{why}");
        let reason = &answer.refused[0].reason;
        assert!(reason.contains(why), "{why}: {reason}");
    }
    assert_eq!(hub.operations().unwrap(), cases.len() as u64);
}

#[test]
fn a_kind_of_a_newer_release_passes_through_the_hub() {
    let mut world = World::new(3);
    let task = Ulid::generate().to_string();
    let mut newer = adds(&task, "painted");
    newer.kind = "task.paint".to_owned();
    let answer = world.exchange("", &request(vec![newer.clone(), adds(&task, "a task")]));
    assert!(answer.refused.is_empty());
    world.settle();
    let (_, store) = &world.spokes[0];
    assert!(log::find(&store.connection, &newer.id).unwrap().is_some());
    assert_eq!(store.list(Which::All).unwrap().len(), 1);
}

#[test]
fn a_spoke_that_had_tasks_before_it_had_a_hub_sends_them_all() {
    let mut world = World::new(3);
    let home = Home::new();
    let before = home.with(&["one", "two"]);
    let mut store = home.open();
    store.become_spoke().unwrap();
    assert_eq!(store.pending().unwrap(), 2);
    world.spokes[0] = (home, store);
    assert!(world.settle().iter().all(|tasks| *tasks == before));
}

#[test]
fn the_hub_tells_its_life_from_that_of_a_copy_and_of_another_log() {
    let mut world = World::new(3);
    world.write(0, 0, 0);
    world.sync(0);
    let now = world.spokes[0].1.next_request(small()).unwrap();
    assert!(!world.exchange("", &now).reset);
    let elsewhere = Place {
        seq: 1,
        id: Ulid::generate().to_string(),
    };
    let beyond = Place {
        seq: u64::MAX,
        ..now.cursor.clone().unwrap()
    };
    for place in [elsewhere, beyond] {
        for change in [
            |request: &mut Request, place| request.cursor = Some(place),
            |request: &mut Request, place| request.sent = Some(place),
        ] {
            let mut request = now.clone();
            change(&mut request, place.clone());
            let answer = world.exchange("", &request);
            assert!(answer.reset && answer.cursor.is_none(), "{request:?}");
        }
    }
    world.hub_store = None;
    begin_another_epoch(&world.hub.store).unwrap();
    world.hub_store = Some(world.hub.open());
    assert!(world.exchange("", &now).reset);
}

#[test]
fn a_later_change_wins_also_where_the_clock_is_hours_behind() {
    let mut world = World::new(3);
    // The third machine is hours ahead of the second.
    world.write(2, 0, 0);
    world.sync(2);
    world.sync(1);
    let task = world.spokes[1].1.list(Which::All).unwrap()[0].clone();
    let now = world.now(1);
    world.spokes[1]
        .1
        .edit(&task.id, "seen and changed", None, now)
        .unwrap();
    for tasks in world.settle() {
        assert_eq!(tasks[0].title, "seen and changed");
    }
}

#[test]
fn a_retried_change_is_made_once_and_answered_alike() {
    let home = Home::new();
    let mut store = home.open();
    let task = store.add("one", None, at(1)).unwrap();
    let count = |store: &Store| store.operations().unwrap();
    let [edit, reopen, delete] = [(); 3].map(|()| Some(Ulid::generate()));
    let edited = store.edit(&task.id, "two", edit, at(2)).unwrap();
    assert_eq!(edited.title, "two");
    assert_eq!(store.edit(&task.id, "two", edit, at(3)).unwrap(), edited);
    let other = store.edit(&task.id, "three", edit, at(3));
    assert!(matches!(other, Err(Refusal::OperationReused(_))));
    store.done(&task.id, None, at(4)).unwrap();
    let reopened = store.reopen(&task.id, reopen, at(5)).unwrap();
    assert_eq!(reopened.state, State::Open);
    assert_eq!(store.reopen(&task.id, reopen, at(6)).unwrap(), reopened);
    let before = count(&store);
    let deleted = store.delete(&task.id, delete, at(7)).unwrap();
    assert_eq!(store.delete(&task.id, delete, at(8)).unwrap(), deleted);
    assert_eq!(count(&store), before + 1);
    let gone = store.done(&task.id, None, at(9));
    assert!(matches!(gone, Err(Refusal::NoTask(_))));
    assert_eq!(store.list(Which::All).unwrap(), []);
}

#[test]
fn a_restored_spoke_sends_everything_again() {
    let mut world = World::new(3);
    world.write(0, 0, 0);
    world.sync(0);
    let (home, store) = world.spokes.remove(0);
    let backup = home.beside(".backup");
    write_copy(store.path(), &backup).unwrap();
    drop(store);
    make_newer(&home.connect(), 7, 7);
    restore(&home.store, &backup, at(0)).unwrap();
    let mut store = home.open();
    store.become_spoke().unwrap();
    assert_eq!(store.pending().unwrap(), store.operations().unwrap());
    // What only the newer release had is among it; its ids are no ULIDs in this test, so the hub refuses them.
    world.spokes.insert(0, (home, store));
    world.sync(0);
    let store = &world.spokes[0].1;
    assert_eq!((store.pending().unwrap(), store.refused().unwrap()), (0, 3));
    let hub = world.hub_store.as_ref().unwrap();
    assert_eq!(hub.list(Which::All).unwrap().len(), 1);
}

#[test]
fn tasks_of_a_store_without_clocks_are_kept_and_merge_by_their_times() {
    let home = Home::new();
    let first = Connection::open(&home.store).unwrap();
    first.execute_batch(STEPS[0].sql).unwrap();
    first
        .execute("UPDATE meta SET schema = 1, oldest_reader = 1", [])
        .unwrap();
    drop(first);
    let [add, done, task] = [(); 3].map(|()| Ulid::generate().to_string());
    home.connect()
        .execute_batch(&format!(
            "INSERT INTO ops (id, kind, task, body, created_at) VALUES
               ('{add}', 'task.add', '{task}', '{{\"title\":\"old\"}}', 1790000000001),
               ('{done}', 'task.done', '{task}', '{{}}', 1790000000002);"
        ))
        .unwrap();
    let mut store = home.open();
    let tasks = store.list(Which::All).unwrap();
    assert_eq!(
        (tasks[0].title.as_str(), tasks[0].done_at),
        ("old", Some(at(2)))
    );
    // The wall clock stands before what the log has: the next operation is later all the same.
    let reopened = store.reopen(&task, None, at(0)).unwrap();
    assert_eq!(reopened.state, State::Open);
    let all: BTreeMap<_, _> = store
        .list(Which::All)
        .unwrap()
        .into_iter()
        .map(|task| (task.id.clone(), task))
        .collect();
    assert_eq!(all[&task].state, State::Open);
}
