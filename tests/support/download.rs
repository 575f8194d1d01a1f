//! Files for download, with the ranges and validators of a real server, or without.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use super::{PROJECT, Seen, response};

/// A file that the forge serves.
#[derive(Clone, Debug)]
pub struct Served {
    pub bytes: Vec<u8>,
    /// Its strong validator; `None`: the server gives none.
    pub etag: Option<String>,
    /// Whether the server can send a part of it (RFC 9110, section 14).
    pub ranges: bool,
}

impl Served {
    pub fn new(bytes: &[u8]) -> Served {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        Served {
            bytes: bytes.to_owned(),
            etag: Some(format!("\"{:x}\"", hasher.finish())),
            ranges: true,
        }
    }

    pub fn answer(&self, seen: &Seen) -> Vec<u8> {
        let etag = self.etag.clone();
        let validator: Vec<(&str, &str)> =
            etag.iter().map(|etag| ("ETag", etag.as_str())).collect();
        let unchanged = match seen.headers.get("if-range") {
            None => true,
            given => given == etag.as_ref(),
        };
        let start = seen
            .headers
            .get("range")
            .filter(|_| self.ranges && unchanged)
            .and_then(|range| {
                range
                    .strip_prefix("bytes=")?
                    .strip_suffix('-')?
                    .parse()
                    .ok()
            });
        let total = self.bytes.len();
        match start {
            None => response(200, &validator, &self.bytes),
            Some(start) if start < total => {
                let range = format!("bytes {start}-{}/{total}", total - 1);
                let headers = [&validator[..], &[("Content-Range", &range)]].concat();
                response(206, &headers, &self.bytes[start..])
            }
            Some(_) => response(416, &[("Content-Range", &format!("bytes */{total}"))], b""),
        }
    }
}

/// Returns where a file of a release is.
pub fn path(tag: &str, name: &str) -> String {
    format!("/{PROJECT}/releases/download/{tag}/{name}")
}
