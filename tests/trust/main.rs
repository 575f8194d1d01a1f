//! Whether a release is its owner's: real keys, real signatures, real git over http, and the real `heph`.
#![allow(
    clippy::unwrap_used,
    reason = "a test that panics is a test that failed"
)]

#[path = "../support/forge.rs"]
mod forge;

mod accepted;
mod keys;
mod openpgp;
mod owner;
mod place;
mod refused;
mod seen;
mod table;
