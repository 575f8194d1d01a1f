//! A bearer at hand: the stored one while it lasts, else a new one for the refresh token (RFC 6749, section 6).

use std::path::Path;

use jiff::Timestamp;

use super::endpoint::{self, EndpointError};
use super::{LOG_IN, Tokens, discover, grant, quoted, tokens};
use crate::error::{Error, Kind, Result};

/// Returns the bearer to send: that of the tokens at `path`, renewed if it expires within a minute of `now`.
///
/// # Errors
///
/// There is no login, or the issuer does not renew it (the hint is `heph auth login`); or the issuer cannot be reached and
/// the bearer has expired ([`Kind::Unreachable`]).
pub fn bearer(path: &Path, issuer: &str, client_id: &str, now: Timestamp) -> Result<String> {
    let stored = tokens::of(path, issuer, client_id)?;
    if let Some(bearer) = stored.lasting(now) {
        return Ok(bearer.to_owned());
    }
    let lasts = |tokens: &Tokens| tokens.lasting(now).is_some();
    match renew(path, issuer, client_id, now, lasts) {
        // An issuer that is down for a moment does no harm while the bearer is valid.
        Err(error) if error.kind() == Kind::Unreachable => match stored.valid(now) {
            Some(bearer) => Ok(bearer.to_owned()),
            None => Err(error),
        },
        renewed => renewed,
    }
}

/// Returns another bearer than `rejected`, which the hub did not accept: one that another process has stored meanwhile, else
/// a new one.
///
/// # Errors
///
/// As [`bearer`].
pub fn renewed(
    path: &Path,
    issuer: &str,
    client_id: &str,
    rejected: &str,
    now: Timestamp,
) -> Result<String> {
    renew(path, issuer, client_id, now, |tokens| {
        tokens.bearer() != rejected && tokens.beside(tokens.bearer(), now) != Some(rejected)
    })
}

/// Returns the token of this login beside `rejected`, which the hub did not accept, if it has not expired: access tokens of
/// many issuers are for themselves only, and their id tokens are for the client.
///
/// # Errors
///
/// As [`bearer`], but for those of the issuer, which is not contacted.
pub fn other(
    path: &Path,
    issuer: &str,
    client_id: &str,
    rejected: &str,
    now: Timestamp,
) -> Result<Option<String>> {
    let stored = tokens::of(path, issuer, client_id)?;
    Ok(stored.beside(rejected, now).map(str::to_owned))
}

/// Records that the hub accepts `token`, which [`other`] returned: it is the bearer from now on.
///
/// # Errors
///
/// As [`other`]; or the file cannot be written.
pub fn accept(path: &Path, issuer: &str, client_id: &str, token: &str) -> Result<()> {
    let _lock = tokens::lock(path)?;
    let stored = tokens::of(path, issuer, client_id)?;
    let accepted = stored.clone().accepting(token);
    if accepted != stored {
        tokens::save(path, &accepted)?;
    }
    Ok(())
}

/// Renews the tokens at `path`, unless another process has stored `good` ones before the lock was free.
fn renew(
    path: &Path,
    issuer: &str,
    client_id: &str,
    now: Timestamp,
    good: impl Fn(&Tokens) -> bool,
) -> Result<String> {
    let _lock = tokens::lock(path)?;
    let stored = tokens::of(path, issuer, client_id)?;
    if good(&stored) {
        let token = stored.lasting(now).unwrap_or_else(|| stored.bearer());
        return Ok(token.to_owned());
    }
    let Some(refresh_token) = stored.refresh_token.as_deref() else {
        return Err(ended(issuer, "it cannot be renewed"));
    };
    let metadata = discover(issuer, &endpoint::LIMITS)?;
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh_token),
        ("client_id", client_id),
    ];
    match grant::request(metadata.token_endpoint()?, &form) {
        Ok(granted) => {
            let renewed = granted.tokens(issuer, client_id, Some(stored), now);
            // Before any use: the issuer has withdrawn the old refresh token already.
            tokens::save(path, &renewed)?;
            // An id token that was not renewed may have ended.
            let token = renewed.lasting(now).unwrap_or_else(|| renewed.bearer());
            Ok(token.to_owned())
        }
        Err(error) => {
            if ends_login(&error) {
                // Sending the same token again would be useless, and looks like theft.
                let ended = Tokens {
                    refresh_token: None,
                    ..stored
                };
                tokens::save(path, &ended)?;
            }
            Err(failure(issuer, error))
        }
    }
}

