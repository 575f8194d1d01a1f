//! What hephd knows of itself.

use std::path::PathBuf;

use jiff::Timestamp;

/// Facts about this hephd, whatever its store holds.
#[derive(Clone, Debug)]
pub(super) struct About {
    /// `local` or `server`.
    pub(super) mode: &'static str,
    pub(super) store: PathBuf,
    pub(super) schema: u32,
    pub(super) started_at: Timestamp,
}
