//! What a service manager can do.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::definition::Definition;
use crate::error::Result;
use crate::platform::generated::{FileState, OnDisk, Planned};

/// What the service manager is doing with hephd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    Stopped,
    /// It starts hephd, or waits before it starts it again.
    Starting,
    Running,
}

/// hephd's process, as the service manager sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    pub activity: Activity,
    /// The main process.
    pub pid: Option<u32>,
}

impl Process {
    pub const STOPPED: Process = Process {
        activity: Activity::Stopped,
        pid: None,
    };
}

/// Why a service manager cannot start hephd, and what helps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    pub what: String,
    pub hint: String,
}

/// A service manager: renders and reads service files, and drives its tool. Stopping what is stopped succeeds.
pub trait Manager: fmt::Debug {
    /// Returns "systemd" or "launchd".
    fn name(&self) -> &'static str;

    /// Returns the path of the service file.
    fn file(&self) -> &Path;

    /// Reads the service file.
    fn read(&self) -> Result<OnDisk<Definition>>;

    /// Returns the path of the file by which the service manager holds the socket; `None` where it never does.
    fn socket_file(&self) -> Option<&Path> {
        None
    }

    /// Returns the state of that file.
    fn socket_state(&self) -> Result<Option<FileState>> {
        Ok(None)
    }

    /// Returns whether the service manager holds the socket at this moment; `None` where it never does.
    fn holds_socket(&self) -> Result<Option<bool>> {
        Ok(None)
    }

    /// Renders the files of `definition`.
    fn plan(&self, definition: &Definition) -> Result<Vec<Planned>>;

    /// Returns the folder that the service manager passes to hephd as `XDG_RUNTIME_DIR`.
    fn runtime_dir(&self) -> Option<PathBuf>;

    /// Checks that the service manager answers; the hint says what may help.
    fn answers(&self) -> Result<()>;

    /// Returns hephd's process.
    fn process(&self) -> Result<Process>;

    /// Returns why it could not start hephd again, apart from hephd itself; `None` where it knows no reason.
    fn obstacle(&self) -> Result<Option<Obstacle>> {
        Ok(None)
    }

    /// Returns the units that run now and that it stops along with hephd.
    fn companions(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Starts those of `companions` that do not run any more.
    fn start_companions(&self, _companions: &[String]) -> Result<()> {
        Ok(())
    }

    /// Writes those of `files` that are due, has them loaded and hephd started at login, and starts hephd unless it runs.
    fn start(&self, files: &[Planned], limit: Duration) -> Result<()>;

    /// As [`Manager::start`], but always with a new process.
    fn restart(&self, files: &[Planned], limit: Duration) -> Result<()>;

    /// Closes the socket that the service manager holds, with hephd, so that the next start opens another. Does nothing where it
    /// holds none.
    fn release_socket(&self) -> Result<()> {
        Ok(())
    }

    /// Stops hephd until the next login or start. Returns whether it was running.
    fn stop(&self) -> Result<bool>;

    /// Stops hephd and removes its files. Returns whether any of them existed.
    fn uninstall(&self) -> Result<bool>;
}
