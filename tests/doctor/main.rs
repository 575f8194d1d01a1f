//! `heph self-update doctor` against machines that really lack what it looks for, and the line about newer releases.
#![allow(
    clippy::unwrap_used,
    reason = "a failure here is a failure of the test"
)]

#[path = "../support/forge.rs"]
mod forge;
#[path = "../support/home.rs"]
mod home;
#[path = "../support/manager.rs"]
mod manager;

mod by_cron;
mod by_systemd;
mod noexec;
mod notice;
mod patient;
