//! The spoke, the real hephd, against hubs that are well and against whatever else may be at their address.

mod commands;
mod flags;
mod full;
mod hostile;
mod login;
mod slow;
mod together;
mod trouble;

use serde_json::{Value, json};

use crate::support::http::Reply;

/// The path at which hubs are asked.
const SYNC: &str = "/v1/sync";

/// What a hub answers that has nothing to send and has taken everything.
fn well() -> Reply {
    Reply::json(200, &answer())
}

/// The answer of a hub that has nothing to send.
fn answer() -> Value {
    json!({
        "schema": 1, "version": "0.0.0", "epoch": "01K9ZZZZZZABCDEFGHJKMNPQRS", "reset": false, "refused": [],
        "sent": null, "operations": [], "cursor": null, "more": false,
    })
}
