//! Feeds, good and bad, asked over the wire: a table of answers, what is remembered, TLS, and git.
#![allow(
    clippy::unwrap_used,
    reason = "a test that panics is a test that failed"
)]

#[path = "../support/forge.rs"]
mod forge;

mod binary;
mod git;
mod remembering;
mod rows;
mod table;
mod tls;
