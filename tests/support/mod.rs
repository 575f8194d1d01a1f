//! The world that all tests share, and the examples with them.

pub mod daemon;
pub mod disk;
pub mod faketime;
pub mod forge;
pub mod home;
pub mod installation;
pub mod mac;
pub mod machine;
pub mod managed;
pub mod manager;
pub mod programs;
pub mod provider;
pub mod releases;
pub mod user;
