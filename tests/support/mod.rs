//! The world that all tests share, and the examples with them.

#![allow(dead_code, reason = "until the old modules are gone")]

pub mod call;
pub mod daemon;
pub mod disk;
pub mod faketime;
pub mod files;
pub mod forge;
pub mod home;
pub mod http;
pub mod load;
pub mod mac;
pub mod machine;
pub mod manager;
pub mod memory;
pub mod node;
pub mod old;
pub mod programs;
pub mod provider;
pub mod releases;
pub mod wait;
pub mod workshop;
