//! `heph self-update`: keep heph and hephd current.

mod apply;
mod check;
mod clean;
mod disable;
mod doctor;
mod enable;
mod history;
mod outcome;
mod quarantine;
mod rollback;
mod status;
mod trust;

use clap::Subcommand;
use semver::Version;

pub(crate) use enable::enable_timer;

use super::{Context, ui::Ui};
use crate::config::TagPrefix;
use crate::error::{Exit, Result, ResultExt};
use crate::release::source::ForeignTags;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

impl Args {
    /// Returns whether the command may write files.
    pub(super) fn writes(&self) -> bool {
        match &self.command {
            Command::Status(_) | Command::History(_) => false,
            Command::Trust(args) => args.writes(),
            Command::Quarantine(args) => args.writes(),
            Command::Check(_)
            | Command::Apply(_)
            | Command::Enable(_)
            | Command::Disable(_)
            | Command::Rollback(_)
            | Command::Clean(_)
            | Command::Doctor(_) => true,
        }
    }

    /// Returns whether the command itself reports newer releases.
    pub fn reports_releases(&self) -> bool {
        matches!(
            self.command,
            Command::Check(_) | Command::Apply(_) | Command::Status(_)
        )
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check whether a newer release exists
    Check(check::Args),
    /// Install the newest release now, and roll back if it is not healthy
    Apply(apply::Args),
    /// Turn automatic updates on
    Enable(enable::Args),
    /// Turn automatic updates off and remove every trace of the timer
    Disable(disable::Args),
    /// Show whether updates are on, what runs, and why it is not the latest
    Status(status::Args),
    /// List the runs so far
    History(history::Args),
    /// Go back to a release that is still on disk
    Rollback(rollback::Args),
    /// List or clear the releases that failed here
    Quarantine(quarantine::Args),
    /// Remove old releases and trim the build folder
    Clean(clean::Args),
    /// Show or change the keys whose signatures are accepted
    Trust(trust::Args),
    /// Check whether the timer's next run will work
    Doctor(doctor::Args),
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    match args.command {
        Command::Check(args) => check::run(context, args),
        Command::Apply(args) => apply::run(context, args),
        Command::Enable(args) => enable::run(context, args),
        Command::Disable(args) => disable::run(context, args),
        Command::Status(args) => status::run(context, args),
        Command::History(args) => history::run(context, args),
        Command::Rollback(args) => rollback::run(context, args),
        Command::Quarantine(args) => quarantine::run(context, args),
        Command::Clean(args) => clean::run(context, args),
        Command::Trust(args) => trust::run(context, args),
        Command::Doctor(args) => doctor::run(context, args),
    }
}

/// Reads a version as people write it: `1.2.3` or `v1.2.3`.
fn version(text: &str) -> Result<Version> {
    Version::parse(text.strip_prefix('v').unwrap_or(text)).context("not a version like 1.2.3")
}

/// Returns `version` as text, or `otherwise`.
fn shown(version: Option<&Version>, otherwise: &str) -> String {
    version.map_or_else(|| otherwise.to_owned(), Version::to_string)
}

/// Prints `lines`: the first one after `title`, the others below it.
fn rows(ui: &Ui, title: &str, lines: impl IntoIterator<Item = String>) {
    let below = " ".repeat(title.len());
    for (index, line) in lines.into_iter().enumerate() {
        let before = if index == 0 { title } else { &below };
        ui.say(format!("{before}{line}"));
    }
}

/// Returns the row about tags of another form than `prefix` and a version: a project that changed the form must not look like one
/// without releases.
fn ignored(foreign: &ForeignTags, prefix: &TagPrefix) -> String {
    let names = foreign.in_words();
    format!("{names}: not '{prefix}' (`tag-prefix`) and a version")
}

/// Returns a size in bytes in the unit that people read: "12.3 MiB".
fn size(bytes: u64) -> String {
    let binary = |power| bytes as f64 / 1024_f64.powi(power);
    match bytes {
        0..0x400 => format!("{bytes} B"),
        0x400..0x10_0000 => format!("{:.1} KiB", binary(1)),
        0x10_0000..0x4000_0000 => format!("{:.1} MiB", binary(2)),
        _ => format!("{:.1} GiB", binary(3)),
    }
}
