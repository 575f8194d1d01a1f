//! `heph daemon logs`

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use crate::cli::Context;
use crate::error::{Exit, Result, ResultExt};
use crate::platform::service::definition::Environment;
use crate::platform::service::{self, log};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How many lines to print
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50)]
    lines: usize,
    /// Keep printing new lines until interrupted
    #[arg(long, short)]
    follow: bool,
}

pub(super) fn run(context: &Context, args: Args) -> Result<Exit> {
    let log = find(context)?;
    let cannot = || format!("cannot read the log '{}'", log.display());
    let (text, mut mark) = log::added(&log, 0, args.lines).with_context(cannot)?;
    if text.is_empty() && !log.exists() {
        context
            .ui
            .note(format!("there is no log yet: '{}'", log.display()));
    }
    context.ui.raw(&text);
    if args.follow {
        // Only a write fails once the reader has gone, so it is noticed at the next line.
        while !context.ui.is_unread() {
            thread::sleep(Duration::from_millis(200));
            let (text, now) = log::added(&log, mark, usize::MAX).with_context(cannot)?;
            context.ui.raw(&text);
            mark = now;
        }
    }
    Ok(Exit::Done)
}

/// Returns the log that the service file names, or would name.
fn find(context: &Context) -> Result<PathBuf> {
    // Logs matter most when something is broken: a missing service manager is no obstacle.
    let manager = service::find(context.config.service_manager, &context.paths);
    if let Ok(Some(manager)) = manager
        && let Ok(definition) = manager.read()?.source
    {
        return Ok(definition.log.into());
    }
    let ours = Environment::from_variables(std::env::vars_os())?;
    Ok(ours.paths(&context.paths.hephd, None).log())
}
