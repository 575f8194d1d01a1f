//! Three spokes and a hub, real processes, to which everything happens that happens to machines and networks. At the end
//! all four stores hold exactly the same tasks, and every write that was acknowledged exactly once.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod backups;
mod clocks;
#[path = "../support/disk.rs"]
mod disk;
#[path = "../support/faketime.rs"]
mod faketime;
mod full_disk;
mod kills;
mod outage;
mod scene;
#[path = "../hephd/support.rs"]
#[allow(dead_code, reason = "test support: a part of it is used here")]
mod support;
mod wire;
mod writer;
