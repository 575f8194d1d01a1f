//! A forge on loopback: releases as Forgejo, GitHub or GitLab publish them, git over smart HTTP, and any answer a test
//! wants, byte by byte.
//!
//! The releases are JSON from a list, with an ETag. Git is the real `git http-backend`, run as CGI on bare repositories, so
//! that real `git` and `cargo install --git` work against it. A scripted answer ([`Server::script`]) takes the place of
//! whatever the path would have answered.

mod cgi;
mod download;
mod interface;
mod work_tree;

use std::collections::hash_map::{DefaultHasher, HashMap};
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::http::{Reply, Request, Server};
use cgi::run_git;
pub use download::Served;
pub use interface::{Attached, Published, Speaks};
use interface::{page, releases};
pub use work_tree::{WorkTree, git};

/// Where the releases and the git repository are, unless a test says otherwise.
pub const PROJECT: &str = "eblume/hephaestus";

/// A running forge. It ends when dropped.
pub struct Forge {
    server: Server,
    shared: Arc<Shared>,
    /// Holds the bare repositories.
    _folder: Option<tempfile::TempDir>,
}

#[derive(Debug)]
struct Shared {
    speaks: Speaks,
    /// The path of the host below which all is.
    below: &'static str,
    git_root: PathBuf,
    releases: Mutex<Vec<Published>>,
    first_protocol: AtomicBool,
    files: Mutex<HashMap<String, Served>>,
}

impl Deref for Forge {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl Forge {
    /// Starts a Forgejo without releases on a free port.
    pub fn start() -> Forge {
        Forge::speaking(Speaks::Forgejo)
    }

    /// Starts a forge of this kind on a free port.
    pub fn speaking(speaks: Speaks) -> Forge {
        Forge::below("", speaks)
    }

    /// Starts one below a path of its host, where nothing else is.
    pub fn below(path: &'static str, speaks: Speaks) -> Forge {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let mut forge = Forge::listening(speaks, path, root);
        forge._folder = Some(folder);
        forge
    }

    /// Starts a Forgejo with its repositories in the folder `root`, which somebody else removes.
    pub fn serving(root: &Path) -> Forge {
        Forge::listening(Speaks::Forgejo, "", root.to_owned())
    }

    fn listening(speaks: Speaks, below: &'static str, git_root: PathBuf) -> Forge {
        let shared = Arc::new(Shared {
            speaks,
            below,
            git_root,
            releases: Mutex::default(),
            first_protocol: AtomicBool::default(),
            files: Mutex::default(),
        });
        let known = Arc::clone(&shared);
        Forge {
            server: Server::start(move |request| answer(&known, request)),
            shared,
            _folder: None,
        }
    }

    /// Returns the address of the repository, as the setting `repository` and `cargo install --git` take it.
    pub fn repository(&self) -> String {
        format!("{}{}/{PROJECT}", self.url(), self.shared.below)
    }

    /// Returns the path of the list of releases.
    pub fn list_path(&self) -> String {
        let latest = self.latest_path();
        let list = latest.trim_end_matches("/latest");
        list.trim_end_matches("/permalink").to_owned()
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

    /// From now on, its git ignores which version of the protocol is asked for.
    pub fn speak_the_first_protocol(&self) {
        self.shared.first_protocol.store(true, Ordering::SeqCst);
    }

    /// Takes all releases back.
    pub fn unpublish(&self) {
        self.shared.releases.lock().unwrap().clear();
    }

    /// Returns the bare repository of `project`, which is made if it is not there; git reaches it with and without `.git`.
    pub fn bare(&self, project: &str) -> PathBuf {
        let bare = self.shared.git_root.join(format!("{project}.git"));
        if !bare.exists() {
            std::fs::create_dir_all(&bare).unwrap();
            git(&bare, "init --quiet --bare --initial-branch=main");
        }
        bare
    }

    /// Pushes every branch and tag of the work tree `from` to [`PROJECT`].
    pub fn push(&self, from: &WorkTree) {
        let bare = self.bare(PROJECT);
        let bare = bare.to_str().unwrap();
        for what in ["--all", "--tags"] {
            git(&from.folder, &["push", "--quiet", "--force", bare, what]);
        }
    }
}

/// Returns what the forge answers when nothing was scripted.
fn answer(shared: &Shared, request: &Request) -> Reply {
    let Some(path) = request.path.strip_prefix(shared.below) else {
        return Reply::with(404, &[], b"");
    };
    let mut request = Request {
        path: path.to_owned(),
        ..request.clone()
    };
    if shared.first_protocol.load(Ordering::SeqCst) {
        request.headers.remove("git-protocol");
    }
    let request = &request;
    if request.path.ends_with("/info/refs") || request.path.ends_with("/git-upload-pack") {
        return run_git(&shared.git_root, request)
            .unwrap_or_else(|error| Reply::with(500, &[], format!("git http-backend: {error}")));
    }
    if let Some(file) = shared.files.lock().unwrap().get(&request.path) {
        return file.answer(request);
    }
    let extra: &[(&str, &str)] = match shared.speaks {
        Speaks::Gitlab => &[(
            "X-Gitlab-Meta",
            "{\"correlation_id\":\"1\",\"version\":\"1\"}",
        )],
        Speaks::Github => &[("X-GitHub-Enterprise-Version", "3.15.0")],
        _ => &[],
    };
    let published = shared.releases.lock().unwrap().clone();
    let value = releases(shared.speaks, &published, shared.below, &request.path);
    let Some(mut value) = value else {
        return Reply::with(404, extra, b"{\"message\":\"404 Not Found\"}");
    };
    if let Some(to) = value.get("redirect").and_then(Value::as_str) {
        return Reply::with(302, &[extra, &[("Location", to)]].concat(), b"");
    }
    let mut link = None;
    if let Some(list) = value.as_array() {
        let (of_list, next) = page(shared.speaks, list, &request.query);
        // A client that followed it would leave the forge.
        link = next.map(|next| {
            format!(
                "<https://elsewhere.example{}?page={next}>; rel=\"next\"",
                request.path
            )
        });
        value = of_list;
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
    let link = link.as_deref().map(|link| ("Link", link));
    let headers = [&headers[..], link.as_slice()].concat();
    if request.header("if-none-match") == Some(&etag) {
        Reply::with(304, &headers, b"")
    } else {
        Reply::with(200, &headers, body)
    }
}
