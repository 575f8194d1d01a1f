//! The documents that are made from the code, and those that must agree with it.
//!
//! `HEPH_UPDATE_DOCS=1 cargo test --test docs` (`make docs`) writes man pages and completions anew; without the variable
//! the test fails where a committed one is not what the code makes.
#![allow(
    clippy::unwrap_used,
    reason = "a failure here is a failure of the test"
)]

mod commands;
mod generated;
mod reference;
mod shells;
