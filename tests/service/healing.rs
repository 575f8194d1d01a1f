//! A socket that nothing reaches any more, and what brings it back.

use std::fs;

use super::{SERVICE, SOCKET};
use crate::support::mac::Mac;
use crate::support::machine::Machine;

fn folder_of_the_socket(user: &Machine) -> std::path::PathBuf {
    user.socket().parent().unwrap().to_owned()
}

#[test]
fn restart_and_start_open_a_socket_again_whose_path_was_removed() {
    let user = Machine::new();
    user.heph("daemon start").exits(0);
    user.add("one");
    for verb in ["restart", "start"] {
        for all in [true, false] {
            match all {
                true => fs::remove_dir_all(folder_of_the_socket(&user)).unwrap(),
                false => fs::remove_file(user.socket()).unwrap(),
            }
            let pid = user.status()["pid"].as_i64().unwrap();
            user.heph("list")
                .exits(1)
                .complains(&format!("hephd is process {pid}, but its socket is gone"))
                .complains("`heph daemon restart` brings the socket back");
            user.heph(&format!("daemon {verb}")).exits(0);
            assert_eq!(user.titles(), ["one"]);
            assert_eq!(user.status()["socket_held"], true);
        }
    }
    // With nothing to mend, `start` changes nothing.
    let pid = user.pid();
    user.heph("daemon start").exits(0).says("already");
    assert_eq!(user.pid(), pid);
}

#[test]
fn a_socket_unit_that_was_stopped_by_hand_is_no_dead_end() {
    let user = Machine::new();
    user.heph("daemon start").exits(0);
    user.add("one");
    for verb in ["start", "restart"] {
        user.manager.systemctl(&["stop", SOCKET]);
        user.heph(&format!("daemon {verb}")).exits(0);
        assert_eq!(user.titles(), ["one"]);
        assert_eq!(user.status()["socket_held"], true, "{verb}");
        assert_eq!(user.manager.property(SERVICE, "ActiveState"), "active");
    }
}

#[test]
fn another_file_at_the_path_is_no_obstacle() {
    let user = Machine::new();
    user.heph("daemon start").exits(0);
    user.add("one");
    // The stale socket of a process that bound the path and was killed.
    fs::remove_file(user.socket()).unwrap();
    drop(std::os::unix::net::UnixListener::bind(user.socket()).unwrap());
    user.heph("daemon restart").exits(0);
    assert_eq!(user.titles(), ["one"]);
}

#[test]
fn where_hephd_binds_the_path_itself_a_new_process_binds_it_again() {
    let mac = Mac::new();
    mac.heph("daemon start").exits(0);
    mac.add("one");
    for verb in ["start", "restart"] {
        fs::remove_file(mac.socket()).unwrap();
        mac.heph(&format!("daemon {verb}")).exits(0);
        assert_eq!(mac.titles(), ["one"]);
    }
}
