//! The edges of the program: files, processes, http, locks, signals and the clock.
//!
//! Architecture invariant: nothing here knows what a release, a slot or a service is.

pub mod clock;
pub mod download;
pub mod files;
pub mod generated;
pub mod host;
pub mod http;
pub mod interrupt;
pub mod launchctl;
pub mod lock;
pub mod plist;
pub mod process;
pub mod systemctl;
pub mod systemd_syntax;
