//! The edges of the program: files, processes, http, locks, signals, the clock, and the words of strangers.
//!
//! Architecture invariant: nothing here knows what a release, a slot or a service is.

pub(crate) mod backoff;
pub mod clock;
pub(crate) mod download;
pub mod files;
pub(crate) mod host;
pub mod http;
pub(crate) mod interrupt;
pub(crate) mod lock;
pub(crate) mod lock_holder;
pub(crate) mod peer;
pub(crate) mod process;
pub(crate) mod stable_path;
pub(crate) mod text;
