//! A bare connection that speaks HTTP/1.1 byte by byte, so that it can also speak it badly.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::wait::{PATIENCE, is_at_end};

pub struct Http {
    stream: BufReader<TcpStream>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Http {
    pub fn connect(address: &str) -> Http {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Http {
            stream: BufReader::new(stream),
        }
    }

    /// Sends; a hub that has had enough may have closed already.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.get_mut().write_all(bytes.as_ref()).is_ok()
    }

    pub fn answer(&mut self) -> Answer {
        self.try_answer().expect("an answer")
    }

    /// Returns the next answer, or `None` where the connection ends before it is whole.
    pub fn try_answer(&mut self) -> Option<Answer> {
        let mut line = String::new();
        self.stream.read_line(&mut line).ok()?;
        let status = line.split(' ').nth(1)?.parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let mut answer = Answer {
            status,
            headers,
            body: Vec::new(),
        };
        let length = answer.header("content-length").unwrap_or("0").parse();
        answer.body = vec![0; length.unwrap()];
        self.stream.read_exact(&mut answer.body).ok()?;
        Some(answer)
    }

    /// Waits, without reading anything, until the hub has given the connection up: the kernel says so.
    pub fn wait_until_gone(&mut self) {
        let until = Instant::now() + PATIENCE;
        let stream = self.stream.get_mut();
        while stream.write_all(b"\r\n").is_ok() {
            assert!(Instant::now() < until, "the hub does not give up");
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Returns whether the hub has ended the connection, once all is read.
    pub fn at_end(&mut self) -> bool {
        is_at_end(&mut self.stream)
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// Returns the words of a problem, whose form every refusal has.
    pub fn error(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/json"));
        let problem = self.json();
        assert!(problem.get("hint").is_some(), "{problem}");
        problem["error"].as_str().unwrap().to_owned()
    }
}
