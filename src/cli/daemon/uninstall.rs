//! `heph daemon uninstall`

use anyhow::Result;

use crate::cli::Context;
use crate::error::{Exit, Fault};
use crate::service::{self, File};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Remove a service file that was made by hand, too
    #[arg(long)]
    force: bool,
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    let manager = service::require(&context.config, &context.paths)?;
    let path = manager.file().display().to_string();
    if !args.force && matches!(service::file(&*manager)?, File::HandMade) {
        return Err(Fault::new(format!("'{path}' was not made by heph"))
            .hint("remove it by hand, or with `heph daemon uninstall --force`")
            .into());
    }
    let removed = manager.uninstall()?;
    context.ui.say(if removed {
        format!("stopped hephd and removed '{path}'; tasks and log stay")
    } else {
        "hephd was not installed as a service".to_owned()
    });
    Ok(Exit::Done)
}
