//! JSON-RPC 2.0 (jsonrpc.org/specification): what a line asks for, and the line that answers it. Pure.
//!
//! Parameters are by name. Batches are refused: on a connection that stays open, many requests are many lines.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use ulid::Ulid;

use crate::client::wire::{Status, SyncRound, SyncStatus, Task, Which, code};
use crate::error::{Error, Kind};

/// One request.
#[derive(Debug, PartialEq)]
pub struct Request {
    /// What the answer carries; `None` for a notification, which gets none.
    pub id: Option<Value>,
    /// What is asked for, or why it is not understood.
    pub call: Result<Call, Failure>,
}

/// What hephd can be asked for.
#[derive(Debug, PartialEq)]
pub enum Call {
    /// What hephd says of itself.
    Status,
    /// A new task.
    Add(Add),
    /// The tasks.
    List(List),
    /// The task to do next.
    Next,
    /// A task with another title.
    Edit(Edit),
    /// A task done.
    Done(OneTask),
    /// A task open again.
    Reopen(OneTask),
    /// A task deleted.
    Delete(OneTask),
    /// A copy of the store.
    Backup(Backup),
    /// How the sync with the hub stands.
    SyncStatus,
    /// A round of sync.
    SyncNow,
}

impl Call {
    /// Returns whether it may change the store: then there is something to sync.
    pub fn writes(&self) -> bool {
        !matches!(
            self,
            Call::Status
                | Call::List(_)
                | Call::Next
                | Call::Backup(_)
                | Call::SyncStatus
                | Call::SyncNow
        )
    }

    /// Returns whether it takes no longer than a sync of the disk, however many tasks there are.
    pub fn is_short(&self) -> bool {
        self.writes() || *self == Call::Next
    }
}

/// Parameters of `task.add`.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Add {
    /// What to do.
    pub title: String,
    /// An id that the client chose: the same request sent twice with it adds one task.
    pub op_id: Option<OperationId>,
}

/// Parameters of `task.list`.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Which tasks.
    #[serde(default)]
    pub state: Which,
}

/// Parameters of `task.edit`.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// The task's id, or a beginning that only it has.
    pub id: String,
    /// What to do.
    pub title: String,
    /// As in [`Add`].
    pub op_id: Option<OperationId>,
}

/// Parameters of `task.done`, `task.reopen` and `task.delete`.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct OneTask {
    /// The task's id, or a beginning that only it has.
    pub id: String,
    /// As in [`Add`].
    pub op_id: Option<OperationId>,
}

/// Parameters of `backup`.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// Where to: absolute, and nothing is there.
    pub path: String,
}

/// A ULID as text.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(try_from = "String")]
pub struct OperationId(pub Ulid);

impl TryFrom<String> for OperationId {
    type Error = String;

    fn try_from(text: String) -> Result<OperationId, String> {
        Ulid::from_string(&text)
            .map(OperationId)
            .map_err(|_| "op_id is not a ULID".to_owned())
    }
}

/// The parameters of a method that takes none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoParams {}

/// What a request brought.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Outcome {
    /// Of `status`.
    Status(Status),
    /// Of `task.add`, `task.edit`, `task.done`, `task.reopen` and `task.delete`.
    Task { task: Task },
    /// Of `task.next`.
    Perhaps { task: Option<Task> },
    /// Of `task.list`.
    Tasks { tasks: Vec<Task> },
    /// Of `backup`.
    Written { path: String },
    /// Of `sync.status`.
    SyncStatus(SyncStatus),
    /// Of `sync.now`.
    SyncRound(SyncRound),
}

/// Why a request is not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// One of [`code`].
    pub code: i64,
    /// For people.
    pub message: String,
    /// What more there is to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Help>,
}

/// What helps against a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Help {
    /// The command or step.
    pub hint: String,
}

impl Failure {
    /// Returns a failure.
    pub fn new(code: i64, message: impl Into<String>) -> Failure {
        Failure {
            code,
            message: message.into(),
            data: None,
        }
    }

    /// Adds the command or step that helps.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Failure {
        self.data = Some(Help { hint: hint.into() });
        self
    }
}

