//! The world that all tests share, and the examples with them.

pub mod call;
pub mod daemon;
pub mod disk;
pub mod faketime;
pub mod files;
pub mod forge;
pub mod home;
pub mod http;
pub mod installation;
pub mod load;
pub mod mac;
pub mod machine;
pub mod manager;
pub mod memory;
pub mod node;
pub mod power;
pub mod programs;
pub mod provider;
pub mod releases;
pub mod report;
pub mod running;
pub mod slow_link;
pub mod soak;
pub mod tls;
pub mod wait;
pub mod workshop;
