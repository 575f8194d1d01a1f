//! The sync protocol: one JSON object each way, by `POST /v1/sync`. A spoke and its hub share these types.
//!
//! An exchange is idempotent. Each operation has a unique id, so a request that is sent again because its response was
//! lost is applied once.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

/// The schema of both objects.
pub(crate) const SCHEMA: u32 = 1;
/// The most operations in a request or a response.
pub(crate) const PAGE_OPERATIONS: usize = 1000;
/// The most bytes that their bodies have together, unless a single one has more.
pub(crate) const PAGE_BYTES: usize = 1 << 20;
/// The largest request or response, in bytes of JSON before compression.
pub(crate) const LARGEST_BODY: usize = 4 << 20;
/// The largest body of one operation, in bytes of JSON.
pub(crate) const LARGEST_OPERATION: usize = 64 << 10;

/// What a spoke sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    pub schema: u32,
    /// The version of the spoke's hephd.
    pub version: String,
    /// The ULID of the spoke.
    pub spoke: String,
    /// The epoch of the hub that `cursor` and `sent` refer to; `None` before the first response.
    pub epoch: Option<String>,
    /// How far the spoke has fetched.
    pub cursor: Option<Position>,
    /// The highest position that the hub gave to an operation of the spoke.
    pub sent: Option<Position>,
    /// Operations that the hub has not acknowledged.
    pub operations: Vec<Operation>,
    /// The most bytes that the bodies of the response may have together, for a slow link. Hubs of release 0.1.0 ignore it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_bytes: Option<usize>,
}

/// What a hub sends back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Response {
    pub schema: u32,
    /// The version of the hub's hephd.
    pub version: String,
    /// The epoch of the hub's store. It changes when the store is restored from a backup.
    pub epoch: String,
    /// Whether the hub's log contradicts the request. If so, nothing was exchanged, and the spoke must resync.
    pub reset: bool,
    /// Operations of the request that the hub rejected for good; it has taken all others.
    pub refused: Vec<RefusedOperation>,
    /// [`Request::sent`] after this request.
    pub sent: Option<Position>,
    /// Operations that the spoke lacks, in the hub's order, without those of the request.
    pub operations: Vec<Operation>,
    /// [`Request::cursor`] after this response.
    pub cursor: Option<Position>,
    /// Whether there is more to fetch.
    pub more: bool,
}

/// A position in the hub's log: a number and the operation there, which together distinguish this log from any other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    pub seq: u64,
    /// The id of the operation.
    pub id: String,
}

/// An operation that the hub rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RefusedOperation {
    pub id: String,
    pub reason: String,
}

/// One change of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Operation {
    /// A ULID.
    pub id: String,
    pub kind: OperationKind,
    /// The ULID of the task.
    pub task: String,
    /// The `title` where the kind has one, and the `clock`.
    pub body: Map<String, Value>,
    /// Milliseconds since 1970, UTC.
    pub created_at: i64,
}

/// What an operation does to its task.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub(crate) enum OperationKind {
    /// Adds it; the body has its title.
    Add,
    /// Changes its title.
    Edit,
    /// Marks it as done.
    Done,
    /// Marks it as open again.
    Reopen,
    /// Deletes it for good.
    Delete,
    /// Unknown to this release; stored and passed on unchanged.
    Other(String),
}

impl OperationKind {
    pub fn as_str(&self) -> &str {
        match self {
            OperationKind::Add => "task.add",
            OperationKind::Edit => "task.edit",
            OperationKind::Done => "task.done",
            OperationKind::Reopen => "task.reopen",
            OperationKind::Delete => "task.delete",
            OperationKind::Other(name) => name,
        }
    }
}

impl From<String> for OperationKind {
    fn from(name: String) -> OperationKind {
        match name.as_str() {
            "task.add" => OperationKind::Add,
            "task.edit" => OperationKind::Edit,
            "task.done" => OperationKind::Done,
            "task.reopen" => OperationKind::Reopen,
            "task.delete" => OperationKind::Delete,
            _ => OperationKind::Other(name),
        }
    }
}

impl Serialize for OperationKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// How much a request or a response may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageLimits {
    pub operations: usize,
    /// No operation is added once the bodies have this many bytes.
    pub bytes: usize,
}

impl Default for PageLimits {
    fn default() -> PageLimits {
        PageLimits {
            operations: PAGE_OPERATIONS,
            bytes: PAGE_BYTES,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_kinds_of_this_release_have_the_names_of_the_protocol() {
        use OperationKind::*;
        for (kind, name) in [
            (Add, "task.add"),
            (Edit, "task.edit"),
            (Done, "task.done"),
            (Reopen, "task.reopen"),
            (Delete, "task.delete"),
        ] {
            assert_eq!(kind.as_str(), name);
            assert_eq!(OperationKind::from(name.to_owned()), kind);
        }
    }

    proptest! {
        #[test]
        fn a_kind_of_a_newer_release_passes_through_byte_for_byte(name: String) {
            let json = serde_json::to_string(&name).unwrap();
            let kind: OperationKind = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(kind.as_str(), &name);
            prop_assert_eq!(serde_json::to_string(&kind).unwrap(), json);
        }
    }
}
