//! Releases from archives: real archives, real signatures, a real server, and what an attacker would make of them.
#![allow(
    clippy::unwrap_used,
    reason = "a test that panics is a test that failed"
)]

#[path = "../support/forge.rs"]
mod forge;
#[path = "../support/home.rs"]
mod home;
#[allow(
    dead_code,
    reason = "what the tests of the installation share; a part of it is of use here"
)]
#[path = "../install/support.rs"]
mod install;

mod attacks;
mod delivery;
mod dist;
mod downloads;
mod hostile;
mod kit;
mod memory;
mod plain_git;
mod third_party;
mod without;
