//! What a scheduler can do.

use std::path::PathBuf;

use jiff::Timestamp;

use super::job::Job;
use crate::error::{Error, Result, ResultExt};
use crate::platform::generated::{FileState, OnDisk, Planned, made_by_hand};

/// What to do about a file that was made or edited by hand.
pub(super) const BY_HAND: &str = "keep a copy if you need it; `heph self-update enable --force` rewrites it, `disable --force` removes it";

/// A scheduler: renders and reads the files of the timer, and drives its tool.
pub(in crate::platform) trait Backend {
    /// Returns the files of the timer, whether or not they exist.
    fn files(&self) -> Result<Vec<(PathBuf, FileState)>>;

    /// Reads the job back; `None` where the files do not exist.
    fn read(&self) -> Result<Option<Job>>;

    /// Renders the files of `job`.
    fn plan(&self, job: &Job) -> Result<Vec<Planned>>;

    /// Checks, before anything is written, that the scheduler exists and can take `job`.
    fn check(&self, job: &Job) -> Result<()>;

    /// Writes those of `files` that are due, and has the scheduler run `job`. Returns whether anything had to be written.
    fn load(&self, files: &[Planned], job: &Job) -> Result<bool>;

    /// Returns what, besides the files, keeps the scheduler from running `job`.
    fn problem(&self, _job: &Job) -> Result<Option<String>> {
        Ok(None)
    }

    /// Removes every trace of the timer. Returns whether there was any.
    fn remove(&self) -> Result<bool>;

    /// Returns when the job runs next, where the scheduler knows it.
    fn next_run(&self, _job: &Job) -> Option<Timestamp> {
        None
    }
}

/// Returns what `file` was made from; `None` where it does not exist.
pub(super) fn source<S>(file: OnDisk<S>) -> Result<Option<S>> {
    match file.state {
        FileState::Absent => Ok(None),
        FileState::HandMade => Err(made_by_hand(&file.path).with_hint(BY_HAND)),
        _ => file.source.map(Some).with_context(|| {
            Error::new(format!("cannot read '{}' back", file.path.display())).with_hint(
                "`heph self-update disable --force` removes it; `heph self-update enable --force` rewrites it",
            )
        }),
    }
}
