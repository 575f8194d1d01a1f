//! The operating system's managers: systemd, launchd and cron, and what heph has them run.
//!
//! [`service`] is hephd as a service, [`schedule`] the timer that starts `heph self-update`. Both stand on the same
//! generated files and the same few external tools.
//!
//! Architecture invariant: nothing here knows where releases come from, how they become files, or what a command line of
//! heph looks like.

pub mod cron;
pub mod generated;
pub mod launchd;
pub mod schedule;
pub mod service;
pub mod systemd;
