//! SIGKILL under constant writes: what was acknowledged is there, once, and the state is what the log says.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::support::daemon::Wire;
use crate::support::home::Home;
use crate::support::soak::times;

const ROUNDS: u64 = 20;
const WRITERS: u64 = 3;

#[test]
fn no_acknowledged_task_is_lost_to_twenty_kills() {
    let home = Home::new();
    let mut acknowledged = BTreeSet::new();
    let mut done = BTreeSet::new();
    let rounds = times(ROUNDS);
    for round in 0..rounds {
        let daemon = home.start("");
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let wire = Wire::open(&home.socket());
                thread::spawn(move || write_until_gone(wire, round, writer))
            })
            .collect();
        // Anywhere between the first writes and the middle of a checkpoint.
        thread::sleep(Duration::from_millis(10 + 37 * round % 170));
        daemon.kill();
        for writer in writers {
            let (added, finished) = writer.join().unwrap();
            acknowledged.extend(added);
            done.extend(finished);
        }
    }
    assert!(acknowledged.len() as u64 > rounds, "the writers did write");

    let daemon = home.start("");
    let mut wire = Wire::open(&home.socket());
    let listed = |wire: &mut Wire, state: &str| -> BTreeSet<String> {
        let tasks = wire.call("task.list", json!({ "state": state }));
        let tasks = tasks["tasks"].as_array().unwrap().clone();
        let ids: BTreeSet<String> = tasks
            .iter()
            .map(|task| task["id"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(ids.len(), tasks.len(), "no task twice");
        ids
    };
    let all = listed(&mut wire, "all");
    let lost: Vec<_> = acknowledged.difference(&all).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    let finished = listed(&mut wire, "done");
    assert!(done.is_subset(&finished), "a task done is open again");
    // Written, but the answer did not arrive: at most one operation in flight for each writer and round.
    assert!((all.len() - acknowledged.len()) as u64 <= rounds * WRITERS);
    daemon.stop();

    let store = rusqlite::Connection::open(home.store()).unwrap();
    let one = |sql: &str| {
        store
            .query_row(sql, [], |row| row.get::<_, String>(0))
            .unwrap()
    };
    assert_eq!(one("PRAGMA integrity_check"), "ok");
    let unequal = one(
        "SELECT count(*) || '' FROM tasks FULL JOIN (
           SELECT task AS id, body ->> 'title' AS title, created_at,
             (SELECT min(created_at) FROM ops AS done WHERE done.kind = 'task.done' AND done.task = ops.task) AS done_at
           FROM ops WHERE kind = 'task.add'
         ) AS logged USING (id)
         WHERE tasks.title IS NOT logged.title OR tasks.created_at IS NOT logged.created_at
            OR tasks.done_at IS NOT logged.done_at",
    );
    assert_eq!(unequal, "0", "the state is what the log says");
}

/// Adds tasks, and marks every third as done, until hephd is gone; returns what it acknowledged.
fn write_until_gone(mut wire: Wire, round: u64, writer: u64) -> (Vec<String>, Vec<String>) {
    let mut added = Vec::new();
    let mut done = Vec::new();
    for number in 0.. {
        let title = format!("round {round}, writer {writer}, number {number}");
        let Some(answer) = wire.ask("task.add", json!({ "title": title })) else {
            break;
        };
        let id = answer["result"]["task"]["id"].as_str().unwrap().to_owned();
        added.push(id.clone());
        if number % 3 == 0 {
            if wire.ask("task.done", json!({ "id": id })).is_none() {
                break;
            }
            done.push(id);
        }
    }
    (added, done)
}
