//! Logging in at a certified OpenID provider, staying logged in, and logging out.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../support/home.rs"]
mod home;
#[path = "../support/provider.rs"]
mod provider;

mod fake;
mod hostile;
mod login;
mod logout;
mod renewal;
mod scene;
