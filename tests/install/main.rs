//! How a release becomes files: real folders, real links, real `cargo install`, real crashes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod adoption;
mod crash;
mod links;
mod slots;
mod staging;
mod support;
