//! Somebody who writes to a hephd all the time, whatever happens to it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};
use ulid::Ulid;

use crate::support::daemon::Wire;

/// What was acknowledged: the ids of operations that are in the log for certain.
#[derive(Debug, Default)]
pub struct Acknowledged {
    pub operations: Vec<String>,
}

/// The thread; told to end when dropped.
pub struct Writer {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<Acknowledged>>,
}

impl Writer {
    /// Starts to write through `socket`; `number` tells this writer's tasks from those of others.
    pub fn start(socket: &Path, number: u64) -> Writer {
        let ended = Arc::new(AtomicBool::new(false));
        let (socket, told) = (socket.to_owned(), Arc::clone(&ended));
        let thread = thread::spawn(move || {
            let mut hand = Hand {
                socket,
                wire: None,
                told,
                random: Random(0x9e37_79b9_7f4a_7c15 ^ (number + 1)),
                acknowledged: Acknowledged::default(),
            };
            hand.write(number);
            hand.acknowledged
        });
        Writer {
            ended,
            thread: Some(thread),
        }
    }

    /// Ends all of them; returns what was acknowledged in all.
    pub fn end(writers: Vec<Writer>) -> Acknowledged {
        for writer in &writers {
            writer.ended.store(true, Ordering::SeqCst);
        }
        let mut all = Acknowledged::default();
        for mut writer in writers {
            let one = writer.thread.take().unwrap().join().unwrap();
            all.operations.extend(one.operations);
        }
        all
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
    }
}

/// Numbers that look random and are the same each time (xorshift).
pub struct Random(pub u64);

impl Random {
    /// Returns a number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

struct Hand {
    socket: PathBuf,
    wire: Option<Wire>,
    told: Arc<AtomicBool>,
    random: Random,
    acknowledged: Acknowledged,
}

impl Hand {
    fn write(&mut self, number: u64) {
        let mut known: Vec<String> = Vec::new();
        for round in 0.. {
            let title = format!("writer {number}, round {round}");
            let added = self.sure("task.add", json!({ "title": title }), true);
            let Some(added) = added else {
                return;
            };
            known.push(added["result"]["task"]["id"].as_str().unwrap().to_owned());
            // Other machines' tasks as well, as far as they have come here.
            if round % 10 == 0 {
                known.extend(self.some_task());
            }
            let chosen = self.random.below(known.len() as u64) as usize;
            let id = known[chosen].clone();
            let (method, params, logged) = match self.random.below(8) {
                0..3 => (
                    "task.edit",
                    json!({ "id": id, "title": format!("{title}, edited") }),
                    true,
                ),
                // Done twice is logged once, under the first one's id.
                3..5 => ("task.done", json!({ "id": id }), false),
                5 => ("task.reopen", json!({ "id": id }), false),
                6 => {
                    known.swap_remove(chosen);
                    ("task.delete", json!({ "id": id }), true)
                }
                _ => continue,
            };
            if self.sure(method, params, logged).is_none() {
                return;
            }
            thread::sleep(Duration::from_millis(4));
        }
    }

    fn some_task(&mut self) -> Option<String> {
        let answer = self.once("task.next", &json!({}))?;
        let id = answer["result"]["task"]["id"].as_str()?;
        Some(id.to_owned())
    }

    /// Repeats a write, under one operation id, until it is answered; `None` where the end came first. A task that is gone
    /// meanwhile is an answer, too.
    fn sure(&mut self, method: &str, mut params: Value, logged: bool) -> Option<Value> {
        let operation = Ulid::generate().to_string();
        params["op_id"] = json!(operation);
        while !self.told.load(Ordering::SeqCst) {
            let Some(answer) = self.once(method, &params) else {
                self.wire = None;
                thread::sleep(Duration::from_millis(5));
                continue;
            };
            if answer.get("result").is_some() {
                if logged {
                    self.acknowledged.operations.push(operation);
                }
                return Some(answer);
            }
            // No such task: another machine deleted it. Anything else is a fault of hephd.
            assert_eq!(answer["error"]["code"], -32001, "{method}: {answer}");
            return Some(answer);
        }
        None
    }

    /// Asks once; `None` where hephd is not there, or went away.
    fn once(&mut self, method: &str, params: &Value) -> Option<Value> {
        if self.wire.is_none() {
            self.wire = Some(Wire::try_open(&self.socket).ok()?);
        }
        self.wire.as_mut()?.ask(method, params.clone())
    }
}
