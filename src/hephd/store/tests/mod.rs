//! The store as a whole, with real files.

mod clocks;
mod damage;
mod faults;
mod listing;
mod merging;
mod opening;
mod receiving;
mod restoring;
mod simulation;
mod tasks;
mod undeleting;
mod users;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use ulid::Ulid;

use super::*;
use crate::client::wire::{State, Task, Which};
use crate::hephd::protocol::{Operation, PageLimits, Request, Response};

/// A folder with an odd name, for one store.
struct Home {
    _folder: tempfile::TempDir,
    store: PathBuf,
}

impl Home {
    fn new() -> Home {
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join("a b%20c&d'\"e?f#g ž");
        fs::create_dir(&odd).unwrap();
        Home {
            store: odd.join("heph.db"),
            _folder: folder,
        }
    }

    fn sibling(&self, suffix: &str) -> PathBuf {
        file::sibling(&self.store, suffix)
    }

    /// Opens it. A child process that another test has just forked holds our descriptors, and so the lock of a store that
    /// was closed meanwhile, until it executes its program.
    fn open(&self) -> Store {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            match Store::open(&self.store, |_, _| {}) {
                Err(error)
                    if error.to_string().contains("another hephd") && Instant::now() < until =>
                {
                    thread::sleep(Duration::from_millis(5));
                }
                opened => return opened.unwrap(),
            }
        }
    }

    /// Creates the store and returns its tasks after adding `titles`.
    fn with(&self, titles: &[&str]) -> Vec<Task> {
        let mut store = self.open();
        for title in titles {
            store.add(title, None, at(1)).unwrap();
        }
        store.list(Which::All).unwrap()
    }

    fn connect(&self) -> Connection {
        file::open_writable(&self.store).unwrap()
    }

    /// Returns the names and contents of all files of the store, except the lock and the index of the write-ahead log.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<_> = fs::read_dir(self.store.parent().unwrap())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file())
            .map(|path| {
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                (name, fs::read(path).unwrap())
            })
            .filter(|(name, _)| !name.ends_with(".lock") && !name.ends_with("-shm"))
            .collect();
        files.sort();
        files
    }

    /// Creates a store of schema 1 with a task that was added and done at these times.
    fn with_schema_1(&self, task: &str, added: i64, done: i64) {
        let first = Connection::open(&self.store).unwrap();
        first.execute_batch(STEPS[0].sql).unwrap();
        first
            .execute_batch(&format!(
                "UPDATE meta SET schema = 1, oldest_reader = 1;
                 INSERT INTO ops (id, kind, task, body, created_at) VALUES
                   ('{}', 'task.add', '{task}', '{{\"title\":\"old\"}}', {added}),
                   ('{}', 'task.done', '{task}', '{{}}', {done});",
                ulid(),
                ulid()
            ))
            .unwrap();
    }
}

impl Store {
    /// Returns all tasks, in pages of two.
    fn list(&self, which: Which) -> Result<Vec<Task>> {
        let (mut tasks, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = self.list_page(which, after.as_deref(), 2)?;
            tasks.extend(page.tasks);
            after = page.next;
            if after.is_none() {
                return Ok(tasks);
            }
        }
    }
}

fn ulid() -> String {
    Ulid::generate().to_string()
}

/// Returns the store of a spoke.
fn spoke() -> (Home, Store) {
    let home = Home::new();
    let mut store = home.open();
    store.become_spoke().unwrap();
    (home, store)
}

/// Returns a request with `operations` from a spoke that knows nothing of the hub.
fn request(operations: Vec<Operation>) -> Request {
    Request {
        schema: 1,
        version: "1.2.3".to_owned(),
        spoke: ulid(),
        epoch: None,
        cursor: None,
        sent: None,
        operations,
        page_bytes: None,
    }
}

