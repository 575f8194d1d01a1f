//! The history: one line for each finished run.

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use super::report::{Outcome, Step};
use crate::error::{Result, ResultExt};
use crate::install::slots::Delivery;
use crate::os::files;
use crate::paths::Paths;

/// The file is cut back to [`KEPT`] lines when it has grown beyond this many bytes.
const TRIM_AT: u64 = 512 * 1024;
/// How many of the newest runs are kept then.
const KEPT: usize = 500;
/// Nothing larger is read.
const LIMIT: u64 = 16 * 1024 * 1024;

/// One finished run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The run's name, unique.
    pub run: String,
    /// What it did: `apply`, `rollback`, or `recover`.
    pub action: Action,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    pub outcome: Outcome,
    /// The version before.
    pub from: Option<Version>,
    /// The version that was wanted.
    pub to: Option<Version>,
    /// One sentence, where there is something to say.
    pub reason: Option<String>,
    /// The delivery of the staged release.
    #[serde(default)]
    pub delivery: Option<Delivery>,
    /// What it did, in order.
    pub steps: Vec<Step>,
    /// Whether the timer started it.
    pub scheduled: bool,
    /// The signer of what was installed, if known.
    #[serde(default)]
    pub signed_by: Option<String>,
}

/// What a run was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// `heph self-update apply`.
    Apply,
    /// `heph self-update rollback`.
    Rollback,
    /// The end of an earlier run that was interrupted.
    Recover,
}

/// Appends `entry`, once: a run that is there already is not written again.
pub fn record(paths: &Paths, entry: &Entry) -> Result<()> {
    let past = read(paths)?;
    if past.iter().any(|old| old.run == entry.run) {
        return Ok(());
    }
    let line = serde_json::to_string(entry).context("cannot encode the history")?;
    files::append_line(&paths.history(), &line)?;
    trim(paths)
}

/// Returns the runs, the oldest first. A line that cannot be parsed is ignored: it was torn by a crash, or is from a newer heph.
pub fn read(paths: &Paths) -> Result<Vec<Entry>> {
    let Some(bytes) = files::read_if_there(&paths.history(), LIMIT)? else {
        return Ok(Vec::new());
    };
    Ok(bytes
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect())
}

/// Cuts the file back to its newest runs when it has grown too long.
fn trim(paths: &Paths) -> Result<()> {
    let path = paths.history();
    if std::fs::metadata(&path).map_or(0, |metadata| metadata.len()) <= TRIM_AT {
        return Ok(());
    }
    let runs = read(paths)?;
    let mut text = String::new();
    for entry in &runs[runs.len().saturating_sub(KEPT)..] {
        text.push_str(&serde_json::to_string(entry).context("cannot encode the history")?);
        text.push('\n');
    }
    files::write_atomic(&path, text.as_bytes(), files::PRIVATE)
}
