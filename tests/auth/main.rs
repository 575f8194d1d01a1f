//! Logging in at a certified OpenID provider, staying logged in, and logging out.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../support/faketime.rs"]
mod faketime;
#[path = "../support/home.rs"]
mod home;
#[path = "../support/provider.rs"]
mod provider;
#[path = "../hephd/support.rs"]
#[allow(dead_code, reason = "test support: a part of it is used here")]
mod support;

mod fake;
mod hostile;
mod login;
mod logout;
mod machines;
mod renewal;
mod scene;
mod together;
mod tokens;
