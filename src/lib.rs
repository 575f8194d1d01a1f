//! heph: a task store for one user (`hephd`), its command line, and the updater that keeps both current.
//!
//! # Map
//!
//! | module | what it holds |
//! |---|---|
//! | [`cli`] | what a person types: one file a command, its arguments beside its function |
//! | [`config`], [`paths`] | settings, validated once; every path heph owns |
//! | [`error`] | the one error type: kind, message, causes, hint |
//! | [`flags`] | hephd's flags, for hephd and for what bakes them |
//! | [`release`] | what is out there: versions, feeds, the decision |
//! | [`install`] | how a release becomes files: deliveries, slots, links |
//! | [`update`] | one update from lock to record |
//! | [`platform`] | systemd, launchd and cron; hephd as a service, the timer |
//! | [`hephd`] | the daemon: socket, store |
//! | [`client`] | the thin client of hephd's socket |
//! | [`login`] | logging in at an OpenID provider, and staying logged in; the secret of an invited machine |
//! | [`os`] | the edges: process, http, files, lock, clock |
//!
//! # The dependency rule
//!
//! `bin → cli → update → {release, install, platform} → os`. `hephd` and `client` stand apart:
//! nothing in `hephd` knows that updates exist, and `tests/architecture` holds it. Decisions are pure functions,
//! without clock, file, network or process; effects live in `os` and in one thin file for each external tool.

pub mod cli;
pub mod client;
pub mod config;
pub mod error;
pub mod flags;
pub mod hephd;
pub mod install;
pub mod login;
pub mod os;
pub mod paths;
pub mod platform;
pub mod release;
pub(crate) mod update;
