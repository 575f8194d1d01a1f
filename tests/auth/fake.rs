//! What answers like an OpenID provider as far as a test wants it to, and no further.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

/// What it answers at one path: status, further headers, body.
type Answer = (u16, String, Vec<u8>);

/// A server on loopback; its threads end with the test's process.
pub struct Fake {
    pub issuer: String,
    answers: Arc<Mutex<HashMap<String, Answer>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    /// Starts one that offers a device flow whose code is never confirmed.
    pub fn start() -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let fake = Fake {
            issuer,
            answers: Arc::default(),
            asked: Arc::default(),
        };
        fake.json("/.well-known/openid-configuration", 200, &fake.metadata());
        fake.json("/device", 200, &fake.device());
        fake.json("/token", 400, &json!({ "error": "authorization_pending" }));
        let (answers, asked) = (Arc::clone(&fake.answers), Arc::clone(&fake.asked));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answers, asked) = (Arc::clone(&answers), Arc::clone(&asked));
                thread::spawn(move || drop(serve(stream, &answers, &asked)));
            }
        });
        fake
    }

    /// Returns well-formed metadata.
    pub fn metadata(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.issuer);
        json!({
            "issuer": self.issuer, "device_authorization_endpoint": at("/device"),
            "token_endpoint": at("/token"), "revocation_endpoint": at("/revoke"),
        })
    }

    /// Returns a well-formed code.
    pub fn device(&self) -> Value {
        json!({
            "device_code": "device-secret", "user_code": "ABCD", "expires_in": 60, "interval": 1,
            "verification_uri": format!("{}/confirm", self.issuer),
        })
    }

    pub fn json(&self, path: &str, status: u16, body: &Value) {
        self.answer(path, status, "", body.to_string().into_bytes());
    }

    pub fn answer(&self, path: &str, status: u16, headers: &str, body: Vec<u8>) {
        let answer = (status, headers.to_owned(), body);
        self.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    /// Returns path and body of each request so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(
    mut stream: TcpStream,
    answers: &Mutex<HashMap<String, Answer>>,
    asked: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut path, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        if path.is_empty() {
            path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    asked
        .lock()
        .unwrap()
        .push(format!("{path} {}", String::from_utf8_lossy(&body)));
    let answer = answers.lock().unwrap().get(&path).cloned();
    let (status, headers, body) = answer.unwrap_or((404, String::new(), Vec::new()));
    let head = format!(
        "HTTP/1.1 {status} Whatever\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)
}
