//! `heph auth status`: shows the login.

use jiff::Timestamp;

use super::{Context, Output, local};
use crate::error::{Exit, Result};
use crate::login::{self, Tokens};
use crate::os::clock;
use crate::os::text::printable;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, args: Args) -> Result<Exit> {
    let tokens = login::load(&super::tokens(context)?)?;
    let now = clock::now();
    if args.json {
        context.ui.json(&Output::of(tokens.as_ref(), now));
        return Ok(Exit::Done);
    }
    match tokens {
        None => context.ui.say("not logged in"),
        Some(tokens) => lines(&tokens, now)
            .iter()
            .for_each(|line| context.ui.say(line)),
    }
    Ok(Exit::Done)
}

fn lines(tokens: &Tokens, now: Timestamp) -> Vec<String> {
    let subject = tokens.subject();
    let subject = subject.as_deref().map_or("unknown".into(), printable);
    let valid = tokens.valid(now).is_some();
    let at = local(tokens.expires_at);
    let why = match &tokens.refresh_token {
        Some(_) => "the issuer renews no id token, and the hub takes no other",
        None => "not renewable",
    };
    let expires = match (valid, tokens.renews_bearer()) {
        (true, true) => format!("{at}; renewed automatically"),
        (true, false) => format!("{at}; {why}: run `heph auth login` by then"),
        (false, true) => format!("{at}, in the past; renewed when needed"),
        (false, false) => format!("{at}, in the past; {why}: run `heph auth login`"),
    };
    vec![
        format!("issuer   {}", printable(&tokens.issuer)),
        format!("client   {}", printable(&tokens.client_id)),
        format!("subject  {subject}"),
        format!("expires  {expires}"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(refresh_token: Option<&str>) -> Tokens {
        Tokens {
            issuer: "https://id.example".to_owned(),
            client_id: "heph\u{1b}[2J".to_owned(),
            access_token: "hush".to_owned(),
            id_token: None,
            refresh_token: refresh_token.map(str::to_owned),
            expires_at: Timestamp::from_second(1_000).unwrap(),
            accepted: None,
            other_expires_at: None,
            id_token_is_not_renewed: false,
        }
    }

    #[test]
    fn a_login_is_shown_without_its_tokens() {
        for (refresh, now, ending) in [
            (Some("hush"), 0, "; renewed automatically"),
            (None, 0, "; not renewable: run `heph auth login` by then"),
            (Some("hush"), 1_000, ", in the past; renewed when needed"),
            (
                None,
                1_000,
                ", in the past; not renewable: run `heph auth login`",
            ),
        ] {
            let tokens = tokens(refresh);
            let now = Timestamp::from_second(now).unwrap();
            let lines = lines(&tokens, now).join("\n");
            assert!(lines.ends_with(ending), "{lines}");
            assert!(
                !lines.contains("hush") && !lines.contains('\u{1b}'),
                "{lines}"
            );
            let json = serde_json::to_value(Output::of(Some(&tokens), now)).unwrap();
            assert!(!json.to_string().contains("hush"), "{json}");
            assert_eq!(json["logged_in"], now.as_second() == 0 || refresh.is_some());
            assert_eq!(json["renewable"], refresh.is_some());
        }
    }

    #[test]
    fn a_login_whose_id_token_is_not_renewed_ends_with_it() {
        let tokens = Tokens {
            id_token: Some("of alice".to_owned()),
            id_token_is_not_renewed: true,
            ..tokens(Some("hush"))
        };
        for (now, ending) in [
            (0, "run `heph auth login` by then"),
            (1_000, "run `heph auth login`"),
        ] {
            let now = Timestamp::from_second(now).unwrap();
            let lines = lines(&tokens, now).join("\n");
            assert!(lines.contains("renews no id token"), "{lines}");
            assert!(lines.ends_with(ending), "{lines}");
            let json = serde_json::to_value(Output::of(Some(&tokens), now)).unwrap();
            assert_eq!(json["renewable"], false);
        }
    }

    #[test]
    fn without_a_login_everything_is_null() {
        let json = serde_json::to_value(Output::of(None, Timestamp::UNIX_EPOCH)).unwrap();
        assert_eq!(json["logged_in"], false);
        for key in ["issuer", "client_id", "subject", "expires_at"] {
            assert!(json[key].is_null(), "{key}");
        }
    }
}