/// Returns an operation that adds `task`.
fn adds(task: &str, title: &str) -> Operation {
    Operation {
        id: ulid(),
        kind: "task.add".to_owned().into(),
        task: task.to_owned(),
        body: json(&format!(r#"{{"title":"{title}","clock":[5,0]}}"#)),
        created_at: 5,
    }
}

fn json(text: &str) -> serde_json::Map<String, serde_json::Value> {
    serde_json::from_str(text).unwrap()
}

/// Sends operations of `user` to `hub`, as a spoke that knows nothing of it.
fn push(hub: &mut Store, user: &str, operations: Vec<Operation>) -> Response {
    hub.exchange(user, &request(operations), at(0)).unwrap()
}

/// Sends `request` as it goes over the wire.
fn send(hub: &mut Store, user: &str, request: &Request) -> Response {
    let text = serde_json::to_string(request).unwrap();
    let request: Request = serde_json::from_str(&text).unwrap();
    hub.exchange(user, &request, at(0)).unwrap()
}

/// Lets `spoke` exchange a page with `hub`.
fn exchange_page(hub: &mut Store, user: &str, spoke: &mut Store, limits: PageLimits) -> Response {
    let request = spoke.next_request(limits).unwrap();
    let response = send(hub, user, &request);
    spoke.apply(&request, &response, at(0)).unwrap();
    response
}

/// Lets `spoke` exchange pages with `hub` until neither lacks anything.
fn sync_as(hub: &mut Store, user: &str, spoke: &mut Store, limits: PageLimits) {
    for _ in 0..1000 {
        let response = exchange_page(hub, user, spoke, limits);
        if !response.reset && !response.more && spoke.pending().unwrap() == 0 {
            return;
        }
    }
    panic!("it never ends");
}

fn sync_with(hub: &mut Store, spoke: &mut Store) {
    sync_as(hub, "", spoke, PageLimits::default());
}

fn next_request(spoke: &Store) -> Request {
    spoke.next_request(PageLimits::default()).unwrap()
}

/// Returns the titles that a new spoke of `user` fetches.
fn fetched(hub: &mut Store, user: &str) -> Vec<String> {
    let response = push(hub, user, Vec::new());
    response
        .operations
        .iter()
        .map(|operation| {
            assert!(!operation.body.contains_key("user"));
            operation.body["title"].as_str().unwrap().to_owned()
        })
        .collect()
}

fn titles(store: &Store) -> Vec<String> {
    let tasks = store.list(Which::All).unwrap().into_iter();
    let mut titles: Vec<_> = tasks.map(|task| task.title).collect();
    titles.sort();
    titles
}

/// Returns the log, as its operations count.
fn logged(connection: &Connection) -> Vec<log::Record> {
    let mut all = Vec::new();
    log::for_each(connection, |_, record| {
        all.push(record);
        Ok(())
    })
    .unwrap();
    all
}

/// Returns a time, so many milliseconds after a fixed one.
fn at(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(1_790_000_000_000 + milliseconds).unwrap()
}

/// Returns the rows of `tasks` as text.
fn derived(connection: &Connection) -> Vec<String> {
    connection
        .prepare("SELECT id, title, created_at, done_at FROM tasks WHERE created_at IS NOT NULL ORDER BY id")
        .unwrap()
        .query_map([], |row| {
            Ok(format!(
                "{:?} {:?} {:?} {:?}",
                row.get_ref(0)?,
                row.get_ref(1)?,
                row.get_ref(2)?,
                row.get_ref(3)?
            ))
        })
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

/// Changes a store as a later release would: another table of tasks, a new kind of operation, a higher schema.
fn make_newer(connection: &Connection, schema: u32, oldest_reader: u32) {
    connection
        .execute_batch(&format!(
            "BEGIN;
             ALTER TABLE tasks RENAME TO items;
             ALTER TABLE items ADD COLUMN colour TEXT;
             CREATE TABLE hubs (url TEXT);
             INSERT INTO items (user, id, title, created_at, deleted) VALUES ('', '01NEW', 'from the newer release', 5, 0);
             INSERT INTO ops (id, kind, task, body, created_at) VALUES
               ('OP1', 'task.add', '01NEW', '{{\"title\":\"from the newer release\"}}', 5),
               ('OP2', 'task.paint', '01NEW', '{{\"colour\":\"red\"}}', 6),
               ('OP3', 'task.done', '01NEW', '{{}}', 7);
             UPDATE meta SET schema = {schema}, oldest_reader = {oldest_reader};
             COMMIT;"
        ))
        .unwrap();
}
