//! hephd, the real binary, in throw-away homes.

mod activation;
mod background;
mod backups;
mod commands;
mod crashes;
mod damage;
mod deadlines;
mod lifecycle;
mod listing;
mod maintenance;
mod protocol;
mod unusable;
