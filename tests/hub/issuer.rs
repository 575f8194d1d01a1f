//! A small issuer on loopback: a discovery document, keys that can be rotated, and tokens of all kinds.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap().as_secs()
}

#[derive(Default)]
struct Published {
    keys: Mutex<Vec<Value>>,
    /// What the discovery document says instead of the truth.
    claims_to_be: Mutex<Option<String>>,
    keys_at: Mutex<Option<String>>,
    asked: AtomicUsize,
    ends: AtomicBool,
}

/// The issuer; it ends when it is dropped.
pub struct Issuer {
    pub url: String,
    address: SocketAddr,
    published: Arc<Published>,
    thread: Option<JoinHandle<()>>,
}

impl Issuer {
    pub fn start(keys: &[Value]) -> Issuer {
        Issuer::start_on("127.0.0.1:0".parse().unwrap(), keys)
    }

    pub fn start_on(address: SocketAddr, keys: &[Value]) -> Issuer {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let url = format!("http://{address}/realm");
        let published = Arc::new(Published::default());
        *published.keys.lock().unwrap() = keys.to_vec();
        let thread = thread::spawn({
            let (published, url) = (Arc::clone(&published), url.clone());
            move || {
                for stream in listener.incoming() {
                    if published.ends.load(Ordering::SeqCst) {
                        return;
                    }
                    if let Ok(stream) = stream {
                        // Who hangs up meanwhile is no matter.
                        let _ = answer(&stream, &published, &url);
                    }
                }
            }
        });
        Issuer {
            url,
            address,
            published,
            thread: Some(thread),
        }
    }

    /// Publishes these keys from now on.
    pub fn rotate(&self, keys: &[Value]) {
        *self.published.keys.lock().unwrap() = keys.to_vec();
    }

    /// Has the discovery document name another issuer.
    pub fn claim_to_be(&self, issuer: &str) {
        *self.published.claims_to_be.lock().unwrap() = Some(issuer.to_owned());
    }

    /// Has the discovery document name this URL for the keys.
    pub fn publish_keys_at(&self, url: &str) {
        *self.published.keys_at.lock().unwrap() = Some(url.to_owned());
    }

    /// Returns how often the keys were fetched.
    pub fn asked(&self) -> usize {
        self.published.asked.load(Ordering::SeqCst)
    }

    /// Returns the claims of a good token, with `changes`; null takes one out.
    pub fn claims(&self, subject: &str, changes: Value) -> Value {
        let mut claims = json!({
            "iss": self.url, "sub": subject, "aud": "heph", "exp": now() + 3600, "iat": now(),
        });
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        claims
    }

    /// Returns the flags of a hub that takes this issuer's tokens.
    pub fn flags(&self) -> [&str; 4] {
        ["--oidc-issuer", &self.url, "--oidc-audience", "heph"]
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.published.ends.store(true, Ordering::SeqCst);
        // Wakes the thread.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn answer(stream: &TcpStream, published: &Published, url: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut lines = BufReader::new(stream).lines();
    let line = lines.next().transpose()?.unwrap_or_default();
    for header in lines {
        if header?.is_empty() {
            break;
        }
    }
    let body = match line.split(' ').nth(1) {
        Some("/realm/.well-known/openid-configuration") => {
            let claimed = published.claims_to_be.lock().unwrap().clone();
            let keys = published.keys_at.lock().unwrap().clone();
            json!({
                "issuer": claimed.unwrap_or(url.to_owned()),
                "jwks_uri": keys.unwrap_or(format!("{url}/keys")),
            })
        }
        Some("/realm/keys") => {
            published.asked.fetch_add(1, Ordering::SeqCst);
            json!({"keys": *published.keys.lock().unwrap()})
        }
        _ => json!(null),
    };
    let body = body.to_string();
    let status = if body == "null" {
        "404 Not Found"
    } else {
        "200 OK"
    };
    write!(
        &mut &*stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}
