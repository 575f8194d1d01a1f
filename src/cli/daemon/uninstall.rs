//! `heph daemon uninstall`

use crate::cli::Context;
use crate::error::{Error, Exit, Result};
use crate::platform::service::{self, File, FileState};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Remove a service file that was made by hand, too
    #[arg(long)]
    force: bool,
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    let manager = service::require(&context.config, &context.paths)?;
    let path = manager.file().display().to_string();
    if !args.force {
        let file = service::file(&*manager)?;
        let socket_state = service::socket_state(&*manager, &file, &context.paths)?;
        let socket_file = manager.socket_file();
        let foreign = match (file, socket_state) {
            (File::HandMade, _) => Some(manager.file()),
            (_, Some(FileState::HandMade)) => socket_file,
            _ => None,
        };
        if let Some(foreign) = foreign {
            let message = format!("'{}' was not made by heph", foreign.display());
            return Err(Error::new(message)
                .with_hint("remove it by hand, or with `heph daemon uninstall --force`"));
        }
    }
    let removed = manager.uninstall()?;
    context.ui.say(if removed {
        format!("stopped hephd and removed '{path}'; tasks and log stay")
    } else {
        "hephd was not installed as a service".to_owned()
    });
    Ok(Exit::Done)
}
