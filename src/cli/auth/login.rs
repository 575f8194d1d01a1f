//! `heph auth login`: a code, and the wait until it is confirmed.

use std::time::Duration;

use jiff::SignedDuration;

use super::{Context, Output};
use crate::cli::ui::Ui;
use crate::client::{self, SyncStatus};
use crate::error::{Error, Exit, Result};
use crate::login::device::{self, Shown};
use crate::login::{self, tokens};
use crate::os::clock;
use crate::os::text::printable;
use crate::platform::service;
use crate::platform::service::arguments::{Baked, Flag};

/// How long hephd is waited for: it is asked for what is only convenient.
const SOON: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address of the OpenID provider; without it, that of hephd
    #[arg(long, value_name = "URL", requires = "client_id")]
    issuer: Option<String>,
    /// Name of heph at the provider; without it, that of hephd
    #[arg(long, value_name = "ID", requires = "issuer")]
    client_id: Option<String>,
    /// Print one JSON object, and what to open and enter on standard error
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    let path = super::tokens(context)?;
    let (issuer, client_id) = match (args.issuer, args.client_id) {
        (Some(issuer), Some(client_id)) => (issuer, client_id),
        _ => of_hephd(context)?,
    };
    let metadata = login::discover(&issuer)?;
    let login = device::begin(metadata, &client_id)?;
    let told = instructions(&issuer, &login.shown, login.lasts);
    tell(&context.ui, args.json, &told);
    // Nothing is on disk yet: Ctrl-C may end it here.
    let tokens = login.wait(clock::now)?;
    {
        let _lock = tokens::lock(&path)?;
        login::save(&path, &tokens)?;
    }
    if args.json {
        context.ui.json(&Output::of(Some(&tokens), clock::now()));
        return Ok(Exit::Done);
    }
    let sync = sync(context);
    let is_spokes = sync.issuer == Some(issuer) && sync.client_id == Some(client_id);
    let issuer = printable(&tokens.issuer);
    context.ui.say(match tokens.subject() {
        Some(subject) => format!("logged in at {issuer} as {}", printable(&subject)),
        None => format!("logged in at {issuer}"),
    });
    if let Some(hub) = sync.hub.filter(|_| is_spokes) {
        context.ui.say(format!(
            "hephd will sync with {} when it tries again; `heph sync now` does at once",
            printable(&hub)
        ));
    }
    if tokens.refresh_token.is_none() {
        context.ui.warn(format!(
            "{issuer} gave no refresh token: this login ends at {}",
            super::local(tokens.expires_at)
        ));
    }
    Ok(Exit::Done)
}

/// Returns issuer and client of the spoke: as the service file has them, else as the hephd that runs says.
fn of_hephd(context: &Context) -> Result<(String, String)> {
    let flags = service::definition(context.config.service_manager, &context.paths)?
        .map_or_else(Baked::default, |definition| definition.flags);
    let flag = |flag| flags.get(flag).map(str::to_owned);
    let (issuer, client_id) = (flag(Flag::OidcIssuer), flag(Flag::OidcClientId));
    if let (Some(issuer), Some(client_id)) = (&issuer, &client_id) {
        return Ok((issuer.clone(), client_id.clone()));
    }
    let sync = sync(context);
    match (sync.issuer, sync.client_id) {
        (Some(issuer), Some(client_id)) => Ok((issuer, client_id)),
        _ => Err(missing(issuer.is_some(), client_id.is_some())),
    }
}

/// Returns how the hephd that runs stands with its hub; nothing where none runs, or it does not say.
fn sync(context: &Context) -> SyncStatus {
    let socket = service::socket(context.config.service_manager, &context.paths);
    let status = socket.and_then(|socket| client::sync_status_if_there(&socket, SOON));
    status.ok().flatten().unwrap_or_default()
}

fn missing(issuer: bool, client_id: bool) -> Error {
    let what = match (issuer, client_id) {
        (true, _) => "no client id: hephd has --oidc-issuer, but no --oidc-client-id",
        (_, true) => "no issuer: hephd has --oidc-client-id, but no --oidc-issuer",
        _ => "no issuer: hephd has no --oidc-issuer",
    };
    Error::usage(what).with_hint(
        "heph auth login --issuer URL --client-id ID, or \
         `heph daemon restart --oidc-issuer URL --oidc-client-id ID`",
    )
}

/// Returns what a person is told to do.
fn instructions(issuer: &str, shown: &Shown, lasts: SignedDuration) -> Vec<String> {
    let mut lines = vec![
        format!("to log in at {}, open", printable(issuer)),
        format!("    {}", printable(&shown.verification_uri)),
        "and enter the code".to_owned(),
        format!("    {}", printable(&shown.user_code)),
    ];
    if let Some(complete) = &shown.verification_uri_complete {
        lines.push("or open, where the code is filled in already,".to_owned());
        lines.push(format!("    {}", printable(complete)));
    }
    let wait = match lasts.as_secs() {
        seconds if seconds >= 120 => format!("{} minutes", seconds / 60),
        seconds => format!("{seconds} seconds"),
    };
    lines.push(format!("waiting for you to confirm it, for {wait} at most"));
    lines
}

/// Prints `lines` where a person reads them: not on standard output if that is for a script.
fn tell(ui: &Ui, json: bool, lines: &[String]) {
    for line in lines {
        if json {
            ui.note(line);
        } else {
            ui.say(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_issuer_has_shown_cannot_steer_the_terminal() {
        let shown = Shown {
            verification_uri: "https://id.example/\u{1b}[2J".to_owned(),
            user_code: "AB\u{1b}]0;x\u{7}\u{202e}\nCD".to_owned(),
            verification_uri_complete: Some("https://id.example/\u{9b}".to_owned()),
        };
        let lines = instructions("https://id.example", &shown, SignedDuration::from_secs(600));
        assert_eq!(lines[1], "    https://id.example/\\u{1b}[2J");
        assert_eq!(lines[3], "    AB\\u{1b}]0;x\\u{7}\\u{202e}\\nCD");
        assert_eq!(lines[5], "    https://id.example/\\u{9b}");
        assert_eq!(
            lines[6],
            "waiting for you to confirm it, for 10 minutes at most"
        );
    }
}
