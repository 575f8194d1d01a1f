//! What hephd and its clients exchange on the socket: the same types on both ends, so that they cannot drift apart.
#![allow(
    missing_docs,
    reason = "members are named as in the protocol, which docs/protocol.md describes"
)]

use std::ops::Not;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ulid::Ulid;

use crate::error::{Error, Kind};

/// The largest request, in bytes without its newline.
pub(crate) const LARGEST_REQUEST: usize = 1 << 20;
/// The longest title, in bytes.
pub(crate) const LONGEST_TITLE: usize = 4096;

/// A method with its parameters. The id of a task may be abbreviated to a prefix that only one task has.
///
/// Methods that write take an operation id that the client chose: a request that is sent twice is performed once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "method", content = "params", deny_unknown_fields)]
pub(crate) enum Call {
    #[serde(rename = "status")]
    Status {},
    #[serde(rename = "task.add")]
    TaskAdd {
        title: String,
        op_id: Option<OperationId>,
    },
    #[serde(rename = "task.list")]
    TaskList {
        #[serde(default)]
        state: Which,
        /// Without it, all tasks are the answer. Release 0.1.0 rejects it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<PageLimit>,
        /// The `next` of an earlier page; requires `limit`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
    },
    #[serde(rename = "task.next")]
    TaskNext {},
    #[serde(rename = "task.edit")]
    TaskEdit {
        id: String,
        title: String,
        op_id: Option<OperationId>,
    },
    #[serde(rename = "task.done")]
    TaskDone {
        id: String,
        op_id: Option<OperationId>,
    },
    #[serde(rename = "task.reopen")]
    TaskReopen {
        id: String,
        op_id: Option<OperationId>,
    },
    #[serde(rename = "task.delete")]
    TaskDelete {
        id: String,
        op_id: Option<OperationId>,
    },
    #[serde(rename = "task.undelete")]
    TaskUndelete {
        id: String,
        op_id: Option<OperationId>,
    },
    #[serde(rename = "task.undelete_since")]
    TaskUndeleteSince {
        since: Timestamp,
        /// The `next` of the answer before; zero at first.
        #[serde(default)]
        after: u64,
    },
    /// `path` is absolute and does not exist.
    #[serde(rename = "backup")]
    Backup { path: String },
    #[serde(rename = "sync.status")]
    SyncStatus {},
    #[serde(rename = "sync.now")]
    SyncNow {
        /// Whether to apply the hub's deletions that wait for that.
        #[serde(default, skip_serializing_if = "Not::not")]
        accept_deletes: bool,
    },
    #[serde(rename = "hub.invite")]
    HubInvite {
        name: Option<String>,
        url: Option<String>,
    },
    #[serde(rename = "hub.machines")]
    HubMachines {},
    #[serde(rename = "hub.revoke")]
    HubRevoke { name: String },
    /// A method that this release does not have.
    #[serde(other)]
    Unknown,
}

/// A ULID as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct OperationId(pub(crate) Ulid);

impl From<OperationId> for String {
    fn from(id: OperationId) -> String {
        id.0.to_string()
    }
}

impl TryFrom<String> for OperationId {
    type Error = Error;

    fn try_from(text: String) -> Result<OperationId, Error> {
        let id = Ulid::from_string(&text).map_err(|_| Error::new("op_id is not a ULID"))?;
        Ok(OperationId(id))
    }
}

/// How many tasks a page has at most: 1 to [`PageLimit::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u32", try_from = "Value")]
pub(crate) struct PageLimit(u32);

impl PageLimit {
    /// hephd has the store for some milliseconds to read so many, and clients of other requests wait no longer.
    pub(crate) const MAX: PageLimit = PageLimit(1000);

    pub(crate) fn get(self) -> usize {
        self.0 as usize
    }
}

impl From<PageLimit> for u32 {
    fn from(limit: PageLimit) -> u32 {
        limit.0
    }
}

impl TryFrom<Value> for PageLimit {
    type Error = Error;

    fn try_from(value: Value) -> Result<PageLimit, Error> {
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        let limit = number.filter(|number| (1..=PageLimit::MAX.0).contains(number));
        limit.map(PageLimit).ok_or_else(|| {
            Error::new(format!(
                "limit is a whole number from 1 to {}",
                PageLimit::MAX.0
            ))
        })
    }
}

/// The result of `task.add`, `task.edit`, `task.done`, `task.reopen`, `task.delete` and `task.undelete`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OneTask {
    pub(crate) task: Task,
    /// Whether it was not so before. Release 0.1.0 does not say.
    #[serde(default = "yes")]
    pub(crate) changed: bool,
}

fn yes() -> bool {
    true
}

/// The result of `task.next`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NextTask {
    pub(crate) task: Option<Task>,
}

/// The result of `task.list`: a page, or all tasks.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Tasks {
    pub(crate) tasks: Vec<Task>,
    /// The `after` of the next page, if there is more; absent where no `limit` was given.
    #[serde(default)]
    pub(crate) next: Option<String>,
}

