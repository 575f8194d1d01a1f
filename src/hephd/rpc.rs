//! JSON-RPC 2.0 (jsonrpc.org/specification): reads requests and writes answers. Pure.
//!
//! Parameters are by name. Batches are rejected: on a connection that stays open, many requests are many lines.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::client::wire::{Call, Failure, code};
use crate::error::{Error, Kind, Result};

/// One request.
#[derive(Debug, PartialEq)]
pub(super) struct Request {
    /// Copied to the answer; `None` for a notification, which has no answer.
    pub(super) id: Option<Value>,
    /// When it becomes void, by the machine's monotonic clock in milliseconds: its client has given up.
    pub(super) deadline_ms: Option<u64>,
    pub(super) call: Result<Call, Failure>,
}

pub(super) fn read(bytes: &[u8]) -> Request {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(members)) => read_object(members),
        Ok(Value::Array(_)) => invalid(Value::Null, "batches are not supported"),
        Ok(_) => invalid(Value::Null, "a request is an object"),
        Err(error) => Request {
            id: Some(Value::Null),
            deadline_ms: None,
            call: Err(failure(code::PARSE, format!("not JSON: {error}"))),
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
        deadline_ms: members.get("deadline_ms").and_then(Value::as_u64),
        call: read_call(method, params),
    }
}

fn read_call(method: String, params: Value) -> Result<Call, Failure> {
    let unknown = json!({ "method": &method });
    // serde would read an array as the members in their order, and make that order part of the protocol.
    let call = if params.is_array() {
        Err("the parameters are given by name".to_owned())
    } else {
        serde_json::from_value(json!({ "method": method, "params": params }))
            .map_err(|error| error.to_string())
    };
    call.or_else(|reason| match serde_json::from_value(unknown) {
        Ok(Call::Unknown) => Ok(Call::Unknown),
        _ => Err(failure(code::INVALID_PARAMS, reason)),
    })
}

fn invalid(id: Value, message: &str) -> Request {
    Request {
        id: Some(id),
        deadline_ms: None,
        call: Err(failure(code::INVALID_REQUEST, message)),
    }
}

pub(super) fn failure(code: i64, message: impl Into<String>) -> Failure {
    Failure::new(code, Error::new(message).with_kind(Kind::Invalid))
}

/// Returns the JSON of a result.
pub(super) fn result(value: &impl Serialize) -> Result<Vec<u8>> {
    Ok(serde_json::to_vec(value)?)
}

/// Returns the line, with its newline, that answers the request `id`. The result is JSON already.
pub(super) fn answer(id: &Value, outcome: Result<Vec<u8>, Failure>) -> Vec<u8> {
    let (member, json) = match outcome {
        Ok(result) => ("result", result),
        // The members are text and numbers, whose serialization does not fail.
        Err(failure) => ("error", serde_json::to_vec(&failure).unwrap_or_default()),
    };
    let mut line = head(id, member);
    line.extend(json);
    line.extend(TAIL);
    line
}

/// What follows the result of an answer.
pub(super) const TAIL: &[u8] = b"}\n";

/// Returns what precedes the value of `member`, `result` or `error`, in the line that answers the request `id`.
pub(super) fn head(id: &Value, member: &str) -> Vec<u8> {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"{member}\":").into_bytes()
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
    fn invalid_requests_are_rejected_with_the_codes_of_the_specification() {
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
            ("task.list", r#"{"limit":0}"#),
            ("task.list", r#"{"limit":1001}"#),
            ("task.list", r#"{"limit":-1}"#),
            ("task.list", r#"{"limit":1.5}"#),
            ("task.list", r#"{"limit":"10"}"#),
            ("task.list", r#"{"limit":1,"after":7}"#),
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
            for params in [
                "",
                r#","params":{}"#,
                r#","params":{"x":1}"#,
                r#","params":[]"#,
            ] {
                let line = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"{params}}}"#);
                assert_eq!(read(line.as_bytes()).call, Ok(Call::Unknown), "{line}");
            }
        }
    }

    #[test]
    fn a_request_without_an_id_is_a_notification() {
        let request = read(br#"{"jsonrpc":"2.0","method":"task.next"}"#);
        assert_eq!(request.id, None);
        assert_eq!(request.call, Ok(Call::TaskNext {}));
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
