//! The operating system's managers: systemd, launchd and cron, and what heph has them run.
//!
//! [`service`] is hephd as a service, [`schedule`] the timer that starts `heph self-update`. Both stand on [`generated`]
//! files and on [`systemd`], [`launchd`] and [`cron`], which know neither.
//!
//! Architecture invariant: nothing here knows where releases come from or how they become files.

pub(crate) mod cron;
pub(crate) mod generated;
pub(crate) mod launchd;
mod legacy;
pub mod schedule;
pub mod service;
pub(crate) mod systemd;

#[cfg(test)]
mod tests;
