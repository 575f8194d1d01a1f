//! Whether this release can read a store: the question a roll-back asks before it starts the older hephd.

use std::path::Path;

use serde::Serialize;

use super::schema::{self, Found, SCHEMA};
use crate::error::Result;

/// What `hephd store check` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Always 1: the schema of this object.
    pub schema: u32,
    /// The path of the store.
    pub store: String,
    /// The schema of the store; `None` where there is no store yet, or it cannot be told.
    pub store_schema: Option<u32>,
    /// The lowest schema a release must know to read it.
    pub oldest_reader: Option<u32>,
    /// The schema that this release knows.
    pub reads: u32,
    /// Whether this release can start with it.
    pub readable: bool,
    /// Why it cannot, in a sentence.
    pub reason: Option<String>,
}

/// Looks at the store `path`, whether or not a hephd has it open, and changes nothing.
///
/// # Errors
///
/// The file cannot be read at all, because of its mode or the disk.
pub fn check(path: &Path) -> Result<Check> {
    Ok(judge(path.display().to_string(), schema::look(path)?))
}

/// Decides what is said of what was found.
fn judge(store: String, found: Found) -> Check {
    let (marks, reason) = match found {
        Found::Nothing => (None, None),
        Found::Unknown(why) => (None, Some(format!("it cannot be read as a store: {why}"))),
        Found::Store(marks) if marks.usable_by(SCHEMA) => (Some(marks), None),
        Found::Store(marks) => {
            let reason = format!(
                "it has schema {}, which needs a release with schema {} or later; this one has schema {SCHEMA}",
                marks.schema, marks.oldest_reader
            );
            (Some(marks), Some(reason))
        }
    };
    Check {
        schema: 1,
        store,
        store_schema: marks.map(|marks| marks.schema),
        oldest_reader: marks.map(|marks| marks.oldest_reader),
        reads: SCHEMA,
        readable: reason.is_none(),
        reason,
    }
}
