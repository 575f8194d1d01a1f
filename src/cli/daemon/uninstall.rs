//! `heph daemon uninstall`

use crate::cli::Context;
use crate::error::{Exit, Result};
use crate::platform::service;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Also remove a service file that was made or edited by hand
    #[arg(long)]
    force: bool,
}

pub(super) fn run(context: &Context, args: Args) -> Result<Exit> {
    let manager = service::require(context.config.service_manager, &context.paths)?;
    let path = manager.file().display().to_string();
    if !args.force {
        let hint = "remove it by hand, or with `heph daemon uninstall --force`";
        service::check_replaceable(&*manager, hint)?;
    }
    let removed = manager.uninstall()?;
    context.ui.say(if removed {
        format!("stopped hephd and removed '{path}'; tasks and log are kept")
    } else {
        "hephd was not installed as a service".to_owned()
    });
    Ok(Exit::Done)
}
