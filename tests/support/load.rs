//! Clients that ask a hephd all the time, each request on a connection of its own, and what they see.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use heph::client;
use serde_json::{Value, json};
use ulid::Ulid;

use super::daemon::Wire;
use super::wait::{PATIENCE, within};

/// What a client is like.
#[derive(Clone, Debug)]
pub enum Client {
    /// What every command of heph uses, at this socket.
    Heph(PathBuf),
    /// A bare connection to this socket: what is refused or cut off once has failed.
    Bare(PathBuf),
    /// A bare connection to the port of a hub, as a spoke; and what the hub answered last.
    Spoke(String, Value),
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
    /// Requests a second.
    pub rate: f64,
}

/// The clients; they end with the value.
pub struct Load {
    begun: Instant,
    requests: Arc<AtomicUsize>,
    end: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Seen>>,
}

impl Load {
    /// Lets `clients` loose. Each asks once in `every`, or as fast as it can, and writes once in `writes` requests.
    pub fn of(name: &str, clients: Vec<Client>, every: Duration, writes: usize) -> Load {
        let requests = Arc::new(AtomicUsize::new(0));
        let end = Arc::new(AtomicBool::new(false));
        let begin = |(number, mut client): (usize, Client)| {
            let name = format!("{name} {number}");
            let (requests, end) = (Arc::clone(&requests), Arc::clone(&end));
            thread::spawn(move || client.ask_until(&end, &requests, &name, every, writes))
        };
        Load {
            begun: Instant::now(),
            clients: clients.into_iter().enumerate().map(begin).collect(),
            requests,
            end,
        }
    }

    /// Returns once `more` requests have been answered, or failed.
    #[track_caller]
    pub fn wait_for_more(&self, more: usize) {
        let asked = || self.requests.load(Ordering::Relaxed);
        let enough = asked() + more;
        within(PATIENCE, "the clients get on", || asked() >= enough);
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
        all.rate = all.requests as f64 / self.begun.elapsed().as_secs_f64();
        all
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
    }
}

impl Client {
    fn ask_until(
        &mut self,
        end: &AtomicBool,
        requests: &AtomicUsize,
        name: &str,
        every: Duration,
        writes: usize,
    ) -> Seen {
        let mut seen = Seen::default();
        let mut due = Instant::now();
        for round in 0.. {
            if end.load(Ordering::Relaxed) {
                break;
            }
            // A client that was held up does not catch up: the others go on meanwhile.
            due = (due + every).max(Instant::now());
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let title = (round % writes == 0).then(|| format!("{name}, {round}"));
            let begun = Instant::now();
            let asked = self.ask(title.as_deref());
            seen.longest = seen.longest.max(begun.elapsed());
            seen.requests += 1;
            requests.fetch_add(1, Ordering::Relaxed);
            match asked {
                Ok(()) => seen.added.extend(title),
                Err(why) => seen.failures.push(format!("{name}: {why}")),
            }
        }
        seen
    }

    fn ask(&mut self, title: Option<&str>) -> Result<(), String> {
        match self {
            Client::Heph(socket) => {
                let asked = match title {
                    Some(title) => client::add(socket, title).map(drop),
                    None => client::next(socket).map(drop),
                };
                asked.map_err(|error| format!("{error:#}"))
            }
            Client::Bare(socket) => {
                let (method, params) = match title {
                    Some(title) => ("task.add", json!({ "title": title })),
                    None => ("task.next", json!({})),
                };
                let mut wire = Wire::try_open(socket).map_err(|error| error.to_string())?;
                match wire.ask(method, params) {
                    Some(answer) if answer.get("result").is_some() => Ok(()),
                    answer => Err(format!("{answer:?}")),
                }
            }
            Client::Spoke(address, known) => by_port(address, title, known),
        }
    }
}

fn by_port(address: &str, title: Option<&str>, known: &mut Value) -> Result<(), String> {
    let (path, body) = match title {
        Some(title) => {
            let operation = json!({
                "id": Ulid::generate().to_string(), "kind": "task.add", "task": Ulid::generate().to_string(),
                "body": { "title": title }, "created_at": jiff::Timestamp::now().as_millisecond(),
            });
            let body = json!({
                "schema": 1, "version": "1.0.0", "spoke": Ulid::generate().to_string(), "epoch": known["epoch"],
                "cursor": known["cursor"], "sent": known["sent"], "operations": [operation],
            });
            ("POST /v1/sync", body.to_string())
        }
        None => ("GET /healthz", String::new()),
    };
    let ask = || -> io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let length = body.len();
        let head = format!(
            "{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all((head + &body).as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().map_err(|error| error.to_string())?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    if !head.starts_with("HTTP/1.1 200") {
        return Err(answer);
    }
    if title.is_some() {
        *known = serde_json::from_str(body).map_err(|_| answer.clone())?;
        if known["reset"] != false || known["refused"] != json!([]) {
            return Err(answer);
        }
    }
    Ok(())
}
