//! All tests against real programs, as one program: one folder a concern, and the world that they share in `support`.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that cannot go on has failed"
)]

mod support;

mod architecture;
mod auth;
mod builds;
mod compatibility;
mod docs;
mod doctor;
mod dropout;
mod feeds;
mod hephd;
mod hostile;
mod hub;
mod install;
mod killed;
mod prebuilt;
mod proxy;
mod restart;
mod rolling;
mod schedule;
mod service;
mod settings;
mod sync;
mod trust;
mod update;