/// The failure of a call of the store.
impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let code = match error.kind() {
            Kind::Invalid => code::INVALID_PARAMS,
            Kind::NotFound => code::NO_TASK,
            Kind::Ambiguous => code::AMBIGUOUS,
            Kind::Conflict => code::OPERATION_REUSED,
            _ => {
                let error = error.context("the store failed");
                return Failure::new(code::STORE, error.one_line());
            }
        };
        Failure::new(code, error.one_line())
    }
}

/// Returns what the line `bytes` asks for.
pub fn read(bytes: &[u8]) -> Request {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(members)) => read_object(members),
        Ok(Value::Array(_)) => invalid(Value::Null, "batches are not supported"),
        Ok(_) => invalid(Value::Null, "a request is an object"),
        Err(error) => Request {
            id: Some(Value::Null),
            call: Err(Failure::new(code::PARSE, format!("not JSON: {error}"))),
        },
    }
}

fn read_object(mut members: Map<String, Value>) -> Request {
    // An error that shows before the id does is answered with null (section 5).
    let id = match members.remove("id") {
        None => None,
        Some(id @ (Value::String(_) | Value::Number(_) | Value::Null)) => Some(id),
        Some(_) => return invalid(Value::Null, "the id is a string or a number"),
    };
    let answered = || id.clone().unwrap_or(Value::Null);
    if members.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return invalid(answered(), "\"jsonrpc\" is not \"2.0\"");
    }
    let Some(Value::String(method)) = members.remove("method") else {
        return invalid(answered(), "the method is not named");
    };
    let params = match members.remove("params") {
        None => Value::Object(Map::new()),
        Some(params @ (Value::Object(_) | Value::Array(_))) => params,
        Some(_) => return invalid(answered(), "the parameters are an object"),
    };
    Request {
        id,
        call: read_call(&method, params),
    }
}

fn read_call(method: &str, params: Value) -> Result<Call, Failure> {
    Ok(match method {
        "status" => read_params::<NoParams>(params).map(|_| Call::Status)?,
        "task.add" => Call::Add(read_params(params)?),
        "task.list" => Call::List(read_params(params)?),
        "task.next" => read_params::<NoParams>(params).map(|_| Call::Next)?,
        "task.edit" => Call::Edit(read_params(params)?),
        "task.done" => Call::Done(read_params(params)?),
        "task.reopen" => Call::Reopen(read_params(params)?),
        "task.delete" => Call::Delete(read_params(params)?),
        "backup" => Call::Backup(read_params(params)?),
        "sync.status" => read_params::<NoParams>(params).map(|_| Call::SyncStatus)?,
        "sync.now" => read_params::<NoParams>(params).map(|_| Call::SyncNow)?,
        _ => {
            let shown: String = method.chars().take(64).collect();
            let message = format!("there is no method '{shown}'");
            return Err(Failure::new(code::NO_METHOD, message));
        }
    })
}

fn read_params<T: DeserializeOwned>(params: Value) -> Result<T, Failure> {
    // serde would take an array for the members in their order, and make that order part of the protocol.
    if params.is_array() {
        let message = "the parameters are given by name";
        return Err(Failure::new(code::INVALID_PARAMS, message));
    }
    serde_json::from_value(params)
        .map_err(|error| Failure::new(code::INVALID_PARAMS, error.to_string()))
}

fn invalid(id: Value, message: &str) -> Request {
    Request {
        id: Some(id),
        call: Err(Failure::new(code::INVALID_REQUEST, message)),
    }
}

