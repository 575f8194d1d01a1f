//! The documents that are made from the code, and those that must agree with it.
//!
//! `HEPH_UPDATE_DOCS=1 cargo test --test all docs::` (`make docs`) writes man pages and completions anew; without the variable
//! the test fails where a committed one is not what the code makes.

mod commands;
mod generated;
mod promises;
mod reference;
mod sentences;
mod shells;
