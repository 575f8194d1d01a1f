//! `heph daemon stop`

use crate::cli::Context;
use crate::error::{Exit, Result};
use crate::platform::service;

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(context: &Context, _args: Args) -> Result<Exit> {
    let manager = service::require(context.config.service_manager, &context.paths)?;
    let stopped = manager.stop()?;
    let installed = manager.file().exists();
    context.ui.say(match (stopped, installed) {
        (true, true) => {
            "stopped hephd; it starts again at the next login, unless you run `heph daemon uninstall`"
        }
        (true, false) => "stopped hephd",
        (false, _) => "hephd was not running",
    });
    Ok(Exit::Done)
}
