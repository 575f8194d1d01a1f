//! A forge on loopback: releases as Forgejo, GitHub or GitLab publish them, git over smart HTTP, and any answer a test
//! wants, byte by byte.
//!
//! The releases are JSON from a list, with an ETag. Git is the real `git http-backend`, run as CGI on bare repositories, so
//! that real `git` and `cargo install --git` work against it. A scripted answer ([`Forge::script`]) takes the place of
//! whatever the path would have answered. Each connection has a thread of its own and serves one request; all of them, and
//! what they started, end with the [`Forge`].

mod cgi;
mod download;
mod interface;
mod work_tree;

use std::collections::hash_map::{DefaultHasher, HashMap};
use std::hash::{Hash, Hasher};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;

use cgi::run_git;
pub use download::Served;
use interface::releases;
pub use interface::{Attached, Published, Speaks};
pub use work_tree::{WorkTree, git};

/// Where the releases and the git repository are, unless a test says otherwise.
pub const PROJECT: &str = "eblume/hephaestus";

/// An answer in a test's own words.
#[derive(Clone, Debug)]
pub enum Script {
    /// These bytes, then the end of the connection.
    Bytes(Vec<u8>),
    /// These bytes one by one with a pause before each, until the client has enough.
    Drip(Vec<u8>, Duration),
    /// Nothing, until the client has enough.
    Silence,
    /// What the forge would answer anyway. The last script of several stays in force.
    Normal,
}

impl Script {
    /// Returns an answer with this status line's code, headers and body, and its length.
    pub fn answer(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Script {
        Script::Bytes(response(status, headers, body.as_ref()))
    }

    /// Returns a JSON answer with status 200.
    pub fn json(body: impl AsRef<[u8]>) -> Script {
        Script::answer(200, &[("Content-Type", "application/json")], body)
    }
}

/// A request that arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub query: String,
    /// Names in lower case.
    pub headers: HashMap<String, String>,
}

/// A running forge. It ends when dropped.
#[derive(Debug)]
pub struct Forge {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
    /// Holds the bare repositories.
    _folder: Option<tempfile::TempDir>,
}

#[derive(Debug)]
struct Shared {
    speaks: Speaks,
    git_root: PathBuf,
    ending: AtomicBool,
    releases: Mutex<Vec<Published>>,
    files: Mutex<HashMap<String, Served>>,
    scripts: Mutex<HashMap<String, Vec<Script>>>,
    seen: Mutex<Vec<Seen>>,
    connections: Mutex<Vec<(TcpStream, JoinHandle<()>)>>,
}

impl Forge {
    /// Starts a Forgejo without releases on a free port.
    pub fn start() -> Forge {
        Forge::speaking(Speaks::Forgejo)
    }

    /// Starts a forge of this kind on a free port.
    pub fn speaking(speaks: Speaks) -> Forge {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let mut forge = Forge::listening(speaks, root);
        forge._folder = Some(folder);
        forge
    }

    /// Starts a Forgejo with its repositories in the folder `root`, which somebody else removes.
    pub fn serving(root: &std::path::Path) -> Forge {
        Forge::listening(Speaks::Forgejo, root.to_owned())
    }

    fn listening(speaks: Speaks, git_root: PathBuf) -> Forge {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let shared = Arc::new(Shared {
            speaks,
            git_root,
            ending: AtomicBool::new(false),
            releases: Mutex::default(),
            files: Mutex::default(),
            scripts: Mutex::default(),
            seen: Mutex::default(),
            connections: Mutex::default(),
        });
        Forge {
            address: listener.local_addr().unwrap(),
            acceptor: Some(thread::spawn({
                let shared = Arc::clone(&shared);
                move || accept(&listener, &shared)
            })),
            shared,
            _folder: None,
        }
    }

    /// Returns `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the address of the repository, as the setting `repository` and `cargo install --git` take it.
    pub fn repository(&self) -> String {
        format!("{}/{PROJECT}", self.url())
    }

    /// Returns the path of the request for the latest release.
    pub fn latest_path(&self) -> String {
        match self.shared.speaks {
            Speaks::Forgejo => format!("/api/v1/repos/{PROJECT}/releases/latest"),
            Speaks::Github => format!("/api/v3/repos/{PROJECT}/releases/latest"),
            Speaks::Gitlab => format!(
                "/api/v4/projects/{}/releases/permalink/latest",
                PROJECT.replace('/', "%2F")
            ),
            Speaks::Git => format!("/{PROJECT}/info/refs"),
        }
    }

    /// Publishes a release. The last one that is neither draft nor pre-release is the latest.
    pub fn publish(&self, release: Published) {
        self.shared.releases.lock().unwrap().push(release);
    }

    /// Adds a file to a release that is published already, and returns its path.
    pub fn attach(&self, tag: &str, name: &str, bytes: &[u8]) -> String {
        let path = download::path(tag, name);
        let served = Served::new(bytes);
        let mut releases = self.shared.releases.lock().unwrap();
        let release = releases.iter_mut().find(|release| release.tag == tag);
        release.unwrap().assets.push(Attached {
            name: name.to_owned(),
            url: format!("{}{path}", self.url()),
            size: Some(bytes.len() as u64),
        });
        self.serve(&path, served);
        path
    }

    /// From now on, `path` is this file.
    pub fn serve(&self, path: &str, file: Served) {
        let mut files = self.shared.files.lock().unwrap();
        files.insert(path.to_owned(), file);
    }

    /// Takes all releases back.
    pub fn unpublish(&self) {
        self.shared.releases.lock().unwrap().clear();
    }

