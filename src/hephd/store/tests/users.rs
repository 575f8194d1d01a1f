//! Users of a hub: what each sees of the log is as if the hub had no other.

use std::slice;

use proptest::prelude::*;

use super::*;
use crate::hephd::protocol::{LARGEST_OPERATION, Position};

const A: &str = "https://id.example a";
const B: &str = "https://id.example b";

/// Returns the answer as far as it is not of the hub alone.
fn seen(response: Response) -> Response {
    Response {
        epoch: String::new(),
        ..response
    }
}

/// One spoke that remembers nothing but its positions.
#[derive(Clone, Default)]
struct Positions {
    cursor: Option<Position>,
    sent: Option<Position>,
}

impl Positions {
    fn exchange(&mut self, hub: &mut Store, user: &str, operations: Vec<Operation>) -> Response {
        let request = Request {
            spoke: "01A".to_owned(),
            cursor: self.cursor.clone(),
            sent: self.sent.clone(),
            ..request(operations)
        };
        let response = send(hub, user, &request);
        (self.cursor, self.sent) = (response.cursor.clone(), response.sent.clone());
        response
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_user_sees_what_a_hub_without_other_users_would_say(
        turns in proptest::collection::vec((any::<bool>(), 0..4_usize, any::<bool>()), 1..24),
    ) {
        let homes = [Home::new(), Home::new()];
        let [mut shared, mut alone] = homes.each_ref().map(Home::open);
        let mut pool: Vec<Operation> = Vec::new();
        // Of `A`, on the hub that `B` uses as well and on the other; and of `B`.
        let [mut of_a, mut of_a_alone, mut of_b] = [(); 3].map(|()| Positions::default());
        for (is_a, count, again) in turns {
            // Operations with ids of their own, or those that anybody has sent before.
            let operations: Vec<Operation> = if again && !pool.is_empty() {
                pool.iter().rev().take(count).cloned().collect()
            } else {
                (0..count).map(|_| adds(&ulid(), "a task")).collect()
            };
            pool.extend(operations.clone());
            if is_a {
                let here = of_a.exchange(&mut shared, A, operations.clone());
                let there = of_a_alone.exchange(&mut alone, A, operations);
                prop_assert_eq!(seen(here), seen(there));
            } else {
                of_b.exchange(&mut shared, B, operations);
            }
        }
        let fresh = |hub: &mut Store| seen(Positions::default().exchange(hub, A, Vec::new()));
        prop_assert_eq!(fresh(&mut shared), fresh(&mut alone));
    }
}

#[test]
fn each_user_has_numbers_of_its_own() {
    let home = Home::new();
    let mut hub = home.open();
    for number in 1..=3 {
        for user in [A, B] {
            let operation = adds(&ulid(), "a task");
            let id = operation.id.clone();
            let sent = push(&mut hub, user, vec![operation]).sent;
            assert_eq!(sent, Some(Position { seq: number, id }), "{user}");
        }
    }
    let cursor = push(&mut hub, B, Vec::new()).cursor.unwrap();
    assert_eq!(cursor.seq, 3);
    // Those of the owner are those of the log, which the owner can read anyway.
    let sent = push(&mut hub, "", vec![adds(&ulid(), "a task")]).sent;
    assert_eq!(sent.unwrap().seq, 7);
}

#[test]
fn an_operation_as_large_as_may_be_keeps_its_id_and_is_passed_on_where_another_user_has_it() {
    let home = Home::new();
    let mut hub = home.open();
    let mut operation = adds(&ulid(), "large");
    let pad = |bytes: usize| serde_json::Value::from("x".repeat(bytes));
    operation.body.insert("pad".to_owned(), pad(0));
    operation.body.insert("user".to_owned(), B.into());
    let used = serde_json::to_string(&operation.body).unwrap().len();
    operation
        .body
        .insert("pad".to_owned(), pad(LARGEST_OPERATION - used));
    operation.body.remove("user");
    for user in [A, B] {
        let response = push(&mut hub, user, vec![operation.clone()]);
        assert!(response.refused.is_empty(), "{user}");
        // Another spoke gets it as it was sent.
        let fetched = push(&mut hub, user, Vec::new());
        assert_eq!(fetched.operations, slice::from_ref(&operation), "{user}");
        assert_eq!(fetched.cursor.unwrap().id, operation.id);
    }
}

/// Adds an operation of `user` as release 0.1.0 does, which knows no accounts.
fn adds_as_0_1_0(home: &Home, user: &str) -> Position {
    let connection = home.connect();
    let id = ulid();
    connection
        .execute(
            "INSERT INTO ops (id, kind, task, body, created_at) VALUES (?1, 'task.add', ?1, ?2, 5)",
            [
                &id,
                &format!(r#"{{"clock":[5,0],"title":"of 0.1.0","user":"{user}"}}"#),
            ],
        )
        .unwrap();
    let seq = connection.last_insert_rowid();
    connection
        .execute(
            "INSERT INTO user_ops (user, seq) VALUES (?1, ?2)",
            (user, seq),
        )
        .unwrap();
    Position {
        seq: seq.unsigned_abs(),
        id,
    }
}

fn usage(store: &Store, user: &str) -> accounts::Usage {
    accounts::usage(&store.connection, user).unwrap()
}

#[test]
fn what_spokes_know_of_a_hub_of_0_1_0_stays_right() {
    let home = Home::new();
    drop(home.open());
    let known = [A, B, A, B].map(|user| adds_as_0_1_0(&home, user));
    let mut hub = home.open();
    let mut spoke = Positions {
        cursor: Some(known[1].clone()),
        sent: Some(known[3].clone()),
    };
    let operation = adds(&ulid(), "new");
    let response = spoke.exchange(&mut hub, B, vec![operation.clone()]);
    assert!(!response.reset, "it need not fetch everything again");
    assert_eq!(response.operations.len(), 1);
    // Its numbers go on from there, whatever the other user does.
    push(&mut hub, A, vec![adds(&ulid(), "between")]);
    assert_eq!(response.sent.unwrap().seq, known[3].seq + 1);
    let next = spoke.exchange(&mut hub, B, vec![adds(&ulid(), "newer")]);
    assert_eq!(next.sent.unwrap().seq, known[3].seq + 2);
    assert_eq!(usage(&hub, B).operations, 4);
}

#[test]
fn accounts_stay_right_while_0_1_0_has_the_store() {
    let home = Home::new();
    let mut hub = home.open();
    push(
        &mut hub,
        A,
        vec![adds(&ulid(), "one"), adds(&ulid(), "two")],
    );
    let before = usage(&hub, A);
    assert_eq!(before.operations, 2);
    assert!(before.bytes > 2 * 256, "{before:?}");
    drop(hub);
    adds_as_0_1_0(&home, A);
    // What it does when it restores a backup.
    home.connect()
        .execute_batch(
            "CREATE TEMP TABLE kept AS SELECT user, seq FROM user_ops; DELETE FROM user_ops;
             INSERT INTO user_ops (user, seq) SELECT user, seq FROM kept ORDER BY seq;",
        )
        .unwrap();
    let mut hub = home.open();
    assert_eq!(usage(&hub, A).operations, 3);
    let titles = fetched(&mut hub, A);
    assert_eq!(titles, ["one", "two", "of 0.1.0"]);
    let operation = adds(&ulid(), "three");
    let bytes = usage(&hub, A).bytes;
    push(&mut hub, A, vec![operation]);
    let after = usage(&hub, A);
    assert_eq!(after.operations, 4);
    assert!(after.bytes > bytes && bytes > before.bytes);
    let numbers = home.connect();
    let mut numbers = numbers
        .prepare("SELECT number FROM user_ops ORDER BY seq")
        .unwrap();
    let numbers: Vec<i64> = numbers
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(numbers.is_sorted() && numbers[0] > 0, "{numbers:?}");
}

#[test]
fn an_operation_that_0_1_0_renamed_is_known_when_it_is_sent_again() {
    let home = Home::new();
    let mut hub = home.open();
    let operation = adds(&ulid(), "twice");
    push(&mut hub, A, vec![operation.clone()]);
    push(&mut hub, B, vec![operation.clone()]);
    drop(hub);
    // Release 0.1.0 did not note what it was sent as.
    home.connect()
        .execute_batch(
            "DROP TRIGGER ops_are_never_changed;
             UPDATE ops SET body = json_remove(body, '$.sent_as');
             CREATE TRIGGER ops_are_never_changed BEFORE UPDATE ON ops
               BEGIN SELECT raise(ABORT, 'operations are never changed'); END;",
        )
        .unwrap();
    let mut hub = home.open();
    let before = hub.operations().unwrap();
    let again = push(&mut hub, B, vec![operation]);
    assert_eq!(
        (again.refused.len(), hub.operations().unwrap()),
        (0, before)
    );
}
