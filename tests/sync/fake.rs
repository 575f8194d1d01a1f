//! A server that answers as a test tells it to, well or badly. It ends with its value.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::support::old::daemon::PATIENCE;

/// What a client sent.
#[derive(Clone, Debug)]
pub struct Seen {
    pub line: String,
    pub headers: Vec<(String, String)>,
    /// The body, decompressed.
    pub text: String,
    /// The body as JSON; null where it is none.
    pub body: Value,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// What to do with a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// These bytes, then the end of the connection.
    Bytes(Vec<u8>),
    /// Nothing, with the connection left open.
    Nothing,
}

impl Reply {
    /// A whole answer.
    pub fn with(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Reply {
        let body = body.as_ref();
        let mut bytes = format!("HTTP/1.1 {status} Whatever\r\nConnection: close\r\n").into_bytes();
        for (name, value) in headers {
            bytes.extend(format!("{name}: {value}\r\n").bytes());
        }
        bytes.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
        bytes.extend(body);
        Reply::Bytes(bytes)
    }

    pub fn json(status: u16, body: &Value) -> Reply {
        let headers = [("Content-Type", "application/json")];
        Reply::with(status, &headers, body.to_string())
    }

    /// What a hub answers that has nothing to send and has taken everything.
    pub fn well() -> Reply {
        Reply::json(200, &answer())
    }
}

/// The answer of a hub that has nothing to send.
pub fn answer() -> Value {
    json!({
        "schema": 1, "version": "0.0.0", "epoch": "01K9ZZZZZZABCDEFGHJKMNPQRS", "reset": false, "refused": [],
        "sent": null, "operations": [], "cursor": null, "more": false,
    })
}

type Behaviour = Box<dyn FnMut(&Seen) -> Reply + Send>;

struct Shared {
    seen: Mutex<Vec<Seen>>,
    more: Condvar,
    behaviour: Mutex<Behaviour>,
    ended: AtomicBool,
}

pub struct Fake {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Fake {
    pub fn start(behaviour: impl FnMut(&Seen) -> Reply + Send + 'static) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            seen: Mutex::default(),
            more: Condvar::new(),
            behaviour: Mutex::new(Box::new(behaviour)),
            ended: AtomicBool::new(false),
        });
        let served = Arc::clone(&shared);
        let thread = thread::spawn(move || serve(&listener, &served));
        Fake {
            address,
            shared,
            thread: Some(thread),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on, it behaves so.
    pub fn behave(&self, behaviour: impl FnMut(&Seen) -> Reply + Send + 'static) {
        *self.shared.behaviour.lock().unwrap() = Box::new(behaviour);
    }

    /// Returns what came so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Waits until so many requests came in all.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Seen> {
        let until = Instant::now() + PATIENCE;
        let mut seen = self.shared.seen.lock().unwrap();
        while seen.len() < count {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{} of {count} requests came", seen.len());
            (seen, _) = self.shared.more.wait_timeout(seen, left).unwrap();
        }
        seen.clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn serve(listener: &TcpListener, shared: &Shared) {
    let mut kept = Vec::new();
    for stream in listener.incoming() {
        if shared.ended.load(Ordering::SeqCst) {
            return;
        }
        let mut stream = stream.unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let Some(seen) = read(&stream) else {
            continue;
        };
        let reply = (shared.behaviour.lock().unwrap())(&seen);
        shared.seen.lock().unwrap().push(seen);
        shared.more.notify_all();
        match reply {
            // A client that went away is no matter.
            Reply::Bytes(bytes) => drop(stream.write_all(&bytes)),
            Reply::Nothing => kept.push(stream),
        }
    }
}

/// Reads one request; `None` where it is none.
fn read(stream: &TcpStream) -> Option<Seen> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut lines = lines.into_iter();
    let line = lines.next()?;
    let headers: Vec<_> = lines
        .filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        })
        .collect();
    let mut seen = Seen {
        line,
        headers,
        text: String::new(),
        body: Value::Null,
    };
    let length = seen.header("content-length").unwrap_or("0");
    let mut body = vec![0; length.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    if seen.header("content-encoding") == Some("gzip") {
        let mut decoder = GzDecoder::new(&body[..]);
        decoder.read_to_string(&mut seen.text).ok()?;
    } else {
        seen.text = String::from_utf8(body).ok()?;
    }
    seen.body = serde_json::from_str(&seen.text).unwrap_or_default();
    Some(seen)
}
