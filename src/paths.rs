//! Every path heph owns, worked out once.
//!
//! Linux follows the XDG base directories, macOS the `directories` crate, except for plists, which launchd wants under
//! `~/Library/LaunchAgents`.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use directories::{BaseDirs, ProjectDirs};

use crate::error::{Error, Result, ResultExt};

/// The places of hephd and of what talks to it. All are absolute; none need exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HephdPaths {
    /// The data folder.
    pub data: PathBuf,
    /// The store: `HEPH_DB`, or `heph.db` in the data folder.
    pub store: PathBuf,
    /// The socket: `HEPH_SOCKET`, or `heph/hephd.sock` in the runtime folder, else in the data folder.
    pub socket: PathBuf,
}

impl HephdPaths {
    /// Returns the paths for this process's environment.
    ///
    /// # Errors
    ///
    /// There is no home folder, or a relative path was given.
    pub(crate) fn from_env() -> Result<HephdPaths> {
        let project = project()?;
        let mut paths = HephdPaths::in_folders(project.data_dir(), runtime_dir(&project));
        if let Some(store) = absolute_variable("HEPH_DB")? {
            paths.store = store;
        }
        if let Some(socket) = absolute_variable("HEPH_SOCKET")? {
            paths.socket = socket;
        }
        Ok(paths)
    }

    /// Returns the paths below `data`; the socket is in `runtime`, where there is such a folder.
    pub(crate) fn in_folders(data: &Path, runtime: Option<&Path>) -> HephdPaths {
        HephdPaths {
            data: data.to_owned(),
            store: data.join("heph.db"),
            socket: runtime.unwrap_or(data).join("hephd.sock"),
        }
    }

    /// Returns whether the user named the socket by `HEPH_SOCKET`.
    pub(crate) fn socket_is_named() -> bool {
        std::env::var_os("HEPH_SOCKET").is_some_and(|value| !value.is_empty())
    }

    /// Returns the lock of the store `store`, which its hephd holds while it runs. Links are resolved, so that a store has one
    /// lock.
    pub(crate) fn store_lock(store: &Path) -> PathBuf {
        let store = store.canonicalize().unwrap_or_else(|_| store.to_owned());
        let mut lock = OsString::from(store);
        lock.push(".lock");
        lock.into()
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.data.join("hephd.log")
    }

    pub(crate) fn tokens(&self) -> PathBuf {
        self.data.join("tokens.json")
    }

    /// Returns the file of the secret with which this machine identifies itself at its hub.
    pub(crate) fn hub_secret(&self) -> PathBuf {
        self.data.join("hub-secret.json")
    }

    /// Returns the file of the machines that were invited to the hub on this machine.
    pub(crate) fn machines(&self) -> PathBuf {
        self.data.join("machines.json")
    }
}

/// The places of the command line and of updates. All are absolute; none need exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The user's home folder.
    pub home: PathBuf,
    /// The settings file: `--config`, `HEPH_CONFIG`, or `config.toml` in the configuration folder.
    pub config: PathBuf,
    /// The places of hephd. The slots and `current` are in its data folder too.
    pub hephd: HephdPaths,
    /// State: lock, journal, history, quarantine, feed, build logs.
    pub state: PathBuf,
    /// Cache: the build folder.
    pub cache: PathBuf,
    /// Where systemd looks for units of this user.
    pub systemd_units: PathBuf,
    /// Where launchd looks for agents of this user.
    pub launch_agents: PathBuf,
}

impl Paths {
    /// Returns the paths for this process's environment; `config` is the value of `--config`.
    pub(crate) fn from_env(config: Option<&Path>) -> Result<Paths> {
        let base = BaseDirs::new().with_context(no_home)?;
        let project = project()?;
        let hephd = HephdPaths::from_env()?;
        let config = match config {
            Some(path) => std::path::absolute(path)?,
            None => absolute_variable("HEPH_CONFIG")?
                .unwrap_or_else(|| project.config_dir().join("config.toml")),
        };
        Ok(Paths {
            home: base.home_dir().to_owned(),
            config,
            state: project
                .state_dir()
                .map_or_else(|| hephd.data.join("state"), Path::to_owned),
            cache: project.cache_dir().to_owned(),
            systemd_units: unit_folder(&base),
            launch_agents: base.home_dir().join("Library/LaunchAgents"),
            hephd,
        })
    }