    /// From now on, `path` (without a query) is answered so.
    pub fn script(&self, path: &str, script: Script) {
        self.scripts(path, vec![script]);
    }

    /// From now on, `path` is answered by these in turn, and by the last one ever after.
    pub fn scripts(&self, path: &str, mut scripts: Vec<Script>) {
        scripts.reverse();
        let mut all = self.shared.scripts.lock().unwrap();
        all.insert(path.to_owned(), scripts);
    }

    /// Returns the requests that have arrived so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Forgets the requests that have arrived so far.
    pub fn forget(&self) {
        self.shared.seen.lock().unwrap().clear();
    }

    /// Returns the bare repository of `project`, which is made if it is not there; git reaches it with and without `.git`.
    pub fn bare(&self, project: &str) -> PathBuf {
        let bare = self.shared.git_root.join(format!("{project}.git"));
        if !bare.exists() {
            std::fs::create_dir_all(&bare).unwrap();
            git(
                &bare,
                &["init", "--quiet", "--bare", "--initial-branch=main"],
            );
        }
        bare
    }

    /// Pushes every branch and tag of the work tree `from` to [`PROJECT`].
    pub fn push(&self, from: &WorkTree) {
        let bare = self.bare(PROJECT);
        let bare = bare.to_str().unwrap();
        git(&from.folder, &["push", "--quiet", "--force", bare, "--all"]);
        git(
            &from.folder,
            &["push", "--quiet", "--force", bare, "--tags"],
        );
    }
}

impl Drop for Forge {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::SeqCst);
        // Wakes the acceptor, which then sees that all is over.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        let connections = std::mem::take(&mut *self.shared.connections.lock().unwrap());
        for (stream, _) in &connections {
            let _ = stream.shutdown(Shutdown::Both);
        }
        for (_, thread) in connections {
            let _ = thread.join();
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
            // A client that goes away in the middle is no failure of the forge.
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
    let Some(seen) = read_head(&mut reader)? else {
        return Ok(());
    };
    shared.seen.lock().unwrap().push(seen.clone());
    let scripted = {
        let mut scripts = shared.scripts.lock().unwrap();
        scripts
            .get_mut(&seen.path)
            .and_then(|scripts| match scripts.len() {
                0 | 1 => scripts.last().cloned(),
                _ => scripts.pop(),
            })
    };
    match scripted.unwrap_or(Script::Normal) {
        Script::Bytes(bytes) => stream.write_all(&bytes)?,
        Script::Drip(bytes, pause) => {
            for byte in bytes {
                thread::sleep(pause);
                if shared.ending.load(Ordering::SeqCst) {
                    break;
                }
                stream.write_all(&[byte])?;
            }
        }
        // Ends when the client closes, or the forge does.
        Script::Silence => drop(io::copy(&mut reader, &mut io::sink())),
        Script::Normal => {
            if seen
                .headers
                .get("expect")
                .is_some_and(|value| value == "100-continue")
            {
                stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            let body = read_body(&mut reader, &seen)?;
            stream.write_all(&answer(shared, &seen, &body))?;
        }
    }
    stream.shutdown(Shutdown::Write)
}

fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Seen>> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Ok(None);
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut seen = Seen {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: HashMap::new(),
    };
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim_end().is_empty() {
            return Ok(Some(seen));
        }
        if let Some((name, value)) = line.split_once(':') {
            seen.headers
                .insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }
}

fn read_body(reader: &mut impl BufRead, seen: &Seen) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if seen
        .headers
        .get("transfer-encoding")
        .is_some_and(|value| value == "chunked")
    {
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
    let length = seen.headers.get("content-length");
    let length = length.and_then(|value| value.parse().ok()).unwrap_or(0);
    reader.take(length).read_to_end(&mut body)?;
    Ok(body)
}

/// Returns what the forge answers when nothing was scripted.
fn answer(shared: &Shared, seen: &Seen, body: &[u8]) -> Vec<u8> {
    if seen.path.ends_with("/info/refs") || seen.path.ends_with("/git-upload-pack") {
        return run_git(&shared.git_root, seen, body).unwrap_or_else(|error| {
            response(500, &[], format!("git http-backend: {error}").as_bytes())
        });
    }
    if let Some(file) = shared.files.lock().unwrap().get(&seen.path) {
        return file.answer(seen);
    }
    let extra: &[(&str, &str)] = match shared.speaks {
        Speaks::Gitlab => &[(
            "X-Gitlab-Meta",
            "{\"correlation_id\":\"1\",\"version\":\"1\"}",
        )],
        _ => &[],
    };
    let published = shared.releases.lock().unwrap().clone();
    let Some(value) = releases(shared.speaks, &published, &seen.path) else {
        return response(404, extra, b"{\"message\":\"404 Not Found\"}");
    };
    if let Some(to) = value.get("redirect").and_then(Value::as_str) {
        return response(302, &[extra, &[("Location", to)]].concat(), b"");
    }
    let body = value.to_string();
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    let etag = format!("\"{:x}\"", hasher.finish());
    let headers = [
        extra,
        &[("Content-Type", "application/json"), ("ETag", &etag)],
    ]
    .concat();
    if seen.headers.get("if-none-match") == Some(&etag) {
        response(304, &headers, b"")
    } else {
        response(200, &headers, body.as_bytes())
    }
}

fn response(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status} Status\r\nConnection: close\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend(format!("{name}: {value}\r\n").bytes());
    }
    if status != 304 && status != 204 {
        bytes.extend(format!("Content-Length: {}\r\n", body.len()).bytes());
    }
    bytes.extend(b"\r\n");
    bytes.extend(body);
    bytes
}
