//! Single cases of merging and of an exchange, from either side.

use std::slice;

use super::simulation::{World, small};
use super::sync::renew_identity;
use super::*;
use crate::error::Kind;
use crate::hephd::protocol::Position;

#[test]
fn two_users_never_see_each_others_tasks_even_if_the_ids_are_equal() {
    let home = Home::new();
    let mut hub = home.open();
    let task = ulid();
    let [one, other] = ["https://id.example one", "https://id.example other"];
    push(&mut hub, one, vec![adds(&task, "of one")]);
    push(&mut hub, other, vec![adds(&task, "of the other")]);
    let mut claims = adds(&task, "of the claimant");
    claims.body.insert("user".to_owned(), one.into());
    let response = push(&mut hub, other, vec![claims]);
    assert!(response.refused.is_empty());
    assert_eq!(fetched(&mut hub, one), ["of one"]);
    assert_eq!(
        fetched(&mut hub, other),
        ["of the other", "of the claimant"]
    );
    assert!(fetched(&mut hub, "").is_empty());
    assert!(hub.list(Which::All).unwrap().is_empty(), "the hub's owner");
    // The same after the tables were rebuilt.
    log::rebuild_tasks(&hub.connection, i64::MAX).unwrap();
    assert_eq!(fetched(&mut hub, one), ["of one"]);
}

#[test]
fn an_operation_id_of_another_user_blocks_nobody_and_reveals_nothing() {
    let home = Home::new();
    let mut hub = home.open();
    let operation = adds(&ulid(), "secret");
    push(&mut hub, "a b", vec![operation.clone()]);
    let again = hub.exchange("a b", &request(vec![operation.clone()]), at(0));
    assert!(again.unwrap().refused.is_empty(), "sent twice, taken once");
    let response = push(&mut hub, "a c", vec![operation.clone()]);
    assert!(response.refused.is_empty() && response.operations.is_empty());
    let position = response.sent.unwrap();
    assert_eq!((position.seq, &position.id), (1, &operation.id));
    let before = hub.operations().unwrap();
    let again = hub.exchange("a c", &request(vec![operation.clone()]), at(0));
    assert_eq!(
        again.unwrap().sent,
        Some(position),
        "known by the id it was sent as"
    );
    assert_eq!(hub.operations().unwrap(), before);
    assert_eq!(fetched(&mut hub, "a c"), ["secret"]);
    let mut changed = operation;
    changed.body.insert("title".to_owned(), "changed".into());
    let response = push(&mut hub, "a b", vec![changed]);
    assert!(response.refused[0].reason.contains("another operation"));
    assert_eq!(fetched(&mut hub, "a b"), ["secret"]);
}

