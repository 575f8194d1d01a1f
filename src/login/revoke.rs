//! Giving tokens back (RFC 7009).

use super::answer::Refusal;
use super::{Tokens, ask, discover, no_answer};
use crate::error::{Error, Result};

/// Has the issuer of `tokens` revoke the refresh token, and with it the login (section 2.1); the access token where there is
/// no other. Returns whether the issuer has an endpoint for that.
///
/// # Errors
///
/// The issuer is away, or refused.
pub fn revoke(tokens: &Tokens) -> Result<bool> {
    let Some(url) = discover(&tokens.issuer)?.revocation_endpoint else {
        return Ok(false);
    };
    let (token, hint) = match &tokens.refresh_token {
        Some(token) => (token, "refresh_token"),
        None => (&tokens.access_token, "access_token"),
    };
    let form = [
        ("token", token.as_str()),
        ("token_type_hint", hint),
        ("client_id", &tokens.client_id),
    ];
    let failed = format!("cannot have '{}' revoke the login", tokens.issuer);
    let said = ask::post(&url, &form).map_err(|failure| no_answer(failed.clone(), &failure))?;
    match said.status {
        // Also for a token that is none any more (section 2.2).
        200 | 204 => Ok(true),
        429 | 500.. => Err(super::away(format!("{failed}: it answers {}", said.status))),
        status => {
            let why = match serde_json::from_slice::<Refusal>(&said.body) {
                Ok(refusal) => refusal.words(),
                Err(_) => format!("it answers {status}"),
            };
            Err(Error::new(format!("{failed}: {why}")))
        }
    }
}