/// Returns the line, with its newline, that answers the request `id`.
pub fn answer(id: &Value, outcome: Result<Outcome, Failure>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Answer<'a> {
        jsonrpc: &'static str,
        id: &'a Value,
        #[serde(flatten)]
        body: Body,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "lowercase")]
    enum Body {
        Result(Outcome),
        Error(Failure),
    }
    let answer = Answer {
        jsonrpc: "2.0",
        id,
        body: outcome.map_or_else(Body::Error, Body::Result),
    };
    // Only maps with keys that are no strings, and failing writers, can fail; there are none here.
    let mut line = serde_json::to_vec(&answer).unwrap_or_default();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Returns the code and the id that `line` is answered with.
    fn refused(line: &str) -> (i64, Option<Value>) {
        let request = read(line.as_bytes());
        (request.call.expect_err(line).code, request.id)
    }

    #[test]
    fn what_is_no_request_is_refused_by_the_codes_of_the_specification() {
        let null = Some(Value::Null);
        for line in ["", " ", "{", "nul", "{\"a\":1}x", "\u{1}", "{'a':1}"] {
            assert_eq!(refused(line), (code::PARSE, null.clone()), "{line:?}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(refused(&deep).0, code::PARSE, "deep nesting");
        for line in [
            "1",
            "null",
            "\"status\"",
            "[]",
            "[{\"jsonrpc\":\"2.0\"}]",
            "{}",
        ] {
            assert_eq!(
                refused(line),
                (code::INVALID_REQUEST, null.clone()),
                "{line:?}"
            );
        }
        for line in [
            r#"{"jsonrpc":"1.0","id":7,"method":"status"}"#,
            r#"{"jsonrpc":2.0,"id":7,"method":"status"}"#,
            r#"{"id":7,"method":"status"}"#,
            r#"{"jsonrpc":"2.0","id":7}"#,
            r#"{"jsonrpc":"2.0","id":7,"method":1}"#,
            r#"{"jsonrpc":"2.0","id":7,"method":"status","params":"x"}"#,
            r#"{"jsonrpc":"2.0","id":7,"method":"status","params":null}"#,
        ] {
            let seven = Some(Value::from(7));
            assert_eq!(refused(line), (code::INVALID_REQUEST, seven), "{line:?}");
        }
        for id in ["{}", "[]", "true"] {
            let line = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"status"}}"#);
            assert_eq!(refused(&line), (code::INVALID_REQUEST, null.clone()));
        }
    }

    #[test]
    fn methods_take_their_parameters_and_no_others() {
        for (method, params) in [
            ("status", r#"{"x":1}"#),
            ("status", "[]"),
            ("task.add", "{}"),
            ("task.add", r#"["title"]"#),
            ("task.add", r#"{"title":1}"#),
            ("task.add", r#"{"title":null}"#),
            ("task.add", r#"{"title":"x","colour":"red"}"#),
            ("task.add", r#"{"title":"x","op_id":"short"}"#),
            ("task.add", r#"{"title":"x","op_id":5}"#),
            ("task.list", r#"{"state":"lost"}"#),
            ("task.list", r#"{"state":["open"]}"#),
            ("task.next", r#"{"n":2}"#),
            ("task.done", "{}"),
            ("task.done", r#"{"id":3}"#),
            ("backup", "{}"),
            ("backup", r#"{"path":false}"#),
        ] {
            let line =
                format!(r#"{{"jsonrpc":"2.0","id":"a","method":"{method}","params":{params}}}"#);
            assert_eq!(
                refused(&line),
                (code::INVALID_PARAMS, Some(Value::from("a"))),
                "{line}"
            );
        }
        for method in ["", "Status", "task", "rpc.discover", "task.add "] {
            let line = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"}}"#);
            assert_eq!(refused(&line).0, code::NO_METHOD, "{line}");
        }
    }

    #[test]
    fn a_request_without_an_id_is_a_notification() {
        let request = read(br#"{"jsonrpc":"2.0","method":"task.next"}"#);
        assert_eq!(request.id, None);
        assert_eq!(request.call, Ok(Call::Next));
        let request = read(br#"{"jsonrpc":"2.0","method":"task.next","id":null}"#);
        assert_eq!(request.id, Some(Value::Null));
    }

    #[test]
    fn operation_ids_are_the_same_in_either_case() {
        let line = |id: &str| {
            format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"task.add","params":{{"title":"t","op_id":"{id}"}}}}"#
            )
        };
        let id = "01K9ZZZZZZABCDEFGHJKMNPQRS";
        let upper = read(line(id).as_bytes());
        let lower = read(line(&id.to_lowercase()).as_bytes());
        assert!(upper.call.is_ok());
        assert_eq!(upper, lower);
    }

    proptest! {
        #[test]
        fn no_line_panics_and_every_answer_is_one_line(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let request = read(&bytes);
            if let Err(failure) = request.call {
                let line = answer(&request.id.unwrap_or_default(), Err(failure));
                prop_assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
            }
        }
    }
}
