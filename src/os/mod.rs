//! The edges of the program: files, processes, http, locks, signals and the clock.
//!
//! Architecture invariant: nothing here knows what a release, a slot or a service is.

pub mod clock;
pub mod download;
pub mod files;
pub mod host;
pub mod http;
pub mod interrupt;
pub mod lock;
pub mod process;
