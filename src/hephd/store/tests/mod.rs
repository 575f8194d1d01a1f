//! The store as a whole, with real files.

mod merging;
mod opening;
mod restoring;
mod tasks;
mod trouble;
mod world;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use ulid::Ulid;

use super::*;
use crate::client::wire::{State, Task, Which};

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

    fn beside(&self, suffix: &str) -> PathBuf {
        file::beside(&self.store, suffix)
    }

    /// Opens it. A child that another test has just started has our descriptors until it runs its program, and so the
    /// lock of a store that was closed meanwhile.
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

    /// Makes the store and returns its tasks after adding `titles`.
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

    /// Returns the names and contents of all files of the store, without those that carry no content of it: the lock
    /// and the index of the write-ahead log.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        files_in(self.store.parent().unwrap())
    }
}

fn files_in(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
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

/// The time, some milliseconds after a fixed one.
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

/// Makes a store newer, as a later release would: a changed state, a kind of operation of its own, a higher schema.
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
