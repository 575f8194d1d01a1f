//! launchd: the syntax of its property lists, and `launchctl`.

pub mod launchctl;
pub mod plist;
