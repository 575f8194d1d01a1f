//! What a spoke and its hub exchange: one JSON object each way, by `POST /v1/sync`. The same types on both ends.
//!
//! An exchange is idempotent. An operation has an id that only it has, so a request that is sent twice, because its
//! answer was lost, is taken once.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The schema of both objects.
pub const SCHEMA: u32 = 1;
/// How many operations a request or an answer carries at most.
pub const PAGE_OPERATIONS: usize = 1000;
/// How many bytes their bodies have at most in all, unless one alone has more.
pub const PAGE_BYTES: usize = 1 << 20;
/// The largest request or answer, in bytes of JSON before compression.
pub const LARGEST_BODY: usize = 4 << 20;
/// The largest body of one operation, in bytes of JSON.
pub const LARGEST_OPERATION: usize = 64 << 10;

/// What a spoke sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The version of the spoke's hephd.
    pub version: String,
    /// The ULID of the spoke.
    pub spoke: String,
    /// The epoch of the hub that `cursor` and `sent` are about; `None` before the first answer.
    pub epoch: Option<String>,
    /// How far the spoke has fetched.
    pub cursor: Option<Place>,
    /// The highest number that an operation sent by the spoke was given.
    pub sent: Option<Place>,
    /// What the hub does not have yet, as far as the spoke knows.
    pub operations: Vec<Operation>,
}

/// What the hub answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The version of the hub's hephd.
    pub version: String,
    /// The epoch of the hub's store: another one after the store was restored from a backup.
    pub epoch: String,
    /// Whether the hub does not have what the spoke takes it to have. Nothing was taken then, and nothing comes: the
    /// spoke begins anew.
    pub reset: bool,
    /// The operations of the request that were not taken, and never will be; all others were.
    pub refused: Vec<Refused>,
    /// As [`Request::sent`], after this request.
    pub sent: Option<Place>,
    /// What the spoke does not have yet, in the hub's order, without what was in the request.
    pub operations: Vec<Operation>,
    /// How far the spoke has fetched with this answer.
    pub cursor: Option<Place>,
    /// Whether there is more to fetch.
    pub more: bool,
}

/// A place in the hub's log: a number, and the operation that has it, so that another log is told from this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The hub's number.
    pub seq: u64,
    /// The id of the operation.
    pub id: String,
}

/// An operation that the hub does not take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Its id.
    pub id: String,
    /// Why, for people.
    pub reason: String,
}

/// One operation, of whatever kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Its ULID.
    pub id: String,
    /// What it does.
    pub kind: String,
    /// The ULID of the task it is about.
    pub task: String,
    /// By kind, and with the `clock` of the operation.
    pub body: Map<String, Value>,
    /// When it was made, in milliseconds since 1970, UTC.
    pub created_at: i64,
}

/// How much goes into one request or answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// At most so many operations.
    pub operations: usize,
    /// No more operations once their bodies have so many bytes.
    pub bytes: usize,
}

impl Default for Page {
    fn default() -> Page {
        Page {
            operations: PAGE_OPERATIONS,
            bytes: PAGE_BYTES,
        }
    }
}

/// What a spoke does after an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Both sides have everything.
    Done,
    /// There is more, on one side or the other.
    Again,
}
