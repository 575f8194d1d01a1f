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
    /// Log in for this machine, by a code that you confirm in any browser
    Login(login::Args),
    /// Give the login back and remove its tokens
    Logout(logout::Args),
    /// Say who is logged in, where, and for how long
    Status(status::Args),
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    match args.command {
        Command::Login(args) => login::run(context, args),
        Command::Logout(args) => logout::run(context, args),
        Command::Status(args) => status::run(context, args),
    }
}

/// Returns where the tokens are: where the hephd of the service, which may have another data folder than this shell, looks.
fn tokens(context: &Context) -> Result<PathBuf> {
    let definition = service::definition(context.config.service_manager, &context.paths)?;
    Ok(match definition {
        Some(definition) => {
            let data = definition.environment.data(&context.paths);
            HephdPaths::in_folders(&data, None).tokens()
        }
        None => context.paths.hephd.tokens(),
    })
}

/// What `login` and `status` tell scripts: never a token.
#[derive(Serialize)]
struct Output<'a> {
    schema: u32,
    logged_in: bool,
    issuer: Option<&'a str>,
    client_id: Option<&'a str>,
    subject: Option<String>,
    expires_at: Option<Timestamp>,
    renewable: bool,
}

impl<'a> Output<'a> {
    fn of(tokens: Option<&'a Tokens>, now: Timestamp) -> Output<'a> {
        let renewable = tokens.is_some_and(|tokens| tokens.refresh_token.is_some());
        Output {
            schema: 1,
            logged_in: renewable || tokens.is_some_and(|tokens| tokens.valid(now).is_some()),
            issuer: tokens.map(|tokens| tokens.issuer.as_str()),
            client_id: tokens.map(|tokens| tokens.client_id.as_str()),
            subject: tokens.and_then(Tokens::subject),
            expires_at: tokens.map(|tokens| tokens.expires_at),
            renewable,
        }
    }
}

/// Returns a time to the second, as it is on the user's clock.
fn local(at: Timestamp) -> String {
    let zoned = at.to_zoned(jiff::tz::TimeZone::system());
    zoned.strftime("%Y-%m-%d %H:%M:%S").to_string()
}
