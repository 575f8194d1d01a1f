//! `heph daemon stop`

use std::time::Duration;

use crate::cli::Context;
use crate::client;
use crate::error::{Error, Exit, Result};
use crate::platform::service;

/// The time limit for asking whether a hephd runs that is no service.
const ANSWER: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(context: &Context, _args: Args) -> Result<Exit> {
    let manager = service::require(context.config.service_manager, &context.paths)?;
    let stopped = manager.stop()?;
    let installed = manager.file().exists();
    if !stopped && let Ok(Some(status)) = client::status(&context.socket()?, ANSWER) {
        let pid = status.pid;
        let message = format!("hephd runs, as process {pid}, but not as a service");
        return Err(Error::new(message).with_hint(format!("`kill {pid}` stops it")));
    }
    context.ui.say(match (stopped, installed) {
        (true, true) => {
            "stopped hephd; it starts again at the next login, unless you run `heph daemon uninstall`"
        }
        (true, false) => "stopped hephd",
        (false, _) => "hephd was not running",
    });
    Ok(Exit::Done)
}
