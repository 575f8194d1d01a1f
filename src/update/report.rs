//! The report of a run, for people, scripts and the history.

use std::fmt;
use std::time::Instant;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Exit, Result};
use crate::install::slots::Delivery;

/// The outcome of a run. It starts as failed and earns anything better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It failed; the reason says what was changed, if anything was.
    #[default]
    Failed,
    /// Nothing to do.
    UpToDate,
    /// The installed release was new already; hephd runs it now.
    Restarted,
    /// The release is installed and healthy.
    Updated,
    /// The release was not healthy, or a person asked: the former one is back.
    RolledBack,
    /// There is a newer release, and a reason not to install it.
    Skipped,
    /// Another run holds the lock.
    Busy,
    /// The forge cannot be reached.
    Unreachable,
}

/// Displays the outcome as JSON spells it.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// One step of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub name: String,
    /// How long it took, in milliseconds.
    pub ms: u64,
}

/// What the report of a run and its line in the history have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    pub outcome: Outcome,
    /// The version before.
    pub from: Option<Version>,
    /// The version that was wanted.
    pub to: Option<Version>,
    /// One sentence, where there is something to say.
    pub reason: Option<String>,
    /// The delivery of the staged release.
    pub delivery: Option<Delivery>,
    /// What it did, in order.
    pub steps: Vec<Step>,
    /// The signer of what was installed, if known.
    pub signed_by: Option<String>,
}

/// What a run did.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    #[serde(flatten)]
    pub summary: Summary,
    /// The path of the build's log.
    pub log: Option<String>,
    /// More sentences for a person.
    pub notes: Vec<String>,
    /// Whether the journal stays: the next run continues.
    #[serde(skip)]
    pub unfinished: bool,
    /// The error that ended it, with its hint.
    #[serde(skip)]
    pub error: Option<Error>,
}

impl Report {
    /// Ends the run with `outcome` and a sentence.
    pub fn end(&mut self, outcome: Outcome, reason: impl Into<String>) {
        self.summary.outcome = outcome;
        self.summary.reason = Some(reason.into());
    }

    /// Ends the run with an error. An error of exit code 75 means that the forge was unreachable.
    pub fn fail(&mut self, error: Error) {
        let outcome = match error.exit() {
            Exit::TryLater => Outcome::Unreachable,
            _ => Outcome::Failed,
        };
        self.end(outcome, error.one_line());
        self.error = Some(error);
    }

    /// Runs `work` as the step `name` and notes how long it took, also when it fails.
    pub fn step<T>(&mut self, name: &str, work: impl FnOnce() -> T) -> T {
        self.step_with(name, |_| work())
    }

    /// As [`Report::step`], for `work` that writes to the report.
    pub fn step_with<T>(&mut self, name: &str, work: impl FnOnce(&mut Report) -> T) -> T {
        let start = Instant::now();
        let result = work(self);
        self.took(name, start);
        result
    }

    /// Notes a step that began at `start` and ends now.
    pub fn took(&mut self, name: &str, start: Instant) {
        let ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.summary.steps.push(Step {
            name: name.to_owned(),
            ms,
        });
    }

    /// Adds a sentence for a person.
    pub fn note(&mut self, sentence: impl Into<String>) {
        self.notes.push(sentence.into());
    }

    /// Notes a failure that does not end the run.
    pub fn tolerate<T>(&mut self, result: Result<T>) {
        if let Err(error) = result {
            self.note(error.one_line());
        }
    }

    pub fn exit(&self) -> Exit {
        match self.summary.outcome {
            Outcome::UpToDate | Outcome::Restarted | Outcome::Updated | Outcome::Skipped => {
                Exit::Done
            }
            Outcome::RolledBack => Exit::RolledBack,
            Outcome::Busy | Outcome::Unreachable => Exit::TryLater,
            Outcome::Failed => self.error.as_ref().map_or(Exit::Failed, Error::exit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_report_has_failed() {
        assert_eq!(Report::default().exit(), Exit::Failed);
    }

    #[test]
    fn every_outcome_has_the_exit_code_of_the_design() {
        let code = |outcome| {
            let mut report = Report::default();
            report.summary.outcome = outcome;
            report.exit().code()
        };
        for (outcome, expected) in [
            (Outcome::Failed, 1),
            (Outcome::UpToDate, 0),
            (Outcome::Restarted, 0),
            (Outcome::Updated, 0),
            (Outcome::RolledBack, 3),
            (Outcome::Skipped, 0),
            (Outcome::Busy, 75),
            (Outcome::Unreachable, 75),
        ] {
            assert_eq!(code(outcome), expected, "{outcome:?}");
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.to_string());
        }
    }

    #[test]
    fn a_configuration_error_keeps_its_exit_code() {
        let mut report = Report::default();
        report.fail(Error::usage("bad setting"));
        assert_eq!(report.exit(), Exit::Usage);
    }
}
