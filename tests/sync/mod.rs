//! The spoke, the real hephd, against hubs that are well and against whatever else may be at their address.

mod commands;
mod fake;
mod flags;
mod login;
mod spoke;
mod together;
mod trouble;
