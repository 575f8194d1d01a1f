//! A user with a private systemd user manager.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use super::home::Home;
use super::managed::Machine;
use crate::support::manager::UserManager;

pub struct User {
    // Dropped first: the manager ends before its home goes.
    pub manager: UserManager,
    pub home: Home,
}

impl User {
    pub fn new() -> User {
        User::named("home")
    }

    pub fn named(name: &str) -> User {
        let home = Home::named(name);
        User {
            manager: UserManager::start(&home.path),
            home,
        }
    }

    pub fn unit(&self) -> PathBuf {
        self.home.path.join(".config/systemd/user/heph.service")
    }

    pub fn unit_text(&self) -> String {
        fs::read_to_string(self.unit()).unwrap()
    }

    pub fn socket_unit(&self) -> PathBuf {
        self.unit().with_file_name("heph.socket")
    }

    pub fn socket_text(&self) -> String {
        fs::read_to_string(self.socket_unit()).unwrap()
    }

    pub fn kill(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid() as i32).unwrap(), signal).unwrap();
    }
}

impl Machine for User {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.manager.command(self.home.bin().join("heph"));
        command.args(arguments);
        command
    }
}
