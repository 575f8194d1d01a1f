//! Settings: what the file says, checked once, with defaults for all it does not say.

mod parse;
mod repository;
pub mod trust;
mod values;

use std::path::{Path, PathBuf};
use std::time::Duration;

use directories::BaseDirs;
use semver::VersionReq;

use crate::error::{Error, Result, ResultExt};
use crate::os::files;
pub use trust::{Require, Signers, Trust};

/// All settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// Key `service-manager`: which service manager and scheduler to use.
    pub service_manager: ServiceManager,
    /// Table `[self-update]`.
    pub self_update: SelfUpdate,
}

/// Which of the operating system's tools run hephd and the timer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServiceManager {
    /// systemd where a user manager answers, launchd on macOS, else none (and cron for the timer).
    #[default]
    Auto,
    /// A systemd user manager.
    Systemd,
    /// launchd.
    Launchd,
    /// None: hephd is not managed, and cron runs the timer.
    None,
}

/// The settings of `[self-update]`.
#[derive(Clone, Debug, PartialEq)]
pub struct SelfUpdate {
    /// Where releases are published: the https URL of a repository (http on loopback), without a trailing slash and
    /// without a user or password. It ends in `.git` only where the user wrote so.
    pub repository: String,
    /// What kind of forge that is.
    pub forge: Forge,
    /// The Cargo packages to install.
    pub packages: Vec<String>,
    /// Whether the timer installs or only tells.
    pub mode: Mode,
    /// How often the timer runs, unless `enable` says otherwise.
    pub every: Duration,
    /// Only releases that match are considered.
    pub pin: Option<VersionReq>,
    /// Whether pre-releases are considered.
    pub prereleases: bool,
    /// Releases younger than this are not installed yet.
    pub cooldown: Duration,
    /// How long a new hephd must stay healthy after a restart.
    pub settle: Duration,
    /// How long a new hephd has to answer at all.
    pub health_timeout: Duration,
    /// How many slots are kept besides the current one.
    pub keep: usize,
    /// How many bytes the build folder may keep.
    pub build_folder_limit: u64,
    /// Where the commands are; default: beside the running `heph`.
    pub bin_dir: Option<PathBuf>,
    /// What stands before the version in a tag.
    pub tag_prefix: String,
    /// What a scheduled run does on battery.
    pub on_battery: OnBattery,
    /// How releases become binaries.
    pub delivery: Delivery,
    /// Table `[self-update.trust]`: whose signatures count, and what is asked of a release.
    pub trust: Trust,
    /// Run when a newer release is found and not installed.
    pub on_available: Option<Hook>,
    /// Run after an update.
    pub on_updated: Option<Hook>,
    /// Run after a failed or rolled back update.
    pub on_failed: Option<Hook>,
}

/// A command with its arguments; no shell is involved. Never empty.
pub type Hook = Vec<String>;

/// What kind of forge publishes the releases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Forge {
    /// Found out from the host and one probe, then remembered.
    #[default]
    Auto,
    /// Forgejo or Gitea.
    Forgejo,
    /// GitHub.
    Github,
    /// GitLab.
    Gitlab,
    /// Any git remote over http(s), by its tags.
    Git,
}

/// What the timer does about a newer release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Installs it.
    #[default]
    Apply,
    /// Tells of it.
    Notify,
}

/// What a scheduled run does on battery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnBattery {
    /// Nothing.
    #[default]
    Skip,
    /// The same as otherwise.
    Run,
}

/// How releases become binaries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// From an archive where the release has one for this machine that is vouched for, else built by cargo.
    #[default]
    Auto,
    /// Built by cargo.
    Cargo,
    /// From an archive.
    Prebuilt,
}

/// The default interval of the timer.
pub const DEFAULT_EVERY: Duration = Duration::from_secs(6 * 60 * 60);
/// The shortest interval of the timer.
pub const SHORTEST_EVERY: Duration = Duration::from_secs(60);
/// The most bytes a settings file may have.
const LARGEST_FILE: u64 = 1 << 20;

impl Default for SelfUpdate {
    fn default() -> Self {
        SelfUpdate {
            repository: env!("CARGO_PKG_REPOSITORY").to_owned(),
            forge: Forge::Auto,
            packages: vec![env!("CARGO_PKG_NAME").to_owned()],
            mode: Mode::Apply,
            every: DEFAULT_EVERY,
            pin: None,
            prereleases: false,
            cooldown: Duration::ZERO,
            settle: Duration::from_secs(10),
            health_timeout: Duration::from_secs(60),
            keep: 2,
            build_folder_limit: 2 << 30,
            bin_dir: None,
            tag_prefix: "v".to_owned(),
            on_battery: OnBattery::Skip,
            delivery: Delivery::Auto,
            trust: Trust::default(),
            on_available: None,
            on_updated: None,
            on_failed: None,
        }
    }
}

/// Returns the names of all settings, table by table; the name of a table itself is none.
pub fn keys() -> impl Iterator<Item = &'static str> {
    parse::keys()
}

impl Config {
    /// Reads and checks the settings file; one that is not there means defaults.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or says something unknown, of the wrong type or impossible; the error names the file,
    /// the line and the nearest valid key, and exits with 2.
    pub fn load(file: &Path) -> Result<Config> {
        let bytes = read(file)?;
        Config::parse(file, bytes.as_deref().unwrap_or_default())
    }

    /// Like [`Config::load`], for a file that the user named: one that is not there is an error too.
    ///
    /// # Errors
    ///
    /// As [`Config::load`], or there is no such file.
    pub fn load_named(file: &Path) -> Result<Config> {
        let bytes = read(file)?.ok_or_else(|| {
            Error::usage(format!("there is no settings file '{}'", file.display()))
                .with_hint("make it, or leave out --config and HEPH_CONFIG")
        })?;
        Config::parse(file, &bytes)
    }

    fn parse(file: &Path, bytes: &[u8]) -> Result<Config> {
        let home = BaseDirs::new().map(|base| base.home_dir().to_owned());
        // Keys count even where there is no settings file.
        let standing = Trust::of_folder(&trust::folder(file))?;
        parse::settings(bytes, home.as_deref(), standing)
            .map_err(|problems| Error::usage(parse::report(file, &problems)))
    }
}

fn read(file: &Path) -> Result<Option<Vec<u8>>> {
    files::read_if_there(file, LARGEST_FILE)
        .with_context(|| Error::usage("cannot use the settings file"))
}
