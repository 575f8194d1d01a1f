//! Settings: parsed once into types, with defaults for whatever the file leaves out.

mod features;
mod interval;
mod parse;
mod repository;
pub(crate) mod trust;
mod values;

use std::path::{Path, PathBuf};

use semver::VersionReq;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, ResultExt};
use crate::os::files;
pub use features::Features;
pub use interval::Interval;
pub use repository::Repository;
pub use trust::{Require, Signers, Trust};
pub use values::{Hook, TagPrefix};

/// All settings.
///
/// A new setting is a field here (or in [`SelfUpdate`] or [`Trust`]), its default, and its row in `docs/reference.md`, which
/// a test demands.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Which service manager and scheduler to use.
    #[serde(deserialize_with = "values::word")]
    pub service_manager: ServiceManager,
    /// Table `[self-update]`.
    #[serde(deserialize_with = "values::table")]
    pub self_update: SelfUpdate,
}

/// Which service manager runs hephd, and which scheduler the timer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceManager {
    /// systemd where a user manager answers, launchd on macOS, else cron for the timer alone.
    #[default]
    Auto,
    /// A systemd user manager.
    Systemd,
    /// launchd.
    Launchd,
    /// hephd is not managed, and cron runs the timer.
    None,
}

/// The settings of `[self-update]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct SelfUpdate {
    /// Where releases are published.
    #[serde(deserialize_with = "values::text")]
    pub repository: Repository,
    /// What kind of forge that is.
    #[serde(deserialize_with = "values::word")]
    pub forge: Forge,
    /// The Cargo packages to install.
    #[serde(deserialize_with = "values::packages")]
    pub packages: Vec<String>,
    /// Whether the timer installs or only reports.
    #[serde(deserialize_with = "values::word")]
    pub mode: Mode,
    /// How often the timer runs, unless `enable` says otherwise.
    #[serde(deserialize_with = "values::within::<SHORTEST_EVERY, { u64::MAX }, _>")]
    pub every: Interval,
    /// Only releases that match are considered.
    #[serde(deserialize_with = "values::text")]
    pub pin: Option<VersionReq>,
    /// Whether pre-releases are considered.
    pub prereleases: bool,
    /// Releases younger than this are not installed yet.
    #[serde(deserialize_with = "values::within::<0, { u64::MAX }, _>")]
    pub cooldown: Interval,
    /// How long a new hephd must stay healthy after a restart. It may be longer than `health_timeout`: this counts from the
    /// first good answer, the other until it.
    #[serde(deserialize_with = "values::within::<0, LONGEST_WAIT, _>")]
    pub settle: Interval,
    /// How long a new hephd may take until it answers.
    #[serde(deserialize_with = "values::within::<1, LONGEST_WAIT, _>")]
    pub health_timeout: Interval,
    /// How many slots are kept besides the current one.
    #[serde(deserialize_with = "values::slots")]
    pub keep: usize,
    /// How many bytes the build folder may keep.
    #[serde(deserialize_with = "values::size")]
    pub build_folder_limit: u64,
    /// Where the commands are; default: beside the running `heph`.
    #[serde(deserialize_with = "values::text")]
    pub bin_dir: Option<PathBuf>,
    /// What stands before the version in a tag.
    #[serde(deserialize_with = "values::text")]
    pub tag_prefix: TagPrefix,
    /// What a scheduled run does on battery.
    #[serde(deserialize_with = "values::word")]
    pub on_battery: OnBattery,
    /// How releases become binaries.
    #[serde(deserialize_with = "values::word")]
    pub delivery: Delivery,
    /// The Cargo features to build with instead of those that the installation has; see
    /// [`chosen_features`](SelfUpdate::chosen_features).
    #[serde(deserialize_with = "features::names")]
    pub features: Option<Vec<String>>,
    /// Whether to build with all features.
    pub all_features: Option<bool>,
    /// Whether to build without the default features.
    pub no_default_features: Option<bool>,
    /// Whether a release may lack a command that is installed.
    pub allow_fewer_commands: bool,
    /// Run when a newer release is found and not installed.
    pub on_available: Option<Hook>,
    /// Run after an update.
    pub on_updated: Option<Hook>,
    /// Run after a failed or rolled back update.
    pub on_failed: Option<Hook>,
    /// Table `[self-update.trust]`.
    #[serde(deserialize_with = "values::table")]
    pub trust: Trust,
}