/// The result of `task.undelete_since`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Undeleted {
    pub(crate) tasks: Vec<Task>,
    /// Where the next call continues; null after the last one.
    pub(crate) next: Option<u64>,
}

/// The result of `backup`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Written {
    pub(crate) path: String,
}

/// The error of an answer. Its data is the whole [`Error`]; hephd 0.1.0 sends the hint alone, or no data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) code: i64,
    message: String,
    #[serde(default)]
    data: Value,
}

impl Failure {
    pub(crate) fn new(code: i64, error: Error) -> Failure {
        Failure {
            code,
            message: error.one_line(),
            data: serde_json::to_value(error).unwrap_or_default(),
        }
    }

    /// Returns the error as hephd had it.
    pub(crate) fn into_error(self) -> Error {
        let (message, mut data) = (self.message, self.data);
        if let Value::Object(data) = &mut data {
            data.entry("message").or_insert(message.as_str().into());
        }
        let error: Error = serde_json::from_value(data).unwrap_or_else(|_| Error::new(message));
        // Also where only a newer hephd knows the kind.
        match error.kind() {
            Kind::Failed => error.with_kind(code::kind(self.code)),
            _ => error,
        }
    }
}

/// Codes of hephd's errors: those of JSON-RPC 2.0 (section 5.1), and its own from the range left to servers.
pub(crate) mod code {
    use crate::error::Kind;

    pub(crate) const PARSE: i64 = -32700;
    /// JSON, but no request.
    pub(crate) const INVALID_REQUEST: i64 = -32600;
    pub(crate) const NO_METHOD: i64 = -32601;
    /// The method does not take these parameters.
    pub(crate) const INVALID_PARAMS: i64 = -32602;
    pub(crate) const INTERNAL: i64 = -32603;
    pub(crate) const NO_TASK: i64 = -32001;
    /// The beginning of an id fits more than one task.
    pub(crate) const AMBIGUOUS: i64 = -32002;
    /// The operation id belongs to another operation.
    pub(crate) const OPERATION_REUSED: i64 = -32003;
    /// The store, or the disk below it, failed; nothing was changed, unless the kind is [`Kind::Lost`].
    pub(crate) const STORE: i64 = -32004;
    pub(crate) const BACKUP: i64 = -32005;
    /// No machine of this name is invited.
    pub(crate) const NO_MACHINE: i64 = -32006;
    /// The deadline of the request had passed; nothing was changed.
    pub(crate) const TOO_LATE: i64 = -32007;
    pub(crate) const NO_HUB: i64 = -32010;
    /// The hub cannot be reached or cannot answer now: a later attempt may succeed.
    pub(crate) const HUB_AWAY: i64 = -32011;
    /// The sync failed, and a later attempt would fail as well.
    pub(crate) const SYNC: i64 = -32012;

    /// Returns the kind of an error that has none.
    pub(super) fn kind(code: i64) -> Kind {
        match code {
            INVALID_PARAMS => Kind::Invalid,
            NO_TASK | NO_MACHINE => Kind::NotFound,
            AMBIGUOUS => Kind::Ambiguous,
            OPERATION_REUSED => Kind::Conflict,
            TOO_LATE => Kind::Busy,
            NO_HUB => Kind::Usage,
            HUB_AWAY => Kind::Unreachable,
            _ => Kind::Failed,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// A ULID.
    pub id: String,
    /// One line.
    pub title: String,
    pub state: State,
    pub created_at: Timestamp,
    pub done_at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Open,
    Done,
}

/// Which tasks to list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Which {
    #[default]
    Open,
    Done,
    All,
}

/// The state of hephd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    pub pid: u32,
    /// `local` or `server`.
    pub mode: String,
    /// The path of the store.
    pub store: String,
    /// The schema of the store.
    pub schema: u32,
    pub open_tasks: u64,
    /// RFC 3339 in UTC.
    pub started_at: String,
    /// What is wrong with the store although it can be used, in a sentence with the command that helps.
    #[serde(default)]
    pub warning: Option<String>,
}

/// The state of the sync with a hub; empty without a hub.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncStatus {
    /// The address of the hub.
    pub hub: Option<String>,
    /// When a round last succeeded since hephd started.
    pub last_success: Option<Timestamp>,
    /// How many operations the hub has not accepted yet.
    pub pending: u64,
    /// How many operations the hub rejected; they are not sent again.
    pub refused: u64,
    /// Why the last round failed; null after a success.
    pub last_error: Option<String>,
    /// When the next round begins; null while one is under way.
    pub next_attempt: Option<Timestamp>,
    /// The provider of the tokens.
    pub issuer: Option<String>,
    /// The client id to log in with.
    pub client_id: Option<String>,
    /// The scopes to log in for, where the user named some.
    #[serde(default)]
    pub scopes: Option<String>,
    /// What is unsafe about the way to the hub, in a sentence.
    #[serde(default)]
    pub warning: Option<String>,
    /// How much this machine's clock differs from the hub's, in a sentence, if it is minutes or more.
    #[serde(default)]
    pub clock_difference: Option<String>,
    /// The machines that have synced since hephd started, if it is a hub; the latest first.
    #[serde(default)]
    pub spokes: Option<Vec<SpokeStatus>>,
    /// How many operations the hub sent in the last round, or so far in the one under way.
    #[serde(default)]
    pub last_received: u64,
    /// How many tasks those deleted.
    #[serde(default)]
    pub last_deleted: u64,
    /// How many tasks the hub would delete, if the user accepted it.
    #[serde(default)]
    pub held_deletes: u64,
}

