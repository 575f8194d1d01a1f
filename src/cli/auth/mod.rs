//! `heph auth`: log in at the OpenID provider that the hub trusts.

mod login;
mod logout;
mod status;

use std::path::PathBuf;

use clap::Subcommand;
use jiff::Timestamp;
use serde::Serialize;

use super::Context;
use crate::error::{Exit, Result};
use crate::login::Tokens;
use crate::paths::HephdPaths;
use crate::platform::service;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Log in on this machine, with a code that you confirm in any browser
    Login(login::Args),
    /// Revoke the login and remove its tokens
    Logout(logout::Args),
    /// Show the login: issuer, user and expiry
    Status(status::Args),
}

impl Args {
    /// Returns whether the command may write files.
    pub(super) fn writes(&self) -> bool {
        !matches!(self.command, Command::Status(_))
    }
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    match args.command {
        Command::Login(args) => login::run(context, args),
        Command::Logout(args) => logout::run(context, args),
        Command::Status(args) => status::run(context, args),
    }
}

/// Returns where the tokens of the service's hephd are.
fn tokens(context: &Context) -> Result<PathBuf> {
    Ok(data(context)?.tokens())
}

/// Returns where the files of the service's hephd are: its data folder may be another than this shell's.
pub(super) fn data(context: &Context) -> Result<HephdPaths> {
    let definition = service::definition(context.config.service_manager, &context.paths)?;
    let ours = &context.paths.hephd;
    Ok(match definition {
        Some(definition) => definition.environment.paths(ours, None),
        None => ours.clone(),
    })
}

/// The JSON of `login` and `status`, without any token.
#[derive(Serialize)]
struct Output<'a> {
    logged_in: bool,
    issuer: Option<&'a str>,
    client_id: Option<&'a str>,
    subject: Option<String>,
    expires_at: Option<Timestamp>,
    renewable: bool,
}

impl<'a> Output<'a> {
    fn of(tokens: Option<&'a Tokens>, now: Timestamp) -> Output<'a> {
        let renewable = tokens.is_some_and(Tokens::renews_bearer);
        Output {
            logged_in: renewable || tokens.is_some_and(|tokens| tokens.valid(now).is_some()),
            issuer: tokens.map(|tokens| tokens.issuer.as_str()),
            client_id: tokens.map(|tokens| tokens.client_id.as_str()),
            subject: tokens.and_then(Tokens::subject),
            expires_at: tokens.map(|tokens| tokens.expires_at),
            renewable,
        }
    }
}

/// Returns a time to the second, in the user's time zone.
pub(super) fn local(at: Timestamp) -> String {
    let zoned = at.to_zoned(jiff::tz::TimeZone::system());
    zoned.strftime("%Y-%m-%d %H:%M:%S").to_string()
}
