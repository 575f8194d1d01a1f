//! The table: answers that a forge should never give, how the run must end, and the words that name the cause.
//!
//! It is data only, so that the library and the commands are held to the same rows.

use std::time::Duration;

use crate::support::call::Call;
use crate::support::forge::Speaks;
use crate::support::http::Reply;

/// One bad answer.
pub struct Row {
    pub name: &'static str,
    /// Whose interface the forge speaks; the setting `forge` says the same.
    pub speaks: Speaks,
    /// Whether the settings ask for pre-releases, and so for the list.
    pub list: bool,
    /// What is answered in place of the feed.
    pub script: Reply,
    /// What the list answers then, if it is asked about such a feed.
    pub beside: Option<Reply>,
    /// How the run must end.
    pub ends: Ends,
    /// Words that must be in the error.
    pub words: &'static [&'static str],
    /// Whether it only ends by a time limit.
    pub slow: bool,
}

/// How a run must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Exit 1: a person has to look.
    Failed,
    /// Exit 75: the next run tries again.
    TryLater,
}

fn row(name: &'static str, ends: Ends, script: Reply, words: &'static [&'static str]) -> Row {
    Row {
        name,
        speaks: Speaks::Forgejo,
        list: false,
        script,
        beside: None,
        ends,
        words,
        slow: false,
    }
}

fn fails(name: &'static str, script: Reply, words: &'static [&'static str]) -> Row {
    row(name, Ends::Failed, script, words)
}

fn later(name: &'static str, script: Reply, words: &'static [&'static str]) -> Row {
    row(name, Ends::TryLater, script, words)
}

impl Row {
    fn from(self, speaks: Speaks) -> Row {
        Row { speaks, ..self }
    }
    fn list(self) -> Row {
        Row { list: true, ..self }
    }
    fn slow(self) -> Row {
        Row { slow: true, ..self }
    }
}

fn raw(bytes: impl AsRef<[u8]>) -> Reply {
    Reply::Bytes(bytes.as_ref().to_owned())
}

fn status(status: u16, headers: &[(&str, &str)]) -> Reply {
    Reply::with(status, headers, b"{\"message\":\"no\"}")
}

/// Returns an otherwise good release with this tag, and a list of nothing else.
fn tag(tag: &str) -> (Reply, Reply) {
    let release = serde_json::json!({ "tag_name": tag, "draft": false }).to_string();
    (Reply::ok(&release), Reply::ok(format!("[{release}]")))
}

/// A row about a tag that is no release.
fn no_release(
    name: &'static str,
    (latest, list): (Reply, Reply),
    words: &'static [&'static str],
) -> Row {
    Row {
        beside: Some(list),
        ..fails(name, latest, words)
    }
}

fn redirect(to: &str) -> Reply {
    Reply::with(302, &[("Location", to)], "")
}

fn encoded(encoding: &str, body: impl AsRef<[u8]>) -> Reply {
    let headers = [
        ("Content-Type", "application/json"),
        ("Content-Encoding", encoding),
    ];
    Reply::with(200, &headers, body)
}

fn gzip(body: &[u8]) -> Vec<u8> {
    Call::of("gzip").args("-9 -c").input(body).bytes()
}

fn with(mut bytes: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    change(&mut bytes);
    bytes
}

const GOOD: &str = r#"{"tag_name":"v2.0.0","draft":false,"prerelease":false,"published_at":"2026-01-01T00:00:00Z"}"#;
const OK: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\n";
const HTML: &str = "<!DOCTYPE html><html><body>Sign in to the hotel network</body></html>";

/// Returns every row.
pub fn rows() -> Vec<Row> {
    [
        connection(),
        http(),
        statuses(),
        redirects(),
        bodies(),
        types(),
        tags(),
        others(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn connection() -> Vec<Row> {
    let length = GOOD.len();
    vec![
        later("closed at once", raw(""), &["cut off"]),
        later(
            "closed within the headers",
            raw("HTTP/1.1 200 OK\r\nContent-Ty"),
            &["cut off"],
        ),
        later(
            "closed within the body",
            raw(format!(
                "{OK}Content-Length: {length}\r\n\r\n{}",
                &GOOD[..20]
            )),
            &["cut off"],
        ),
        later(
            "closed within a chunk",
            raw(format!(
                "{OK}Transfer-Encoding: chunked\r\n\r\n40\r\n{}",
                &GOOD[..20]
            )),
            &["cut off"],
        ),
        later(
            "closed within gzip",
            encoded("gzip", &gzip(GOOD.as_bytes())[..30]),
            &["cut off"],
        ),
        later("silent", Reply::Silence, &["timed out after"]).slow(),
        later(
            "dripping headers",
            Reply::Drip(OK.repeat(99).into_bytes(), Duration::from_millis(100)),
            &["timed out after"],
        )
        .slow(),
        later(
            "dripping a body",
            Reply::Drip(
                format!("{OK}Content-Length: 9999\r\n\r\n{}", " ".repeat(9999)).into_bytes(),
                Duration::from_millis(10),
            ),
            &["timed out after"],
        )
        .slow(),
    ]
}

fn http() -> Vec<Row> {
    let many = "X-Header: 1\r\n".repeat(5000);
    let large = format!("X-Header: {}\r\n", "x".repeat(200_000));
    let endless = "10000\r\n".to_owned() + &" ".repeat(0x10000) + "\r\n";
    vec![
        fails(
            "another protocol",
            raw("SSH-2.0-OpenSSH_9.2\r\n\r\n"),
            &["not valid HTTP"],
        ),
        fails(
            "no status line",
            raw(format!("{GOOD}\r\n\r\n")),
            &["not valid HTTP"],
        ),
        fails(
            "a status that is no number",
            raw("HTTP/1.1 abc OK\r\n\r\n"),
            &["not valid HTTP"],
        ),
        fails(
            "very many headers",
            raw(format!("{OK}{many}\r\n{GOOD}")),
            &["headers"],
        ),
        fails(
            "a very large header",
            raw(format!("{OK}{large}\r\n{GOOD}")),
            &["headers"],
        ),
        fails(
            "a length that is no number",
            raw(format!("{OK}Content-Length: many\r\n\r\n{GOOD}")),
            &["not valid HTTP"],
        ),
        fails(
            "two lengths",
            raw(format!(
                "{OK}Content-Length: 9\r\nContent-Length: 8\r\n\r\n{GOOD}"
            )),
            &["not valid HTTP"],
        ),
        fails(
            "a chunk without a length",
            raw(format!(
                "{OK}Transfer-Encoding: chunked\r\n\r\nxyz\r\n{GOOD}"
            )),
            &["not valid HTTP"],
        ),
        fails(
            "a huge answer",
            Reply::ok(" ".repeat(5 << 20)),
            &["larger than 4194304 bytes"],
        ),
        fails(
            "a huge answer in chunks",
            raw(format!(
                "{OK}Transfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
                endless.repeat(80)
            )),
            &["larger than 4194304 bytes"],
        ),
        fails(
            "a bomb of gzip",
            encoded("gzip", gzip(&vec![b' '; 64 << 20])),
            &["larger than 4194304 bytes"],
        ),
        fails(
            "a byte too many",
            Reply::ok(" ".repeat((4 << 20) + 1)),
            &["larger than 4194304 bytes"],
        ),
        fails(
            "as many bytes as may be",
            Reply::ok(" ".repeat(4 << 20)),
            &["empty"],
        ),
        fails("no gzip at all", encoded("gzip", GOOD), &["damaged gzip"]),
        fails(
            "damaged gzip",
            encoded(
                "gzip",
                with(gzip(GOOD.as_bytes()), |bytes| bytes[14..24].fill(0xff)),
            ),
            &["damaged gzip"],
        ),
        fails(
            "gzip with another checksum",
            encoded(
                "gzip",
                with(gzip(GOOD.as_bytes()), |bytes| {
                    let at = bytes.len() - 8;
                    bytes[at] ^= 0xff;
                }),
            ),
            &["damaged gzip"],
        ),
        fails(
            "an encoding nobody asked for",
            encoded("br", GOOD),
            &["encoding", "br"],
        ),
    ]
}

fn statuses() -> Vec<Row> {
    let used_up = [
        ("X-RateLimit-Remaining", "0"),
        ("X-RateLimit-Reset", "4102444800"),
    ];
    vec![
        fails("201", status(201, &[]), &["status is 201"]),
        fails("204", Reply::with(204, &[], ""), &["204"]),
        fails("206", status(206, &[]), &["206"]),
        fails("300", status(300, &[]), &["300"]),
        fails("400", status(400, &[]), &["400"]),
        fails(
            "401",
            status(401, &[("WWW-Authenticate", "Basic")]),
            &["login", "401"],
        ),
        fails("403", status(403, &[]), &["forbidden (403)"]),
        later(
            "403 of a rate limit",
            status(403, &used_up),
            &["rate", "403"],
        ),
        later(
            "403 with Retry-After",
            status(403, &[("Retry-After", "60")]),
            &["rate", "403"],
        ),
        fails("404", status(404, &[]), &["no release is published", "404"]),
        fails("410", status(410, &[]), &["no release is published", "410"]),
        later("408", status(408, &[]), &["408"]),
        fails("418", status(418, &[]), &["418"]),
        later("429", status(429, &[]), &["rate", "429"]),
        later(
            "429 with a date",
            status(429, &[("Retry-After", "Fri, 31 Dec 2100 23:59:59 GMT")]),
            &["429"],
        ),
        later(
            "429 with nonsense",
            status(429, &[("Retry-After", "soon")]),
            &["429"],
        ),
        fails("451", status(451, &[]), &["451"]),
        later("500", status(500, &[]), &["500"]),
        fails("501", status(501, &[]), &["501"]),
        later("502", status(502, &[]), &["502"]),
        later(
            "503",
            status(503, &[("Retry-After", "9999999999999999999999")]),
            &["503"],
        ),
        later("504", status(504, &[]), &["504"]),
        fails("999", status(999, &[]), &["999"]),
    ]
}

fn redirects() -> Vec<Row> {
    vec![
        fails(
            "to plain http",
            redirect("http://forge.example/x"),
            &["a redirect of", "plain http is for loopback only"],
        ),
        fails(
            "to a file",
            redirect("file:///etc/passwd"),
            &["a redirect of", "not a URL"],
        ),
        fails(
            "to an address with a password",
            redirect("http://user:secret@127.0.0.1/x"),
            &["a redirect of", "password"],
        ),
        fails(
            "in a circle",
            redirect(LOOP),
            &["redirects more than 5 times"],
        ),
        fails(
            "to nowhere",
            Reply::with(301, &[], ""),
            &["a redirect of", "names no target"],
        ),
        fails(
            "to something that is no address",
            raw("HTTP/1.1 302 Found\r\nLocation: \u{7f}\r\nContent-Length: 0\r\n\r\n"),
            &["127.0.0.1"],
        ),
        fails("to a missing page", redirect("/gone"), &["404"]),
        // Port 1 (tcpmux) is closed wherever tests run.
        later(
            "to a closed port",
            redirect("http://127.0.0.1:1/x"),
            &["127.0.0.1:1"],
        ),
    ]
}

/// The path of the latest release, from which one row redirects to itself.
const LOOP: &str = "/api/v1/repos/eblume/hephaestus/releases/latest";

fn bodies() -> Vec<Row> {
    let deep = "[".repeat(200_000);
    let utf16: Vec<u8> = GOOD.encode_utf16().flat_map(u16::to_le_bytes).collect();
    vec![
        fails("an empty body", Reply::ok(""), &["empty"]),
        fails("white space", Reply::ok(" \r\n\t "), &["empty"]),
        fails(
            "HTML with status 200",
            Reply::with(200, &[("Content-Type", "text/html")], HTML),
            &["HTML"],
        ),
        fails("HTML that says it is JSON", Reply::ok(HTML), &["HTML"]),
        fails("XML", Reply::ok("<?xml version=\"1.0\"?><feed/>"), &["XML"]),
        fails(
            "plain words",
            Reply::ok("Too many connections"),
            &["not JSON"],
        ),
        fails(
            "half of the JSON",
            raw(format!("{OK}\r\n{}", &GOOD[..40])),
            &["too early"],
        ),
        fails(
            "JSON and more",
            Reply::ok(format!("{GOOD} trailing")),
            &["not JSON"],
        ),
        fails(
            "two objects",
            Reply::ok(format!("{GOOD}{GOOD}")),
            &["not JSON"],
        ),
        fails(
            "single quotes",
            Reply::ok(GOOD.replace('"', "'")),
            &["not JSON"],
        ),
        fails(
            "a comment",
            Reply::ok(format!("/* hi */{GOOD}")),
            &["not JSON"],
        ),
        fails(
            "a byte order mark",
            Reply::ok(format!("\u{feff}{GOOD}")),
            &["not JSON"],
        ),
        fails("UTF-16", Reply::ok(utf16), &["not JSON"]),
        fails("NUL bytes", Reply::ok([0; 64]), &["not JSON"]),
        fails(
            "invalid UTF-8",
            Reply::ok(b"{\"tag_name\":\"v2.0.\xff\xfe\"}"),
            &["UTF-8"],
        ),
        fails(
            "half a surrogate",
            Reply::ok(r#"{"tag_name":"v2.0.0\ud800"}"#),
            &["not JSON"],
        ),
        fails("deep nesting", Reply::ok(&deep), &["list"]),
        fails(
            "deep nesting within",
            Reply::ok(format!("{{\"extra\":{deep}")),
            &["too early"],
        ),
        fails(
            "deep objects",
            Reply::ok("{\"a\":".repeat(100_000)),
            &["too early"],
        ),
    ]
}

fn types() -> Vec<Row> {
    vec![
        fails("null", Reply::ok("null"), &["not a release"]),
        fails("a number", Reply::ok("42"), &["not a release"]),
        fails("a string", Reply::ok("\"v2.0.0\""), &["not a release"]),
        fails("an empty object", Reply::ok("{}"), &["tag_name"]),
        fails("a list", Reply::ok(format!("[{GOOD}]")), &["is a list"]),
        fails(
            "fields in a list",
            Reply::ok(r#"["v2.0.0",false,false,null,null]"#),
            &["is a list"],
        ),
        fails(
            "an error with status 200",
            Reply::ok(r#"{"message":"Bad credentials"}"#),
            &["tag_name"],
        ),
        fails(
            "a tag that is null",
            Reply::ok(r#"{"tag_name":null}"#),
            &["not a release"],
        ),
        fails(
            "a tag that is a number",
            Reply::ok(r#"{"tag_name":2.0}"#),
            &["not a release"],
        ),
        fails(
            "a tag that is a list",
            Reply::ok(r#"{"tag_name":["v2.0.0"]}"#),
            &["not a release"],
        ),
        fails(
            "a tag that is an object",
            Reply::ok(r#"{"tag_name":{"v":"2.0.0"}}"#),
            &["not a release"],
        ),
        fails(
            "two tags",
            Reply::ok(r#"{"tag_name":"v2.0.0","tag_name":"v3.0.0"}"#),
            &["duplicate"],
        ),
        fails(
            "a draft in words",
            Reply::ok(r#"{"tag_name":"v2.0.0","draft":"no"}"#),
            &["not a release"],
        ),
        fails(
            "a pre-release in numbers",
            Reply::ok(r#"{"tag_name":"v2.0.0","prerelease":1}"#),
            &["not a release"],
        ),
        fails(
            "a date that is none",
            Reply::ok(r#"{"tag_name":"v2.0.0","published_at":"yesterday"}"#),
            &["not a release"],
        ),
        fails(
            "a date in numbers",
            Reply::ok(r#"{"tag_name":"v2.0.0","published_at":1767225600}"#),
            &["not a release"],
        ),
        fails(
            "a page that is a list",
            Reply::ok(r#"{"tag_name":"v2.0.0","html_url":[]}"#),
            &["not a release"],
        ),
        fails("an object for a list", Reply::ok(GOOD), &["not a list"]).list(),
        fails(
            "a list of words",
            Reply::ok(r#"["v2.0.0"]"#),
            &["not a release"],
        )
        .list(),
        fails(
            "a list of hostile tags",
            Reply::ok(r#"[{"tag_name":"--config=x"}]"#),
            &["--config=x"],
        )
        .list(),
    ]
}

fn tags() -> Vec<Row> {
    let long = format!("v2.0.0-{}", "a".repeat(1 << 20));
    vec![
        no_release("an option", tag("--config=x"), &["tag \"--config=x\""]),
        no_release("an option after the prefix", tag("v--config=x"), &["tag"]),
        no_release(
            "a dash before the version",
            tag("-v2.0.0"),
            &["tag \"-v2.0.0\""],
        ),
        no_release("a second command", tag("v2.0.0;rm"), &["tag \"v2.0.0;rm\""]),
        no_release("a substitution", tag("v2.0.0$(id)"), &["tag"]),
        no_release("backquotes", tag("v2.0.0`id`"), &["tag"]),
        no_release("a pipe", tag("v2.0.0|sh"), &["tag"]),
        no_release(
            "a second argument",
            tag("v2.0.0 --git=https://evil.example"),
            &["tag"],
        ),
        no_release(
            "a second line",
            tag("v2.0.0\nv3.0.0"),
            &["tag \"v2.0.0\\nv3.0.0\""],
        ),
        no_release("a terminal escape", tag("v2.0.0\u{1b}[2J"), &["tag"]),
        no_release("a NUL", tag("v2.0.0\0"), &["tag \"v2.0.0\\0\""]),
        no_release("a way up", tag("../.."), &["tag \"../..\""]),
        no_release("a way up after the prefix", tag("v2.0.0/../../x"), &["tag"]),
        no_release("an absolute path", tag("/etc/passwd"), &["tag"]),
        no_release("a ref expression", tag("v2.0.0@{0}"), &["tag"]),
        no_release("a colon", tag("v2.0.0:refs/heads/main"), &["tag"]),
        no_release("a percent sign", tag("v2.0.0%2e"), &["tag"]),
        no_release(
            "writing backwards",
            tag("v2.0.0\u{202e}"),
            &["tag", "\\u{202e}"],
        ),
        no_release("other digits", tag("v２.０.０"), &["tag"]),
        no_release("an empty tag", tag(""), &["tag \"\""]),
        no_release("only the prefix", tag("v"), &["tag"]),
        no_release("no prefix", tag("2.0.0"), &["tag \"2.0.0\"", "v1.2.3"]),
        no_release("another prefix", tag("release-2.0.0"), &["tag"]),
        no_release("a version of two parts", tag("v2.0"), &["tag"]),
        no_release("a version of four parts", tag("v2.0.0.0"), &["tag"]),
        no_release("a leading zero", tag("v02.0.0"), &["tag"]),
        no_release(
            "a number beyond all",
            tag("v99999999999999999999.0.0"),
            &["tag"],
        ),
        no_release(
            "a tag of a megabyte",
            tag(&long),
            &["tag \"v2.0.0-aaa", "…"],
        ),
        no_release("a moving tag", tag("latest"), &["tag \"latest\""]),
    ]
}

fn others() -> Vec<Row> {
    let git = |body: &str| {
        let kind = "application/x-git-upload-pack-advertisement";
        Reply::with(200, &[("Content-Type", kind)], body)
    };
    let dumb = "95d09f2b10159347eece71399a7e2e907ea3df4f\trefs/tags/v2.0.0\n";
    vec![
        fails("git: HTML", git(HTML), &["advertisement"]).from(Speaks::Git),
        fails("git: the dumb protocol", git(dumb), &["dumb http"]).from(Speaks::Git),
        fails("git: empty", git(""), &["too early"]).from(Speaks::Git),
        fails(
            "git: half a line",
            git("001e# service=git-up"),
            &["middle of a line"],
        )
        .from(Speaks::Git),
        fails(
            "git: no end",
            git("001e# service=git-upload-pack\n0000"),
            &["too early"],
        )
        .from(Speaks::Git),
        fails(
            "git: an impossible length",
            git("0002"),
            &["impossible length"],
        )
        .from(Speaks::Git),
        fails("git: no ref", git("0009\u{1b}[2J0000"), &["not a ref"]).from(Speaks::Git),
        fails("git: an error", git("000aERR no0000"), &["says \"no\""]).from(Speaks::Git),
        fails(
            "git: version 2 without its list",
            git("000eversion 2\n0000"),
            &["version 2", "ls-refs"],
        )
        .from(Speaks::Git),
        fails("git: 401", status(401, &[]), &["login"]).from(Speaks::Git),
        fails("git: 404", status(404, &[]), &["no such repository"]).from(Speaks::Git),
        later("git: 503", status(503, &[]), &["503"]).from(Speaks::Git),
        later("github: a rate limit", status(429, &[]), &["429"]).from(Speaks::Github),
        fails("github: HTML", Reply::ok(HTML), &["HTML"]).from(Speaks::Github),
        no_release("github: a hostile tag", tag("--config=x"), &["--config=x"])
            .from(Speaks::Github),
        fails("gitlab: a login page", Reply::ok(HTML), &["HTML"]).from(Speaks::Gitlab),
        no_release("gitlab: a hostile tag", tag("v2.0.0;rm"), &["v2.0.0;rm"]).from(Speaks::Gitlab),
        fails(
            "gitlab: links of a wrong type",
            Reply::ok(r#"{"tag_name":"v2.0.0","_links":3}"#),
            &["not a release"],
        )
        .from(Speaks::Gitlab),
        fails(
            "gitlab: to plain http",
            redirect("http://gitlab.example/x"),
            &["plain http is for loopback only"],
        )
        .from(Speaks::Gitlab),
    ]
}
