//! The hub: the real hephd over real HTTP, with an issuer of the tests' own on loopback.

mod drain;
mod exchange;
mod fair;
mod flags;
mod http;
mod invited;
pub mod issuer;
mod limits;
mod quota;
mod scene;
pub mod signer;
mod slow;
mod tokens;

use std::io::Read;
use std::ops::{Deref, DerefMut};
use std::path::Path;

use flate2::read::GzEncoder;
use serde_json::{Value, json};

use crate::support::call::Words;
use crate::support::home::texts;
use crate::support::node::Node;
use http::{Answer, Http};

/// Four mebibytes: the largest body.
const LARGEST: usize = 4 << 20;

/// Returns a request of four mebibytes of JSON, which are many times that once they are read, in a few kibibytes of gzip.
fn small_and_large() -> Vec<u8> {
    let mut operation = add(1, "x");
    operation["body"]["a"] = Value::from(vec![0; 2_000_000]);
    let body = request("01A", &[operation]).to_string();
    let mut gzip = Vec::new();
    GzEncoder::new(body.as_bytes(), flate2::Compression::best())
        .read_to_end(&mut gzip)
        .unwrap();
    assert!(gzip.len() < 10_000 && body.len() < LARGEST);
    gzip
}

/// A hub that ends with its test.
struct Hub(Node);

impl Deref for Hub {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.0
    }
}

impl DerefMut for Hub {
    fn deref_mut(&mut self) -> &mut Node {
        &mut self.0
    }
}

impl Hub {
    /// Starts a hub on loopback, with more flags.
    fn start(flags: &(impl Words + ?Sized)) -> Hub {
        Hub::trusting(None, flags)
    }

    /// The same, with the certificate authority of this file in place of the system's.
    fn trusting(authority: Option<&Path>, flags: &(impl Words + ?Sized)) -> Hub {
        let mut hub = Node::hub_down();
        hub.add_flags(flags);
        if let Some(authority) = authority {
            hub.home.set("SSL_CERT_FILE", authority);
        }
        Hub(hub.up())
    }

    fn connect(&self) -> Http {
        Http::connect(&self.address)
    }

    /// Returns the answer to one request on a connection of its own.
    fn get(&self, path: &str) -> Answer {
        let mut http = self.connect();
        http.send(format!(
            "GET {path} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n"
        ));
        http.answer()
    }

    /// Returns the answer to a sync on a connection of its own.
    fn post(&self, token: Option<&str>, body: &Value) -> Answer {
        let mut http = self.connect();
        http.send(post(token, &[], body.to_string()));
        http.answer()
    }

    /// Returns the answer to a sync that must succeed.
    fn sync(&self, token: Option<&str>, body: &Value) -> Value {
        let answer = self.post(token, body);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }
}

/// Returns the bytes of a sync, with more headers.
fn post(token: Option<&str>, headers: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut head = format!(
        "POST /v1/sync HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
        body.len()
    );
    if let Some(token) = token {
        head.push_str(&format!("Authorization: Bearer {token}\r\n"));
    }
    for header in headers {
        head.push_str(&format!("{header}\r\n"));
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

/// Returns the request of a spoke that has nothing yet.
fn request(spoke: &str, operations: &[Value]) -> Value {
    json!({
        "schema": 1, "version": "9.9.9", "spoke": spoke, "epoch": null, "cursor": null, "sent": null,
        "operations": operations,
    })
}

/// Returns an operation that adds a task; `number` makes its id and that of its task.
fn add(number: u32, title: &str) -> Value {
    let created_at = 1_700_000_000_000u64 + u64::from(number);
    json!({
        "id": format!("01HF7Z{number:020}"), "kind": "task.add", "task": format!("01HF8Z{number:020}"),
        "body": {"title": title, "clock": [created_at, 0]}, "created_at": created_at,
    })
}

/// Returns the titles that an answer brings.
fn titles(answer: &Value) -> Vec<String> {
    let operations = answer["operations"].as_array().unwrap().iter();
    texts(
        &operations.map(|one| one["body"].clone()).collect(),
        "title",
    )
}
