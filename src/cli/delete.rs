//! `heph delete`: delete a task.

use super::{Context, task};
use crate::client;
use crate::error::{Exit, Result};

pub use task::Args;

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    let deleted = client::delete(&context.socket()?, &args.id)?;
    let id = deleted.task.id.clone();
    let exit = task::print(context, "deleted", "already deleted", deleted, args.json);
    if context.ui.has_reader() {
        context
            .ui
            .note(format!("`heph undelete {id}` brings it back"));
    }
    Ok(exit)
}
