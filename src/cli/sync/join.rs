//! `heph sync join`: makes this machine a spoke of the hub that invited it.

use std::fs;
use std::io::{self, IsTerminal, Read};
use std::path::Path;

use super::Context;
use crate::cli::{auth, daemon};
use crate::client;
use crate::error::{Error, Exit, Result, ResultExt};
use crate::hephd::{self, Way};
use crate::login::invitation::Invitation;
use crate::login::secret::HubSecret;
use crate::os::files;
use crate::os::text::printable;
use crate::platform::service;

/// The most that is read from standard input.
const LONGEST_INPUT: u64 = 1 << 16;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Line that `heph hub invite` printed on the hub; without it, or as -, it is read from standard input
    line: Option<String>,
    /// Accept a hub on a public network over plain http
    #[arg(long)]
    hub_plain_http: bool,
}

pub fn run(context: &Context, args: &Args) -> Result<Exit> {
    let line = match args.line.as_deref() {
        Some(line) if line != "-" => line.to_owned(),
        _ => read(context)?,
    };
    let invitation = Invitation::parse(&line)?;
    let hub = &invitation.hub;
    let way = hephd::way(hub)?;
    if way == Way::Public && !args.hub_plain_http {
        return Err(Error::usage(format!(
            "the hub '{}' is invited to over plain http: anybody on the way could use the secret",
            printable(hub)
        ))
        .with_hint(
            "put the hub behind TLS and invite again with --url https://…; or add --hub-plain-http",
        ));
    }
    let file = auth::data(context)?.hub_secret();
    let before = files::read_if_there(&file, LONGEST_INPUT)?;
    HubSecret::new(hub, invitation.secret.clone()).save(&file)?;
    let plain_http = matches!(way, Way::OwnNetwork | Way::Public);
    if service::find(context.config.service_manager, &context.paths)?.is_none() {
        return Err(by_hand(&file, hub, plain_http));
    }
    if let Err(error) = daemon::join(context, hub, plain_http) {
        // The service, and with it the hub of before, is as it was.
        restore(&file, before)?;
        return Err(error);
    }
    let socket = context.socket()?;
    let round = client::sync_now(&socket, false).with_context(|| {
        Error::new(format!(
            "this machine is a spoke of '{}' now, but has not synced yet",
            printable(hub)
        ))
    })?;
    context.ui.say(format!(
        "in sync with {}: sent {}, received {}",
        printable(hub),
        super::operations(round.sent),
        super::operations(round.received)
    ));
    Ok(Exit::Done)
}

/// Returns what is left to do where no service manager starts hephd.
fn by_hand(file: &Path, hub: &str, plain_http: bool) -> Error {
    let message = format!(
        "kept the secret of this machine in '{}', but no service manager here starts hephd",
        file.display()
    );
    let plain_http = if plain_http { " --hub-plain-http" } else { "" };
    Error::new(message).with_hint(format!(
        "start it with this hub: hephd --hub-url={}{plain_http}",
        printable(hub)
    ))
}

/// Reads the line where nobody else sees it: neither the list of processes nor the history of a shell.
fn read(context: &Context) -> Result<String> {
    if io::stdin().is_terminal() {
        context
            .ui
            .note("paste the line that `heph hub invite` printed, and press Enter");
        let mut line = String::new();
        io::stdin().read_line(&mut line)?;
        return Ok(line);
    }
    let mut text = String::new();
    io::stdin()
        .take(LONGEST_INPUT)
        .read_to_string(&mut text)
        .context("cannot read the line from standard input")?;
    Ok(text)
}

fn restore(file: &Path, before: Option<Vec<u8>>) -> Result<()> {
    match before {
        Some(bytes) => files::write_atomic(file, &bytes, files::PRIVATE),
        None => {
            fs::remove_file(file).with_context(|| format!("cannot remove '{}'", file.display()))
        }
    }
}
