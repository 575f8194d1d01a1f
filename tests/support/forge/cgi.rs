//! Git over smart HTTP: the real `git http-backend`.

use std::io::{self, Write};
use std::path::Path;
use std::process::Stdio;
use std::thread;

use super::work_tree::clean_git;
use crate::support::http::{Reply, Request};

/// Runs `git http-backend` as CGI (git-http-backend(1), RFC 3875) and returns its answer as HTTP.
pub fn run_git(root: &Path, request: &Request) -> io::Result<Reply> {
    let (project, service) = ["/info/refs", "/git-upload-pack"]
        .iter()
        .find_map(|service| Some((request.path.strip_suffix(service)?, service)))
        .ok_or_else(|| io::Error::other("not a path of git"))?;
    let bare = project.trim_end_matches(".git");
    if bare.split('/').any(|part| part == "..") {
        return Ok(Reply::with(400, &[], b""));
    }
    let header = |name: &str| request.header(name).unwrap_or_default().to_owned();
    let git = clean_git()
        .args("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", format!("{bare}.git{service}"))
        .env("QUERY_STRING", &request.query)
        .env("REQUEST_METHOD", &request.method)
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env("REMOTE_ADDR", "127.0.0.1");
    let mut child = git
        .into_command()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut stdin = child
        .stdin
        .take()
        .ok_or_else(|| io::Error::other("no input"))?;
    let body = request.body.clone();
    let writer = thread::spawn(move || stdin.write_all(&body));
    let output = child.wait_with_output()?.stdout;
    let _ = writer.join();

    let blank = output.windows(4).position(|four| four == b"\r\n\r\n");
    let blank = blank.ok_or_else(|| io::Error::other("no headers"))?;
    let head = String::from_utf8_lossy(&output[..blank]).into_owned();
    let mut status = 200;
    let mut headers = Vec::new();
    for (name, value) in head.lines().filter_map(|line| line.split_once(": ")) {
        if name.eq_ignore_ascii_case("status") {
            let code = value.split(' ').next().unwrap_or_default();
            status = code.parse().map_err(io::Error::other)?;
        } else {
            headers.push((name, value));
        }
    }
    Ok(Reply::with(status, &headers, &output[blank + 4..]))
}
