//! `heph auth login`: shows a code, and waits until it is confirmed.

use std::time::Duration;

use super::{Context, Output};
use crate::client::{self, SyncStatus};
use crate::error::{Error, Exit, Result, ensure};
use crate::login::device::{self, Prompt};
use crate::login::{self, tokens};
use crate::os::clock;
use crate::os::text::printable;
use crate::platform::service;
use crate::platform::service::arguments::ServiceFlags;

/// How long to wait for hephd's status, which only saves typing.
const STATUS_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// URL of the OpenID provider; by default, that of hephd
    #[arg(long, value_name = "URL", requires = "client_id")]
    issuer: Option<String>,
    /// Client id of heph at the provider; by default, that of hephd
    #[arg(long, value_name = "ID", requires = "issuer")]
    client_id: Option<String>,
    /// Scopes to request, separated by spaces; by default, those of hephd, else what the provider supports of openid and
    /// offline_access
    #[arg(long, value_name = "SCOPES", value_parser = scopes)]
    oidc_scopes: Option<String>,
    /// Print one JSON object, and the instructions on standard error
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    let path = super::tokens(context)?;
    let Provider {
        issuer,
        client_id,
        scopes,
    } = match (args.issuer, args.client_id) {
        (Some(issuer), Some(client_id)) => Provider {
            scopes: scopes_of_hephd(context, &issuer)?,
            issuer,
            client_id,
        },
        _ => of_hephd(context)?,
    };
    let scopes = args.oidc_scopes.or(scopes);
    let login = device::begin(&issuer, &client_id, scopes.as_deref())?;
    for line in instructions(&issuer, &login.prompt, login.lifetime) {
        // Standard output may be for a script.
        if args.json {
            context.ui.note(line);
        } else {
            context.ui.say(line);
        }
    }
    // Nothing is on disk yet: Ctrl-C leaves nothing behind.
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
            "hephd will sync with {} at its next attempt; `heph sync now` syncs at once",
            printable(&hub)
        ));
    }
    if tokens.refresh_token.is_none() {
        context.ui.warn(format!(
            "{issuer} issued no refresh token: this login expires at {}",
            super::local(tokens.expires_at)
        ));
    }
    Ok(Exit::Done)
}

/// Where to log in.
struct Provider {
    issuer: String,
    client_id: String,
    /// The scopes that the user named, if any.
    scopes: Option<String>,
}

/// Returns the provider of the spoke: from the service file, else from the running hephd.
fn of_hephd(context: &Context) -> Result<Provider> {
    let flags = flags(context)?;
    let flag = |flag| flags.get(flag).map(str::to_owned);
    let (issuer, client_id) = (flag("oidc-issuer"), flag("oidc-client-id"));
    if let (Some(issuer), Some(client_id)) = (&issuer, &client_id) {
        return Ok(Provider {
            issuer: issuer.clone(),
            client_id: client_id.clone(),
            scopes: flag("oidc-scopes"),
        });
    }
    let sync = sync(context);
    match (sync.issuer, sync.client_id) {
        (Some(issuer), Some(client_id)) => Ok(Provider {
            issuer,
            client_id,
            scopes: sync.scopes,
        }),
        _ => Err(missing(issuer.is_some(), client_id.is_some())),
    }
}

/// Returns the scopes that the service file names for `issuer`.
fn scopes_of_hephd(context: &Context, issuer: &str) -> Result<Option<String>> {
    let flags = flags(context)?;
    let is_ours = flags.get("oidc-issuer") == Some(issuer);
    Ok(flags
        .get("oidc-scopes")
        .filter(|_| is_ours)
        .map(str::to_owned))
}

fn flags(context: &Context) -> Result<ServiceFlags> {
    let definition = service::definition(context.config.service_manager, &context.paths)?;
    Ok(definition.map_or_else(ServiceFlags::default, |definition| definition.flags))
}

fn scopes(text: &str) -> Result<String> {
    ensure!(!text.trim().is_empty(), "it names no scope");
    Ok(text.to_owned())
}

/// Returns the sync status of the running hephd; empty where it cannot be had.
fn sync(context: &Context) -> SyncStatus {
    let socket = context.socket();
    let status = socket.and_then(|socket| client::sync_status_if_there(&socket, STATUS_LIMIT));
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

fn instructions(issuer: &str, prompt: &Prompt, lifetime: Duration) -> Vec<String> {
    let mut lines = vec![
        format!("to log in at {}, open", printable(issuer)),
        format!("    {}", printable(&prompt.verification_uri)),
        "and enter the code".to_owned(),
        format!("    {}", printable(&prompt.user_code)),
    ];
    if let Some(complete) = &prompt.verification_uri_complete {
        lines.push("or open this, which includes the code:".to_owned());
        lines.push(format!("    {}", printable(complete)));
    }
    let wait = match lifetime.as_secs() {
        seconds if seconds >= 120 => format!("{} minutes", seconds / 60),
        seconds => format!("{seconds} seconds"),
    };
    lines.push(format!("waiting up to {wait} for you to confirm it"));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_cannot_steer_the_terminal() {
        let prompt = Prompt {
            verification_uri: "https://id.example/\u{1b}[2J".to_owned(),
            user_code: "AB\u{1b}]0;x\u{7}\u{202e}\nCD".to_owned(),
            verification_uri_complete: Some("https://id.example/\u{9b}".to_owned()),
        };
        let lines = instructions("https://id.example", &prompt, Duration::from_secs(600));
        assert_eq!(lines[1], "    https://id.example/\\u{1b}[2J");
        assert_eq!(lines[3], "    AB\\u{1b}]0;x\\u{7}\\u{202e}\\nCD");
        assert_eq!(lines[5], "    https://id.example/\\u{9b}");
        assert_eq!(lines[6], "waiting up to 10 minutes for you to confirm it");
    }
}
