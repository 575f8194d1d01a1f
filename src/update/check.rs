//! `check`: one request, a decision, and no change.

use serde::Serialize;

use super::survey::{Survey, latest, survey};
use super::{Request, World, trust};
use crate::error::{Error, Exit, Kind};
use crate::release::decide::Decision;

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// A newer release would be installed.
    Available,
    /// Nothing newer.
    UpToDate,
    /// Something newer, and a reason not to install it.
    Skipped,
    /// The forge cannot be reached.
    Unreachable,
    /// The answer, or this installation, is unusable.
    Failed,
}

#[derive(Debug)]
pub struct Check {
    pub outcome: Finding,
    pub survey: Option<Survey>,
    /// One sentence, where there is something to say.
    pub reason: Option<String>,
    pub error: Option<Error>,
}

impl Check {
    pub fn exit(&self) -> Exit {
        match self.outcome {
            Finding::Available => Exit::Available,
            Finding::UpToDate | Finding::Skipped => Exit::Done,
            Finding::Unreachable => Exit::TryLater,
            Finding::Failed => self.error.as_ref().map_or(Exit::Failed, Error::exit),
        }
    }
}

/// Asks the forge and decides. Changes nothing but the record of the tags that were seen; a release whose tag was moved is
/// quarantined.
pub fn check(world: World, scheduled: bool) -> Check {
    let request = Request {
        scheduled,
        ..Request::default()
    };
    match latest(world, &request).and_then(|latest| survey(world, latest, &request.asked)) {
        Ok(survey) => judge(world, survey),
        Err(error) => Check {
            outcome: match error.kind() {
                Kind::Unreachable => Finding::Unreachable,
                _ => Finding::Failed,
            },
            // What is installed is worth knowing all the same.
            survey: survey(world, None, &request.asked).ok(),
            reason: Some(error.one_line()),
            error: Some(error),
        },
    }
}

fn judge(world: World, survey: Survey) -> Check {
    let mut moved = None;
    let (outcome, reason) = match &survey.decision {
        Decision::Update(release) => match trust::look(world, release) {
            Ok(None) => (Finding::Available, None),
            Ok(Some(error)) => (Finding::Failed, Some(moved.insert(error).one_line())),
            Err(error) if error.kind() == Kind::NotYet => {
                (Finding::Skipped, Some(error.one_line()))
            }
            // The feed has answered, and apply looks the tag up again.
            Err(error) => (
                Finding::Available,
                Some(format!("cannot look up its tag: {}", error.one_line())),
            ),
        },
        Decision::UpToDate(reason) => (Finding::UpToDate, reason.clone()),
        Decision::RestartOnly => (
            Finding::UpToDate,
            Some("hephd still runs an older release".to_owned()),
        ),
        Decision::Skipped(reason) => (Finding::Skipped, Some(reason.clone())),
    };
    Check {
        outcome,
        survey: Some(survey),
        reason,
        error: moved,
    }
}
