//! The settings file as a user meets it: what is taken, what is refused, and in which words.
#![allow(
    clippy::unwrap_used,
    reason = "a failure here is a failure of the test"
)]

mod refused;
mod taken;
mod trust;
mod unusable;
