//! The words that hephd and its clients exchange: the same types on both ends, so that they cannot drift apart.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The largest request, in bytes without its newline.
pub const LARGEST_REQUEST: usize = 1 << 20;
/// The longest title, in bytes.
pub const LONGEST_TITLE: usize = 4096;

/// Codes of hephd's errors: those of JSON-RPC 2.0 (section 5.1), and its own from the range left to servers.
pub mod code {
    /// Not JSON.
    pub const PARSE: i64 = -32700;
    /// JSON, but no request.
    pub const INVALID_REQUEST: i64 = -32600;
    /// No such method.
    pub const NO_METHOD: i64 = -32601;
    /// The method does not take these parameters.
    pub const INVALID_PARAMS: i64 = -32602;
    /// hephd itself failed.
    pub const INTERNAL: i64 = -32603;
    /// No such task.
    pub const NO_TASK: i64 = -32001;
    /// The beginning of an id fits more than one task.
    pub const AMBIGUOUS: i64 = -32002;
    /// The operation id belongs to another operation.
    pub const OPERATION_REUSED: i64 = -32003;
    /// The store, or the disk below it, failed; nothing was changed.
    pub const STORE: i64 = -32004;
    /// The backup could not be written.
    pub const BACKUP: i64 = -32005;
    /// There is no hub to sync with.
    pub const NO_HUB: i64 = -32010;
    /// The hub is away or cannot answer now: later it may work by itself.
    pub const HUB_AWAY: i64 = -32011;
    /// The sync failed, and somebody has to look.
    pub const SYNC: i64 = -32012;
}

/// A task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Its ULID.
    pub id: String,
    /// What to do, in one line.
    pub title: String,
    /// Whether it is done.
    pub state: State,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was done.
    pub done_at: Option<Timestamp>,
}

/// Whether a task is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// To do.
    Open,
    /// Done.
    Done,
}

/// Which tasks to list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Which {
    /// Those to do.
    #[default]
    Open,
    /// Those done.
    Done,
    /// All.
    All,
}

/// What hephd says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its version, as `--version` prints it, without the name.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// `local` or `server`.
    pub mode: String,
    /// The path of its store.
    pub store: String,
    /// The schema version of its store.
    pub schema: u32,
    /// How many tasks it has, open ones.
    pub open_tasks: u64,
    /// When it started, RFC 3339 in UTC.
    pub started_at: String,
}

/// How the sync with a hub stands. Without a hub, nothing is known and nothing pending.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncStatus {
    /// The address of the hub.
    pub hub: Option<String>,
    /// When a round ended well, the last time since hephd started.
    pub last_success: Option<Timestamp>,
    /// How many operations the hub has not taken yet.
    pub pending: u64,
    /// How many operations the hub refused; they are not sent again.
    pub refused: u64,
    /// Why the last round failed; null where it did not.
    pub last_error: Option<String>,
    /// When the next round begins; null while one is under way.
    pub next_attempt: Option<Timestamp>,
    /// The provider of the tokens.
    pub issuer: Option<String>,
    /// The client id to log in with.
    pub client_id: Option<String>,
}

/// What a round of sync did, and how the sync stands after it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncRound {
    /// How many operations the hub took.
    pub sent: u64,
    /// How many operations the hub sent.
    pub received: u64,
    /// How it stands now.
    #[serde(flatten)]
    pub status: SyncStatus,
}
