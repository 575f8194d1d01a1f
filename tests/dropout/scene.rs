//! Three spokes and a hub, and what must be true of them in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::writer::{Acknowledged, Writer};
use crate::support::old::daemon::{Daemon, Home, PATIENCE, Wire};

/// A machine with a hephd that may be down.
pub struct Machine {
    pub home: Home,
    flags: Vec<String>,
    environment: Vec<(String, String)>,
    daemon: Option<Daemon>,
}

impl Machine {
    pub fn new(flags: &[String]) -> Machine {
        Machine {
            home: Home::new(),
            flags: flags.to_vec(),
            environment: Vec::new(),
            daemon: None,
        }
    }

    /// Starts it in an environment that has this as well.
    pub fn with(mut self, environment: &[(&str, &str)]) -> Machine {
        let pairs = environment.iter();
        self.environment = pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        self
    }

    pub fn start(&mut self) {
        let mut hephd = self.home.hephd();
        hephd.args(&self.flags);
        hephd.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let daemon = Daemon::start(hephd, &self.home.path).until_ready(&self.home.socket());
        self.daemon = Some(daemon);
    }

    /// Has `hephd` started with other flags next time.
    pub fn flags(&mut self, flags: &[String]) {
        self.flags = flags.to_vec();
    }

    pub fn kill(&mut self) {
        self.daemon.take().unwrap().kill();
    }

    pub fn stop(&mut self) {
        self.daemon.take().unwrap().stop();
    }

    pub fn stand_still(&self) {
        self.daemon.as_ref().unwrap().signal(Signal::STOP);
    }

    pub fn go_on(&self) {
        self.daemon.as_ref().unwrap().signal(Signal::CONT);
    }

    pub fn log(&self) -> String {
        self.daemon.as_ref().map(Daemon::log).unwrap_or_default()
    }

    pub fn socket(&self) -> PathBuf {
        self.home.socket()
    }

    pub fn heph(&self, arguments: &[&str]) -> Command {
        let mut heph = self.home.heph();
        heph.args(arguments);
        heph
    }

    /// Returns the result of a call that must succeed.
    #[track_caller]
    pub fn call(&self, method: &str, params: Value) -> Value {
        Wire::open(&self.socket()).call(method, params)
    }

    #[track_caller]
    pub fn add(&self, title: &str) -> String {
        let added = self.call("task.add", json!({ "title": title }));
        added["task"]["id"].as_str().unwrap().to_owned()
    }

    /// Returns the tasks by their ids.
    #[track_caller]
    pub fn tasks(&self) -> BTreeMap<String, Value> {
        let listed = self.call("task.list", json!({ "state": "all" }));
        let listed = listed["tasks"].as_array().unwrap().clone();
        let count = listed.len();
        let tasks: BTreeMap<_, _> = listed
            .into_iter()
            .map(|task| (task["id"].as_str().unwrap().to_owned(), task))
            .collect();
        assert_eq!(tasks.len(), count, "no task twice");
        tasks
    }

    /// Returns the title of each task, sorted.
    #[track_caller]
    pub fn titles(&self) -> Vec<String> {
        let tasks = self.tasks().into_values();
        let mut titles: Vec<_> = tasks
            .map(|task| task["title"].as_str().unwrap().to_owned())
            .collect();
        titles.sort();
        titles
    }

    /// Has it sync, and waits for that: a hub that was away may need more than one try.
    #[track_caller]
    pub fn sync(&self) {
        let until = Instant::now() + 4 * PATIENCE;
        loop {
            let output = self.heph(&["sync", "now"]).output().unwrap();
            if output.status.success() {
                return;
            }
            let error = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(75), "{error}{}", self.log());
            assert!(Instant::now() < until, "{error}{}", self.log());
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// A hub and its spokes.
pub struct Scene {
    pub hub: Machine,
    pub spokes: Vec<Machine>,
    /// Where the hub listens.
    pub address: String,
}

impl Scene {
    /// Starts a hub and three spokes.
    pub fn start() -> Scene {
        let mut scene = Scene::prepared();
        scene.each(Machine::start);
        scene
    }

    /// Returns the same, with nothing started yet.
    pub fn prepared() -> Scene {
        let address = free_address();
        let flags = ["--mode=server".to_owned(), format!("--http-addr={address}")];
        let spokes = (0..3).map(|_| Machine::new(&[format!("--hub-url=http://{address}")]));
        Scene {
            hub: Machine::new(&flags),
            spokes: spokes.collect(),
            address,
        }
    }

    pub fn each(&mut self, mut act: impl FnMut(&mut Machine)) {
        act(&mut self.hub);
        self.spokes.iter_mut().for_each(act);
    }

    pub fn machines(&self) -> impl Iterator<Item = &Machine> {
        std::iter::once(&self.hub).chain(&self.spokes)
    }

    /// Returns the machine of that number; the hub is the last one.
    pub fn machine(&mut self, number: usize) -> &mut Machine {
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
            self.spokes.iter().for_each(Machine::sync);
        }
    }

    /// Waits until all stores hold the same tasks, and so many at least, without a word to anybody.
    #[track_caller]
    pub fn wait_until_equal(&self, least: usize) {
        let until = Instant::now() + 8 * PATIENCE;
        loop {
            let tasks = self.hub.tasks();
            if tasks.len() >= least && self.spokes.iter().all(|spoke| spoke.tasks() == tasks) {
                return;
            }
            assert!(Instant::now() < until, "{}", self.logs());
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn logs(&self) -> String {
        let logs: Vec<_> = self.machines().map(Machine::log).collect();
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
        self.each(Machine::stop);
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
fn logged(machine: &Machine) -> Vec<(String, String, String)> {
    let store = Connection::open(machine.home.store()).unwrap();
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

/// Returns an address that stays free until it is used again: no connection that the kernel gives a port of its own is on
/// this one of the addresses of loopback.
pub fn free_address() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let [.., high, low] = std::process::id().to_be_bytes();
    let address = format!("127.{}.{high}.{low}", 16 + number % 200);
    let listener = TcpListener::bind((address.as_str(), 0)).unwrap();
    listener.local_addr().unwrap().to_string()
}
