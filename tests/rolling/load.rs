//! A thousand requests a second for a hub, half of them to its socket and half to its port, and people at its spokes.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use heph::client;
use serde_json::{Value, json};
use ulid::Ulid;

/// How many clients there are of each kind.
const CLIENTS: usize = 4;
/// How often each of them asks: eight of them ask a thousand times a second.
const EVERY: Duration = Duration::from_millis(8);
/// How often somebody adds a task at a spoke.
const NOW_AND_THEN: Duration = Duration::from_millis(100);
/// One in so many requests writes.
const WRITES: usize = 10;
const PATIENCE: Duration = Duration::from_secs(60);

/// What the clients saw.
#[derive(Debug, Default)]
pub struct Seen {
    pub requests: usize,
    pub failures: Vec<String>,
    /// The titles of the tasks that were acknowledged.
    pub added: Vec<String>,
    /// How long the longest request took.
    pub longest: Duration,
    /// Requests a second.
    pub rate: f64,
}

/// The clients.
pub struct Load {
    begun: Instant,
    end: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Seen>>,
}

impl Load {
    /// Lets them loose on the socket and the port of a hub.
    pub fn on(socket: &Path, address: &str) -> Load {
        let end = Arc::new(AtomicBool::new(false));
        let begin = |number: usize, place: Place| {
            let end = Arc::clone(&end);
            thread::spawn(move || ask(&place, number, &end))
        };
        let by_socket = (0..CLIENTS).map(|number| begin(number, Place::Socket(socket.into())));
        let by_port =
            (0..CLIENTS).map(|number| begin(CLIENTS + number, Place::Port(address.into())));
        Load {
            clients: by_socket.chain(by_port).collect(),
            begun: Instant::now(),
            end: Arc::clone(&end),
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
        all.rate = all.requests as f64 / self.begun.elapsed().as_secs_f64();
        all
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
    }
}

enum Place {
    Socket(PathBuf),
    Port(String),
}

fn ask(place: &Place, number: usize, end: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let mut due = Instant::now();
    let mut known = Value::Null;
    for round in 0.. {
        if end.load(Ordering::Relaxed) {
            break;
        }
        // Who was held up does not catch up: the others go on meanwhile.
        due = (due + EVERY).max(Instant::now());
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let title = (round % WRITES == 0).then(|| format!("client {number}, {round}"));
        let begun = Instant::now();
        let asked = match place {
            Place::Socket(path) => by_socket(path, title.as_deref()),
            Place::Port(address) => by_port(address, title.as_deref(), &mut known),
        };
        seen.longest = seen.longest.max(begun.elapsed());
        seen.requests += 1;
        match asked {
            Ok(()) => seen.added.extend(title),
            Err(why) => seen.failures.push(format!("client {number}: {why}")),
        }
    }
    seen
}

/// A bare connection: what is refused or cut off has failed.
fn by_socket(path: &Path, title: Option<&str>) -> Result<(), String> {
    let (method, params) = match title {
        Some(title) => ("task.add", json!({ "title": title })),
        None => ("task.next", json!({})),
    };
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let ask = || -> io::Result<String> {
        let mut stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(format!("{request}\n").as_bytes())?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().map_err(|error| error.to_string())?;
    let parsed: Value = serde_json::from_str(&answer).map_err(|_| format!("{answer:?}"))?;
    match parsed.get("result") {
        Some(_) => Ok(()),
        None => Err(answer),
    }
}

/// Likewise, as a spoke; `known` is what the hub answered last.
fn by_port(address: &str, title: Option<&str>, known: &mut Value) -> Result<(), String> {
    let operations: Vec<Value> = title
        .map(|title| {
            json!({
                "id": Ulid::generate().to_string(),
                "kind": "task.add",
                "task": Ulid::generate().to_string(),
                "body": { "title": title },
                "created_at": jiff::Timestamp::now().as_millisecond(),
            })
        })
        .into_iter()
        .collect();
    let (path, body) = match title {
        Some(_) => {
            let body = json!({
                "schema": 1, "version": "1.0.0", "spoke": Ulid::generate().to_string(),
                "epoch": known["epoch"], "cursor": known["cursor"], "sent": known["sent"], "operations": operations,
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

/// Somebody at a spoke, who adds a task now and then with heph's own client.
pub struct Writer {
    end: Arc<AtomicBool>,
    writing: JoinHandle<Vec<String>>,
}

impl Writer {
    pub fn on(socket: &Path, number: usize) -> Writer {
        let end = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&end);
        let socket = socket.to_owned();
        let writing = thread::spawn(move || {
            let mut added = Vec::new();
            for round in 0.. {
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                let title = format!("spoke {number}, {round}");
                client::add(&socket, &title).unwrap();
                added.push(title);
                thread::sleep(NOW_AND_THEN);
            }
            added
        });
        Writer { end, writing }
    }

    /// Ends it and returns what was acknowledged, which is all: no call may fail.
    pub fn end(self) -> Vec<String> {
        self.end.store(true, Ordering::Relaxed);
        self.writing.join().unwrap()
    }
}
