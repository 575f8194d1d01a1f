//! Which operations are taken from others. Pure.

use jiff::Timestamp;
use serde_json::Value;
use ulid::Ulid;

use super::super::clock::Clock;
use super::super::log::Operation;
use super::super::merge::{ADD, EDIT};
use super::super::tasks::check_title;
use crate::hephd::sync::wire::{self, LARGEST_OPERATION};

/// The longest name of a kind, in bytes.
const LONGEST_KIND: usize = 64;

/// Returns what is kept of an operation that a spoke sent for `user`, or why it is not taken.
///
/// A kind that this release does not know is taken: the spokes may be newer than their hub.
pub fn from_spoke(operation: &wire::Operation, user: &str) -> Result<Operation, String> {
    if [ADD, EDIT].contains(&operation.kind.as_str()) {
        let title = operation.body.get("title").and_then(Value::as_str);
        let title = title.ok_or("it has no title")?;
        let kept = check_title(title).map_err(|why| format!("its title {why}"))?;
        if kept != title {
            return Err("its title begins or ends with a space".to_owned());
        }
    }
    let operation = admit(operation, user)?;
    if !super::fits(&operation) {
        return Err(format!(
            "it has {} bytes; {LARGEST_OPERATION} is the most",
            operation.body.len()
        ));
    }
    Ok(operation)
}

/// Returns what is kept of an operation that the hub sent, or why it is not taken: only where it cannot be in a log.
///
/// The hub may be newer and allow more. What this release makes nothing of waits in the log for one that does; passed
/// over, it would be missing for good, because the cursor moves on.
pub fn from_hub(operation: &wire::Operation) -> Result<Operation, String> {
    admit(operation, "")
}

fn admit(operation: &wire::Operation, user: &str) -> Result<Operation, String> {
    let is_ulid = |id: &str| Ulid::from_string(id).is_ok_and(|ulid| ulid.to_string() == id);
    if !is_ulid(&operation.id) {
        return Err("its id is not a ULID".to_owned());
    }
    if !is_ulid(&operation.task) {
        return Err("the id of its task is not a ULID".to_owned());
    }
    let kind = &operation.kind;
    let plain = kind
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
    if kind.is_empty() || kind.len() > LONGEST_KIND || !plain {
        return Err("its kind is no name".to_owned());
    }
    if Timestamp::from_millisecond(operation.created_at).is_err() {
        return Err("its time is none".to_owned());
    }
    let clock = match operation.body.get("clock") {
        None => Some(Clock(operation.created_at, 0)),
        Some(clock) => serde_json::from_value(clock.clone()).ok(),
    };
    if !clock.is_some_and(Clock::is_possible) {
        return Err("its clock is none".to_owned());
    }
    let mut body = operation.body.clone();
    body.remove("user");
    if !user.is_empty() {
        body.insert("user".to_owned(), user.into());
    }
    Ok(Operation {
        id: operation.id.clone(),
        kind: kind.clone(),
        task: operation.task.clone(),
        body: Value::Object(body).to_string(),
        created_at: operation.created_at,
    })
}
