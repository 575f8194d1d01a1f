//! Releases from archives: real archives, real signatures, a real server, and what an attacker would make of them.

mod attacks;
mod delivery;
mod dist;
mod downloads;
mod hostile;
pub mod kit;
mod memory;
mod near;
mod plain_git;
mod third_party;
mod unusual;
mod uploading;
mod without;
