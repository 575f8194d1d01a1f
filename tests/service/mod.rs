//! hephd as a service, with the real `heph` and `hephd`: under a real systemd user manager, under a launchctl that is
//! as awkward as the real one, and without either.

mod failing;
mod finding;
mod flags;
mod healing;
mod launchd;
mod links;
mod sockets;
mod systemd;
mod unit_files;
mod without_a_manager;

const SERVICE: &str = "heph.service";
const SOCKET: &str = "heph.socket";
