//! TLS for real: `openssl s_server` with a certificate of a private authority, with and without trust, and behind a proxy.
//!
//! Trust and proxies come from the environment, which a test must not change for its neighbours: each test runs itself
//! once more, as a process with the environment that it is about, and judges what that process says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use heph::os::http::{Get, Limits, get};

/// Names the address that the process is to ask.
const ASK: &str = "HEPH_TEST_ASK";

/// A TLS server on loopback that answers from a folder of files; it ends when dropped.
pub struct Server {
    child: Child,
    pub port: u16,
    folder: tempfile::TempDir,
}

impl Server {
    pub fn start() -> Server {
        let folder = tempfile::tempdir().unwrap();
        let openssl = |arguments: &[&str]| {
            let output = Command::new("openssl")
                .args(arguments)
                .current_dir(folder.path())
                .output()
                .expect("openssl is installed (package openssl)");
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
        };
        let curve = [
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ];
        openssl(
            &[
                &[
                    "req",
                    "-x509",
                    "-days",
                    "2",
                    "-subj",
                    "/CN=A private authority",
                ][..],
                &["-keyout", "ca.key", "-out", "ca.pem"],
                &curve,
            ]
            .concat(),
        );
        openssl(
            &[
                &[
                    "req",
                    "-subj",
                    "/CN=forge.test",
                    "-keyout",
                    "key.pem",
                    "-out",
                    "request.pem",
                ][..],
                &curve,
            ]
            .concat(),
        );
        std::fs::write(
            folder.path().join("extensions"),
            "subjectAltName=DNS:forge.test,DNS:localhost\nbasicConstraints=CA:FALSE\n",
        )
        .unwrap();
        openssl(&[
            "x509",
            "-req",
            "-in",
            "request.pem",
            "-days",
            "2",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-extfile",
            "extensions",
            "-out",
            "cert.pem",
        ]);
        let mut child = Command::new("openssl")
            .args([
                "s_server",
                "-accept",
                "127.0.0.1:0",
                "-cert",
                "cert.pem",
                "-key",
                "key.pem",
                "-HTTP",
            ])
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines
            .find_map(|line| {
                line.unwrap()
                    .strip_prefix("ACCEPT 127.0.0.1:")?
                    .parse()
                    .ok()
            })
            .expect("s_server says its port");
        // It goes on talking, and must not block on a full pipe.
        thread::spawn(move || lines.for_each(drop));
        Server {
            child,
            port,
            folder,
        }
    }

    /// Answers `/name` with these bytes, headers included.
    pub fn serves(self, name: &str, bytes: &str) -> Server {
        let file = self.folder.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, bytes).unwrap();
        self
    }

    pub fn authority(&self) -> std::path::PathBuf {
        self.folder.path().join("ca.pem")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks `url` in a process of its own with `variables` set, and returns what came of it in words.
fn ask(test: &str, url: &str, variables: &[(&str, &Path)]) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            &format!("feeds::tls::{test}"),
            "--nocapture",
            "--test-threads=1",
        ])
        .env_clear()
        .env(ASK, url)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.split_once("ANSWER "));
    line.unwrap_or_else(|| panic!("{text}")).1.to_owned()
}

