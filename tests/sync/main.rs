//! The spoke, the real hephd, against hubs that are well and against whatever else may be at their address.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod commands;
mod fake;
mod flags;
mod login;
mod spoke;
#[path = "../hephd/support.rs"]
#[allow(dead_code, reason = "test support: a part of it is used here")]
mod support;
mod together;
mod trouble;
