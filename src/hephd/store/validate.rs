//! Which titles and which operations of other machines the store accepts. Pure.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use ulid::Ulid;

use super::clock::Clock;
use super::log::{Record, SENT_AS, USER};
use crate::client::wire::LONGEST_TITLE;
use crate::error::{Error, Kind, Result};
use crate::hephd::protocol::{LARGEST_OPERATION, Operation, OperationKind};
use crate::os::clock::roughly;

/// The longest name of a kind, in bytes.
const LONGEST_KIND: usize = 64;

/// Returns `title` without surrounding spaces.
pub(super) fn title(title: &str) -> Result<&str> {
    let title = title.trim();
    if title.is_empty() {
        return Err(invalid("the title is empty"));
    }
    if title.len() > LONGEST_TITLE {
        return Err(invalid(format!(
            "the title has {} bytes; at most {LONGEST_TITLE} are allowed",
            title.len()
        )));
    }
    if let Some(control) = title.chars().find(|c| c.is_control()) {
        return Err(invalid(format!(
            "the title has the control character {}",
            control.escape_unicode()
        )));
    }
    Ok(title)
}

/// Checks that `prefix` may be the id of a task or the beginning of one.
pub(super) fn prefix(prefix: &str) -> Result<()> {
    let is_plain = prefix.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_plain && !prefix.is_empty() && prefix.len() <= ulid::ULID_LEN {
        return Ok(());
    }
    Err(invalid(format!(
        "'{prefix}' is not the id of a task or the beginning of one"
    )))
}

/// Returns the record of an operation that a spoke sent for `user`.
///
/// An unknown kind is accepted: spokes may be newer than their hub.
pub(super) fn from_spoke(operation: &Operation, user: &str) -> Result<Record> {
    if matches!(operation.kind, OperationKind::Add | OperationKind::Edit) {
        let sent = operation.body.get("title").and_then(Value::as_str);
        let sent = sent.ok_or_else(|| invalid("the title is missing"))?;
        if title(sent)? != sent {
            return Err(invalid("the title begins or ends with a space"));
        }
    }
    let record = record(operation, user)?;
    if !record.is_sendable() {
        return Err(invalid(format!(
            "the body has {} bytes; at most {LARGEST_OPERATION} are allowed",
            record.body.len()
        )));
    }
    Ok(record)
}

/// Begins the reason for which a hub refuses an operation with a clock that is too far ahead of the hub's. A spoke sends that
/// operation again with the right time; it finds it by this word.
pub(super) const AHEAD: &str = "clock: ";

/// Returns why a hub refuses `record` whose time is `now` and that accepts clocks up to `latest`, if it does.
pub(super) fn ahead(record: &Record, now: i64, latest: i64) -> Option<String> {
    let clock = record.stamp(&record.content()).clock;
    (clock.0 > latest).then(|| {
        let ahead = roughly(Duration::from_millis(clock.0.abs_diff(now)));
        format!("{AHEAD}the clock of the machine that made this change was {ahead} ahead of the hub's; set that clock")
    })
}

/// Returns the record of an operation that the hub sent. Rejects only what no log can hold.
///
/// A newer hub may accept more than this release does. What this release cannot interpret stays in the log for a later
/// one; an operation that was skipped would be lost for good, because the cursor moves on.
pub(super) fn from_hub(operation: &Operation) -> Result<Record> {
    record(operation, "")
}

fn record(operation: &Operation, user: &str) -> Result<Record> {
    let is_ulid = |id: &str| Ulid::from_string(id).is_ok_and(|ulid| ulid.to_string() == id);
    if !is_ulid(&operation.id) {
        return Err(invalid("the id is not a ULID"));
    }
    if !is_ulid(&operation.task) {
        return Err(invalid("the id of the task is not a ULID"));
    }
    let kind = operation.kind.as_str();
    let is_plain = kind
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
    if kind.is_empty() || kind.len() > LONGEST_KIND || !is_plain {
        return Err(invalid("the kind is not a plain name"));
    }
    if Timestamp::from_millisecond(operation.created_at).is_err() {
        return Err(invalid("the time is out of range"));
    }
    let clock = match operation.body.get("clock") {
        None => Some(Clock(operation.created_at, 0)),
        Some(clock) => serde_json::from_value(clock.clone()).ok(),
    };
    if !clock.is_some_and(Clock::is_possible) {
        return Err(invalid("the clock is malformed or out of range"));
    }
    let mut body = operation.body.clone();
    body.remove(USER);
    body.remove(SENT_AS);
    if !user.is_empty() {
        body.insert(USER.to_owned(), user.into());
    }
    Ok(Record {
        id: operation.id.clone(),
        kind: operation.kind.clone(),
        task: operation.task.clone(),
        body: Value::Object(body).to_string(),
        created_at: operation.created_at,
    })
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(message).with_kind(Kind::Invalid)
}
