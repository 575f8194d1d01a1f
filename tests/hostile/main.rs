//! An unlucky machine and a hostile release: what others changed behind heph's back, and programs that misbehave.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

#[path = "../support/forge.rs"]
mod forge;
#[path = "../support/home.rs"]
mod home;
#[path = "../support/manager.rs"]
mod manager;

mod changed_by_hand;
mod programs;
mod scene;
