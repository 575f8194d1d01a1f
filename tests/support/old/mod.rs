pub mod daemon;
pub mod home;
pub mod installation;
pub mod mac;
pub mod machine;
pub mod managed;
pub mod user;
