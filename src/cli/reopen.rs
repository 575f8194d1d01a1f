//! `heph reopen`: mark a task as open again.

use super::{Context, task};
use crate::client;
use crate::error::{Exit, Result};

pub use task::Args;

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    task::run(context, &args, "reopened", "already open", client::reopen)
}
