//! Clients that ask without a pause, each request on a connection of its own.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use heph::client;
use serde_json::{Value, json};

use super::PATIENCE;

/// What a client is like.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// What every command of heph uses.
    Client,
    /// A bare connection: what is refused or cut off once has failed.
    Bare,
}

/// What the clients saw.
#[derive(Debug, Default)]
pub struct Seen {
    pub requests: usize,
    pub failures: Vec<String>,
    /// The titles of the tasks whose adding was acknowledged.
    pub added: Vec<String>,
    /// How long the longest request took.
    pub longest: Duration,
}

/// The clients; they end with the value.
pub struct Load {
    requests: Arc<AtomicUsize>,
    end: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Seen>>,
}

impl Load {
    /// Lets a client of each of `kinds` loose on `socket`.
    pub fn on(socket: &Path, kinds: &[Kind]) -> Load {
        let requests = Arc::new(AtomicUsize::new(0));
        let end = Arc::new(AtomicBool::new(false));
        let clients = kinds.iter().enumerate().map(|(number, kind)| {
            let client = One {
                socket: socket.to_owned(),
                kind: *kind,
                number,
            };
            let (requests, end) = (Arc::clone(&requests), Arc::clone(&end));
            thread::spawn(move || client.ask_until(&end, &requests))
        });
        Load {
            clients: clients.collect(),
            requests,
            end,
        }
    }

    /// Returns once `more` requests have been answered, or failed.
    #[track_caller]
    pub fn wait_for_more(&self, more: usize) {
        let enough = self.requests.load(Ordering::Relaxed) + more;
        let deadline = Instant::now() + PATIENCE;
        while self.requests.load(Ordering::Relaxed) < enough {
            assert!(Instant::now() < deadline, "the clients get no further");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends the clients and returns what they saw.
    pub fn end(mut self) -> Seen {
        self.end.store(true, Ordering::Relaxed);
        let mut all = Seen::default();
        for client in std::mem::take(&mut self.clients) {
            let seen = client.join().unwrap();
            all.requests += seen.requests;
            all.failures.extend(seen.failures);
            all.added.extend(seen.added);
            all.longest = all.longest.max(seen.longest);
        }
        all
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
    }
}

/// One client.
struct One {
    socket: PathBuf,
    kind: Kind,
    number: usize,
}

impl One {
    fn ask_until(&self, end: &AtomicBool, requests: &AtomicUsize) -> Seen {
        let mut seen = Seen::default();
        for round in 0.. {
            if end.load(Ordering::Relaxed) {
                break;
            }
            let title = (round % 2 == 0).then(|| format!("client {}, {round}", self.number));
            let begun = Instant::now();
            let asked = match self.kind {
                Kind::Client => self.by_client(title.as_deref()),
                Kind::Bare => self.bare(title.as_deref()),
            };
            seen.longest = seen.longest.max(begun.elapsed());
            seen.requests += 1;
            requests.fetch_add(1, Ordering::Relaxed);
            match asked {
                Ok(()) => seen.added.extend(title),
                Err(why) => seen.failures.push(format!("{:?}: {why}", self.kind)),
            }
        }
        seen
    }

    fn by_client(&self, title: Option<&str>) -> Result<(), String> {
        let asked = match title {
            Some(title) => client::add(&self.socket, title).map(drop),
            None => client::next(&self.socket).map(drop),
        };
        asked.map_err(|error| format!("{error:#}"))
    }

    fn bare(&self, title: Option<&str>) -> Result<(), String> {
        let (method, params) = match title {
            Some(title) => ("task.add", json!({ "title": title })),
            None => ("task.next", json!({})),
        };
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let ask = || {
            let mut stream = UnixStream::connect(&self.socket)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(format!("{request}\n").as_bytes())?;
            let mut answer = String::new();
            BufReader::new(stream).read_line(&mut answer)?;
            Ok::<_, std::io::Error>(answer)
        };
        let answer = ask().map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_str(&answer).map_err(|_| format!("{answer:?}"))?;
        match answer.get("result") {
            Some(_) => Ok(()),
            None => Err(answer.to_string()),
        }
    }
}
