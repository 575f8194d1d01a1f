//! A server on loopback that answers whatever a test wants, byte by byte. It ends with its value.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use flate2::read::GzDecoder;
use serde_json::Value;

use super::wait::{PATIENCE, until};

/// A request that arrived.
#[derive(Clone, Debug)]
pub struct Request {
    /// The whole request line.
    pub line: String,
    pub method: String,
    pub path: String,
    pub query: String,
    /// Names in lower case.
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Returns the body, decompressed.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let read = match self.header("content-encoding") {
            Some("gzip") => GzDecoder::new(&self.body[..]).read_to_string(&mut text),
            _ => (&self.body[..]).read_to_string(&mut text),
        };
        read.unwrap();
        text
    }

    /// Returns the body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text()).unwrap()
    }
}

/// What to do with a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// These bytes, then the end of the connection.
    Bytes(Vec<u8>),
    /// These bytes one by one with a pause before each, until the client has enough.
    Drip(Vec<u8>, Duration),
    /// Nothing, until the client has enough.
    Silence,
    /// What the server answers where no script says otherwise.
    Normal,
}

impl Reply {
    /// Returns a whole answer.
    pub fn with(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Reply {
        let body = body.as_ref();
        let mut bytes = format!("HTTP/1.1 {status} Status\r\nConnection: close\r\n").into_bytes();
        for (name, value) in headers {
            bytes.extend(format!("{name}: {value}\r\n").bytes());
        }
        if status != 304 && status != 204 {
            bytes.extend(format!("Content-Length: {}\r\n", body.len()).bytes());
        }
        bytes.extend(b"\r\n");
        bytes.extend(body);
        Reply::Bytes(bytes)
    }

    /// Returns a JSON answer of this text with status 200.
    pub fn ok(body: impl AsRef<[u8]>) -> Reply {
        Reply::with(200, &[("Content-Type", "application/json")], body)
    }

    pub fn json(status: u16, body: &Value) -> Reply {
        let headers = [("Content-Type", "application/json")];
        Reply::with(status, &headers, body.to_string())
    }
}

type Handler = Box<dyn Fn(&Request) -> Reply + Send + Sync>;

struct Shared {
    handler: Handler,
    ending: AtomicBool,
    scripts: Mutex<HashMap<String, Vec<Reply>>>,
    seen: Mutex<Vec<Request>>,
    connections: Mutex<Vec<(TcpStream, JoinHandle<()>)>>,
}

/// A server. Each connection has a thread of its own and serves one request.
pub struct Server {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts one on a free port.
    pub fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
        Server::start_on("127.0.0.1:0", handler)
    }

    pub fn start_on(
        address: &str,
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Server {
        let listener = TcpListener::bind(address).unwrap();
        let shared = Arc::new(Shared {
            handler: Box::new(handler),
            ending: AtomicBool::new(false),
            scripts: Mutex::default(),
            seen: Mutex::default(),
            connections: Mutex::default(),
        });
        Server {
            address: listener.local_addr().unwrap(),
            acceptor: Some(thread::spawn({
                let shared = Arc::clone(&shared);
                move || accept(&listener, &shared)
            })),
            shared,
        }
    }

    /// Returns `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on, `path` (without a query) is answered so.
    pub fn script(&self, path: &str, reply: Reply) {
        self.scripts(path, vec![reply]);
    }

    /// From now on, `path` is answered by these in turn, and by the last one ever after.
    pub fn scripts(&self, path: &str, mut replies: Vec<Reply>) {
        replies.reverse();
        let mut all = self.shared.scripts.lock().unwrap();
        all.insert(path.to_owned(), replies);
    }

    /// Returns the requests that have arrived so far.
    pub fn seen(&self) -> Vec<Request> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Forgets the requests that have arrived so far.
    pub fn forget(&self) {
        self.shared.seen.lock().unwrap().clear();
    }

    /// Waits until so many requests have arrived in all.
    #[track_caller]
    pub fn wait_for(&self, count: usize) {
        until(PATIENCE, || match self.seen().len() {
            few if few < count => Err(format!("{few} of {count} requests")),
            _ => Ok(()),
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::SeqCst);
        // Wakes the acceptor, which then sees that all is over.
        drop(TcpStream::connect(self.address));
        if let Some(acceptor) = self.acceptor.take() {
            drop(acceptor.join());
        }
        let connections = std::mem::take(&mut *self.shared.connections.lock().unwrap());
        for (stream, _) in &connections {
            drop(stream.shutdown(Shutdown::Both));
        }
        for (_, thread) in connections {
            drop(thread.join());
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.ending.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let Ok(again) = stream.try_clone() else {
            continue;
        };
        let thread = thread::spawn({
            let shared = Arc::clone(shared);
            // A client that goes away in the middle is no failure of the server.
            move || drop(serve(stream, &shared))
        });
        let mut connections = shared.connections.lock().unwrap();
        connections.retain(|(_, thread)| !thread.is_finished());
        connections.push((again, thread));
    }
}

/// Serves the one request of a connection.
fn serve(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let Some(mut request) = read_head(&mut reader)? else {
        return Ok(());
    };
    if request.header("expect") == Some("100-continue") {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    request.body = read_body(&mut reader, &request)?;
    let scripted = {
        let mut scripts = shared.scripts.lock().unwrap();
        scripts
            .get_mut(&request.path)
            .and_then(|replies| match replies.len() {
                0 | 1 => replies.last().cloned(),
                _ => replies.pop(),
            })
    };
    shared.seen.lock().unwrap().push(request.clone());
    let reply = match scripted.unwrap_or(Reply::Normal) {
        Reply::Normal => (shared.handler)(&request),
        reply => reply,
    };
    match reply {
        Reply::Bytes(bytes) => stream.write_all(&bytes)?,
        Reply::Drip(bytes, pause) => {
            for byte in bytes {
                thread::sleep(pause);
                if shared.ending.load(Ordering::SeqCst) {
                    break;
                }
                stream.write_all(&[byte])?;
            }
        }
        // Ends when the client closes, or the server does.
        Reply::Silence | Reply::Normal => drop(io::copy(&mut reader, &mut io::sink())),
    }
    stream.shutdown(Shutdown::Write)
}

fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Ok(None);
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request = Request {
        line: line.trim_end().to_owned(),
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: HashMap::new(),
        body: Vec::new(),
    };
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim_end().is_empty() {
            return Ok(Some(request));
        }
        if let Some((name, value)) = line.split_once(':') {
            let (name, value) = (name.to_ascii_lowercase(), value.trim().to_owned());
            request.headers.insert(name, value);
        }
    }
}

fn read_body(reader: &mut impl BufRead, request: &Request) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if request.header("transfer-encoding") == Some("chunked") {
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let length = line.split(';').next().unwrap_or_default().trim();
            let length = u64::from_str_radix(length, 16).map_err(io::Error::other)?;
            reader.by_ref().take(length).read_to_end(&mut body)?;
            reader.read_line(&mut String::new())?;
            if length == 0 {
                return Ok(body);
            }
        }
    }
    let length = request.header("content-length");
    let length = length.and_then(|value| value.parse().ok()).unwrap_or(0);
    reader.take(length).read_to_end(&mut body)?;
    Ok(body)
}
