//! Three spokes and a hub, real processes, to which everything happens that happens to machines and networks. At the end
//! all four stores hold exactly the same tasks, and every write that was acknowledged exactly once.

mod backups;
mod clocks;
mod full_disk;
mod kills;
mod outage;
mod scene;
mod wire;
mod writer;
