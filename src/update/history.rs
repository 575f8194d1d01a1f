//! The history: one line for each finished run.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::report::Summary;
use crate::error::{Result, ResultExt};
use crate::os::{clock, files};
use crate::paths::Paths;

/// The file is cut back to [`KEPT`] lines when it has grown beyond this many bytes.
const TRIM_AT: u64 = 512 * 1024;
/// How many of the newest runs are kept then.
const KEPT: usize = 500;
/// Nothing larger is read.
const LIMIT: u64 = 16 * 1024 * 1024;

/// One run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its name, unique.
    #[serde(rename = "run")]
    pub id: String,
    pub action: Action,
    pub started_at: Timestamp,
    /// Whether the timer started it.
    pub scheduled: bool,
}

impl Run {
    pub(super) fn begin(action: Action, scheduled: bool) -> Run {
        Run {
            id: Ulid::generate().to_string(),
            action,
            started_at: clock::now(),
            scheduled,
        }
    }
}

/// One finished run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    #[serde(flatten)]
    pub run: Run,
    pub ended_at: Timestamp,
    #[serde(flatten)]
    pub summary: Summary,
}

/// What a run was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    Apply,
    Rollback,
    /// The end of an earlier run that was interrupted.
    Recover,
}

/// Appends `entry`, once: a run that is there already is not written again.
pub fn record(paths: &Paths, entry: &Entry) -> Result<()> {
    let past = read(paths)?;
    if past.iter().any(|old| old.run.id == entry.run.id) {
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