/// A machine that syncs with this hub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpokeStatus {
    /// Its name, if it was invited.
    pub machine: Option<String>,
    /// Issuer and subject; null for the hub's owner.
    pub user: Option<String>,
    /// The ULID of its store.
    pub spoke: String,
    pub version: String,
    pub last_seen: Timestamp,
    /// How long its latest operations had waited when the hub got them, by its own clock.
    pub lag_seconds: Option<u64>,
    /// Whether it had more to fetch after its last request.
    #[serde(rename = "behind")]
    pub is_behind: bool,
}

/// A machine that was invited to this hub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) name: String,
    pub(crate) invited_at: Timestamp,
    /// When it last synced since hephd started.
    pub(crate) last_seen: Option<Timestamp>,
    pub(crate) version: Option<String>,
}

/// The result of `hub.machines`, by name.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Machines {
    pub(crate) machines: Vec<Machine>,
}

/// The result of `hub.invite`; the secret is nowhere else.
#[derive(Serialize, Deserialize)]
pub(crate) struct InvitedMachine {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) secret: String,
    /// Whether the machine had another secret, which is invalid now.
    pub(crate) replaced: bool,
}

/// The result of `hub.revoke`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RevokedMachine {
    pub(crate) name: String,
}

/// What a round of sync did, and the state of the sync after it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncRound {
    /// How many operations the hub accepted.
    pub sent: u64,
    /// How many operations the hub sent.
    pub received: u64,
    /// How many tasks were deleted before the round, because the user accepted it.
    #[serde(default)]
    pub accepted_deletes: u64,
    #[serde(flatten)]
    pub status: SyncStatus,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn calls_keep_the_form_that_release_0_1_0_reads() {
        let id = "01K9ZZZZZZABCDEFGHJKMNPQRS".to_owned();
        let op_id = Some(OperationId::try_from(id.clone()).unwrap());
        let add = Call::TaskAdd {
            title: "x".to_owned(),
            op_id,
        };
        let json = json!({"method": "task.add", "params": {"title": "x", "op_id": id}});
        assert_eq!(serde_json::to_value(&add).unwrap(), json);
        let next = json!({"method": "task.next", "params": {}});
        assert_eq!(serde_json::to_value(Call::TaskNext {}).unwrap(), next);
        let all = Call::TaskList {
            state: Which::All,
            limit: None,
            after: None,
        };
        let list = json!({"method": "task.list", "params": {"state": "all"}});
        assert_eq!(serde_json::to_value(&all).unwrap(), list);
        assert_eq!(serde_json::from_value::<Call>(json).unwrap(), add);
    }

    #[test]
    fn an_error_is_the_same_on_the_other_side_of_the_socket() {
        let error = Error::unreachable("no disk")
            .context("cannot sync")
            .with_hint("buy one")
            .with_retry_after(std::time::Duration::from_secs(7));
        let failure = Failure::new(code::HUB_AWAY, error.clone());
        let json = serde_json::to_value(failure).unwrap();
        assert_eq!(json["code"], -32011);
        assert_eq!(json["message"], "cannot sync: no disk");
        assert_eq!(json["data"]["kind"], "unreachable");
        assert_eq!(json["data"]["hint"], "buy one");
        let failure: Failure = serde_json::from_value(json).unwrap();
        assert_eq!(failure.into_error(), error);
    }

    #[test]
    fn the_code_tells_the_kind_where_nothing_else_does() {
        let error = |json| serde_json::from_value::<Failure>(json).map(Failure::into_error);
        let away = Error::unreachable("no");
        let hinted = away.clone().with_hint("wait");
        for (json, expected) in [
            // Release 0.1.0.
            (json!({"code": -32011, "message": "no"}), &away),
            (
                json!({"code": -32011, "message": "no", "data": {"hint": "wait"}}),
                &hinted,
            ),
            // A newer one.
            (
                json!({"code": -32011, "message": "no", "data": {"kind": "lunar", "message": "no", "hint": "wait"}}),
                &hinted,
            ),
            // Another program.
            (
                json!({"code": -32011, "message": "no", "data": ["x"]}),
                &away,
            ),
            (json!({"code": 5, "message": "no"}), &Error::new("no")),
        ] {
            assert_eq!(error(json.clone()).unwrap(), *expected, "{json}");
        }
    }
}