/// What kind of forge publishes the releases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forge {
    /// Detected by the host or one probe, then cached.
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Installs it.
    #[default]
    Apply,
    /// Reports it.
    Notify,
}

/// What a scheduled run does on battery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnBattery {
    /// Nothing.
    #[default]
    Skip,
    /// The same as otherwise.
    Run,
}

/// How releases become binaries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// From an archive where the release has a verifiable one for this machine, else built by cargo.
    #[default]
    Auto,
    /// Built by cargo.
    Cargo,
    /// From an archive.
    Prebuilt,
}

/// The shortest interval of the timer, in seconds.
pub(crate) const SHORTEST_EVERY: u64 = 60;
/// The longest `settle` and `health-timeout`, in seconds: the job that waits for them has a time limit of its own.
const LONGEST_WAIT: u64 = 60 * 60;
/// The most bytes a settings file may have.
const LARGEST_FILE: u64 = 1 << 20;

impl Default for SelfUpdate {
    fn default() -> Self {
        SelfUpdate {
            repository: Repository::default(),
            forge: Forge::Auto,
            packages: vec![env!("CARGO_PKG_NAME").to_owned()],
            mode: Mode::Apply,
            every: Interval::from_secs(6 * 60 * 60),
            pin: None,
            prereleases: false,
            cooldown: Interval::default(),
            settle: Interval::from_secs(10),
            health_timeout: Interval::from_secs(60),
            keep: 2,
            build_folder_limit: 2 << 30,
            bin_dir: None,
            tag_prefix: TagPrefix::default(),
            on_battery: OnBattery::Skip,
            delivery: Delivery::Auto,
            features: None,
            all_features: None,
            no_default_features: None,
            allow_fewer_commands: false,
            on_available: None,
            on_updated: None,
            on_failed: None,
            trust: Trust::default(),
        }
    }
}

impl Config {
    /// Parses the settings file; a missing one means defaults.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or has an unknown key or an invalid value; the error names the line, and exits with 2.
    pub fn load(file: &Path) -> Result<Config> {
        let bytes = read(file)?;
        Config::parse(file, bytes.as_deref().unwrap_or_default())
    }

    /// Like [`Config::load`], for a file that the user named: a missing one is an error.
    ///
    /// # Errors
    ///
    /// As [`Config::load`], or there is no such file.
    pub fn load_named(file: &Path) -> Result<Config> {
        let bytes = read(file)?.ok_or_else(|| {
            Error::usage(format!(
                "cannot read the settings file '{}': it does not exist",
                file.display()
            ))
            .with_hint("create it, or leave out --config and HEPH_CONFIG")
        })?;
        Config::parse(file, &bytes)
    }

    fn parse(file: &Path, bytes: &[u8]) -> Result<Config> {
        // The keys apply even without a settings file.
        let standing = Trust::of_folder(&trust::folder(file))?;
        let mut config = parse::settings(file, bytes)?;
        config.self_update.trust.fall_back_to(standing);
        Ok(config)
    }
}

fn read(file: &Path) -> Result<Option<Vec<u8>>> {
    files::read_if_there(file, LARGEST_FILE)
        .with_context(|| Error::usage("cannot read the settings file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config> {
        parse::settings(Path::new("/c"), text.as_bytes())
    }

    #[test]
    fn an_empty_file_means_defaults() {
        assert_eq!(parse("").unwrap(), Config::default());
        let comments = "\u{feff}# nothing yet\n[self-update]\n";
        assert_eq!(parse(comments).unwrap(), Config::default());
    }
}
