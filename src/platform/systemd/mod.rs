//! systemd's user manager: the syntax of its units, and `systemctl --user`.

pub mod syntax;
pub mod systemctl;