/// Where this process is the one that asks: asks, says what came of it, and returns true.
#[allow(clippy::print_stdout, reason = "it tells the process that started it")]
fn is_asking() -> bool {
    let Ok(url) = std::env::var(ASK) else {
        return false;
    };
    let request = Get {
        url: &url,
        accept: "*/*",
        ..Get::default()
    };
    let limits = Limits {
        connect: Duration::from_secs(5),
        ..Limits::default()
    };
    match get(&request, &limits) {
        Ok(answer) => println!(
            "ANSWER {} {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        ),
        Err(failure) => println!("ANSWER {failure:?}"),
    }
    true
}

const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";

#[test]
fn a_private_authority_is_trusted_through_ssl_cert_file_and_not_without() {
    if is_asking() {
        return;
    }
    let server = Server::start().serves("hello", HELLO);
    let url = format!("https://localhost:{}/hello", server.port);
    let ask = |variables: &[(&str, &Path)]| {
        ask(
            "a_private_authority_is_trusted_through_ssl_cert_file_and_not_without",
            &url,
            variables,
        )
    };
    let authority = server.authority();
    assert_eq!(ask(&[("SSL_CERT_FILE", &authority)]), "200 hello");
    let distrust = ask(&[]);
    assert!(
        distrust.ends_with("(Unreachable)")
            && distrust.contains("cannot trust localhost")
            && distrust.contains("SSL_CERT_FILE"),
        "{distrust}"
    );
    let nothing = ask(&[("SSL_CERT_FILE", Path::new("/nonexistent/ca.pem"))]);
    assert!(
        nothing.ends_with("(Unreachable)") && nothing.contains("cannot trust"),
        "{nothing}"
    );
    let other_name = format!("https://127.0.0.1:{}/hello", server.port);
    let other = self::ask(
        "a_private_authority_is_trusted_through_ssl_cert_file_and_not_without",
        &other_name,
        &[("SSL_CERT_FILE", &authority)],
    );
    assert!(
        other.ends_with("(Unreachable)") && other.contains("not valid for name"),
        "{other}"
    );
}

#[test]
fn a_redirect_from_https_to_http_is_not_followed_even_on_loopback() {
    if is_asking() {
        return;
    }
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    plain.set_nonblocking(true).unwrap();
    let to = format!("http://127.0.0.1:{}/x", plain.local_addr().unwrap().port());
    let server = Server::start().serves(
        "moved",
        &format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"),
    );
    let said = ask(
        "a_redirect_from_https_to_http_is_not_followed_even_on_loopback",
        &format!("https://localhost:{}/moved", server.port),
        &[("SSL_CERT_FILE", &server.authority())],
    );
    assert!(
        said.ends_with("(Failed)") && said.contains("downgrades https to http"),
        "{said}"
    );
    assert!(plain.accept().is_err(), "nobody asked");
}

#[test]
fn a_proxy_carries_https_and_resolves_the_name() {
    if is_asking() {
        return;
    }
    let server = Server::start().serves("hello", HELLO);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let port = server.port;
    let thread = thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").unwrap();
        let mut upstream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (mut from, mut to) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
        thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(std::net::Shutdown::Both);
        });
        let _ = std::io::copy(&mut upstream, &mut client);
        String::from_utf8(head).unwrap()
    });
    let said = ask(
        "a_proxy_carries_https_and_resolves_the_name",
        "https://forge.test/hello",
        &[
            ("SSL_CERT_FILE", &server.authority()),
            ("HTTPS_PROXY", Path::new(&proxy)),
        ],
    );
    assert_eq!(said, "200 hello");
    let head = thread.join().unwrap();
    assert!(head.starts_with("CONNECT forge.test:443 "), "{head}");
}

#[test]
fn no_name_no_port_and_no_tls_are_told_apart() {
    if is_asking() {
        return;
    }
    let ask = |url: &str| ask("no_name_no_port_and_no_tls_are_told_apart", url, &[]);
    // RFC 6761 keeps this name from ever being one.
    let nameless = ask("https://forge.invalid/x");
    assert!(
        nameless.ends_with("(Unreachable)") && nameless.contains("forge.invalid"),
        "{nameless}"
    );
    let closed = ask("https://127.0.0.1:1/x");
    assert!(
        closed.ends_with("(Unreachable)") && closed.contains("refused"),
        "{closed}"
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        client
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
        let _ = client.read(&mut [0; 1024]);
    });
    let plain = ask(&format!("https://127.0.0.1:{port}/x"));
    assert!(
        plain.ends_with("(Unreachable)") && plain.contains("127.0.0.1"),
        "{plain}"
    );
    thread.join().unwrap();
}
