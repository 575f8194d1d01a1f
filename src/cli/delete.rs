//! `heph delete`: a task is gone for good.

use super::{Context, task};
use crate::client;
use crate::error::{Exit, Result};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Id of the task, or a beginning that only it has
    id: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    let task = client::delete(&context.paths.hephd.socket, &args.id)?;
    Ok(task::print(context, "deleted", &task, args.json))
}
