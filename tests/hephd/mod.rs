//! hephd, the real binary, in throw-away homes.

mod activation;
mod backups;
mod commands;
mod crashes;
mod lifecycle;
mod maintenance;
mod protocol;
