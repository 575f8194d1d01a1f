//! Whether this release can read a store, which a roll-back asks before it starts the older hephd, and whether it is damaged.

use std::path::Path;

use serde::Serialize;

use super::damage;
use super::schema::{self, SCHEMA, StoreFile};
use crate::error::Result;
use crate::os::lock;
use crate::paths::HephdPaths;

/// What `hephd store check` reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    /// Always 1: the schema of this object.
    pub schema: u32,
    /// The path of the store.
    pub store: String,
    /// The schema of the store; `None` where it does not exist or cannot be read.
    pub store_schema: Option<u32>,
    /// The lowest schema that a release must know to read the store.
    pub oldest_reader: Option<u32>,
    /// The schema of this release.
    pub reads: u32,
    /// Whether this release can use the store.
    pub readable: bool,
    /// Why it cannot.
    pub reason: Option<String>,
    /// What is damaged in a store that can be read.
    pub damage: Option<String>,
}

/// Checks the store `path` without changing anything, whether or not a hephd has it open.
///
/// # Errors
///
/// The file mode or the disk prevents reading the file at all.
pub(crate) fn check(path: &Path) -> Result<Check> {
    let file = schema::inspect(path)?;
    let version = match file {
        StoreFile::Store(version) => Some(version),
        StoreFile::Missing | StoreFile::Unreadable(_) => None,
    };
    let reason = file.obstacle(SCHEMA);
    let damage = match version {
        Some(version) if reason.is_none() => {
            let in_use = lock::is_held(&HephdPaths::store_lock(path));
            damage::find(path, version, in_use)?
        }
        _ => None,
    };
    Ok(Check {
        schema: 1,
        store: path.display().to_string(),
        store_schema: version.map(|version| version.schema),
        oldest_reader: version.map(|version| version.oldest_reader),
        reads: SCHEMA,
        readable: reason.is_none(),
        reason,
        damage,
    })
}
