//! hephd, the real binary, in throw-away homes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod activation;
mod backups;
mod commands;
mod crashes;
mod lifecycle;
mod maintenance;
mod protocol;
mod support;