#[test]
fn a_hub_that_begins_to_require_tokens_passes_on_what_it_had_before() {
    let home = Home::new();
    let mut hub = home.open();
    let [(_first, first), (_second, second)] = [spoke(), spoke()];
    let mut stores = [first, second];
    let task = stores[0].add("from before", None, at(1)).unwrap();
    let sync = |hub: &mut Store, spoke: &mut Store, user: &str| {
        sync_as(hub, user, spoke, PageLimits::default());
        assert_eq!(spoke.refused().unwrap(), 0);
    };
    sync(&mut hub, &mut stores[0], "");
    // The same person, now with a token, and another machine of theirs that is new to the hub.
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
fn an_invalid_operation_is_refused_and_the_others_are_taken() {
    let home = Home::new();
    let mut hub = home.open();
    let task = ulid();
    type Change = fn(&mut Operation);
    let cases: [(&str, Change); 12] = [
        ("id", |op| op.id = "../../etc".to_owned()),
        ("id", |op| op.id = op.id.to_lowercase()),
        ("task", |op| op.task.clear()),
        ("kind", |op| op.kind = String::new().into()),
        ("kind", |op| op.kind = "x".repeat(65).into()),
        ("kind", |op| op.kind = "a b".to_owned().into()),
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
    for (why, change) in cases {
        let mut invalid = adds(&task, "invalid");
        change(&mut invalid);
        let good = adds(&ulid(), why);
        let response = push(&mut hub, "", vec![invalid, good]);
        assert_eq!(response.refused.len(), 1, "{why}");
        let reason = &response.refused[0].reason;
        assert!(reason.contains(why), "{why}: {reason}");
    }
    assert_eq!(hub.operations().unwrap(), cases.len() as u64);
}

#[test]
fn a_kind_of_a_newer_release_passes_through_the_hub() {
    let mut world = World::new(3);
    let task = ulid();
    let mut newer = adds(&task, "painted");
    newer.kind = "task.paint".to_owned().into();
    let response = world.send("", &request(vec![newer.clone(), adds(&task, "a task")]));
    assert!(response.refused.is_empty());
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
fn a_hub_distinguishes_its_log_from_a_copy_and_from_another_log() {
    let mut world = World::new(3);
    world.write(0, 0, 0);
    world.sync(0);
    let now = world.spokes[0].1.next_request(small()).unwrap();
    assert!(!world.send("", &now).reset);
    let elsewhere = Position { seq: 1, id: ulid() };
    let beyond = Position {
        seq: u64::MAX,
        ..now.cursor.clone().unwrap()
    };
    for position in [elsewhere, beyond] {
        for change in [
            |request: &mut Request, position| request.cursor = Some(position),
            |request: &mut Request, position| request.sent = Some(position),
        ] {
            let mut request = now.clone();
            change(&mut request, position.clone());
            let response = world.send("", &request);
            assert!(response.reset && response.cursor.is_none(), "{request:?}");
        }
    }
    world.hub_store = None;
    renew_identity(&world.hub.store).unwrap();
    world.hub_store = Some(world.hub.open());
    assert!(world.send("", &now).reset);
}

#[test]
fn a_later_change_wins_even_if_the_clock_is_hours_behind() {
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
fn a_repeated_change_is_made_once_and_answered_alike() {
    let home = Home::new();
    let mut store = home.open();
    let task = store.add("one", None, at(1)).unwrap();
    let count = |store: &Store| store.operations().unwrap();
    let [edit, reopen, delete] = [(); 3].map(|()| Some(Ulid::generate()));
    let edited = store.edit(&task.id, "two", edit, at(2)).unwrap();
    assert_eq!(edited.title, "two");
    assert_eq!(store.edit(&task.id, "two", edit, at(3)).unwrap(), edited);
    let other = store.edit(&task.id, "three", edit, at(3));
    assert_eq!(other.unwrap_err().kind(), Kind::Conflict);
    store.done(&task.id, None, at(4)).unwrap();
    let reopened = store.reopen(&task.id, reopen, at(5)).unwrap();
    assert_eq!(reopened.state, State::Open);
    assert_eq!(store.reopen(&task.id, reopen, at(6)).unwrap(), reopened);
    let before = count(&store);
    let deleted = store.delete(&task.id, delete, at(7)).unwrap();
    assert_eq!(store.delete(&task.id, delete, at(8)).unwrap(), deleted);
    assert_eq!(count(&store), before + 1);
    let gone = store.done(&task.id, None, at(9));
    assert_eq!(gone.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(store.list(Which::All).unwrap(), []);
}

#[test]
fn a_restored_spoke_sends_everything_again() {
    let mut world = World::new(3);
    world.write(0, 0, 0);
    world.sync(0);
    let (home, store) = world.spokes.remove(0);
    let backup = home.sibling(".backup");
    write_copy(store.path(), &backup).unwrap();
    drop(store);
    make_newer(&home.connect(), 7, 7);
    restore(&home.store, &backup, at(0)).unwrap();
    let mut store = home.open();
    store.become_spoke().unwrap();
    assert_eq!(store.pending().unwrap(), store.operations().unwrap());
    // Three are those of the newer release. Their ids in this test are not ULIDs, so the hub refuses them.
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
    let task = ulid();
    home.with_schema_1(&task, 1_790_000_000_001, 1_790_000_000_002);
    let mut store = home.open();
    let tasks = store.list(Which::All).unwrap();
    assert_eq!(
        (tasks[0].title.as_str(), tasks[0].done_at),
        ("old", Some(at(2)))
    );
    // The wall clock is behind the log: the next operation is later all the same.
    let reopened = store.reopen(&task, None, at(0)).unwrap();
    assert_eq!(reopened.state, State::Open);
    let all = store.list(Which::All).unwrap();
    let task = all.iter().find(|found| found.id == task).unwrap();
    assert_eq!(task.state, State::Open);
}
