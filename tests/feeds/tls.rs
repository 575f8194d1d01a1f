//! TLS for real: `openssl s_server` with a certificate of a private authority, with and without trust, and behind a proxy.
//!
//! Trust and proxies come from the environment, which a test must not change for its neighbours: each test runs itself
//! once more, as a process with the environment that it is about, and judges what that process says.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

use heph::os::http::{Get, Limits, get};

use crate::support::call::Call;
use crate::support::tls::TlsServer;
use crate::support::wait::accept;

/// Names the address that the process is to ask.
const ASK: &str = "HEPH_TEST_ASK";

/// Asks `url` in a process of its own with `variables` set, and returns what came of it in words.
fn ask(test: &str, url: &str, variables: &[(&str, &Path)]) -> String {
    let this = Call::clean(std::env::current_exe().unwrap(), [(ASK, url)]);
    let this = this.args(&["--exact", &format!("feeds::tls::{test}")]);
    let this = this.args("--nocapture --test-threads=1");
    let text = this.envs(variables.iter().copied()).ends().out;
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
    let server = TlsServer::start().serves("hello", HELLO);
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
    let server = TlsServer::start().serves(
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

/// Carries bytes between `client` and the server on `port`, until both have ended.
fn carry(mut client: TcpStream, port: u16) {
    let mut upstream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (mut from, mut to) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
    thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
    let _ = std::io::copy(&mut upstream, &mut client);
}

/// Serves one client of a SOCKS5 proxy (RFC 1928) and returns the name that it was asked for.
fn socks(mut client: TcpStream, port: u16) -> String {
    let mut read = |length: usize| {
        let mut bytes = vec![0; length];
        client.read_exact(&mut bytes).unwrap();
        bytes
    };
    let methods = usize::from(read(2)[1]);
    read(methods);
    client.write_all(&[5, 0]).unwrap();
    let mut read = |length: usize| {
        let mut bytes = vec![0; length];
        client.read_exact(&mut bytes).unwrap();
        bytes
    };
    let head = read(5);
    assert_eq!(head[..4], [5, 1, 0, 3], "a name, which the proxy resolves");
    let name = read(usize::from(head[4]));
    read(2);
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
    carry(client, port);
    String::from_utf8(name).unwrap()
}

#[test]
fn a_socks5h_proxy_carries_https_and_resolves_the_name() {
    if is_asking() {
        return;
    }
    let server = TlsServer::start().serves("hello", HELLO);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("socks5h://{}", listener.local_addr().unwrap());
    let port = server.port;
    let thread = thread::spawn(move || socks(accept(&listener), port));
    let said = ask(
        "a_socks5h_proxy_carries_https_and_resolves_the_name",
        "https://forge.test/hello",
        &[
            ("SSL_CERT_FILE", &server.authority()),
            ("ALL_PROXY", Path::new(&proxy)),
        ],
    );
    assert_eq!(said, "200 hello");
    assert_eq!(thread.join().unwrap(), "forge.test");
}

#[test]
fn an_error_behind_a_proxy_names_the_proxy_and_not_its_password() {
    if is_asking() {
        return;
    }
    for proxy in [
        "http://me:hunter2@127.0.0.1:1",
        "socks5h://me:hunter2@127.0.0.1:1",
    ] {
        let said = ask(
            "an_error_behind_a_proxy_names_the_proxy_and_not_its_password",
            "https://forge.test/x",
            &[("HTTPS_PROXY", Path::new(proxy))],
        );
        assert!(
            said.ends_with("(Unreachable)")
                && said.contains("forge.test through the proxy 127.0.0.1:1"),
            "{said}"
        );
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn a_proxy_carries_https_and_resolves_the_name() {
    if is_asking() {
        return;
    }
    let server = TlsServer::start().serves("hello", HELLO);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let port = server.port;
    let thread = thread::spawn(move || {
        let mut client = accept(&listener);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").unwrap();
        carry(client, port);
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
        let mut client = accept(&listener);
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
