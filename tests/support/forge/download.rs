//! Files for download, with the ranges and validators of a real server, or without.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use super::PROJECT;
use crate::support::http::{Reply, Request};

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

    pub fn answer(&self, request: &Request) -> Reply {
        let etag = self.etag.clone();
        let validator: Vec<(&str, &str)> =
            etag.iter().map(|etag| ("ETag", etag.as_str())).collect();
        let unchanged = match request.header("if-range") {
            None => true,
            given => given == etag.as_deref(),
        };
        let range = request
            .header("range")
            .filter(|_| self.ranges && unchanged)
            .and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        let total = self.bytes.len();
        let Some((start, end)) = range else {
            return Reply::with(200, &validator, &self.bytes);
        };
        let start: usize = start.parse().unwrap();
        let last = end
            .parse()
            .unwrap_or(usize::MAX)
            .min(total.saturating_sub(1));
        if start > last || start >= total {
            return Reply::with(416, &[("Content-Range", &format!("bytes */{total}"))], b"");
        }
        let range = format!("bytes {start}-{last}/{total}");
        let headers = [&validator[..], &[("Content-Range", &range)]].concat();
        Reply::with(206, &headers, &self.bytes[start..=last])
    }
}

/// Returns where a file of a release is.
pub fn path(tag: &str, name: &str) -> String {
    format!("/{PROJECT}/releases/download/{tag}/{name}")
}
