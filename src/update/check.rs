//! `check`: how things stand, with one request and no change.

use serde::Serialize;

use super::survey::{Survey, news, survey};
use super::{Request, World, trust};
use crate::error::{Error, Exit};
use crate::release::decide::Decision;
use crate::release::feed::News;

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
    /// The answer is of no use, or this installation is.
    Failed,
}

/// The result of a check.
#[derive(Debug)]
pub struct Check {
    /// What it found.
    pub outcome: Finding,
    /// How things stand, as far as that could be found out.
    pub survey: Option<Survey>,
    /// One sentence, where there is something to say.
    pub reason: Option<String>,
    /// The error that ended it.
    pub error: Option<Error>,
}

impl Check {
    /// Returns how the process ends after this check.
    pub fn exit(&self) -> Exit {
        match self.outcome {
            Finding::Available => Exit::Available,
            Finding::UpToDate | Finding::Skipped => Exit::Done,
            Finding::Unreachable => Exit::TryLater,
            Finding::Failed => self.error.as_ref().map_or(Exit::Failed, Error::exit),
        }
    }
}

/// Asks the forge and says what follows. Changes nothing but what is remembered of releases; one whose tag was moved goes
/// into quarantine.
pub fn check(world: World, scheduled: bool) -> Check {
    let request = Request {
        scheduled,
        ..Request::default()
    };
    let looked = news(world, &request).and_then(|news| match news {
        News::Latest(latest) => survey(world, latest, &request.asked).map(Ok),
        News::Unreachable { reason, .. } => Ok(Err(reason)),
    });
    match looked {
        Ok(Ok(survey)) => {
            let mut moved = None;
            let (outcome, reason) = match &survey.decision {
                Decision::Update(release) => match trust::look(world, release) {
                    Ok(None) => (Finding::Available, None),
                    Ok(Some(error)) => {
                        let reason = error.one_line();
                        moved = Some(error);
                        (Finding::Failed, Some(reason))
                    }
                    // The feed has answered all the same, and apply asks again.
                    Err(error) => (
                        Finding::Available,
                        Some(format!("its tag was not looked at: {}", error.one_line())),
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
        // What is installed is worth knowing without the forge, too.
        Ok(Err(reason)) => {
            let survey = survey(world, None, &request.asked).ok();
            Check {
                outcome: Finding::Unreachable,
                survey,
                reason: Some(reason),
                error: None,
            }
        }
        Err(error) => {
            let survey = survey(world, None, &request.asked).ok();
            Check {
                outcome: Finding::Failed,
                survey,
                reason: Some(error.one_line()),
                error: Some(error),
            }
        }
    }
}
