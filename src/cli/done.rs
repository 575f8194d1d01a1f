//! `heph done`: mark a task as done.

use super::{Context, task};
use crate::client;
use crate::error::{Exit, Result};

pub use task::Args;

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    task::run(context, &args, "done", "already done", client::done)
}