/// Returns whether the refresh token is expired, revoked, used or another client's (RFC 6749, section 5.2).
fn ends_login(error: &EndpointError) -> bool {
    error.code() == Some("invalid_grant")
}

fn failure(issuer: &str, error: EndpointError) -> Error {
    let cannot_renew = Error::new(format!("cannot renew the login at '{issuer}'"));
    let ends_login = ends_login(&error);
    match error {
        EndpointError::Refused(refusal) if ends_login => ended(issuer, &refusal.to_string()),
        EndpointError::Refused(refusal) => Error::new(refusal.to_string())
            .context(cannot_renew.with_hint("if this persists, log in again: heph auth login")),
        EndpointError::Failed(error) => error.context(cannot_renew),
    }
}

fn ended(issuer: &str, why: &str) -> Error {
    Error::new(format!(
        "the login at '{}' has ended: {why}; log in again",
        quoted(issuer)
    ))
    .with_kind(Kind::Unauthorized)
    .with_hint(LOG_IN)
}

#[cfg(test)]
mod tests {
    use super::super::grant::tests::answered;
    use super::super::tokens::tests::some;
    use super::*;
    use serde_json::json;

    #[test]
    fn only_a_refusal_of_the_grant_ends_a_login() {
        let failed = |status, body| {
            let error = answered(status, &body).err().expect("no grant");
            (ends_login(&error), failure("https://id.example", error))
        };
        for (status, body, ends, message) in [
            (
                400,
                json!({ "error": "invalid_grant" }),
                true,
                "the login at 'https://id.example' has ended: invalid_grant; log in again",
            ),
            (
                400,
                json!({ "error": "invalid_request" }),
                false,
                "cannot renew the login at 'https://id.example': invalid_request",
            ),
            (
                401,
                json!({ "error": "invalid_client" }),
                false,
                "cannot renew",
            ),
            (
                500,
                json!({ "error": "invalid_grant" }),
                false,
                "cannot renew",
            ),
            (200, json!("<html>"), false, "cannot renew"),
        ] {
            let (ended, error) = failed(status, body);
            assert_eq!(ended, ends, "{error:#}");
            assert!(format!("{error:#}").starts_with(message), "{error:#}");
        }
    }

    #[test]
    fn a_bearer_that_lasts_needs_no_issuer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.json");
        let stored = some("opaque", None, 1_000);
        tokens::save(&path, &stored).unwrap();
        let now = Timestamp::from_second(0).unwrap();
        let bearer = bearer(&path, &stored.issuer, &stored.client_id, now).unwrap();
        assert_eq!(bearer, stored.bearer());
        // Another process was faster: what was refused is not what is stored.
        let other = renewed(&path, &stored.issuer, &stored.client_id, "refused", now).unwrap();
        assert_eq!(other, stored.bearer());
    }

    #[test]
    fn a_login_that_cannot_be_renewed_asks_for_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.json");
        let stored = some("opaque", None, 1_000);
        tokens::save(&path, &stored).unwrap();
        let now = Timestamp::from_second(2_000).unwrap();
        let error = bearer(&path, &stored.issuer, &stored.client_id, now).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("it cannot be renewed; log in again"),
            "{error}"
        );
        assert_eq!(error.hint(), Some("heph auth login"));
    }
}
