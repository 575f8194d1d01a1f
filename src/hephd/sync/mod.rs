//! Syncing: a spoke sends the hub what the hub lacks, and fetches what it lacks itself.

pub mod wire;
