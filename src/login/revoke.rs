//! Revoking a login (RFC 7009).

use super::{Tokens, discover, endpoint};
use crate::error::{Error, Result, ResultExt};

/// Asks the issuer of `tokens` to revoke the refresh token, and with it the login (section 2.1); the access token where
/// there is no other. Returns whether the issuer supports that. Success includes a token that is invalid already (section
/// 2.2).
pub(crate) fn revoke(tokens: &Tokens) -> Result<bool> {
    let Some(url) = discover(&tokens.issuer, &endpoint::LIMITS)?.revocation_endpoint else {
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
    endpoint::post(&url, &form)
        .map_err(Error::from)
        .with_context(|| format!("cannot revoke the login at '{}'", tokens.issuer))?;
    Ok(true)
}