    /// Returns the paths of a user on Linux without XDG variables whose home is `home`, whatever this process's: for tests.
    #[doc(hidden)]
    pub fn in_home(home: &Path) -> Paths {
        Paths {
            home: home.to_owned(),
            config: home.join(".config/heph/config.toml"),
            hephd: HephdPaths::in_folders(&home.join(".local/share/heph"), None),
            state: home.join(".local/state/heph"),
            cache: home.join(".cache/heph"),
            systemd_units: home.join(".config/systemd/user"),
            launch_agents: home.join("Library/LaunchAgents"),
        }
    }

    /// Returns whether the user named the settings file: by `--config`, whose value `config` is, or by `HEPH_CONFIG`.
    pub(crate) fn config_is_named(config: Option<&Path>) -> bool {
        config.is_some() || std::env::var_os("HEPH_CONFIG").is_some_and(|value| !value.is_empty())
    }

    /// Returns the folder that holds the slots.
    pub fn versions(&self) -> PathBuf {
        self.hephd.data.join("versions")
    }

    /// Returns the link to the slot in use.
    pub fn current(&self) -> PathBuf {
        self.hephd.data.join("current")
    }

    pub(crate) fn backups(&self) -> PathBuf {
        self.hephd.data.join("backups")
    }

    /// Returns the build folder, kept from one update to the next.
    pub fn build(&self) -> PathBuf {
        self.cache.join("build")
    }

    pub(crate) fn downloads(&self) -> PathBuf {
        self.cache.join("downloads")
    }

    /// Returns the folder of build logs.
    pub fn logs(&self) -> PathBuf {
        self.state.join("logs")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.state.join("lock")
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.state.join("journal.json")
    }

    pub(crate) fn history(&self) -> PathBuf {
        self.state.join("history.jsonl")
    }

    pub(crate) fn quarantine(&self) -> PathBuf {
        self.state.join("quarantine.json")
    }

    /// Returns the file of the builds that failed.
    pub(crate) fn failed_builds(&self) -> PathBuf {
        self.state.join("builds.json")
    }

    /// Returns the cache of the feed.
    pub fn feed(&self) -> PathBuf {
        self.state.join("feed.json")
    }

    /// Returns the file of the tags that were seen, and of the versions that were healthy here.
    pub(crate) fn trust(&self) -> PathBuf {
        self.state.join("trust.json")
    }

    /// Returns the folder with the settings of the git that cargo runs.
    pub(crate) fn git(&self) -> PathBuf {
        self.cache.join("git")
    }

    /// Returns the folder in which tags are examined, made afresh for each.
    pub(crate) fn tags(&self) -> PathBuf {
        self.cache.join("tags")
    }
}

/// Returns the user's home folder.
pub(crate) fn home() -> Result<PathBuf> {
    let base = BaseDirs::new().with_context(no_home)?;
    Ok(base.home_dir().to_owned())
}

fn project() -> Result<ProjectDirs> {
    ProjectDirs::from("", "", "heph").with_context(no_home)
}

/// Returns the folder for the socket below `XDG_RUNTIME_DIR`. Another user's counts as unset: `su` and `sudo -E` leave it in
/// the environment, and nobody else may be served there (XDG Base Directory Specification).
fn runtime_dir(project: &ProjectDirs) -> Option<&Path> {
    let us = rustix::process::geteuid().as_raw();
    let folder = project.runtime_dir()?;
    let is_foreign = |base: &Path| base.metadata().is_ok_and(|base| base.uid() != us);
    (!is_foreign(folder.parent()?)).then_some(folder)
}

fn no_home() -> Error {
    Error::usage("cannot tell where your home folder is").with_hint("set HOME to an absolute path")
}

/// Returns the path in the variable `name`, or `None` where it is unset or empty.
fn absolute_variable(name: &str) -> Result<Option<PathBuf>> {
    let Some(value) = std::env::var_os(name).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let path = PathBuf::from(value);
    if !path.is_absolute() {
        return Err(
            Error::usage(format!("{name} is the relative path '{}'", path.display()))
                .with_hint(format!("set {name} to an absolute path, or unset it")),
        );
    }
    Ok(Some(path))
}

/// Returns where systemd reads the units of this user (systemd.unit(5)), whatever the platform.
fn unit_folder(base: &BaseDirs) -> PathBuf {
    let config = if cfg!(target_os = "macos") {
        base.home_dir().join(".config")
    } else {
        base.config_dir().to_owned()
    };
    config.join("systemd/user")
}
