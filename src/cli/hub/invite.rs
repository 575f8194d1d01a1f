//! `heph hub invite`: prints the line with which another machine joins.

use serde::Serialize;

use super::Context;
use crate::client::{self, InvitedMachine};
use crate::error::{Exit, Result, ResultExt};
use crate::hephd::{self, Way};
use crate::login::invitation::Invitation;
use crate::login::secret::Secret;
use crate::os::text::printable;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the machine; that of an invited one replaces its secret. By default, a new name
    name: Option<String>,
    /// URL at which other machines reach this hub; by default, that of the last invitation, else of --http-addr
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Output<'a> {
    name: &'a str,
    url: &'a str,
    line: String,
    replaced: bool,
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    let invited = client::invite(&context.socket()?, args.name, args.url)?;
    let InvitedMachine { name, url, .. } = &invited;
    let secret = Secret::try_from(invited.secret.clone());
    let line = Invitation {
        hub: url.clone(),
        secret: secret.context("hephd sent no invitation")?,
    }
    .to_string();
    if args.json {
        context.ui.json(&Output {
            name,
            url,
            line,
            replaced: invited.replaced,
        });
    } else {
        context.ui.say(line);
    }
    for note in notes(&invited) {
        context.ui.note(note);
    }
    Ok(Exit::Done)
}

/// Returns what to say beside the line, which is alone on standard output.
fn notes(invited: &InvitedMachine) -> Vec<String> {
    let InvitedMachine { name, url, .. } = invited;
    let (name, shown) = (printable(name), printable(url));
    let mut notes = Vec::new();
    if invited.replaced {
        notes.push(format!(
            "'{name}' has a new secret; its former one is no longer valid"
        ));
    }
    notes.push(format!(
        "on '{name}', run `heph sync join` and paste this line; anybody who has it can read and change your tasks"
    ));
    let about_the_way = match hephd::way(url) {
        Ok(Way::Loopback) => Some(
            "leads each machine to itself: for a hub behind a proxy or on a network, name its URL with --url",
        ),
        Ok(Way::OwnNetwork) => Some("is plain http: only its network protects tasks and secret"),
        Ok(Way::Public) => {
            Some("is plain http: anybody on the way can read tasks and secret; use https")
        }
        Ok(Way::Encrypted) | Err(_) => None,
    };
    notes.extend(about_the_way.map(|what| format!("{shown} {what}")));
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unsafe_or_useless_about_a_url_is_said() {
        let said = |url: &str, replaced| {
            let invited = InvitedMachine {
                name: "laptop".to_owned(),
                url: url.to_owned(),
                secret: String::new(),
                replaced,
            };
            notes(&invited).join("\n")
        };
        assert!(said("http://127.0.0.1:7345", false).contains("leads each machine to itself"));
        assert!(said("http://100.64.0.1:7345", false).contains("only its network protects"));
        assert!(said("http://hub.example", false).contains("use https"));
        let good = said("https://hub.example", false);
        assert_eq!(good.lines().count(), 1, "{good}");
        assert!(said("https://hub.example", true).contains("a new secret"));
    }
}
