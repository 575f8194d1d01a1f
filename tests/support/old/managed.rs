//! A user whose hephd some service manager runs.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::home::{Ended, run};

/// Something that can run `heph`.
pub trait Machine {
    fn command(&self, arguments: &[&str]) -> Command;

    #[track_caller]
    fn heph(&self, arguments: &[&str]) -> Ended {
        run(self.command(arguments))
    }

    #[track_caller]
    fn status(&self) -> Value {
        self.heph(&["daemon", "status", "--json"]).exits(0).json()
    }

    #[track_caller]
    fn pid(&self) -> i64 {
        self.status()["pid"].as_i64().expect("hephd runs")
    }

    fn socket(&self) -> PathBuf {
        self.status()["socket"].as_str().unwrap().into()
    }
}
