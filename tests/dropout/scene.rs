//! Three spokes and a hub, and what must be true of them in the end.

use std::collections::BTreeSet;

use rusqlite::Connection;
use serde_json::json;

use super::writer::{Acknowledged, Writer};
use crate::support::node::Node;
use crate::support::wait::{PATIENCE, until};

/// Has `spoke` sync, and waits for that: a hub that was away may need more than one try.
#[track_caller]
pub fn sync(spoke: &Node) {
    until(4 * PATIENCE, || {
        let ended = spoke.heph("sync now").ends();
        assert!([0, 75].contains(&ended.code), "{ended}{}", spoke.log());
        match ended.code {
            0 => Ok(()),
            _ => Err(format!("{ended}{}", spoke.log())),
        }
    });
}

/// Adds a task on the socket; returns its id.
#[track_caller]
pub fn add(node: &Node, title: &str) -> String {
    let added = node.call("task.add", json!({ "title": title }));
    added["task"]["id"].as_str().unwrap().to_owned()
}

/// A hub and its spokes.
pub struct Scene {
    pub hub: Node,
    pub spokes: Vec<Node>,
}

impl Scene {
    /// Starts a hub and three spokes.
    pub fn start() -> Scene {
        let mut scene = Scene::prepared();
        scene.each(Node::start);
        scene
    }

    /// Returns the same, with nothing started yet.
    pub fn prepared() -> Scene {
        let hub = Node::hub_down();
        let flag = format!("--hub-url={}", hub.url());
        Scene {
            spokes: (0..3).map(|_| Node::down(&flag)).collect(),
            hub,
        }
    }

    pub fn each(&mut self, mut act: impl FnMut(&mut Node)) {
        act(&mut self.hub);
        self.spokes.iter_mut().for_each(act);
    }

    pub fn machines(&self) -> impl Iterator<Item = &Node> {
        std::iter::once(&self.hub).chain(&self.spokes)
    }

    /// Returns the machine of that number; the hub is the last one.
    pub fn machine(&mut self, number: usize) -> &mut Node {
        let hub = &mut self.hub;
        self.spokes.get_mut(number).unwrap_or(hub)
    }

    /// Starts a writer at every machine.
    pub fn writers(&self) -> Vec<Writer> {
        let machines = self.machines().enumerate();
        machines
            .map(|(number, machine)| Writer::start(&machine.socket(), number as u64))
            .collect()
    }

    /// Has every spoke sync with the hub until each has what the others had.
    #[track_caller]
    pub fn sync(&self) {
        // First all send, then all fetch.
        for _ in 0..2 {
            self.spokes.iter().for_each(sync);
        }
    }

    /// Waits until all stores hold the same tasks, and so many at least, without a word to anybody.
    #[track_caller]
    pub fn wait_until_equal(&self, least: usize) {
        until(8 * PATIENCE, || {
            let tasks = self.hub.tasks();
            let equal = self.spokes.iter().all(|spoke| spoke.tasks() == tasks);
            match tasks.len() >= least && equal {
                true => Ok(()),
                false => Err(self.logs()),
            }
        });
    }

    fn logs(&self) -> String {
        let logs: Vec<_> = self.machines().map(Node::log).collect();
        logs.join("--\n")
    }

    /// Checks that all stores hold the same, and what was acknowledged exactly once; then ends the scene.
    #[track_caller]
    pub fn check(mut self, acknowledged: &Acknowledged) {
        let tasks = self.hub.tasks();
        for (number, spoke) in self.spokes.iter().enumerate() {
            let theirs = spoke.tasks();
            assert_eq!(theirs.len(), tasks.len(), "spoke {number}\n{}", self.logs());
            assert_eq!(theirs, tasks, "spoke {number}");
            let status = spoke.call("sync.status", json!({}));
            assert_eq!(status["pending"], 0, "{status}");
            assert_eq!(status["refused"], 0, "{status}");
        }
        self.each(Node::stop);
        let log = logged(&self.hub);
        for spoke in &self.spokes {
            assert_eq!(logged(spoke), log, "the logs hold the same operations");
        }
        let ids: BTreeSet<&str> = log.iter().map(|(id, ..)| id.as_str()).collect();
        assert_eq!(ids.len(), log.len(), "no operation twice");
        let lost: Vec<_> = acknowledged
            .operations
            .iter()
            .filter(|id| !ids.contains(id.as_str()))
            .collect();
        assert!(lost.is_empty(), "lost: {lost:?}");
        let about = |wanted: &str| -> BTreeSet<&str> {
            let of_kind = log.iter().filter(|(_, kind, _)| kind == wanted);
            of_kind.map(|(_, _, task)| task.as_str()).collect()
        };
        let visible: BTreeSet<&str> = &about("task.add") - &about("task.delete");
        let listed: BTreeSet<&str> = tasks.keys().map(String::as_str).collect();
        assert_eq!(listed, visible, "the tasks are those of the log");
    }
}

/// Returns the operations of a store that nobody has open, by id: each with its kind and its task.
fn logged(machine: &Node) -> Vec<(String, String, String)> {
    let store = Connection::open(machine.store()).unwrap();
    let check: String = store
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
    let mut statement = store
        .prepare("SELECT id, kind, task FROM ops ORDER BY id")
        .unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    rows.unwrap().map(Result::unwrap).collect()
}
