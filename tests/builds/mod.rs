//! Builds that fail, on every kind of forge: none blames the release, each waits, and what earlier runs left is not to blame.

mod kept;
mod network;
mod quarantine;
mod scene;
mod tags;
mod waiting;
